"""The shell of every page: a template that prints foreign text can neither run nor hide it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

import pytest

from entrostat.observe import html
from entrostat.observe.html import THEME, policy, render, write_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\x00'\"&{{7*7}}"
TEMPLATE = """{% extends "shell.html.j2" %}
{% block title %}{{ text }}{% endblock %}{% block kind %}test{% endblock %}
{% block header %}<p title="{{ text }}">{{ text }}</p>{% endblock %}{% block main %}{{ absent }}{% endblock %}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "page.html.j2"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def test_foreign_text_is_visible_and_escaped_wherever_it_is_printed(template: Path) -> None:
    page = render(template, styles=[THEME], text=HOSTILE, absent="", data={"held": {"text": HOSTILE}})
    assert page.count("<script") == 1  # the data
    assert "<img" not in page
    assert not re.search("[\u202e\x00]", page)
    assert page.count("⟨U+202E⟩⟨U+0000⟩") == 3
    assert "{{7*7}}" in page
    (held,) = re.findall(r'id="held">(.*?)</script>', page)
    assert json.loads(held) == {"text": HOSTILE}


def test_a_value_the_template_was_not_given_is_an_error(template: Path) -> None:
    with pytest.raises(Exception, match="'absent' is undefined"):
        render(template, styles=[THEME], text="")


def test_the_policy_allows_the_scripts_by_their_hash_and_nothing_else(template: Path) -> None:
    script = "const a = '<\u00e9>';"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy([script])
    assert "default-src 'none'; script-src 'none';" in policy([])
    page = render(template, styles=[THEME], scripts=[script], text="", absent="")
    assert f'content="{policy([script])}"' in page
    assert f"<script>{script}</script>" in page


def test_without_jinja2_one_sentence_says_what_to_install(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    html._environment.cache_clear()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'entrostat\[report\]'"):
        render(template, styles=[THEME], text="", absent="")


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    assert write_page("text", tmp_path / "a.html").read_text(encoding="utf-8") == "text"
    with pytest.raises(ValueError, match="cannot write the page to"):
        write_page("text", tmp_path / "absent" / "a.html")
