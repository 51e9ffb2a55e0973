"""verl's own `ppo_loss`, called on edited inputs, plus the recipe's terms.

    L = L_host(edited) + (1/N) sum_{b,t} term_{b,t}        N = response tokens of the mini-batch, all ranks

A worker keeps one of these in place of verl's partial of `ppo_loss`; verl pickles it to every worker.
"""

# verl is installed in an environment of its own.
# pyright: reportMissingImports=false
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.integrations._hosts import signal
from entrostat.integrations.verl._batch import EDITED, STATISTICS, edited, to_token_batch
from entrostat.integrations.verl._refusals import TRAINER, refuse_actor
from entrostat.recipes import Recipe

PREFIX = "entrostat/"
SUMS = ("entropy", "clamped_entropy", "kept_mass", "signal")


@dataclass(frozen=True, kw_only=True)
class EntropyLoss:
    """What a verl worker calls per micro-batch, in place of `ppo_loss`.

    The engine reads `recipe.measure` off it. Beside verl's metrics it returns, as exact sums over the mini-batch, what
    the driver needs; see `Driver`.

    Args:
        config: verl's `ActorConfig`.
        recipe: the recipe.

    Raises:
        ValueError: the recipe needs what verl does not give, or a setting of verl's would undo its work.
    """

    config: Any
    recipe: Recipe

    def __post_init__(self) -> None:
        refuse_actor(self.config, self.recipe)

    def __call__(self, model_output: Any, data: Any, dp_group: Any = None) -> tuple[Tensor, dict[str, Any]]:
        """Return loss and metrics, as `ppo_loss` does."""
        from verl.utils import tensordict_utils as tu
        from verl.workers.utils.losses import ppo_loss

        if missing := sorted(set(STATISTICS.values()) - set(model_output)):
            raise RuntimeError(
                f"the engine returned no {', '.join(missing)}: entrostat's engine is not in use in this worker. Set "
                "VERL_ENGINE_VENDOR=entrostat in the environment of every worker; `entrostat doctor` tells the rest."
            )
        if self.recipe.rollout_edits and not tu.get_non_tensor_data(data, EDITED, False):
            raise RuntimeError(
                f"recipe {self.recipe.name!r} edits whole rollout batches on verl's driver, and these come unedited: "
                f"another trainer than {TRAINER} is at work."
            )
        batch = to_token_batch(self.config, model_output, data, dp_group)
        after = batch
        for edit in self.recipe.edits:
            after = edit(after)
        config, inputs = edited(batch, after, self.config, data)
        loss, metrics = ppo_loss(config=config, model_output=model_output, data=inputs, dp_group=dp_group)
        bonus = self._terms(after) * data["dp_size"]
        return loss + bonus, {**metrics, **self._sums(batch, bonus, data["dp_size"])}

    def _terms(self, batch: TokenBatch) -> Tensor:
        """Return this micro-batch's share of the terms' mean over the step's tokens."""
        if not self.recipe.terms:
            return batch.logprobs.new_zeros(())
        per_token = torch.stack([term(batch, batch.coef) for term in self.recipe.terms]).sum(0)
        # Zero tokens in the whole step: zero, not NaN.
        return torch.where(batch.mask.bool(), per_token, 0).sum() / batch.tokens_of_step().clamp(min=1)

    def _sums(self, batch: TokenBatch, bonus: Tensor, ranks: int) -> dict[str, Any]:
        """Return the sums over this micro-batch.

        verl sums a metric over micro-batches, averages it over ranks, then averages it over mini-batches. So each sum
        counts `ranks` times, and the driver's quotients of two such averages are means over all tokens.
        """
        from verl.utils.metric import AggregationType, Metric

        steering = signal(self.recipe, batch)
        pairs = [(getattr(batch, name), batch.mask) for name in SUMS[:-1]] + [steering]
        sums = {name: _masked_sum(*pair) for name, pair in zip(SUMS, pairs, strict=True)}
        sums |= {"tokens": batch.mask.sum(), "signal_tokens": steering[1].bool().sum()}
        values = {f"{PREFIX}{name}_sum": float(value) * ranks for name, value in sums.items()}
        values[f"{PREFIX}bonus"] = float(bonus.detach())
        return {key: Metric(value=value, aggregation=AggregationType.SUM) for key, value in values.items()}


def _masked_sum(values: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted.bool(), values.detach(), 0).sum(dtype=torch.float64)
