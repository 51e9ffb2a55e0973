"""The wording of errors about input: one sentence with the argument, the rule, the value and the remedy, if known.

Every check of the library goes through these helpers, so that two errors about the same kind of mistake read the
same. They raise built-in exception types, which can be caught without importing ours.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, cast, get_args


def sentence(name: str, rule: str, value: object, remedy: str = "") -> str:
    """Word a complaint: `` `name` must RULE, got name=VALUE. REMEDY ``.

    Example:
        >>> sentence("clip_low", "lie in [0, 1]", 1.5)
        '`clip_low` must lie in [0, 1], got clip_low=1.5.'
    """
    text = f"`{name}` must {rule}, got {name}={value!r}."
    return f"{text} {remedy}" if remedy else text


def require(condition: bool, name: str, rule: str, value: object, remedy: str = "") -> None:
    """Raise `ValueError` with the standard sentence unless `condition` holds."""
    if not condition:
        raise ValueError(sentence(name, rule, value, remedy))


def require_finite(name: str, value: float, remedy: str = "") -> float:
    """Return `value` as a float; raise if it is not a finite real number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(sentence(name, "be a number", value, remedy))
    require(math.isfinite(value), name, "be finite", value, remedy)
    return float(value)


def require_count(name: str, value: int, *, least: int = 0, remedy: str = "") -> int:
    """Return `value` if it is an integer of at least `least`; raise otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(sentence(name, "be an integer", value, remedy))
    require(value >= least, name, f"be at least {least}", value, remedy)
    return value


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Build the error for an unknown name: it shows the nearest one and lists them all.

    Example:
        >>> str(unknown_name("recipe", "aemt", ["aent", "none"]))
        "unknown recipe 'aemt'. Did you mean 'aent'? Known: aent, none."
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")


def require_choice(name: str, value: str, choices: Any) -> None:
    """Raise unless `value` is one of the strings of `choices`, a `Literal`; the error shows the nearest one.

    Example:
        >>> from typing import Literal
        >>> require_choice("shape", "linear", Literal["linear", "cosine"])
    """
    if value not in get_args(choices):
        raise unknown_name(name, value, get_args(choices))


def find_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the known name that a person meant: case does not matter, nor whether it has `-` or `_`.

    Raises:
        ValueError: there is none; the nearest one is shown.

    Example:
        >>> find_name("recipe", "Entropy-Bonus", ["aent", "entropy_bonus"])
        'entropy_bonus'
    """
    names = list(known)
    if name in names:
        return name
    alike = [one for one in names if _folded(one) == _folded(name)]
    if len(alike) != 1:
        raise unknown_name(kind, name, names)
    return alike[0]


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_")


def require_fields(owner: str, wanted: Iterable[str], saved: object) -> None:
    """Raise unless `saved` is a mapping with exactly these fields; both lists are shown.

    Example:
        >>> require_fields("the state", ["coef"], {"coef": 0.1})
    """
    expected = sorted(wanted)
    found = sorted(map(str, cast(Mapping[str, Any], saved))) if isinstance(saved, Mapping) else repr(saved)
    if found != expected:
        raise ValueError(f"{owner} must have the fields {expected}, found {found}.")


_EXTRAS = {
    "torch": "torch",
    **dict.fromkeys(("accelerate", "datasets", "transformers", "trl", "yaml"), "trl"),
    **dict.fromkeys(("hydra", "omegaconf", "ray", "tensordict", "transfer_queue", "verl"), "verl"),
    **dict.fromkeys(("jinja2", "numpy", "plotly"), "report"),
    **dict.fromkeys(("safetensors", "tokenizers"), "run"),
    **dict.fromkeys(("tensorboard", "trackio", "wandb"), "track"),
    "gymnasium": "lab",
    "math_verify": "math",
    "reasoning_gym": "gym",
}
"""Optional packages and the extra that brings each; pyproject.toml has their versions."""


def missing_package(needed_by: str, error: ModuleNotFoundError, extra: str = "") -> str:
    """Word the absence of a package: who needs it, and how to install it.

    Args:
        needed_by: a name or a command.
        error: the failed import.
        extra: the extra that brings everything for it; the package's own if empty.

    Example:
        >>> missing_package("entrostat.recipes", ModuleNotFoundError(name="torch"))
        "entrostat.recipes needs torch: pip install 'entrostat[torch]'"
    """
    package = (error.name or "").partition(".")[0]
    extra = extra or _EXTRAS.get(package, "")
    return f"{needed_by} needs {package}: pip install " + (f"'entrostat[{extra}]'" if extra else package)
