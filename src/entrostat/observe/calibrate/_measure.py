"""Measures a model's own rollouts: entropy per token, the effect of every clamp, and two gradients.

One sort answers for all clamps. With a token's probabilities in falling order, p_1 >= p_2 >= ..., and k kept:

    M_k = p_1 + ... + p_k                                  kept mass
    H_k = log M_k - (p_1 log p_1 + ... + p_k log p_k) / M_k   entropy of the kept, renormalised
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from entrostat.ops import token_stats
from entrostat.tasks import Drawn

Through = Literal["model", "head"]
# Shares of the vocabulary to drop that are shown.
SHARES = (0.0, 0.1, 0.25, 0.33, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
# Probabilities to keep that are shown.
NUCLEI = (0.8, 0.9, 0.95, 0.98, 0.99, 0.999)

# Probabilities sorted at a time, 64 MB in float64.
_WORKSPACE = 1 << 23


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kept:
    """Probability and entropy that a clamp keeps, as means over all tokens."""

    mass: float
    entropy: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Rollouts in numbers."""

    vocabulary: int
    entropies: list[float]
    """Of every response token, nats."""
    by_count: dict[int, Kept]
    """By number of likeliest tokens kept."""
    by_share: dict[float, Kept]
    """By share of the vocabulary dropped."""
    by_mass: dict[float, Kept]
    """By probability kept."""


class Rows:
    """The rollouts of a model, a few at a time."""

    def __init__(self, model: Any, drawn: Drawn, *, temperature: float, size: int) -> None:
        self.model, self.drawn, self.temperature, self.size = model, drawn, temperature, size
        self._takes_places = "position_ids" in inspect.signature(model.forward).parameters

    def parts(self) -> Iterator[slice]:
        """Yield which rollouts make each micro-batch."""
        for start in range(0, len(self.drawn.ids), self.size):
            yield slice(start, start + self.size)

    def logits(self, part: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits `[n, V]` of a part's response tokens, the tokens `[n]`, and which rollout each is of `[n]`."""
        ids, attention = self.drawn.ids[part], self.drawn.attention[part]
        # Prompts are padded on the left: without this, a model with learned places would read them shifted.
        places = {"position_ids": (attention.cumsum(1) - 1).clamp(min=0)} if self._takes_places else {}
        logits = self.model(input_ids=ids, attention_mask=attention, use_cache=False, **places).logits[:, :-1]
        mask = self.drawn.response[part][:, 1:]
        return logits[mask] / self.temperature, ids[:, 1:][mask], mask.nonzero()[:, 0] + part.start


@torch.no_grad()
def measure(rows: Rows) -> Measured:
    """Measure entropy and clamps on all rollouts."""
    entropies: list[Tensor] = []
    sums: dict[str, dict[float, Tensor]] = {"count": {}, "share": {}, "mass": {}}
    vocabulary = 0
    for part in rows.parts():
        logits, _, _ = rows.logits(part)
        vocabulary = logits.shape[-1]
        for some in logits.split(max(1, _WORKSPACE // vocabulary)):
            mass, entropy = prefixes(some)
            entropies.append(entropy[:, -1])
            for kind, size, count in _clamps(mass):
                at = count.unsqueeze(1) - 1
                total = torch.stack([mass.gather(1, at).sum(), entropy.gather(1, at).sum()])
                sums[kind][size] = sums[kind].get(size, torch.zeros_like(total)) + total
    every = torch.cat(entropies)
    kept = {
        kind: {size: Kept(mass=float(total[0]) / len(every), entropy=float(total[1]) / len(every))
               for size, total in totals.items()}
        for kind, totals in sums.items()
    }  # fmt: skip
    return Measured(
        vocabulary=vocabulary,
        entropies=every.tolist(),
        by_count={int(size): value for size, value in kept["count"].items()},
        by_share=kept["share"],
        by_mass=kept["mass"],
    )


def prefixes(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return kept mass and entropy of the kept `[n, V]` for every number of likeliest tokens kept, float64."""
    logp = torch.log_softmax(logits.double(), -1).sort(-1, descending=True).values
    p = logp.exp()
    mass = p.cumsum(-1)
    # A banned token has p = 0, log p = -inf and takes no part.
    weighed = torch.where(p > 0, p * logp, 0.0).cumsum(-1)
    return mass.clamp(max=1.0), (mass.log() - weighed / mass).clamp(min=0.0)


def _clamps(mass: Tensor) -> Iterator[tuple[str, float, Tensor]]:
    """Yield the kind and size of each clamp, and how many tokens it keeps of every distribution `[n]`."""
    vocabulary = mass.shape[-1]
    powers = {count for power in range(1, vocabulary.bit_length()) for count in (2**power, 3 * 2 ** (power - 1))}
    for count in sorted({count for count in powers if count < vocabulary} | {vocabulary}):
        yield "count", float(count), torch.full((len(mass),), count, device=mass.device)
    for share in SHARES:
        yield "share", share, torch.full((len(mass),), vocabulary - int(share * vocabulary), device=mass.device)
    for nucleus in NUCLEI:
        # The token that crosses the mass is kept.
        yield "mass", nucleus, (mass < nucleus).sum(-1).clamp(max=vocabulary - 1) + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Push:
    """Norms of two gradients on the same tokens."""

    policy: float
    """Of -(1/N) sum A log p: the policy gradient at ratio 1."""
    bonus: float
    """Of -(1/N) sum Hk, for a coefficient of one."""
    through: Through
    signed: bool
    """Whether the advantages are random signs because there was no reward to make them of."""

    def share(self, coef: float) -> float:
        """Return the bonus's gradient over the policy's at a coefficient."""
        return coef * self.bonus / self.policy

    def coef(self, share: float) -> float:
        """Return the coefficient at which the bonus has this share."""
        return share * self.policy / self.bonus


def push(rows: Rows, advantages: Tensor, *, through: Through, signed: bool, **clamp: Any) -> Push:
    """Measure both gradients: `advantages` `[N]`, one per rollout, and the bonus under `clamp`, `top_k` or `top_p`."""
    tokens = int(rows.drawn.response.sum())

    def policy(part: slice) -> Tensor:
        logits, targets, rollout = rows.logits(part)
        return -(advantages.to(logits.device)[rollout] * token_stats(logits, targets).logprobs).sum() / tokens

    def bonus(part: slice) -> Tensor:
        logits, targets, _ = rows.logits(part)
        return -token_stats(logits, targets, **clamp).clamped_entropy.sum() / tokens

    with _trainable(rows.model, through) as parameters:
        norms = [_norm(rows, parameters, loss) for loss in (policy, bonus)]
    return Push(policy=norms[0], bonus=norms[1], through=through, signed=signed)


def _norm(rows: Rows, parameters: Sequence[Tensor], loss: Callable[[slice], Tensor]) -> float:
    for part in rows.parts():
        loss(part).backward()
    squared = sum(float(one.grad.double().square().sum()) for one in parameters if one.grad is not None)
    for parameter in parameters:
        parameter.grad = None
    return squared**0.5


def _detached(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.detach() for value in inputs)


@contextmanager
def _trainable(model: Any, through: Through) -> Generator[list[Tensor]]:
    """Gradients for the whole model or the head's weights alone inside; outside, everything as it was."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    training, trained, hook = model.training, model, None
    model.eval()
    try:
        if through == "head":
            trained = model.get_output_embeddings()
            model.requires_grad_(False)
            # A head that shares its weights with the embedding would pass gradient to it through the whole model.
            hook = trained.register_forward_pre_hook(_detached)
        trained.requires_grad_(True)
        yield list(trained.parameters())
    finally:
        if hook is not None:
            hook.remove()
        for parameter, needed in before:
            parameter.requires_grad_(needed)
        model.train(training)
