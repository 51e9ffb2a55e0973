"""Exact tabular tools and the claims that are checked with them."""

from entrostat.lab._claim import Claim as Claim
from entrostat.lab._claim import Outcome as Outcome
from entrostat.lab._claim import Plot as Plot
from entrostat.lab._claim import Series as Series
from entrostat.lab._exact import Evaluation as Evaluation
from entrostat.lab._exact import Solution as Solution
from entrostat.lab._exact import evaluate as evaluate
from entrostat.lab._exact import exact_gradient as exact_gradient
from entrostat.lab._exact import objective as objective
from entrostat.lab._exact import occupancy as occupancy
from entrostat.lab._exact import soft_value_iteration as soft_value_iteration
from entrostat.lab._exact import transition_matrix as transition_matrix
from entrostat.lab._exact import tsallis_value_iteration as tsallis_value_iteration
from entrostat.lab._exact import value_iteration as value_iteration
from entrostat.lab._mdp import END as END
from entrostat.lab._mdp import MDP as MDP
from entrostat.lab._mdp import dense_mdp as dense_mdp
from entrostat.lab._mdp import make_mdp as make_mdp
from entrostat.lab._page import write_page as write_page
from entrostat.lab._policy import entropy as entropy
from entrostat.lab._policy import kept_mask as kept_mask
from entrostat.lab._policy import log_softmax as log_softmax
from entrostat.lab._policy import softmax as softmax
from entrostat.lab._policy import sparsemax as sparsemax
from entrostat.lab._policy import tsallis_entropy as tsallis_entropy
from entrostat.lab._run import Checked as Checked
from entrostat.lab._run import main as main
from entrostat.lab._run import run_claim as run_claim
from entrostat.lab._run import run_claims as run_claims
from entrostat.lab._tree import PrefixTree as PrefixTree
from entrostat.lab._tree import TreeEvaluation as TreeEvaluation
from entrostat.lab._tree import evaluate_tree as evaluate_tree
from entrostat.lab._tree import optimal_tree as optimal_tree
from entrostat.lab._tree import soft_tree_optimum as soft_tree_optimum
from entrostat.lab._tree import tree_logprobs as tree_logprobs
from entrostat.lab.claims import get as get
from entrostat.lab.claims import names as names

__all__ = [
    "END",
    "MDP",
    "Checked",
    "Claim",
    "Evaluation",
    "Outcome",
    "Plot",
    "PrefixTree",
    "Series",
    "Solution",
    "TreeEvaluation",
    "dense_mdp",
    "entropy",
    "evaluate",
    "evaluate_tree",
    "exact_gradient",
    "get",
    "kept_mask",
    "log_softmax",
    "main",
    "make_mdp",
    "names",
    "objective",
    "occupancy",
    "optimal_tree",
    "run_claim",
    "run_claims",
    "soft_tree_optimum",
    "soft_value_iteration",
    "softmax",
    "sparsemax",
    "transition_matrix",
    "tree_logprobs",
    "tsallis_entropy",
    "tsallis_value_iteration",
    "value_iteration",
    "write_page",
]
