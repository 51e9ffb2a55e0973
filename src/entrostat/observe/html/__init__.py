"""One shell for every page: head, policy, style, Plotly, escaping. A page is one file that needs nothing but itself.

Everything in a run directory is foreign: labels, settings, and above all the output of a model. A template
cannot let it through by mistake: whatever it prints is first made `visible`, then escaped.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrostat.errors import missing_package
from entrostat.observe import text
from entrostat.observe.files import replace_text

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
THEME = HERE / "theme.css"
"""Colours, fonts and measures of every page."""
ARTICLE = HERE / "article.css"
"""Headline, figures and tables of a page that is read from top to bottom."""
PLOTS = HERE / "plots.js"
"""The script that gives Plotly the colours and fonts of the theme."""


def render(
    template: Path, *, styles: Sequence[Path], scripts: Sequence[str] = (), data: Mapping[str, Any] | None = None,
    **values: Any,
) -> str:  # fmt: skip
    """Return a page as HTML.

    Args:
        template: a file that extends `shell.html.j2`.
        styles: style sheets, in their order.
        scripts: texts of scripts, in their order.
        data: values for the scripts, by the id of the element that holds them as JSON.
        values: everything else the template prints.

    Raises:
        ImportError: jinja2 is not installed.
    """
    return _environment(template.parent).get_template(template.name).render(
        style_sheet="\n".join(map(asset, styles)), policy=policy(scripts), scripts=scripts, data=data or {}, **values
    )  # fmt: skip


@functools.cache
def _environment(folder: Path) -> Environment:
    try:
        import jinja2
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise ImportError(missing_package("a page", error)) from None

    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) else text.visible(str(value), limit=20_000)

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, HERE]),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    made.filters.update({name: getattr(text, name) for name in ("visible", "label", "number", "percent", "listed")})
    return made


def asset(path: Path) -> str:
    """Return the text of a style sheet or a script of the package."""
    return path.read_text(encoding="utf-8")


def plotly_script() -> str:
    """Return Plotly's script, which the page carries.

    Raises:
        ImportError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ImportError(missing_package("a page with plots", error)) from None
    # A browser hashes a script after it has turned every line break into one "\n".
    return get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")


def policy(scripts: Sequence[str]) -> str:
    """Return the content security policy of a page.

    The browser runs these scripts by their hash and nothing else, and loads nothing: even text that slipped through
    the escaping could not act.
    """
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"


def write_page(page: str, out: Path) -> Path:
    """Write a page and return `out`; an older file is replaced at once or not at all.

    Raises:
        ValueError: it cannot be written.
    """
    try:
        replace_text(out, page)
    except OSError as error:
        raise ValueError(f"cannot write the page to {out}: {error.strerror}.") from None
    return out


def round_values(low: float, high: float, parts: int) -> list[float]:
    """Return round numbers between two others, about one for each of so many parts.

    Example:
        >>> round_values(0.12, 0.41, 4)
        [0.2, 0.3, 0.4]
    """
    rough = (high - low) / parts
    size = 10.0 ** math.floor(math.log10(rough))
    gap = next(size * times for times in (1, 2, 5, 10) if size * times >= rough)
    first, last = math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9)
    return [float(f"{gap * i:.6g}") for i in range(first, last + 1)]
