"""Exact tabular tools and the claims that are checked with them."""

from entrostat.lab._claim import Checked, Claim, Outcome, Plot, Series
from entrostat.lab._mdp import (
    END,
    MDP,
    Evaluation,
    Solution,
    dense_mdp,
    evaluate,
    exact_gradient,
    make_mdp,
    objective,
    occupancy,
    soft_value_iteration,
    transition_matrix,
    tsallis_value_iteration,
    value_iteration,
)
from entrostat.lab._page import write_page
from entrostat.lab._policy import entropy, kept_mask, log_softmax, softmax, sparsemax, tsallis_entropy
from entrostat.lab._run import get, names, run_claim, run_claims
from entrostat.lab._tree import (
    PrefixTree,
    TreeEvaluation,
    evaluate_tree,
    optimal_tree,
    soft_tree_optimum,
    tree_logprobs,
)

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
