"""A run whose coefficient was guessed, what `diagnose` says of it, what `calibrate` proposes, and the run with that.

    python examples/diagnose_and_mend.py

How the trainer is made is the other example's affair: see `trl_aent.py`.
"""

from __future__ import annotations

import argparse
import textwrap
import time
import warnings

from transformers.utils.logging import disable_progress_bar

import entrostat as es
from entrostat.observe.calibrate import Calibration, calibrate
from entrostat.observe.diagnose import Diagnosis, diagnose_run
from trl_aent import train

GUESS = 0.1
"""A coefficient that reads like a small number."""


def trained(recipe: es.Recipe, steps: int) -> Diagnosis:
    """Train, and diagnose what TRL wrote down itself."""
    trainer = train(recipe, steps)
    trainer.save_state()  # trainer_state.json, as in every checkpoint of TRL's
    (found,) = diagnose_run(trainer.args.output_dir)
    return found


def show(title: str, found: Diagnosis) -> None:
    """Print what a run began and ended with, what is wrong with it, and what to try."""
    print(f"\n{title}")
    for name in ("entropy", "reward"):
        first, last = found.ends(name)
        print(f"  {name}: {first:.3f} -> {last:.3f}")
    for finding in found.findings:
        print(f"  finding: {finding.kind} at step {finding.step}")
    for advice in found.advice:
        print(f"  advice: {advice.python}")
    if found.short:
        print("  too short to be judged")


def mended(found: Calibration, steps: int) -> es.Recipe:
    """Make the proposed recipe, with a warm-up that fits a run this short."""
    proposal = found.proposal
    return es.recipes.aent(
        clamp=None if proposal.keep else 0.0,
        keep=proposal.keep,
        low=proposal.low,
        high=proposal.high,
        initial=proposal.initial,
        rate=proposal.initial,
        floor=proposal.floor,
        ceiling=proposal.ceiling,
        warmup=steps // 20,
    )


def main() -> None:
    """Guess, diagnose, calibrate, mend, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="optimizer steps of each run")
    steps = parser.parse_args().steps
    started = time.perf_counter()
    warnings.simplefilter("ignore", FutureWarning)  # transformers on TRL's use of its settings
    disable_progress_bar()
    show(f"1. an entropy bonus with the coefficient {GUESS}", trained(es.recipes.entropy_bonus(coef=GUESS), steps))

    calibration = calibrate()
    print(f"\n2. calibrated on the start model\n  {calibration.proposal.python}")
    for reason in calibration.proposal.reasons:
        print(textwrap.fill(reason, 100, initial_indent="  ", subsequent_indent="    "))

    show("3. the same run with the recipe proposed", trained(mended(calibration, steps), steps))
    print(f"\n{time.perf_counter() - started:.0f} seconds, {time.process_time():.0f} of them on a processor")


if __name__ == "__main__":
    main()
