"""Verifiable tasks with safe scorers, and the embedded small language model of the default job.

`countdown` holds the problems, their prompts and their scorer; the rest are the tokenizer, demonstrations and
warm start of the embedded model, and sampling and pass@k for any model. Importing this package imports neither
transformers nor reasoning-gym.
"""

from entrostat.tasks import _countdown as countdown
from entrostat.tasks._data import warm_start_path as warm_start_path
from entrostat.tasks._demonstrations import Demonstration as Demonstration
from entrostat.tasks._demonstrations import demonstrations as demonstrations
from entrostat.tasks._pass_at_k import PassAtK as PassAtK
from entrostat.tasks._pass_at_k import pass_at_k as pass_at_k
from entrostat.tasks._sampling import sample as sample
from entrostat.tasks._tokenizer import build_tokenizer as build_tokenizer
from entrostat.tasks._tokenizer import useless_token_ids as useless_token_ids

__all__ = [
    "Demonstration",
    "PassAtK",
    "build_tokenizer",
    "countdown",
    "demonstrations",
    "pass_at_k",
    "sample",
    "useless_token_ids",
    "warm_start_path",
]
