"""Draws docs/images/calibration.png, the plots of a calibration page, from a real one.

    entrostat calibrate --out calibration.html
    python docs/images/draw_calibration.py calibration.html

Needs Chromium, playwright and pillow.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

from browser import opened

WIDTH, TALL, ROOM = 1000, 2600, 16
OUT = Path(__file__).with_name("calibration.png")


def main() -> None:
    """Open the page and take its plots, with some room around them."""
    with opened(Path(sys.argv[1]), width=WIDTH, height=TALL) as tab:
        plots = tab.locator(".plots").bounding_box()
        clip = {"x": plots["x"] - ROOM, "y": plots["y"] - ROOM}
        clip |= {"width": plots["width"] + 2 * ROOM, "height": plots["height"] + 2 * ROOM}
        picture = Image.open(io.BytesIO(tab.screenshot(clip=clip))).convert("RGB")
    picture.quantize(128).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
