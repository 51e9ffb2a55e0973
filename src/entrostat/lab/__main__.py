"""Check one claim in full words: ``python -m entrostat.lab NAME [--quick] [--page FILE]``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from entrostat import lab
from entrostat.lab._claim import figure_text


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m entrostat.lab", description="Check one claim of the lab.")
    parser.add_argument("name", metavar="NAME", help="the claim, as `entrostat lab` lists it")
    parser.add_argument("--quick", action="store_true", help="a reduced check of a few seconds")
    parser.add_argument("--page", type=Path, help="write the plots to this HTML file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        claim = lab.get(arguments.name)
    except ValueError as error:
        parser.error(str(error))
    checked = lab.run_claim(claim, quick=arguments.quick)
    print(f"{claim.name}: {claim.statement}\nsource: {claim.source}\n\n{checked.outcome.verdict.upper()}")
    for name, value in checked.outcome.figures.items():
        print(f"  {name}: {figure_text(value)}")
    print(f"\n{checked.outcome.remarks}\nseeds {list(checked.outcome.seeds)}, {checked.seconds:.1f} s")
    if arguments.page:
        print(f"wrote {lab.write_page([checked], arguments.page)}")


if __name__ == "__main__":
    main()
