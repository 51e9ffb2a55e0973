"""`GRPOTrainer` with a recipe: TRL's loss is called, never copied.

Once per rollout batch, after TRL has generated and scored: measure the fresh rollouts if the recipe asks for it, let it
draw again or edit, and put what it edited beside TRL's own tensors.

In one micro-batch, `compute_loss` hands TRL's loss a shallow copy of its inputs. TRL first asks the hook
`_get_per_token_logps_and_entropies`; ours measures, lets the recipe edit that copy, and computes the recipe's terms.
TRL then reads the edited copy. What comes back is TRL's loss, to which the terms' mean over the step's tokens is added.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.grpo_trainer import GRPOTrainer

from entrostat.batch import TokenBatch
from entrostat.controllers import needs_total
from entrostat.edits import ROLLOUT_EDITABLE
from entrostat.errors import sentence
from entrostat.integrations._hosts import measure_scale, signal
from entrostat.integrations._state import read_state, write_state
from entrostat.integrations.trl._batch import (
    CARRIED,
    Measured,
    edited_fields,
    response_mask,
    to_token_batch,
)
from entrostat.integrations.trl._head import HeadOutputs, install_head
from entrostat.integrations.trl._ranks import Ranks
from entrostat.integrations.trl._recorder import Recorder
from entrostat.integrations.trl._redraw import draw_again
from entrostat.integrations.trl._reduction import host_weight
from entrostat.integrations.trl._refusals import (
    refuse_conflicts,
    refuse_head,
    refuse_reference,
    warn_if_inert,
)
from entrostat.integrations.trl._resume import (
    load_rollouts,
    require_parts,
    require_whole,
    save_rollouts,
    sizes,
    wind,
)
from entrostat.integrations.trl._window import Window, step_tokens
from entrostat.losses import token_mean
from entrostat.recipes import Recipe
from entrostat.regulator import Regulator

_MODEL_INPUTS = [
    name
    for name in inspect.signature(
        GRPOTrainer._get_per_token_logps_and_entropies  # pyright: ignore[reportPrivateUsage]
    ).parameters
    if name not in ("self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size")
    and not name.startswith("compute_")
]
"""What TRL hands its model besides text: pictures and the like."""


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
        ValueError: TRL's own `entropy_coef` or `use_adaptive_entropy` beside a recipe, `nn.DataParallel`, a need of
            the recipe that this set-up does not meet.

    Reference:
        Shao et al., "DeepSeekMath", arXiv 2402.03300 (GRPO); the recipe's own paper for the rest.
    """

    _tag_names = [*GRPOTrainer._tag_names, "entrostat"]  # noqa: RUF012 - TRL's own type

    # What is used of TRL and transformers, whose own annotations are partial.
    args: Any
    model: Any
    ref_model: Any
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
        refuse_reference(self.ref_model)
        warn_if_inert(self.args, recipe)
        self.recipe = recipe
        self._ranks = Ranks(self.accelerator)
        self.regulator = Regulator(recipe.controller, window=recipe.window)
        base = self.accelerator.unwrap_model(self.model)
        base = base.get_base_model() if hasattr(base, "peft_config") else base
        vocab = self._vocab = base.get_output_embeddings().weight.shape[0]
        self._scale = measure_scale(recipe, vocab, "the fused head cannot compute")
        refuse_head(recipe, base)
        self._head = HeadOutputs.make(recipe.measure.support, _indicator(watched_token_ids, vocab))
        install_head(base, temperature=self.temperature, fp32=self.args.cast_lm_head_to_fp32, outputs=self._head)
        self._window = Window()
        self._inputs: dict[str, Any] | None = None
        self._term: Tensor | None = None
        self._old_passes: list[tuple[Tensor, Measured]] | None = None
        self._pending_state: dict[str, Any] | None = None
        self._sampler: Any = None
        self.began = False
        self.add_callback(_Begin(self))

    # --- one micro-batch -------------------------------------------------------------------------------------------

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """TRL's loss on the edited inputs, plus the recipe's terms."""
        bounds = self.epsilon_low, self.epsilon_high
        self._inputs, self._term = dict(inputs), None
        try:
            loss = super().compute_loss(model, self._inputs, return_outputs, num_items_in_batch)
        finally:
            self.epsilon_low, self.epsilon_high = bounds
            self._inputs = None
        if self._term is not None:
            loss = loss + self._term
        if self.model.training and self.accelerator.sync_gradients:
            self._close_step()
        return loss

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """TRL's hook: measure, and when it is TRL's loss that asks, edit its inputs and compute the terms."""
        call = (input_ids, attention_mask, logits_to_keep, *args)
        if self._inputs is not None:
            answer, measured = self._measure(model, self._inputs.get(CARRIED["logit_scale"]), *call, **kwargs)
            self._control(self._inputs, measured)
            return answer
        if self._old_passes is not None and model is self.model:
            answer, measured = self._measure(model, None, *call, **kwargs)
            self._old_passes.append((answer[0], measured))
            return answer
        return super()._get_per_token_logps_and_entropies(model, *call, **kwargs)

    def _measure(self, model: Any, scale: Tensor | None, *call: Any, **kwargs: Any) -> tuple[Any, Measured]:
        """Call TRL's own hook with the statistics switched on; return its answer and them."""
        recorder = Recorder(model, self._head, call[2], scale)
        self._head.measuring = True
        try:
            answer = super()._get_per_token_logps_and_entropies(recorder, *call, **kwargs)
        finally:
            self._head.measuring = False
        measured = recorder.measured()
        return answer, measured._replace(clamped_entropy=measured.clamped_entropy * self._scale)

    def _control(self, inputs: dict[str, Any], measured: Measured) -> None:
        """Edit TRL's inputs, compute the terms, and add the micro-batch to the open window."""
        batch = self._token_batch(inputs, measured, **self._step_size(inputs))
        edited = batch
        for edit in self.recipe.edits:
            edited = edit(edited)
        self._put_back(inputs, edited_fields(batch, edited))
        bonus = self._add_terms(edited)
        if self.model.training:
            self.regulator.observe(*signal(self.recipe, batch))
            self._window.add(batch, measured.watched_mass, bonus)
            batches_per_rollout = self.args.steps_per_generation * self.num_iterations
            self._window.rollout_ended |= (self._step + 1) % batches_per_rollout == 0
        else:
            window = Window()
            window.add(batch, measured.watched_mass, bonus)
            self._log_window(window)

    def _token_batch(self, inputs: dict[str, Any], measured: Measured, **facts: Any) -> TokenBatch:
        return to_token_batch(
            inputs,
            measured,
            clip_low=self.epsilon_low,
            clip_high=self.epsilon_high,
            coef=self._coefficient(),
            kl_coef=self.beta,
            kl_ratio=self.args.use_bias_correction_kl,
            temperature=self.temperature,
            vocab=self._vocab,
            step=self.state.global_step,
            total_steps=self.state.max_steps or None,
            gather=self._ranks.joined,
            **facts,
        )

    def _put_back(self, inputs: dict[str, Any], fields: dict[str, Tensor]) -> None:
        """Put edited fields where TRL's loss will read them."""
        if "advantages" in fields:
            inputs["advantages"] = fields["advantages"]
        if "old_logprobs" in fields:
            inputs["old_per_token_logps"] = fields["old_logprobs"]
        self.epsilon_low = fields.get("clip_low", self.epsilon_low)
        self.epsilon_high = fields.get("clip_high", self.epsilon_high)

    def _add_terms(self, batch: TokenBatch) -> Tensor:
        """Compute the terms' share of the loss, keep it for `compute_loss`, and return it."""
        if not self.recipe.terms:
            return batch.logprobs.new_zeros(())
        per_token = torch.stack([term(batch, batch.coef) for term in self.recipe.terms]).sum(0)
        # Gradients are averaged over ranks, so each rank's share of the global mean counts `ranks` times.
        self._term = token_mean(per_token, batch.mask, num_tokens=batch.tokens_of_step() / self._ranks.number)
        return self._term

    def _step_size(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """Return what the step divides by, for the terms: its tokens and responses, and the host's own weights."""
        if not self.recipe.terms:
            return {}
        mask = response_mask(inputs)
        batches = self.current_gradient_accumulation_steps if self.model.training else 1
        share = batches / self.args.steps_per_generation if self.model.training else 1.0
        tokens, parts = self._tokens(mask), batches * self._ranks.number
        return {
            "num_tokens": tokens,
            "num_responses": torch.tensor(len(mask) * parts, device=mask.device),
            "host_weight": host_weight(inputs, mask, self.args, tokens=tokens, parts=parts, share=share),
        }

    def _coefficient(self) -> float:
        # An evaluation before training starts finds a schedule that does not know the run's length yet.
        if not self.model.training and needs_total(self.regulator.controller):
            return 0.0
        return self.regulator.coefficient

    def _tokens(self, mask: Tensor) -> Tensor:
        """Return the response tokens of the whole step, on all ranks."""
        if not self.model.training:
            return self._ranks.total(mask.sum().float()).clamp(min=1)
        position = self._step % self.args.steps_per_generation
        if self._window.tokens is None or position == 0:
            self._window.tokens = step_tokens(
                self._buffered_inputs, position, self.current_gradient_accumulation_steps, self._ranks.total
            )
        return self._window.tokens

    # --- one optimizer step ----------------------------------------------------------------------------------------

    def _close_step(self) -> None:
        """Log the window and let the controller move."""
        rollout_ended = self._window.rollout_ended
        self._log_window(self._window)
        self.regulator.close_step(self._ranks.total)
        if rollout_ended:
            self.regulator.close_rollout(self._ranks.total)

    def _log_window(self, window: Window) -> None:
        means = window.close(self._ranks.total, self._ranks.number)
        if self._head.watched is None:
            del means["watched_mass"]
        means["coef"] = self._coefficient()
        if band := self.regulator.band:
            means["band_low"], means["band_high"] = band
        metrics = self._metrics["train" if self.model.training else "eval"]
        for name, value in means.items():
            metrics[f"entropy_control/{name}"].append(value)

    # --- the run ---------------------------------------------------------------------------------------------------

    def begin(self, max_steps: int) -> None:
        """Called when training begins: bind the run's length and put a resumed run where it was."""
        windows = max_steps
        if self.recipe.window != "step":
            per_rollout = self.args.steps_per_generation * self.num_iterations
            windows = -(-max_steps * self.args.gradient_accumulation_steps // per_rollout)
        self.regulator.bind_total(windows)
        if self._pending_state is not None:
            self.regulator.load_state_dict(self._pending_state, ranks=self._ranks.number)
            self._pending_state = None
            if self._sampler is not None:
                wind(self._sampler, int(self.state.epoch or 0))
        self.began = True

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        rollout_step = self._step % (self.args.steps_per_generation * self.num_iterations)
        digest = save_rollouts(folder, self._buffered_inputs, rank=self._ranks.own) if rollout_step else ""
        state = {
            "recipe": self.recipe.name,
            "regulator": self.regulator.state_dict(reduce=self._ranks.total),
            "rollout_step": rollout_step,
            "rollouts": self._ranks.each(digest),
        }
        if self.args.should_save:
            write_state(folder, {**state, "files": sizes(folder)})  # every rank has written its own by now

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self._ranks.together(lambda: self._read_checkpoint(Path(checkpoint)))
        super()._load_optimizer_and_scheduler(checkpoint)

    def _read_checkpoint(self, folder: Path) -> None:
        state = read_state(folder, recipe=self.recipe.name, more=["rollout_step", "rollouts", "files"])
        rank, ranks, device = self._ranks.own, self._ranks.number, self.accelerator.device
        if state["rollout_step"]:
            batches = load_rollouts(folder, state["rollouts"], rank=rank, ranks=ranks, device=device)
            require_parts(folder, batches, self.args.steps_per_generation)
            self._buffered_inputs = batches
        if self.accelerator.is_main_process:
            require_whole(folder, state["files"])
        self._pending_state, self._step = state["regulator"], state["rollout_step"]

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        self._sampler = super()._get_train_sampler(dataset)
        return self._sampler

    # --- one rollout batch -----------------------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        needs = self.recipe.needs
        self._old_passes = [] if "old_entropy" in needs else None
        self._head.logit_stats = "logit_stats" in needs
        try:
            output = self._draw(inputs)
            if self.recipe.redraw is not None and self.model.training:
                output = draw_again(self, self.recipe.redraw, inputs, output, self._draw)
            if self._old_passes is not None or self.recipe.rollout_edits:
                self._edit_rollout(output)
        finally:
            self._old_passes = None
            self._head.logit_stats = False
        return output

    def _draw(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's generation and scoring, with what TRL computes but does not pass on."""
        output = super()._generate_and_score_completions(inputs)
        rewards = (self._rewards_per_func * self.reward_weights.to(self._rewards_per_func.device)).nansum(dim=1)
        here = slice(self.accelerator.process_index * len(inputs), (self.accelerator.process_index + 1) * len(inputs))
        generations = self.num_generations if self.model.training else self.num_generations_eval
        output[CARRIED["rewards"]] = rewards[here]
        output[CARRIED["group_ids"]] = (torch.arange(len(rewards), device=rewards.device) // generations)[here]
        return output

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        self._rewards_per_func: Tensor = super()._calculate_rewards(*args, **kwargs)
        return self._rewards_per_func

    def _edit_rollout(self, output: dict[str, Any]) -> None:
        """Let the controller and the rollout edits see the fresh rollouts, before any update on them."""
        measured = Measured.nothing(response_mask(output)) if self._old_passes is None else self._fresh(output)
        facts: dict[str, Any] = {}
        if self._old_passes is not None:
            output[CARRIED["old_entropy"]] = measured.entropy
        if self._head.logit_stats:
            facts = {"mean_logit": measured.kept_mass, "target_logit": measured.watched_mass}
        batch = self._token_batch(output, measured, **facts)
        if self.model.training:
            self.regulator.observe_fresh(*signal(self.recipe, batch), self._ranks.total)
        edited = batch = batch.replace(coef=self._coefficient())
        for edit in self.recipe.rollout_edits:
            edited = edit(edited)
        fields = edited_fields(batch, edited, ROLLOUT_EDITABLE)
        output["advantages"] = fields.get("advantages", output["advantages"])
        for name in fields.keys() & {"weight", "logit_scale"}:
            output[CARRIED[name]] = fields[name]
        if "logit_scale" in fields and "old_per_token_logps" in output:
            output["old_per_token_logps"] = self._pass(output, fields["logit_scale"]).logprobs

    def _fresh(self, output: dict[str, Any]) -> Measured:
        """Return the statistics of the policy that wrote the rollouts: from TRL's own old pass, if it made one."""
        old = output.get("old_per_token_logps")
        kept = [measured for logprobs, measured in self._old_passes or () if logprobs is old]
        return kept[0] if kept else self._pass(output)

    def _pass(self, output: dict[str, Any], scale: Tensor | None = None) -> Measured:
        """Run the model over the rollouts once, without gradient."""
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
        attention = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
        extra = {name: output[name] for name in _MODEL_INPUTS if name in output}
        rows = self.args.per_device_train_batch_size if self.model.training else self.args.per_device_eval_batch_size
        with torch.no_grad(), disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
            keep = output["completion_ids"].size(1)
            return self._measure(self.model, scale, ids, attention, keep, batch_size=rows, **extra)[1]


class _Begin(TrainerCallback):
    """Tells the trainer that training begins, when the run's length is known and a checkpoint has been read."""

    def __init__(self, trainer: EntropyGRPOTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.begin(state.max_steps)


def _indicator(token_ids: Sequence[int] | None, vocab: int) -> Tensor | None:
    """Return a vector `[V]` that is 1 at the watched tokens."""
    if token_ids is None:
        return None
    ids = torch.as_tensor(list(token_ids), dtype=torch.long)
    if ids.numel() and not (int(ids.min()) >= 0 and int(ids.max()) < vocab):
        span = (int(ids.min()), int(ids.max()))
        raise ValueError(sentence("watched_token_ids", f"lie in [0, {vocab})", span))
    return torch.zeros(vocab).index_fill_(0, ids, 1.0)
