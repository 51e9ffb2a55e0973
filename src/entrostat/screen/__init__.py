"""Small pictures in text, for a terminal: a gauge, a spark line, curves in braille. Colour only helps."""

from entrostat.screen._braille import Canvas as Canvas
from entrostat.screen._gauge import gauge as gauge
from entrostat.screen._gauge import place as place
from entrostat.screen._plot import Area as Area
from entrostat.screen._plot import Line as Line
from entrostat.screen._plot import plot as plot
from entrostat.screen._runs import ECHO as ECHO
from entrostat.screen._runs import Row as Row
from entrostat.screen._runs import run_table as run_table
from entrostat.screen._spark import spark as spark

__all__ = ["ECHO", "Area", "Canvas", "Line", "Row", "gauge", "place", "plot", "run_table", "spark"]
