"""verl's own `ppo_loss`, called on edited inputs, plus the recipe's terms.

    L = L_host(edited) + (1/N) sum_{b,t} term_{b,t}        N = response tokens of the mini-batch, all ranks

A worker keeps one of these in place of verl's partial of `ppo_loss`; verl pickles it to every worker.
"""

# verl is installed in an environment of its own.
# pyright: reportMissingImports=false
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from entrostat.control import apply_edits, recipe_loss, step_sums
from entrostat.integrations.verl._batch import EDITED, FACTS, STATISTICS, edited, to_token_batch
from entrostat.integrations.verl._refusals import TRAINER, refuse_actor
from entrostat.recipes import Recipe

SUM = "entrostat/sum/"
"""Prefix of a sum among verl's metrics, on its way from the workers to the driver."""


@dataclass(frozen=True, kw_only=True)
class EntropyLoss:
    """The loss a verl worker calls per micro-batch, in place of `ppo_loss`.

    The engine reads `recipe.measure` off it. Beside verl's metrics it returns, as exact sums over the mini-batch, what
    the driver needs; see `Driver`.

    Args:
        config: verl's `ActorConfig`.
        recipe: the recipe.

    Raises:
        ValueError: the recipe needs something verl does not give, or a setting of verl's would undo its work.
    """

    config: Any
    recipe: Recipe

    def __post_init__(self) -> None:
        refuse_actor(self.config, self.recipe)

    def __call__(self, model_output: Any, data: Any, dp_group: Any = None) -> tuple[Tensor, dict[str, Any]]:
        """Return loss and metrics, as `ppo_loss` does."""
        from verl.utils import tensordict_utils as tu
        from verl.utils.metric import AggregationType, Metric
        from verl.workers.utils.losses import ppo_loss

        if missing := sorted(set(STATISTICS.values()) - set(model_output)):
            raise RuntimeError(
                f"the engine returned no {', '.join(missing)}: entrostat's engine is not in use in this worker. Set "
                "VERL_ENGINE_VENDOR=entrostat in the environment of every worker; `entrostat doctor` tells the rest."
            )
        sees_fresh = self.recipe.rollout_edits or "old_entropy" in self.recipe.needs
        if sees_fresh and not tu.get_non_tensor_data(data, EDITED, False):
            raise RuntimeError(
                f"recipe {self.recipe.name!r} works on whole rollout batches on verl's driver, and it never saw these: "
                f"another trainer than {TRAINER} is at work."
            )
        if self.recipe.terms and tu.get_non_tensor_data(data, FACTS["coef"][0], None) is None:
            raise RuntimeError(
                f"recipe {self.recipe.name!r} got no coefficient with its data: another trainer than {TRAINER} is at "
                "work."
            )
        batch = to_token_batch(self.config, model_output, data, dp_group)
        after = apply_edits(self.recipe.edits, batch)
        config, inputs = edited(batch, after, self.config, data)
        loss, metrics = ppo_loss(config=config, model_output=model_output, data=inputs, dp_group=dp_group)
        # verl averages gradients over the ranks of the group, so each share counts that many times.
        ranks = data["dp_size"]
        bonus = recipe_loss(self.recipe, after, world_size=ranks)
        sums = {name: float(value) for name, value in step_sums(self.recipe, batch, bonus).items()}
        # verl sums a metric over micro-batches, averages it over ranks, then averages it over mini-batches. Times the
        # number of ranks, the driver gets the sums over all ranks, averaged over mini-batches: its quotients are exact.
        # The bonus counts the ranks already.
        ours = {name: value if name == "bonus" else value * ranks for name, value in sums.items()}
        return loss + bonus, {
            **metrics,
            **{SUM + name: Metric(value=value, aggregation=AggregationType.SUM) for name, value in ours.items()},
        }
