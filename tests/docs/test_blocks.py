"""Every block of every page is what it says: Python runs, TOML is a job, YAML parses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from entrostat.jobs import settings as job

from .pages import PAGES, ROOT, Block, blocks

ALL = [block for page in PAGES for block in blocks(page)]
NOT_RUN: dict[str, int] = {"docs/contributing.md": 7}
"""Blocks that a page declares not to be run, by page. A new one needs a line here, and so a reader's eye."""


def test_what_is_not_run_is_counted() -> None:
    counted: dict[str, int] = {}
    for block in ALL:
        if block.reason:
            page = str(block.page.relative_to(ROOT))
            counted[page] = counted.get(page, 0) + 1
    assert counted == NOT_RUN


def test_every_block_has_a_language_that_is_checked() -> None:
    known = {"python", "toml", "yaml", "sh", "console", "bibtex", "text"}
    assert not [f"{block.name}: {block.language!r}" for block in ALL if block.language not in known]


def of(language: str) -> list[Block]:
    return [block for block in ALL if block.language == language and not block.reason]


def pages_with_python() -> list[Path]:
    return sorted({block.page for block in of("python")})


@pytest.mark.train
@pytest.mark.parametrize("page", pages_with_python(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shared: dict[str, object] = {"__name__": "__main__"}
    for block in of("python"):
        if block.page == page:
            # Compiled with its own place, so that a failure names page and line.
            code = compile("\n" * block.line + block.text, str(page), "exec")
            exec(code, shared)
            if "trainer.train()" in block.text:
                assert "entropy_control/coef" in capsys.readouterr().out, f"{block.name} trained without control"


@pytest.mark.parametrize("block", of("toml"), ids=lambda block: block.name)
def test_a_toml_block_is_a_job(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    file.write_text(block.text, encoding="utf-8")
    for line in job.load(file).recipes:
        line.build()


@pytest.mark.parametrize("block", of("yaml"), ids=lambda block: block.name)
def test_a_yaml_block_parses(block: Block, tmp_path: Path) -> None:
    table = yaml.safe_load(block.text)
    assert isinstance(table, dict)
    if "recipe" in table:  # settings of our script for TRL: every key is known to it, and the recipe can be built
        grpo = pytest.importorskip("entrostat.integrations.trl.grpo")
        file = tmp_path / "job.yaml"
        file.write_text(block.text, encoding="utf-8")
        recipe_args, *_ = grpo.parse(
            ["--config", str(file), "--output_dir", str(tmp_path), "--use_cpu", "true", "--bf16", "false"]
        )
        recipe_args.build()


def test_the_readme_shows_a_trainer_and_a_loop() -> None:
    text = "".join(block.text for block in of("python") if block.page == ROOT / "README.md")
    assert "EntropyGRPOTrainer" in text
    assert "es.Control" in text


def test_the_check_reads_toml_as_a_job_does() -> None:
    with pytest.raises(ValueError, match="stepz"):
        job.from_table(tomllib.loads("stepz = 1"))
