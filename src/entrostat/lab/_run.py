"""Finds claims by name and runs them, with one line of output for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from entrostat.errors import find_name
from entrostat.lab import classical
from entrostat.lab._claim import Checked, Claim
from entrostat.lab.classical import (
    ader,
    decoupled,
    dispatching,
    implicit_q,
    max_entropy_exploration,
    mega,
    multilevel,
    natural_actor_critic,
    offline_ld,
    sequence_entropy,
    sparse_actor_critic,
    sparse_tsallis,
    state_entropy,
    transition_entropy,
)
from entrostat.lab.theory import bounds, clamp, flow_matching, steps, toy_figure

# A module outside this list has no claims: there is no search through the package.
_MODULES = (
    *(bounds, clamp, flow_matching, steps, toy_figure),
    *(classical, ader, decoupled, dispatching, implicit_q, max_entropy_exploration, mega, multilevel),
    *(natural_actor_critic, offline_ld, sequence_entropy, sparse_actor_critic, sparse_tsallis, state_entropy),
    transition_entropy,
)
_CLAIMS = {claim.name: claim for module in _MODULES for claim in vars(module).values() if isinstance(claim, Claim)}


def names() -> list[str]:
    """Return the names of all claims, sorted."""
    return sorted(_CLAIMS)


def get(name: str) -> Claim:
    """Return the claim of this name; case does not matter, nor whether it has `-` or `_`.

    Raises:
        ValueError: there is none; the nearest name is suggested.
    """
    return _CLAIMS[find_name("claim", name, names())]


def run_claim(claim: Claim, *, quick: bool = False) -> Checked:
    """Check one claim; an error of the check is raised with a note that names the claim."""
    began = time.perf_counter()
    try:
        outcome = claim.check(quick)
    except Exception as error:
        error.add_note(f"while checking the claim {claim.name!r}")
        raise
    return Checked(claim=claim, outcome=outcome, seconds=time.perf_counter() - began)


def run_claims(
    names: Iterable[str] | None = None, quick: bool = False, *, say: Callable[[str], object] = print
) -> list[Checked]:
    """Check claims one after the other, and report each one as soon as it is done.

    Args:
        names: the claims to check; all of them if None.
        quick: reduced checks of a few seconds each.
        say: is called with one line for each claim.

    Returns:
        The claims with their outcomes, in the order of `names`: the input of `write_page`.

    Raises:
        ValueError: an unknown name, before anything runs.
    """
    checked: list[Checked] = []
    for claim in [get(name) for name in (sorted(_CLAIMS) if names is None else names)]:
        checked.append(run_claim(claim, quick=quick))
        say(checked[-1].line)
    return checked
