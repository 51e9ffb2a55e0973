"""The classical entropy methods, one file each: small, faithful, and checked by the claims `classical_*`."""

from entrostat.lab.classical._ader import Ader as Ader
from entrostat.lab.classical._ader import AderState as AderState
from entrostat.lab.classical._ader import entropy_sensitivity as entropy_sensitivity
from entrostat.lab.classical._decoupled import box_entropy_range as box_entropy_range
from entrostat.lab.classical._decoupled import decoupled_temperature as decoupled_temperature
from entrostat.lab.classical._decoupled import escape_grid as escape_grid
from entrostat.lab.classical._decoupled import two_branches as two_branches
from entrostat.lab.classical._decoupled import waiting_room as waiting_room
from entrostat.lab.classical._dispatching import JobShop as JobShop
from entrostat.lab.classical._dispatching import dispatching_mdp as dispatching_mdp
from entrostat.lab.classical._dispatching import random_job_shop as random_job_shop
from entrostat.lab.classical._implicit_q import ImplicitQ as ImplicitQ
from entrostat.lab.classical._implicit_q import implicit_q_iteration as implicit_q_iteration
from entrostat.lab.classical._implicit_q import implicit_q_loss as implicit_q_loss
from entrostat.lab.classical._max_entropy_exploration import Mixture as Mixture
from entrostat.lab.classical._max_entropy_exploration import best_policy as best_policy
from entrostat.lab.classical._max_entropy_exploration import equivalent_policy as equivalent_policy
from entrostat.lab.classical._max_entropy_exploration import exploration_reward as exploration_reward
from entrostat.lab.classical._max_entropy_exploration import frank_wolfe as frank_wolfe
from entrostat.lab.classical._max_entropy_exploration import line_world as line_world
from entrostat.lab.classical._max_entropy_exploration import statewise_average as statewise_average
from entrostat.lab.classical._max_entropy_exploration import visits as visits
from entrostat.lab.classical._mega import RarePrompts as RarePrompts
from entrostat.lab.classical._mega import Rule as Rule
from entrostat.lab.classical._mega import goal_probabilities as goal_probabilities
from entrostat.lab.classical._mega import kernel_density as kernel_density
from entrostat.lab.classical._mega import moved_cutoff as moved_cutoff
from entrostat.lab.classical._mega import omega_weight as omega_weight
from entrostat.lab.classical._multilevel import Multilevel as Multilevel
from entrostat.lab.classical._multilevel import Nested as Nested
from entrostat.lab.classical._multilevel import antithetic_difference as antithetic_difference
from entrostat.lab.classical._multilevel import blanchet_glynn as blanchet_glynn
from entrostat.lab.classical._multilevel import draw_group_size as draw_group_size
from entrostat.lab.classical._multilevel import log_mean_exp as log_mean_exp
from entrostat.lab.classical._natural_actor_critic import NaturalActorCritic as NaturalActorCritic
from entrostat.lab.classical._natural_actor_critic import NaturalRun as NaturalRun
from entrostat.lab.classical._natural_actor_critic import NeuralActor as NeuralActor
from entrostat.lab.classical._natural_actor_critic import natural_direction as natural_direction
from entrostat.lab.classical._natural_actor_critic import neural_actor as neural_actor
from entrostat.lab.classical._natural_actor_critic import neural_preferences as neural_preferences
from entrostat.lab.classical._natural_actor_critic import neural_step as neural_step
from entrostat.lab.classical._natural_actor_critic import run_natural_actor_critic as run_natural_actor_critic
from entrostat.lab.classical._offline_ld import actor_loss as actor_loss
from entrostat.lab.classical._offline_ld import conservative_penalty as conservative_penalty
from entrostat.lab.classical._offline_ld import masked_target as masked_target
from entrostat.lab.classical._offline_ld import temperature_loss as temperature_loss
from entrostat.lab.classical._sparse_actor_critic import SparseActorCritic as SparseActorCritic
from entrostat.lab.classical._sparse_actor_critic import Squashed as Squashed
from entrostat.lab.classical._sparse_actor_critic import Training as Training
from entrostat.lab.classical._sparse_actor_critic import squashed_sample as squashed_sample
from entrostat.lab.classical._sparse_actor_critic import tsallis_bonus as tsallis_bonus
from entrostat.lab.classical._sparse_tsallis import q_logarithm as q_logarithm
from entrostat.lab.classical._sparse_tsallis import sparse_regret_bound as sparse_regret_bound
from entrostat.lab.classical._sparse_tsallis import sparse_value as sparse_value
from entrostat.lab.classical._state_entropy import knn_bonus as knn_bonus
from entrostat.lab.classical._state_entropy import loss_budget as loss_budget
from entrostat.lab.classical._state_entropy import robust_value as robust_value
from entrostat.lab.classical._state_entropy import worst_loss as worst_loss
from entrostat.lab.classical._token_tree import Sequences as Sequences
from entrostat.lab.classical._token_tree import every_sequence as every_sequence
from entrostat.lab.classical._token_tree import gradient_per_sequence as gradient_per_sequence
from entrostat.lab.classical._token_tree import random_tree as random_tree
from entrostat.lab.classical._transition_entropy import TransitionEntropy as TransitionEntropy
from entrostat.lab.classical._transition_entropy import outcome_bonus as outcome_bonus
from entrostat.lab.classical._transition_entropy import outcome_entropy as outcome_entropy
from entrostat.lab.classical._transition_entropy import redundancy as redundancy
from entrostat.lab.classical._transition_entropy import transition_entropy as transition_entropy

__all__ = [
    "Ader",
    "AderState",
    "ImplicitQ",
    "JobShop",
    "Mixture",
    "Multilevel",
    "NaturalActorCritic",
    "NaturalRun",
    "Nested",
    "NeuralActor",
    "RarePrompts",
    "Rule",
    "Sequences",
    "SparseActorCritic",
    "Squashed",
    "Training",
    "TransitionEntropy",
    "actor_loss",
    "antithetic_difference",
    "best_policy",
    "blanchet_glynn",
    "box_entropy_range",
    "conservative_penalty",
    "decoupled_temperature",
    "dispatching_mdp",
    "draw_group_size",
    "entropy_sensitivity",
    "equivalent_policy",
    "escape_grid",
    "every_sequence",
    "exploration_reward",
    "frank_wolfe",
    "goal_probabilities",
    "gradient_per_sequence",
    "implicit_q_iteration",
    "implicit_q_loss",
    "kernel_density",
    "knn_bonus",
    "line_world",
    "log_mean_exp",
    "loss_budget",
    "masked_target",
    "moved_cutoff",
    "natural_direction",
    "neural_actor",
    "neural_preferences",
    "neural_step",
    "omega_weight",
    "outcome_bonus",
    "outcome_entropy",
    "q_logarithm",
    "random_job_shop",
    "random_tree",
    "redundancy",
    "robust_value",
    "run_natural_actor_critic",
    "sparse_regret_bound",
    "sparse_value",
    "squashed_sample",
    "statewise_average",
    "temperature_loss",
    "transition_entropy",
    "tsallis_bonus",
    "two_branches",
    "visits",
    "waiting_room",
    "worst_loss",
]
