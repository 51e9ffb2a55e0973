"""What the integrations of all hosts share: the controller's place in a checkpoint, and a check of the host's release.

A host's loss is private to it: a release that renames a hook, or reads the batch before calling one, would train a
method silently wrong. So each integration runs the host's own loss on a made-up batch with everything edited
(`probe_batch`) and compares it with the objective written out (`clipped_loss`).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from entrostat.errors import require_fields
from entrostat.observe.files import replace_text

STATE_FILE = "entrostat_state.json"

F = TypeVar("F", bound=Callable[..., Any])


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the state into a checkpoint folder, last of all its files: its presence says the folder is whole."""
    replace_text(folder / STATE_FILE, json.dumps(state))


def read_state(folder: Path, *, recipe: str, more: Sequence[str] = ()) -> dict[str, Any]:
    """Read the state of a checkpoint folder.

    Args:
        folder: the checkpoint.
        recipe: name of the recipe that goes on.
        more: names of the fields that the host keeps beside the recipe's name and the control's state.

    Returns:
        The state of the `Control` under `control`, and the fields asked for by name.

    Raises:
        ValueError: the file is missing, damaged or of another recipe. A silent fresh start would let the coefficient
            jump.
    """
    path = folder / STATE_FILE
    if not path.exists():
        raise ValueError(
            f"the checkpoint {folder} holds no {STATE_FILE}: it was cut short or written without entrostat. "
            "Resume from an earlier checkpoint, or start a new run."
        )
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError(f"{path} is damaged: it is not JSON. Resume from an earlier checkpoint.") from None
    if not isinstance(state, dict):
        raise ValueError(f"{path} is damaged: it holds no object. Resume from an earlier checkpoint.")
    require_fields(str(path), ["recipe", "control", *more], state)
    if state["recipe"] != recipe:
        raise ValueError(
            f"the state in {folder} is of recipe {state['recipe']!r}, this run has {recipe!r}. "
            "Resume from another checkpoint, or start a new run."
        )
    return state


class UnsupportedHostError(ImportError):
    """The installed release of a host cannot carry entrostat's hooks."""


def in_range(version: str, supported: tuple[str, str]) -> bool:
    """Whether a release lies in `[first, beyond)`, compared by major and minor number.

    Example:
        >>> [in_range(version, ("1.15", "1.17")) for version in ("1.16.0", "1.17.0", "0.24.0")]
        [True, False, False]
    """
    release = tuple(int(part) for part in version.split(".")[:2])
    first, beyond = (tuple(int(part) for part in bound.split(".")) for bound in supported)
    return first <= release < beyond


def overrides(base: type) -> Callable[[F], F]:
    """Mark a method as an override of one that `base` itself defines; `broken_override` reads the mark."""

    def mark(method: F) -> F:
        method.__dict__["overrides"] = base
        return method

    return mark


def broken_override(cls: type) -> str:
    """Say why a method of `cls` that is marked as an override of the host's is none; nothing if all are.

    A hook that a release renames would never be called, and a recipe would train as if it were none. Each override must
    exist in the base it is marked with, and take the parameters that ours names, in the same order.
    """
    for name, method in vars(cls).items():
        base = method.__dict__.get("overrides") if isinstance(method, FunctionType) else None
        if base is None:
            continue
        theirs = vars(base).get(name)
        if theirs is None:
            return f"it has no {base.__name__}.{name}"
        ours = inspect.signature(method).parameters.values()
        named = [parameter.name for parameter in ours if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        found = list(inspect.signature(theirs).parameters)
        if found[: len(named)] != named:
            return f"its {base.__name__}.{name} takes {found}, not {named}"
    return ""


class Probe(NamedTuple):
    """One batch, B = 2 and T = 3, in which every editable input differs per token."""

    logprobs: Tensor
    old_logprobs: Tensor
    advantages: Tensor
    clip_low: Tensor
    clip_high: Tensor
    mask: Tensor


def probe_batch() -> Probe:
    """Return the batch that every host's loss is tried on."""
    return Probe(
        logprobs=torch.tensor([[-0.9, -1.4, -0.3], [-0.5, -2.0, -0.7]]),
        old_logprobs=torch.tensor([[-1.0, -1.0, -0.6], [-0.4, -1.5, -0.7]]),
        advantages=torch.tensor([[1.0, -0.5, 2.0], [-1.0, 0.3, 0.5]]),
        clip_low=torch.tensor([[0.1, 0.2, 0.3], [0.05, 0.2, 0.1]]),
        clip_high=torch.tensor([[0.05, 0.3, 0.2], [0.2, 0.1, 0.4]]),
        mask=torch.tensor([[1, 1, 1], [1, 1, 0]]),
    )


def clipped_loss(batch: Probe) -> Tensor:
    """Return the clipped objective of each token, zero where masked: what a host's loss has to be the mean of."""
    ratio = (batch.logprobs - batch.old_logprobs).exp()
    clipped = ratio.clamp(1 - batch.clip_low, 1 + batch.clip_high)
    return -torch.minimum(ratio * batch.advantages, clipped * batch.advantages) * batch.mask
