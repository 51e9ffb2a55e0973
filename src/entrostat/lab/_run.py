"""Runs claims and says in one line each what came out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from entrostat.lab import claims
from entrostat.lab._claim import Claim, Outcome


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A claim, what its check measured, and how long that took."""

    claim: Claim
    outcome: Outcome
    seconds: float

    @property
    def line(self) -> str:
        """One line: verdict, name, figures."""
        figures = ", ".join(f"{name} {figure_text(value)}" for name, value in self.outcome.figures.items())
        return f"{self.outcome.verdict:<14} {self.claim.name} ({self.seconds:.1f} s): {figures}"


def figure_text(value: float | str) -> str:
    """Write a figure as it should be read.

    Example:
        >>> figure_text(0.123456), figure_text(100000.0), figure_text("none")
        ('0.1235', '100000', 'none')
    """
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"


def run_claim(claim: Claim, *, quick: bool = False) -> Checked:
    """Check one claim; an error names the claim and passes on."""
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
    """Check claims one after the other; say one line for each as soon as it is known.

    Args:
        names: which; all of them if None.
        quick: reduced checks of a few seconds each.
        say: is given every line.

    Returns:
        The claims with their outcomes, in the order asked for: what `write_page` takes.

    Raises:
        ValueError: no claim of such a name, before anything runs.
    """
    chosen = [claims.get(name) for name in (claims.names() if names is None else names)]
    checked: list[Checked] = []
    for claim in chosen:
        checked.append(run_claim(claim, quick=quick))
        say(checked[-1].line)
    return checked


def main(claim: Claim) -> None:
    """Run one claim from the command line: `python -m entrostat.lab.claims.NAME [--quick] [--page FILE]`."""
    parser = argparse.ArgumentParser(description=claim.statement)
    parser.add_argument("--quick", action="store_true", help="a reduced check of a few seconds")
    parser.add_argument("--page", type=Path, help="write the plots to this HTML file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checked = run_claim(claim, quick=arguments.quick)
    print(f"{claim.name}: {claim.statement}\nsource: {claim.source}\n\n{checked.outcome.verdict.upper()}")
    for name, value in checked.outcome.figures.items():
        print(f"  {name}: {figure_text(value)}")
    print(f"\n{checked.outcome.remarks}\nseeds {list(checked.outcome.seeds)}, {checked.seconds:.1f} s")
    if arguments.page:
        from entrostat.lab._page import write_page  # it imports this module

        print(f"wrote {write_page([checked], arguments.page)}")
