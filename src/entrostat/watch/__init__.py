"""Looking at runs while they go on, in the terminal or on a local page; only files are read, so nobody is disturbed."""

from entrostat.watch._draw import frame as frame
from entrostat.watch._follow import Follower as Follower
from entrostat.watch._follow import Seen as Seen
from entrostat.watch._page import Page as Page

__all__ = ["Follower", "Page", "Seen", "frame"]
