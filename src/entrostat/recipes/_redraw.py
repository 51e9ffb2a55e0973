"""A second set of rollouts at another temperature: what is drawn again, and what of it is taken."""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.errors import require, require_count, require_finite


@dataclass(frozen=True, kw_only=True)
class Redraw:
    """Draw responses to some prompts of each rollout batch again, at the controller's coefficient as temperature.

    Of the new responses those with a group advantage above `threshold` are taken, with an advantage of 1 at every
    token, up to a limit. They replace as many responses of the batch, from its start, as the published code does.

    Args:
        share: share of the prompts drawn again, from the start of the batch.
        threshold: a new response is taken if its advantage is above this.
        limit: most responses taken per rollout batch, as a share of its responses.
        limit_cooling: the same while the temperature is below the batch's own.

    Raises:
        ValueError: a share outside (0, 1].
    """

    share: float = 0.25
    threshold: float = 0.05
    limit: float = 60 / 2560
    limit_cooling: float = 30 / 2560

    def __post_init__(self) -> None:
        for name in ("share", "limit", "limit_cooling"):
            require(0 < require_finite(name, getattr(self, name)) <= 1, name, "lie in (0, 1]", getattr(self, name))
        require_finite("threshold", self.threshold)

    def prompts(self, prompts: int) -> int:
        """Return how many of so many prompts are drawn again; at least one."""
        return max(1, int(self.share * require_count("prompts", prompts, least=1)))

    def most(self, responses: int, *, cooling: bool) -> int:
        """Return how many new responses may enter a batch of so many; at least one."""
        return max(1, round((self.limit_cooling if cooling else self.limit) * responses))
