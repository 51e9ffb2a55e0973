"""A second set of rollouts at another temperature: what is drawn again, and what of it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from entrostat.errors import require, require_count, require_finite, unknown_name

Judge = Literal["advantage", "reward"]


@dataclass(frozen=True, kw_only=True)
class Redraw:
    """Draw responses to some prompts of each rollout batch again, at the controller's coefficient as temperature.

    Of the new responses those whose group advantage, or reward, is above `threshold` are taken, with an advantage of 1
    at every token, up to a limit. They replace as many responses of the batch, from its start. Counts are per process:
    each draws for its own prompts and replaces its own responses.

    Args:
        share: share of the prompts drawn again, from the start of the batch.
        threshold: a new response is taken if what it is judged by is above this.
        judge: `"advantage"` or `"reward"`.
        limit: most responses taken per rollout batch, as a share of its responses.
        limit_cooling: the same while the temperature is below the batch's own.

    Raises:
        ValueError: a share outside (0, 1], an unknown judge.

    Example:
        >>> redraw = Redraw(share=0.25, limit=0.1, limit_cooling=0.05)
        >>> redraw.prompts(8), redraw.most(64, cooling=False), redraw.most(64, cooling=True)
        (2, 6, 3)
    """

    share: float = 0.25
    threshold: float = 0.05
    judge: Judge = "advantage"
    limit: float = 60 / 2560
    limit_cooling: float = 30 / 2560

    def __post_init__(self) -> None:
        for name in ("share", "limit", "limit_cooling"):
            require(0 < require_finite(name, getattr(self, name)) <= 1, name, "lie in (0, 1]", getattr(self, name))
        require_finite("threshold", self.threshold)
        if self.judge not in get_args(Judge):
            raise unknown_name("judge", self.judge, get_args(Judge))

    def prompts(self, prompts: int) -> int:
        """Return how many of so many prompts are drawn again; at least one."""
        return max(1, int(self.share * require_count("prompts", prompts, least=1)))

    def most(self, responses: int, *, cooling: bool) -> int:
        """Return how many new responses may enter a batch of so many; at least one."""
        return max(1, round((self.limit_cooling if cooling else self.limit) * responses))
