"""Small pictures in text, for a terminal: a gauge, a spark line, curves in braille. Colour only helps."""

from entrostat.observe.screen._braille import Canvas as Canvas
from entrostat.observe.screen._gauge import gauge as gauge
from entrostat.observe.screen._gauge import place as place
from entrostat.observe.screen._plot import Area as Area
from entrostat.observe.screen._plot import Line as Line
from entrostat.observe.screen._plot import plot as plot
from entrostat.observe.screen._runs import ECHO as ECHO
from entrostat.observe.screen._runs import Row as Row
from entrostat.observe.screen._runs import run_table as run_table
from entrostat.observe.screen._spark import spark as spark

__all__ = ["ECHO", "Area", "Canvas", "Line", "Row", "gauge", "place", "plot", "run_table", "spark"]
