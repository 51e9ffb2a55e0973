"""General tabular MDPs with action masks, stored by successors: memory grows with S*A*K, never with S*A*S.

Letters: S states, A actions, K possible successors of a state and action (1 where moves are certain).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.errors import require, require_finite
from entrostat.lab._policy import check_mask

END = -1
"""The successor that ends the episode; its value is 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MDP:
    """An MDP whose every part has been checked; build it with `make_mdp` or `dense_mdp`.

    Args:
        rewards: `[S, A]`, expected reward of an action.
        successors: `[S, A, K]`, states that may follow; `END` ends the episode.
        chances: `[S, A, K]`, their probabilities.
        start: `[S]`, distribution of the first state.
        mask: `[S, A]`, True where an action is allowed.
        discount: in (0, 1]; 1 asks for an MDP that ends under the policies it is evaluated with.
    """

    rewards: Tensor
    successors: Tensor
    chances: Tensor
    start: Tensor
    mask: Tensor
    discount: float

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_numbers(self)
        _check_reachable(self)

    @property
    def states(self) -> int:
        """S."""
        return self.rewards.shape[0]

    @property
    def actions(self) -> int:
        """A."""
        return self.rewards.shape[1]

    def ahead(self, values: Tensor) -> Tensor:
        """Return the expected value of the next state, `[S, A]`, given `values [S]`."""
        padded = torch.cat([values, values.new_zeros(1)])  # index -1 is END
        return (self.chances * padded[self.successors]).sum(-1)


def make_mdp(
    *,
    rewards: Tensor,
    successors: Tensor,
    chances: Tensor | None = None,
    start: Tensor | None = None,
    mask: Tensor | None = None,
    discount: float = 1.0,
) -> MDP:
    """Build an MDP from successor lists.

    Args:
        rewards: `[S, A]`.
        successors: `[S, A]` for certain moves or `[S, A, K]`; `END` ends the episode.
        chances: `[S, A, K]`; left out for certain moves.
        start: `[S]`; uniform if left out.
        mask: `[S, A]`; everything is allowed if left out.
        discount: in (0, 1].

    Raises:
        ValueError: one action only, probabilities that do not sum to 1, a mask that forbids everything, states that
            cannot be reached, or a discount outside (0, 1].

    Example:
        >>> rewards = torch.tensor([[0.0, -1.0], [1.0, -1.0]])
        >>> corridor = make_mdp(rewards=rewards, successors=torch.tensor([[1, 0], [END, 0]]))
        >>> corridor.states, corridor.actions
        (2, 2)
    """
    require(rewards.dim() == 2, "rewards", "have shape [S, A]", tuple(rewards.shape))
    successors = successors.unsqueeze(-1) if successors.dim() == 2 else successors
    states = rewards.shape[0]
    return MDP(
        rewards=rewards.double(),
        successors=successors.long(),
        chances=torch.ones(successors.shape, dtype=torch.float64) if chances is None else chances.double(),
        start=torch.full((states,), 1 / states, dtype=torch.float64) if start is None else start.double(),
        mask=torch.ones(rewards.shape, dtype=torch.bool) if mask is None else mask,
        discount=require_finite("discount", discount),
    )


def dense_mdp(
    *,
    rewards: Tensor,
    transitions: Tensor,
    start: Tensor | None = None,
    mask: Tensor | None = None,
    discount: float = 1.0,
) -> MDP:
    """Build an MDP from `transitions [S, A, S]`; what a row lacks to 1 is the chance that the episode ends.

    Only for small problems. It keeps as many successors per action as the busiest action needs.
    """
    require(transitions.dim() == 3, "transitions", "have shape [S, A, S]", tuple(transitions.shape))
    transitions = transitions.double()
    lacking = (1 - transitions.sum(-1, keepdim=True)).clamp(min=0)
    rows = torch.cat([transitions, lacking], -1)
    busiest = max(1, int((rows > 1e-12).sum(-1).max()))
    chances, successors = rows.topk(busiest, dim=-1)
    successors = successors.where(successors < transitions.shape[-1], END)
    return make_mdp(rewards=rewards, successors=successors, chances=chances, start=start, mask=mask, discount=discount)


def _check_shapes(mdp: MDP) -> None:
    shape = mdp.rewards.shape
    require(len(shape) == 2 and shape[0] >= 1, "rewards", "have shape [S, A]", tuple(shape))
    require(shape[1] >= 2, "rewards", "have at least two actions", tuple(shape), "With one there is nothing to learn.")
    fits = mdp.successors.shape == mdp.chances.shape and mdp.successors.shape[:2] == shape
    shapes = (tuple(mdp.successors.shape), tuple(mdp.chances.shape))
    require(fits, "successors, chances", f"have shape [{shape[0]}, {shape[1]}, K]", shapes)
    require(mdp.start.shape == shape[:1], "start", f"have shape [{shape[0]}]", tuple(mdp.start.shape))
    check_mask(mdp.mask, shape)


def _check_numbers(mdp: MDP) -> None:
    require(0 < mdp.discount <= 1, "discount", "lie in (0, 1]", mdp.discount)
    require(bool(mdp.rewards.isfinite().all()), "rewards", "be finite", "NaN or infinity", "Forbid actions by `mask`.")
    known = bool(((mdp.successors >= END) & (mdp.successors < mdp.states)).all())
    require(known, "successors", f"be END or a state below {mdp.states}", int(mdp.successors.max()))
    for name, chances in (("start", mdp.start), ("chances", mdp.chances[mdp.mask])):
        sums = bool((chances.sum(-1) - 1).abs().max() < 1e-6) and bool((chances >= 0).all())
        require(sums, name, "be probabilities that sum to 1", float(chances.sum(-1).min()))


def _check_reachable(mdp: MDP) -> None:
    # Each state's row is read once, when it is first reached.
    reached = mdp.start > 0
    fresh = reached.nonzero().squeeze(-1)
    while len(fresh):
        possible = (mdp.chances[fresh] > 0) & mdp.mask[fresh].unsqueeze(-1)
        nexts = mdp.successors[fresh][possible].unique()
        nexts = nexts[nexts != END]
        fresh = nexts[~reached[nexts]]
        reached[fresh] = True
    lost = (~reached).nonzero().squeeze(-1).tolist()
    remedy = "Leave them out, or give them a chance in `start`."
    require(not lost, "successors", "reach every state from `start`", f"unreachable states {lost[:8]}", remedy)
