"""Looking at runs while they go on, in the terminal or on a local page; only files are read, so nobody is disturbed."""

from entrostat.observe.watch._draw import frame as frame
from entrostat.observe.watch._follow import Follower as Follower
from entrostat.observe.watch._follow import Seen as Seen
from entrostat.observe.watch._page import Page as Page

__all__ = ["Follower", "Page", "Seen", "frame"]
