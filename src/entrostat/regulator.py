"""The object that changes: a controller's state and the window of tokens measured since its last update."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from entrostat.controllers import Controller, resolved_band, state_from_dict, state_to_dict, with_total
from entrostat.errors import require_choice, require_count, require_fields
from entrostat.losses import Tally

Window = Literal["step", "rollout", "fresh"]
"""When a controller moves: after each optimizer step, after each rollout batch, or on fresh rollouts before either."""

Reduce: TypeAlias = Callable[[Tensor], Tensor]

SCHEMA = 1
_FIELDS = ["controller", "open", "schema", "window"]


class Regulator:
    """Measure the entropy of a window of tokens, over all micro-batches and ranks; then update the controller once.

        H = (sum of the entropies of all tokens) / (number of tokens)          never a mean of means

    The host calls `observe` per micro-batch, `close_step` per optimizer step and `close_rollout` per rollout batch,
    always all three. `window` says which of the two closing calls counts; the other does nothing. Between two
    closings that count, `coefficient` is one number. A window without any token leaves the controller alone. With the
    third window, `"fresh"`, only `observe_fresh` counts: the host calls it once per rollout batch, before any update.

    Args:
        controller: the control law.
        window: `"step"` updates after each optimizer step, `"rollout"` after each rollout batch, `"fresh"` on the
            rollouts themselves, before the first update on them: a law that must not lag.

    Raises:
        ValueError: an unknown window.

    Reference:
        AEnt (arXiv 2509.03493) and Skywork-OR1 (arXiv 2505.22312) update once per rollout batch, TRL once per
        optimizer step.

    Example:
        >>> from entrostat.controllers import Band
        >>> law = Band(low=0.5, high=1.0, rate=0.1, floor=0.0, ceiling=1.0, initial=0.2)
        >>> regulator = Regulator(law)
        >>> regulator.observe(torch.tensor([[0.25, 0.5]]), torch.tensor([[1, 1]]))
        >>> regulator.observe(torch.tensor([[0.0, 9.0]]), torch.tensor([[1, 0]]))
        >>> regulator.coefficient, regulator.close_step(), round(regulator.coefficient, 6)
        (0.2, 0.25, 0.225)
    """

    def __init__(self, controller: Controller[Any], *, window: Window = "step") -> None:
        require_choice("window", window, Window)
        self._chosen = controller
        self._controller = controller
        self._window: Window = window
        self._state: Any = controller.init()
        self._open = Tally.zero()
        self._evaluating = False

    @property
    def controller(self) -> Controller[Any]:
        """The control law."""
        return self._controller

    @property
    def window(self) -> Window:
        """Which closing call counts."""
        return self._window

    @property
    def coefficient(self) -> float:
        """The coefficient to apply in the open window."""
        return self._controller.coefficient(self._state)

    @property
    def band(self) -> tuple[float, float] | None:
        """The band in force, nats per token, if the law has one; for the log."""
        return resolved_band(self._controller, self._state)

    def bind_total(self, total: int) -> None:
        """Tell the controller how long the run is, or now is; nothing happens if it does not ask or was built with it.

        Args:
            total: windows in the whole run, of the kind of `window`. Counted from the start, also after a resume.
        """
        # From the chosen one: a host that goes on for longer binds again.
        self._controller = with_total(self._chosen, total)

    def observe(self, entropy: Tensor, mask: Tensor) -> None:
        """Add one micro-batch to the open window, without a gradient and without waiting for the device.

        Args:
            entropy: `[B, T]`, nats; whatever stands at masked positions is ignored.
            mask: `[B, T]`, nonzero where a token counts.

        Raises:
            ValueError: the shapes differ.
        """
        self.add(Tally.of(entropy, mask))

    def add(self, tally: Tally) -> None:
        """Add tokens that were summed elsewhere to the open window.

        Args:
            tally: their sum and number. Give the closing calls no `reduce` where it is that of all ranks already.
        """
        if not self._evaluating and self._window != "fresh":
            self._open = self._open + tally

    def observe_fresh(self, entropy: Tensor, mask: Tensor, reduce: Reduce | None = None) -> float | None:
        """Take a whole batch of fresh rollouts as one window; if such are the windows, update the controller once.

        Args:
            entropy: as in `observe`, of all rollouts of this rank.
            mask: as in `observe`.
            reduce: as in `close_step`.
        """
        if self._window != "fresh" or self._evaluating:
            return None
        self._open = Tally.of(entropy, mask)
        return self._close("fresh", reduce)

    def close_step(self, reduce: Reduce | None = None) -> float | None:
        """End an optimizer step; if steps are the window, update the controller once.

        Args:
            reduce: sums a `[2]` float64 tensor over all ranks and returns the sum; `None` on a single rank. It is
                called on every rank, also on those without a token. A rank that never observed one holds it on the CPU.

        Returns:
            Mean entropy of the closed window; `None` if it had no token, or if steps are not the window.
        """
        return self._close("step", reduce)

    def close_rollout(self, reduce: Reduce | None = None) -> float | None:
        """End a rollout batch; if rollouts are the window, update the controller once. See `close_step`."""
        return self._close("rollout", reduce)

    def _close(self, window: Window, reduce: Reduce | None) -> float | None:
        if window != self._window or self._evaluating:
            return None
        entropy = self._reduced(reduce).mean
        self._open = Tally.zero(device=self._open.sums.device)
        if entropy is not None:
            self._state = self._controller.update(self._state, entropy=entropy)
        return entropy

    def _reduced(self, reduce: Reduce | None) -> Tally:
        # A copy: most all-reduces write into their argument.
        return self._open if reduce is None else Tally(reduce(self._open.sums.clone()))

    @contextmanager
    def evaluating(self) -> Generator[None]:
        """Make `observe` and both closing calls do nothing inside the block, so that evaluation never moves the law.

        Example:
            >>> from entrostat.controllers import Constant
            >>> regulator = Regulator(Constant(coef=0.1))
            >>> with regulator.evaluating():
            ...     regulator.observe(torch.ones(1, 1), torch.ones(1, 1))
            >>> regulator.close_step() is None
            True
        """
        before, self._evaluating = self._evaluating, True
        try:
            yield
        finally:
            self._evaluating = before

    def state_dict(self, *, reduce: Reduce | None = None) -> dict[str, Any]:
        """Return the controller's state and the open window as a JSON-able dict.

        The controller's state is the same on all ranks. The open window is not: give `reduce` here (on every rank)
        and the number of ranks to `load_state_dict`, or save where no window is open.

        Args:
            reduce: as in `close_step`.
        """
        total, tokens = self._reduced(reduce).sums.tolist()
        return {
            "schema": SCHEMA,
            "window": self._window,
            "controller": state_to_dict(self._controller, self._state),
            # NaN is no JSON; null comes back as the NaN that makes the controller skip the window.
            "open": {"sum": total if math.isfinite(total) else None, "tokens": tokens},
        }

    def load_state_dict(self, saved: Mapping[str, Any], *, ranks: int = 1) -> None:
        """Continue from the dict that `state_dict` returned; nothing changes if it is rejected.

        Args:
            saved: the dict, possibly by way of JSON.
            ranks: number of ranks that load this same dict; each takes an equal share of the open window.

        Raises:
            ValueError: another schema, window, controller or settings; a missing, unknown or damaged field.
        """
        require_count("ranks", ranks, least=1)
        require_fields("the saved regulator", _FIELDS, saved)
        for name, here in (("schema", SCHEMA), ("window", self._window)):
            if saved[name] != here:
                raise ValueError(f"the saved regulator has {name} {saved[name]!r}, this one has {here!r}.")
        open_window = _open_window(saved["open"])
        self._state = state_from_dict(self._controller, saved["controller"])
        self._open = Tally(open_window / ranks)


def _open_window(saved: Any) -> Tensor:
    """Return the saved sums as a tensor."""
    require_fields("the saved regulator's open window", ["sum", "tokens"], saved)
    total, tokens = (math.nan if saved["sum"] is None else saved["sum"]), saved["tokens"]
    if not isinstance(total, float) or not isinstance(tokens, float) or not 0 <= tokens < math.inf:
        raise ValueError(f"the saved regulator's open window must hold two floats and no negative count, got {saved}.")
    return torch.tensor([total, tokens], dtype=torch.float64)
