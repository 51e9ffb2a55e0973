"""`GRPOTrainer` with a recipe: TRL's loss is called, never copied. This file holds TRL's names and hooks.

Once per rollout batch, after TRL has generated and scored: measure the fresh rollouts if the recipe asks for it, let it
draw again or edit, and put the edited fields beside TRL's own tensors.

In one micro-batch, `compute_loss` hands TRL's loss a shallow copy of its inputs. TRL first asks the hook
`_get_per_token_logps_and_entropies`; ours measures, lets the recipe edit that copy, and computes the recipe's terms.
TRL then reads the edited copy. To TRL's loss the terms' mean over the step's tokens is added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from accelerate.utils import is_peft_model
from torch import Tensor
from transformers import Trainer
from trl.trainer.grpo_trainer import GRPOTrainer

from entrostat.control import Control, step_sums
from entrostat.integrations.host import overrides
from entrostat.integrations.trl._batch import CARRIED
from entrostat.integrations.trl._checkpoint import Checkpoints
from entrostat.integrations.trl._head import HeadRequest, Recorder
from entrostat.integrations.trl._overrides import Watch, naming_overrides
from entrostat.integrations.trl._passes import (
    LossPass,
    RolloutPass,
    carry_rewards,
    edit_inputs,
    edit_rollouts,
    measure,
    rollout_request,
)
from entrostat.integrations.trl._ranks import Ranks
from entrostat.integrations.trl._redraw import draw_again
from entrostat.integrations.trl._refusals import refuse_conflicts, refuse_head, warn_if_inert
from entrostat.recipes import HOST_OFFERS, Recipe
from entrostat.regulator import Regulator


class EntropyGRPOTrainer(GRPOTrainer):
    """TRL's `GRPOTrainer` with entropy control.

    Everything `GRPOTrainer` takes and does stays as it is. One optimizer step adds, over its response tokens,

        L = L_host + (1/N) sum_{b,t} term_{b,t}        N = response tokens of the step, all micro-batches, all ranks

    so the terms weigh the same for any split into micro-batches and ranks. (If one accumulation window spans several
    generation batches, the tokens to come are not known; then each batch's mean counts by its share of micro-batches.)
    The controller is fed the mean of the recipe's measure over the same tokens. Logged under `entropy_control/`:
    `entropy`, `clamped_entropy`, `gap` (their difference), `kept_mass`, `coef` (as applied in that step), `bonus` (what
    the terms added to the loss), `band_low` and `band_high` where the controller has a band, and `watched_mass`.

    Args:
        *args: as for `GRPOTrainer`.
        recipe: an entrostat `Recipe`, such as `entrostat.recipes.aent(low=0.15, high=0.24)`.
        watched_token_ids: tokens whose total probability is logged as `watched_mass`; None logs none.
        **kwargs: as for `GRPOTrainer`.

    Raises:
        TypeError: `recipe` is no recipe.
        ValueError: TRL's own `entropy_coef` or `use_adaptive_entropy` beside a recipe, `nn.DataParallel`, a loss type
            that the recipe's edits or terms do not know, a need of the recipe that this set-up does not meet.
        RuntimeError: in training, an optimizer step or a rollout batch that the recipe never saw, because a subclass
            overrides the hook that would have shown it.

    Reference:
        Shao et al., "DeepSeekMath", arXiv 2402.03300 (GRPO); the recipe's own paper for the rest.
    """

    _tag_names = [*GRPOTrainer._tag_names, "entrostat"]  # noqa: RUF012 - TRL's own type

    # Attributes of TRL and transformers, whose own annotations are partial.
    args: Any
    model: Any
    accelerator: Any
    epsilon_low: Any
    epsilon_high: Any
    beta: Any
    num_generations: Any
    num_generations_eval: Any
    _buffered_inputs: Any

    def __init__(
        self, *args: Any, recipe: Recipe, watched_token_ids: Sequence[int] | None = None, **kwargs: Any
    ) -> None:
        refuse_conflicts(kwargs.get("args", args[2] if len(args) > 2 else None), recipe)
        super().__init__(*args, **kwargs)
        refuse_conflicts(self.args, recipe)
        warn_if_inert(self.args, recipe)
        model = self.accelerator.unwrap_model(self.model)
        # The question TRL asks: a model with a transformers-native adapter has no base model.
        model = model.get_base_model() if is_peft_model(model) else model
        refuse_head(recipe, model)
        self._vocab = model.get_output_embeddings().weight.shape[0]
        self._request = HeadRequest.of(recipe, self._vocab, watched_token_ids)
        self._ranks = ranks = Ranks(self.accelerator)
        self.control = Control(
            recipe,
            reduce=ranks.all_reduce,
            all_gather=ranks.all_gather if ranks.world_size > 1 else None,
            world_size=ranks.world_size,
            offers=frozenset(HOST_OFFERS),
        )
        self._running: LossPass | RolloutPass | None = None
        self._step_tokens: Tensor | None = None
        self._step_closed = False
        self._checkpoints = Checkpoints(self)
        self.add_callback(Watch(self))

    @property
    def recipe(self) -> Recipe:
        """The recipe at work."""
        return self.control.recipe

    @property
    def regulator(self) -> Regulator:
        """The controller and its window."""
        return self.control.regulator

    # --- one micro-batch -------------------------------------------------------------------------------------------

    @overrides(GRPOTrainer)
    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """TRL's loss on the edited inputs, plus the recipe's terms."""
        training = self.model.training
        bounds = self.epsilon_low, self.epsilon_high
        # An evaluation never moves the controller.
        with nullcontext() if training else self.control.evaluating():
            self._running = running = LossPass(given=inputs, read=dict(inputs), bounds=bounds)
            try:
                loss = super().compute_loss(model, running.read, return_outputs, num_items_in_batch)
            finally:
                self.epsilon_low, self.epsilon_high = bounds
                self._running = None
            if running.batch is not None and running.applied is not None:
                loss = loss + running.applied.loss
                self.control.add(step_sums(self.recipe, running.batch, running.applied.loss, running.also))
            if not training:
                self._close_step()
        if training:
            if (self._step + 1) % (self.args.steps_per_generation * self.num_iterations) == 0:
                # The controller moves when the step closes, which may reach into the next rollout batch.
                self.control.close_rollout()
            if self.accelerator.sync_gradients:
                self._close_step()
                self._step_tokens, self._step_closed = None, True
        return loss

    @overrides(GRPOTrainer)
    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """TRL's hook: measure, and when it is TRL's loss that asks, edit its inputs and compute the terms."""
        call = (input_ids, attention_mask, logits_to_keep, batch_size, *args)
        hook, running = super()._get_per_token_logps_and_entropies, self._running
        if isinstance(running, LossPass):
            scale = running.given.get(CARRIED["logit_scale"])
            answer, measured = measure(hook, self._request, model, call, scale, **kwargs)
            with naming_overrides(self, "_generate_and_score_completions"):
                edit_inputs(self, running, measured)
            return answer
        if isinstance(running, RolloutPass) and running.measure and model is self.model:
            answer, measured = measure(hook, rollout_request(self), model, call, **kwargs)
            running.recorded.append((answer[0], measured))
            return answer
        # Old and reference policies: log-probs alone, by the same kernel, so that equal policies differ by exactly 0.
        log_probs_alone = dataclasses.replace(self._request, measure=False)
        return hook(Recorder(model, log_probs_alone, logits_to_keep), *call, **kwargs)  # pyright: ignore[reportArgumentType]

    # --- one optimizer step ----------------------------------------------------------------------------------------

    def _close_step(self) -> None:
        """Let the controller move, and log the step's means."""
        with naming_overrides(self, "compute_loss", "_compute_loss", "_get_per_token_logps_and_entropies"):
            means = self.control.close_step()
        metrics = self._metrics["train" if self.model.training else "eval"]
        for name, value in means.items():
            metrics[f"entropy_control/{name}"].append(value)

    # --- the run ---------------------------------------------------------------------------------------------------

    def begin(self, max_steps: int) -> None:
        """Called when training begins: bind the run's length and put a resumed run where it was."""
        # An earlier training may have been interrupted in the middle of a step.
        self.control.abandon_step()
        self._step_tokens, self._step_closed = None, False
        per_rollout = self.args.steps_per_generation * self.num_iterations
        self.control.bind_total(max_steps, -(-max_steps * self.args.gradient_accumulation_steps // per_rollout))
        self._checkpoints.resume(int(self.state.epoch or 0))

    @overrides(GRPOTrainer)
    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self._checkpoints.save(Path(self._get_output_dir(trial=trial)))

    @overrides(Trainer)
    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self._ranks.on_all_ranks(lambda: self._checkpoints.read(Path(checkpoint)))
        super()._load_optimizer_and_scheduler(checkpoint)

    @overrides(GRPOTrainer)
    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return self._checkpoints.watch_sampler(super()._get_train_sampler(dataset))

    # --- one rollout batch -----------------------------------------------------------------------------------------

    @overrides(GRPOTrainer)
    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._running = running = RolloutPass(
            hook=super()._get_per_token_logps_and_entropies, measure="old_entropy" in self.recipe.needs
        )
        try:
            with naming_overrides(self, "_calculate_rewards"):
                output = self._draw(inputs)
            if self.recipe.redraw is not None and self.model.training:
                output = draw_again(self, self.recipe.redraw, inputs, output, self._draw)
            if running.measure or self.recipe.rollout_edits:
                with nullcontext() if self.model.training else self.control.evaluating():
                    edit_rollouts(self, running, output)
        finally:
            self._running = None
        return output

    def _draw(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's generation and scoring, with the rewards and groups that TRL does not pass on."""
        output = super()._generate_and_score_completions(inputs)
        return carry_rewards(self, self._running, output) if isinstance(self._running, RolloutPass) else output

    @overrides(GRPOTrainer)
    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        rewards = super()._calculate_rewards(*args, **kwargs)
        if isinstance(self._running, RolloutPass):
            self._running.rewards = rewards
        return rewards
