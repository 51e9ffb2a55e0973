"""Draws docs/images/calibration.png, the plots of a calibration page, from a real one.

    entrostat calibrate --out calibration.html
    python docs/images/draw_calibration.py calibration.html

Needs Chromium, playwright and pillow.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, TALL, ROOM = 1000, 2600, 16
OUT = Path(__file__).with_name("calibration.png")


def main() -> None:
    """Open the page and take its plots, with some room around them."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        tab = chromium.new_page(viewport={"width": WIDTH, "height": TALL}, color_scheme="light")
        tab.goto(Path(sys.argv[1]).resolve().as_uri())
        plots = tab.locator(".plots").bounding_box()
        clip = {"x": plots["x"] - ROOM, "y": plots["y"] - ROOM}
        clip |= {"width": plots["width"] + 2 * ROOM, "height": plots["height"] + 2 * ROOM}
        picture = Image.open(io.BytesIO(tab.screenshot(clip=clip))).convert("RGB")
    picture.quantize(128).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
