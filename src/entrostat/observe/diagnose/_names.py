"""What other programs call the quantities that we diagnose by, and how rows under their names become curves."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from entrostat.observe.analysis.curves import Curves

Row = tuple[int, Mapping[str, float]]

# Our name <- theirs, the surest first. All compared in lower case and without a leading `train/`.
NAMES: Mapping[str, tuple[str, ...]] = {
    "entropy": (
        "entropy_control/entropy", "entropy", "actor/entropy", "actor/entropy_loss", "policy_entropy", "entropy_loss",
        "policy/entropy_avg", "critic/entropy/mean", "entropy/all/mean", "objective/entropy", "approx_entropy",
    ),
    "clamped_entropy": (
        "entropy_control/clamped_entropy", "clamped_entropy", "actor/aent/clamped_entropy", "aent/entropy_clamped",
    ),
    "kept_mass": ("entropy_control/kept_mass", "kept_mass", "aent/clamp_mass"),
    "coef": (
        "entropy_control/coef", "coef", "entropy_coef", "entropy_coeff", "actor/entropy_coeff", "actor/entropy_coef",
        "aent/coef",
    ),
    "bonus": ("entropy_control/bonus", "bonus", "aent/bonus"),
    "useless_mass": ("entropy_control/watched_mass", "useless_mass"),
    "reward": ("reward", "critic/rewards/mean", "critic/score/mean", "rewards/mean", "reward/mean", "mean_reward"),
    "accuracy": (
        "accuracy", "pass@1", "eval/validation/pass_at_1", "eval/test/pass_at_1", "eval/accuracy", "eval_accuracy",
        "eval_reward", "eval/reward",
    ),
    "length": ("completions/mean_length", "response_length/mean", "length"),
    "clip_low": ("clip_ratio/low_mean", "clip_low"),
    "clip_high": ("clip_ratio/high_mean", "clip_high"),
    "silent_groups": ("frac_reward_zero_std", "silent_groups"),
    "grad_norm": ("grad_norm", "actor/grad_norm"),
}  # fmt: skip
_MOST_STEPS = 2**53
KNOWN = frozenset(name for names in NAMES.values() for name in names)
# verl names a validation score by data set, metric and k.
_VALIDATION = re.compile(r"val-core/.+/mean@\d+|val/test_score/.+")


def plain(name: str) -> str:
    """Return a quantity's name as it is compared.

    Example:
        >>> plain("train/Entropy"), plain("my-run - actor/entropy")
        ('entropy', 'actor/entropy')
    """
    # A tracker's table names its columns `RUN - QUANTITY`.
    return name.strip().rpartition(" - ")[2].lower().removeprefix("train/").removeprefix("train_")


def numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return what is a number in a line of a log. One too long for a float is none.

    Example:
        >>> numbers({"entropy": 1, "name": "a", "huge": 10**400})
        {'entropy': 1.0}
    """
    found = {str(key): value for key, value in entry.items() if isinstance(value, int | float)}
    return {key: float(value) for key, value in found.items() if not abs(value) > sys.float_info.max}


def curves(rows: Iterable[Row], *, name: str, source: str) -> Curves:
    """Return rows of (step, value by name) as curves. A step logged twice, as after a resume, counts as logged last.

    Raises:
        ValueError: no row has an entropy, or the entropy is negative.
    """
    found: dict[str, dict[int, float]] = {}
    for step, values in rows:
        if abs(step) > _MOST_STEPS:
            raise ValueError(f"{name} counts steps beyond 2^53, which no training reaches.")
        for key, value in values.items():
            found.setdefault(plain(key), {})[step] = value
    values = {ours: sorted(taken.items()) for ours in NAMES if (taken := _taken(found, ours))}
    _check(values.get("entropy", []), found, name)
    return Curves(name=name, source=source, values=values)


def _taken(found: Mapping[str, dict[int, float]], ours: str) -> dict[int, float]:
    theirs = next((key for key in NAMES[ours] if key in found), None)
    if theirs is None and ours == "accuracy":
        theirs = min((key for key in found if _VALIDATION.fullmatch(key)), default=None)
    return found[theirs] if theirs is not None else {}


def _check(entropy: list[tuple[int, float]], found: Mapping[str, object], name: str) -> None:
    finite = [value for _, value in entropy if math.isfinite(value)]
    if entropy and not finite:
        raise ValueError(f"{name} has an entropy that is nowhere a finite number.")
    if not finite:
        near = sorted(key for key in found if "entropy" in key)
        hint = (
            f"the nearest are {', '.join(near[:5])}"
            if near
            else f"it has {', '.join(sorted(found)[:8]) or 'no numbers'}"
        )
        raise ValueError(f"{name} has no entropy to diagnose by, under names such as actor/entropy; {hint}.")
    if sum(finite) < 0:
        raise ValueError(f"{name} has a negative entropy: what is read there must be nats per token, and no loss.")
