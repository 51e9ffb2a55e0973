"""The rewards of a dataset: right where they should be, and unmoved by text that was written to harm."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from entrostat.tasks.rewards import Verifier, _verifier, exact, final_answer, gsm8k, math, same_value

pytest.importorskip("math_verify")


@pytest.fixture(scope="module")
def verifier():
    with Verifier(seconds=0.3) as made:
        yield made


@pytest.mark.parametrize(
    ("reference", "response", "right"),
    [
        ("18", "so she earns $18.", 1.0),
        ("18", r"\boxed{18.0}", 1.0),
        ("18", r"\boxed{18} or rather \boxed{19}", 0.0),
        ("1/2", r"\boxed{\frac{1}{2}}", 1.0),
        (r"\frac{\sqrt{2}}{2}", r"\boxed{\frac{1}{\sqrt{2}}}", 1.0),
        # LaTeX as people write it: MATH's own solutions leave braces out wherever they can.
        (r"\frac12", r"\boxed{0.5}", 1.0),
        (r"\frac{\sqrt3}2", r"\boxed{\frac{\sqrt{3}}{2}}", 1.0),
        (r"\tfrac{\pi}4", r"\boxed{\frac{\pi}{5}}", 0.0),
        (r"x^2+2x+1", r"\boxed{(x+1)^2}", 1.0),
        (r"x^2+2x+1", r"\boxed{(x-1)^2}", 0.0),
        ("18", "I do not know", 0.0),
        ("18", "", 0.0),
    ],
)
def test_math_compares_values(reference: str, response: str, right: float) -> None:
    assert math([response], answer=[reference]) == [right]


def test_math_reads_conversations_and_whole_solutions() -> None:
    talk = [{"role": "assistant", "content": r"\boxed{4}"}]
    assert math([talk, []], solution=[r"2 + 2 is \boxed{4}", "4"]) == [1.0, 0.0]
    with pytest.raises(ValueError, match="column `answer` or `solution`"):
        math(["4"])


def test_exact_forgives_white_space_and_nothing_else() -> None:
    assert exact([" New  York\n", "new york", "New York."], answer=["New York"] * 3) == [1.0, 0.0, 0.0]
    assert gsm8k(["#### 1,200", "#### 12"], answer=["so\n#### 1200"] * 2) == [1.0, 0.0]


HOSTILE = {
    "import": '__import__("os").system("touch {file}")',
    "boxed import": r'\boxed{__import__("os").system("touch {file}")}',
    "text import": r'\boxed{\text{__import__("os").system("touch {file}")}}',
    "open": r"\boxed{open('{file}','w')}",
    "tower": r"\boxed{9^{9^{9^{9}}}}",
    "tower in a root": r"\boxed{\sqrt{9^{9^{9^{9}}}}}",
    "factorials": r"\boxed{9999999!!!!}",
    "long sum": r"\boxed{\sum_{n=1}^{10^{12}} \frac{1}{n^n}}",
    "long": "9" * 100_000,
    "long boxed": r"\boxed{" + "1+" * 50_000 + "1}",
    "many boxes": r"\boxed{" * 20_000,
    "deep": r"\boxed{" + "{" * 190 + "1" + "}" * 190 + "}",
    "deep parentheses": r"\boxed{" + "(" * 190 + "1" + ")" * 190 + "}",
    "deep fractions": r"\boxed{" + r"\frac{1}{" * 40 + "2" + "}" * 40 + "}",
    "nothing": "\0\ud7ff\U0010ffff",
    "half a pair": "\\boxed{\ud800}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_worth_nothing_and_does_nothing(
    name: str, tmp_path: Path, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_verifier, "_shared", lambda: verifier)
    file = tmp_path / "touched"
    text = HOSTILE[name].replace("{file}", str(file))
    found = final_answer(text)
    # The reference is no plain number, so that the text reaches the computer algebra, if anything does.
    assert found is None or len(found) > 400 or not verifier.same(r"\sqrt{3}", found)
    assert not file.exists()
    assert math([text], answer=["18"]) == [0.0]


def test_a_comparison_that_hangs_is_ended_and_the_next_one_is_judged() -> None:
    with Verifier(seconds=0.5) as verifier:
        assert verifier.same("x", "x")
        started = time.monotonic()
        assert not verifier.same(r"\sqrt{3}", r"\int_0^1 \sin(\cos(\tan(x^{x^{x^{x}}}))) dx")
        assert time.monotonic() - started < 60
        assert verifier.same(r"\sqrt{4}", "2")


def test_the_other_process_never_evaluates_text() -> None:
    import subprocess
    import sys

    from entrostat.tasks.rewards import _child

    code = (
        "import runpy, sys; child = runpy.run_path(sys.argv[1]); child['guard']()\n"
        "from sympy import sympify\n"
        "try: sympify('1+1')\n"
        "except Exception as error: print(error)\n"
        "print(sympify('41'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, _child.__file__], capture_output=True, text=True, timeout=300, check=True
    )
    assert "never evaluated" in done.stdout
    assert done.stdout.endswith("41\n")


def test_too_long_is_no_answer() -> None:
    assert not same_value("1", "1" * 401)
    assert same_value("1" * 400, "1" * 400)


def test_a_process_that_is_gone_is_replaced() -> None:
    with Verifier() as verifier:
        assert verifier.same("2x", "x+x")
        assert verifier._process is not None
        verifier._process.kill()
        assert not verifier.same("3x", "x+2x")  # this answer is lost with it
        assert verifier.same("3x", "x+2x")
