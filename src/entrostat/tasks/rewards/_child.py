"""The process that does computer algebra on hostile text. Run as a script by its path; imports nothing of ours.

Each line of the input is a JSON pair, reference and answer, in LaTeX; each line of the output says `true` or `false`. A
line `ready` comes first.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from typing import Any, NoReturn

# Four things keep this process harmless:
#
# - Only math-verify's LaTeX route is used. Its route for plain expressions hands the text to sympy's `parse_expr`,
#   which is Python's `eval`; here it accepts plain digits and nothing else, so that no other way leads to `eval`.
# - Memory is limited; a comparison that needs more fails.
# - An alarm of the kernel ends the process if a comparison takes too long, even while no Python code runs. It counts
#   processor time, so that the verdict is the same on a busy machine.
# - The parent has a time limit as well; it kills this process and starts another one.

MEMORY = 2 << 30


def number_only(text: str, *_: Any, **__: Any) -> Any:
    """Stand in for sympy's `parse_expr`: `Number("4")` comes by it too, and plain digits need no evaluation."""
    from sympy import Float, Integer

    if re.fullmatch(r"[0-9]{1,400}", text, re.ASCII):
        return Integer(int(text))
    if re.fullmatch(r"[0-9]{0,400}\.[0-9]{1,400}", text, re.ASCII):
        return Float(text)
    return refuse()


def refuse(*_: Any, **__: Any) -> NoReturn:
    """Stand in for every function that would evaluate text."""
    raise ValueError("text is never evaluated")


def guard() -> None:
    """Take evaluation away from sympy, and memory beyond the limit from this process."""
    import resource

    import math_verify.parser
    import sympy.parsing
    from sympy.parsing import sympy_parser

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for module in (sympy_parser, sympy.parsing, math_verify.parser):
        module.__dict__["parse_expr"] = number_only
    sympy_parser.__dict__["eval_expr"] = refuse


def same(reference: str, answer: str) -> bool:
    """Return whether two LaTeX expressions have the same value."""
    from math_verify import LatexExtractionConfig, parse, verify

    how = [LatexExtractionConfig(boxed_match_priority=0)]
    # math-verify's own time limits are signals too, and leave a computation in C running.
    both = [
        parse("\\boxed{" + text + "}", extraction_config=how, fallback_mode="no_fallback", parsing_timeout=None)  # pyright: ignore[reportArgumentType]
        for text in (reference, answer)
    ]
    return all(both) and bool(verify(both[0], both[1], timeout_seconds=None))


def main() -> None:
    """Answer line by line until the input ends."""
    seconds = float(sys.argv[1])
    logging.disable(logging.CRITICAL)
    same("x^2+2x+1", "(x+1)^2")  # imports, the tables of the parser, and the parts of sympy that load late
    guard()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    print("ready", flush=True)
    for line in sys.stdin:
        reference, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            verdict = same(reference, answer)
        except (Exception, RecursionError):
            verdict = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(verdict), flush=True)


if __name__ == "__main__":
    main()
