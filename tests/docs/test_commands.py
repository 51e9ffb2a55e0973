"""Every command line of every page is one that the real command line takes; those that only read are run."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from entrostat import cli

from .pages import PAGES, ROOT, Block, blocks, commands

LINES = sorted({(line, name) for page in PAGES for name, line in commands(page)})
FOREIGN = {
    "cd",
    "source",
    "export",
    "git",
    "grep",
    "trl",
    "accelerate",
    "torchrun",
    "wandb",
    "tensorboard",
    "mkdocs",
    "pytest",
    "docker",
    "ray",
}
"""Other people's commands, which are not checked."""
PLACEHOLDER = re.compile(r"^[A-Z][A-Z_]*$|\.\.\.|^\./|^runs/|^\[")


def words(line: str) -> list[str]:
    """Return a command without what a shell does around it: comments, variables before it, pipes, redirections."""
    split = shlex.split(line, comments=True)
    while split and re.match(r"^[A-Z_]+=", split[0]):
        split = split[1:]
    for stop in ("|", "&&", ";", ">", "2>&1", "&"):
        if stop in split:
            split = split[: split.index(stop)]
    return split


def check(line: str) -> None:
    """Raise if a command line is none."""
    head, *rest = words(line) or ["#"]
    if head in FOREIGN or head == "#":
        return
    if head == "entrostat":
        parse(rest)
    elif head == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert [word for word in rest if "=" not in word and word not in targets] == []
    elif head == "pip":
        extras(" ".join(rest))
    elif Path(head).name in ("python", "python3") and rest and rest[0] == "-m":
        assert (ROOT / "src" / rest[1].replace(".", "/")).with_suffix(".py").exists() or not rest[1].startswith(
            "entrostat"
        )
    elif Path(head).name in ("python", "python3"):
        script = (ROOT / rest[0]).read_text(encoding="utf-8")
        assert [word for word in rest[1:] if word.startswith("--") and word.split("=")[0] not in script] == []
    elif head.endswith(".sh"):
        script = (ROOT / head).read_text(encoding="utf-8")
        assert [name for name in re.findall(r"\b([A-Z_]+)=", line) if name not in script] == []
    else:
        raise AssertionError(f"{line!r}: nobody knows how to check {head!r}")


def parse(arguments: list[str]) -> None:
    """Parse `entrostat ...` with the real command line, without running it."""
    group: Any = typer.main.get_command(cli.app)
    named = [word for word in arguments if word not in ("...", "…")]
    context = group.make_context("entrostat", named, resilient_parsing=not named)
    if not named:
        return
    name, command, rest = group.resolve_command(context, named)
    assert command is not None
    if rest:  # a command's bare name in a sentence is no call
        command.make_context(name, rest, parent=context)


def extras(text: str) -> None:
    """Raise if an extra that is to be installed does not exist."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for listed in re.findall(r"(?:entrostat|\.)\[([\w,]+)\]", text):
        assert set(listed.split(",")) <= set(known)


def complaint(line: str) -> str:
    """Return what is wrong with a command line, or nothing."""
    try:
        check(line)
    except Exception as error:  # the parser's own classes differ between its releases
        return f"{line}: {error}"
    return ""


@pytest.mark.parametrize("page", sorted({name.partition(":")[0] for _, name in LINES}))
def test_a_page_names_real_commands_and_options(page: str) -> None:
    here = [line for line, name in LINES if name.partition(":")[0] == page]
    assert [found for found in map(complaint, here) if found] == []


@pytest.mark.parametrize(
    "line", ["entrostat run --recipes aent", "entrostat rnu", "make tset", "pip install 'entrostat[tlr]'"]
)
def test_the_check_can_fail(line: str) -> None:
    assert complaint(line)


def only_reads(line: str) -> bool:
    """Return whether a command can be run here as it stands: it is quick, writes nothing, and names nothing made up."""
    head, command, *rest = [*words(line), "", ""][:9]
    if head != "entrostat" or any(PLACEHOLDER.search(word) for word in rest):
        return False
    exists = all((ROOT / word).exists() for word in rest if "/" in word)
    quick = command in ("recipes", "diagnose") or (command == "lab" and not any(rest)) or "--print-config" in rest
    return quick and exists and (command != "diagnose" or any("/" in word for word in rest))


@pytest.mark.parametrize("line", sorted({line for line, _ in LINES if only_reads(line)}))
def test_a_command_that_only_reads_runs(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", words(line))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out.strip()


CONSOLE = [block for page in PAGES for block in blocks(page) if block.language == "console"]
SHOWN = [block for block in CONSOLE if not block.text.splitlines()[-1].startswith("$ ")]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.name)
def test_an_output_that_a_page_shows_is_what_the_command_prints(
    block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line, _, shown = block.text.removeprefix("$ ").partition("\n")
    assert only_reads(line), f"{line}: the output of a command that cannot be run here belongs into a block of text"
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", words(line))
    with pytest.raises(SystemExit):
        cli.main()
    # A terminal wraps prose, and what is read here is not wrapped: the words are compared.
    assert capsys.readouterr().out.split() == shown.split()
