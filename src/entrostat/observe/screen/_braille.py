"""A canvas of dots, two by four to a cell, in Unicode's braille patterns."""

from __future__ import annotations

_BASE = 0x2800
# The bit of each dot of a cell, by row and column: Unicode counts the first three rows by columns, then the fourth.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Canvas:
    """Dots on a grid of text cells; (0, 0) is the dot at the bottom left.

    Args:
        width: cells across; twice as many dots.
        height: cells down; four times as many dots.

    Example:
        >>> canvas = Canvas(2, 1)
        >>> canvas.line(0, 0, 3, 3)
        >>> canvas.rows()
        ['⡠⠊']
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = 2 * width, 4 * height
        self._cells = [[0] * width for _ in range(height)]

    def dot(self, x: int, y: int) -> None:
        """Set one dot; outside the canvas nothing happens."""
        if 0 <= x < self.width and 0 <= y < self.height:
            row, part = divmod(self.height - 1 - y, 4)
            self._cells[row][x // 2] |= _BITS[part][x % 2]

    def line(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """Set the dots between two points, both included."""
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            self.dot(x0 + round(step * (x1 - x0) / steps), y0 + round(step * (y1 - y0) / steps))

    def filled(self, row: int, column: int) -> bool:
        """Return whether a cell has a dot."""
        return bool(self._cells[row][column])

    def rows(self) -> list[str]:
        """Return the lines of text from the top; an empty cell is a blank."""
        return ["".join(chr(_BASE + cell) if cell else " " for cell in row) for row in self._cells]
