"""The pages that people read, and the blocks and commands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("benchmarks/**/*.md")]
)
_FENCED = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+?) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"\n]+)\")?[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.DOTALL | re.MULTILINE,
)
_INLINE = re.compile(r"`(entrostat [^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None
    """Why it is not run, if the page says so in a comment before it."""
    title: str | None = None
    """The file that it is, if it has one as its title."""

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return every fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _FENCED.finditer(text):
        indent = len(match["indent"])
        body = "".join(line[indent:] or "\n" for line in match["text"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start("language")) + 1
        found.append(Block(page, line, match["language"], body, match["reason"], match["title"]))
    return found


def commands(page: Path) -> list[tuple[str, str]]:
    """Return every shell command of a page with its place: those of shell blocks, and `entrostat ...` in prose."""
    found = [(block.name, line) for block in blocks(page) if not block.reason for line in _lines(block)]
    prose = _FENCED.sub("", page.read_text(encoding="utf-8"))
    name = str(page.relative_to(ROOT))
    found += [(name, match[1].replace("\n", " ")) for match in _INLINE.finditer(prose)]
    return found + [(name, line.strip()) for line in prose.splitlines() if line.startswith("    entrostat ")]


def _lines(block: Block) -> list[str]:
    """Return a block's commands; of a console block those after the prompt, of a plain one those of ours."""
    text = block.text.replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    if block.language in ("sh", "bash"):
        return [line for line in lines if line and not line.startswith("#")]
    if block.language == "console":
        return [line[2:] for line in lines if line.startswith("$ ")]
    return [line for line in lines if line.startswith("entrostat ")] if not block.language else []
