"""Opens reports in a real browser: the curves are drawn, nothing complains, and hostile text does nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from entrostat.report import write_report

pytest.importorskip("plotly")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH"),
]


def opened(page: Path, profile: Path, *, drawn: bool = True) -> tuple[str, list[str]]:
    """Return the page's elements after its scripts ran, and what it said on the console.

    The browser counts virtual time; on a starved machine it can dump the page before the plots are there, so a page
    that should have some is opened up to three times.
    """
    for attempt in range(3):
        dump = _dump(page, profile.with_name(f"{profile.name}{attempt}"))
        if not drawn or "data-drawn=" in dump[0]:
            break
    return dump


def _dump(page: Path, profile: Path) -> tuple[str, list[str]]:
    quiet = ["quic", "background-networking", "component-update", "sync", "gpu", "dev-shm-usage"]
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        *(f"--disable-{name}" for name in quiet),
        f"--user-data-dir={profile}",
        "--window-size=1280,9000",
        "--virtual-time-budget=30000",
        "--enable-logging=stderr",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=240, check=True)
    said = re.findall(r"CONSOLE.*", done.stderr.decode(errors="replace"))
    return done.stdout.decode(), said


def test_every_curve_is_drawn_and_the_console_is_silent(four_recipes: Path, tmp_path: Path) -> None:
    page, said = opened(write_report([four_recipes], tmp_path / "report.html"), tmp_path / "profile")
    assert said == []
    plots = page.count('class="plot js-plotly-plot"')
    assert plots == len(re.findall(r'id="plot-', page)) > 10
    assert f'data-drawn="{plots}"' in page
    # 12 seeds and 4 medians on each panel over the steps, the 2 bands on two of them
    assert page.count('class="js-line"') >= 16 * (plots - 1)
    assert re.search(r'<div class="legend"[^>]*aria-label="Recipes shown">', page)  # no longer hidden


def test_hostile_text_runs_nothing(make_run: Callable[..., Path], tmp_path: Path) -> None:
    mark = "document.documentElement.dataset.owned=1"
    tricks = [
        f"<script>{mark}</script>",
        f"</script><script>{mark}</script>",
        f'"><img src=x onerror="{mark}">',
        f"<a href='javascript:{mark}'>x</a>",
    ]
    samples = [{"problem": i, "completion": text, "prompt": text} for i, text in enumerate(tricks)]
    for i, text in enumerate(tricks):
        make_run(f"run{i}", samples=samples[i:], described={"label": text, "description": text, "task": text})
    page, said = opened(write_report([tmp_path], tmp_path / "report.html"), tmp_path / "profile")
    assert said == []
    assert "data-drawn=" in page
    assert "data-owned" not in page
    assert not re.search(r"<(img|iframe|object|embed)\b", page)


def test_an_empty_run_opens_without_complaint(make_run: Callable[..., Path], tmp_path: Path) -> None:
    make_run("aent", steps=0, described={"status": "running", "steps": 60})
    page, said = opened(write_report([tmp_path], tmp_path / "report.html"), tmp_path / "profile", drawn=False)
    assert said == []
    assert "No run has a step on record yet." in page
