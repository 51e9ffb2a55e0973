"""Draws docs/images/report.png, the top of a report and its token view, from a real one.

    entrostat run --recipe none --recipe aent --seeds 3 --steps 60 --out DIR
    python docs/images/draw_report.py DIR/report.html

Needs Chromium, playwright and pillow. A step is chosen with the slider, a token is pointed at; nothing else is touched.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from browser import opened

WIDTH, TALL, LEFT_OUT = 1060, 3000, 14
OUT = Path(__file__).with_name("report.png")


def taken(tab: Any, top: str, bottom: str) -> Image.Image:
    """Return what lies between the top of one element and the bottom of another."""
    start = tab.locator(top).first.bounding_box()["y"] - LEFT_OUT
    last = tab.locator(bottom).first.bounding_box()
    picture = tab.screenshot(clip={"x": 0, "y": start, "width": WIDTH, "height": last["y"] + last["height"] - start})
    return Image.open(io.BytesIO(picture)).convert("RGB")


def main() -> None:
    """Open the report, take two pieces of it, and join them."""
    with opened(Path(sys.argv[1]), width=WIDTH, height=TALL) as tab:
        tab.wait_for_selector("html[data-drawn]")
        tab.locator("#step").fill(str(int(tab.locator("#step").get_attribute("max")) * 2 // 3))
        top = taken(tab, ".mark", "figure.hero")
        tab.evaluate("document.querySelector('#tokens').scrollIntoView()")
        tab.locator("#answers [role=option]").nth(4).focus()
        tokens = taken(tab, "#tokens", ".answer:nth-of-type(4)")
    joined = Image.new("RGB", (WIDTH, top.height + tokens.height), top.getpixel((0, 0)))
    joined.paste(top, (0, 0))
    joined.paste(tokens, (0, top.height))
    joined.quantize(128).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
