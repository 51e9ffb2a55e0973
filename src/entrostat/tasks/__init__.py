"""Verifiable tasks with safe scorers, and the embedded small language model of the default job.

`countdown` holds the problems, their prompts and their scorer; the rest are the tokenizer, demonstrations and
warm start of the embedded model, and sampling and pass@k for any model. Importing this package imports neither
transformers nor reasoning-gym.
"""

from entrostat.tasks import countdown as countdown
from entrostat.tasks import rewards as rewards
from entrostat.tasks._embedded import Demonstration as Demonstration
from entrostat.tasks._embedded import build_tokenizer as build_tokenizer
from entrostat.tasks._embedded import demonstrations as demonstrations
from entrostat.tasks._embedded import useless_token_ids as useless_token_ids
from entrostat.tasks._embedded import warm_start_path as warm_start_path
from entrostat.tasks._sampling import Drawn as Drawn
from entrostat.tasks._sampling import PassAtK as PassAtK
from entrostat.tasks._sampling import draw as draw
from entrostat.tasks._sampling import pass_at_k as pass_at_k
from entrostat.tasks._sampling import sample as sample

__all__ = [
    "Demonstration",
    "Drawn",
    "PassAtK",
    "build_tokenizer",
    "countdown",
    "demonstrations",
    "draw",
    "pass_at_k",
    "rewards",
    "sample",
    "useless_token_ids",
    "warm_start_path",
]
