"""The two passes in which a recipe works under TRL: over a batch of fresh rollouts, and over one micro-batch.

`EntropyGRPOTrainer` says which of them is running in one value, `LossPass`, `RolloutPass` or None; its hooks call the
functions here. They read the trainer's settings; of the trainer they set the two clip bounds, which TRL's loss reads,
and the number of the open step's tokens.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from trl.models.utils import disable_gradient_checkpointing

from entrostat.batch import TokenBatch
from entrostat.control import Applied, UnseenError, changed_fields
from entrostat.edits import EDITABLE, ROLLOUT_EDITABLE
from entrostat.integrations.trl._batch import CARRIED, host_weight, response_mask, step_tokens, to_token_batch
from entrostat.integrations.trl._head import HeadRequest, Measured, Recorder

Hook = Callable[..., tuple[Tensor, Tensor | None, Tensor | None]]
"""TRL's own per-token log-prob method."""


@dataclass
class LossPass:
    """TRL's loss is running on one micro-batch."""

    given: dict[str, Any]
    """The micro-batch as it came."""
    read: dict[str, Any]
    """The copy that TRL's loss reads, edits included."""
    bounds: tuple[float, float]
    """The clip bounds as given, below and above 1; edits set those that TRL's loss reads."""
    batch: TokenBatch | None = None
    """The micro-batch as measured; None until TRL has asked its hook."""
    applied: Applied | None = None
    """The micro-batch as the recipe edited it, and its loss."""
    also: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Further quantities `[B, T]` to log the means of."""


@dataclass
class RolloutPass:
    """TRL is generating and scoring a rollout batch."""

    hook: Hook
    """TRL's own method, for a pass of our own over the rollouts."""
    measure: bool
    """Whether the recipe wants fresh rollouts measured."""
    recorded: list[tuple[Tensor, Measured]] = field(default_factory=list[tuple[Tensor, Measured]])
    """Log-probs that TRL computed of fresh rollouts, and the statistics measured beside them."""
    rewards: Tensor | None = None
    """TRL's rewards `[R, functions]` of the responses of all ranks; None until they are computed."""


def measure(
    hook: Hook, request: HeadRequest, model: Any, call: tuple[Any, ...], scale: Tensor | None = None, **kwargs: Any
) -> tuple[Any, Measured]:
    """Call TRL's own hook with the statistics switched on; return its answer and them.

    Args:
        hook: TRL's method.
        request: the statistics wanted.
        model: the model that TRL passes to it.
        call: its further positional arguments; the third is the number of response tokens.
        scale: `[B, T]` factor on the logits of the response tokens, or None.
        **kwargs: its keyword arguments.
    """
    recorder = Recorder(model, request, call[2], scale)
    answer = hook(recorder, *call, **kwargs)
    return answer, recorder.measured()


def edit_inputs(trainer: Any, running: LossPass, measured: Measured) -> None:
    """Let the recipe work on a micro-batch, and put the edited fields where TRL's loss will read them."""
    # From the inputs as given: a loss that asks the hook twice must not have them edited twice.
    low, high = running.bounds
    batch = token_batch(
        trainer, running.given, measured, clip_low=low, clip_high=high, **step_size(trainer, running.given)
    )
    applied = trainer.control.apply(batch)
    fields = changed_fields(batch, applied.batch, EDITABLE)
    running.read["advantages"] = fields.get("advantages", running.given["advantages"])
    if "old_logprobs" in fields:
        running.read["old_per_token_logps"] = fields["old_logprobs"]
    trainer.epsilon_low, trainer.epsilon_high = fields.get("clip_low", low), fields.get("clip_high", high)
    running.batch, running.applied = batch, applied
    if trainer._request.watched is not None:
        running.also = {"watched_mass": measured.watched_mass}


def token_batch(trainer: Any, inputs: dict[str, Any], measured: Measured, **facts: Any) -> TokenBatch:
    """Return the batch that the recipe sees, of TRL's inputs and the trainer's settings."""
    bounds = {"clip_low": trainer.epsilon_low, "clip_high": trainer.epsilon_high}
    return to_token_batch(
        inputs,
        measured,
        kl_coef=trainer.beta,
        kl_ratio=trainer.args.use_bias_correction_kl,
        temperature=trainer.temperature,
        vocab=trainer._vocab,
        step=trainer.state.global_step,
        total_steps=trainer.state.max_steps or None,
        **{**bounds, **facts},
    )


def step_size(trainer: Any, inputs: dict[str, Any]) -> dict[str, Tensor]:
    """Return the divisors of the step, for the terms: its tokens and responses, and the host's own weights."""
    if not trainer.recipe.terms:
        return {}
    mask, ranks = response_mask(inputs), trainer._ranks
    batches, share = 1, 1.0
    if trainer.model.training:
        batches, generated = trainer.current_gradient_accumulation_steps, trainer.args.steps_per_generation
        share, position = batches / generated, trainer._step % generated
        # Counted once per step, with one all-reduce; again where a step reaches into another generation batch.
        if trainer._step_tokens is None or position == 0:
            trainer._step_tokens = step_tokens(trainer._buffered_inputs, position, batches, ranks.all_reduce)
        tokens = trainer._step_tokens
    else:
        tokens = ranks.all_reduce(mask.sum().float()).clamp(min=1)
    parts = batches * ranks.world_size
    return {
        "num_tokens": tokens,
        "num_responses": torch.tensor(len(mask) * parts, device=mask.device),
        "host_weight": host_weight(inputs, mask, trainer.args, tokens=tokens, parts=parts, share=share),
    }


def carry_rewards(trainer: Any, running: RolloutPass, output: dict[str, Any]) -> dict[str, Any]:
    """Return TRL's rollouts with the rewards and groups that TRL computes but does not pass on."""
    per_function = running.rewards
    if per_function is None:
        if trainer.recipe.needs & {"rewards", "group_ids", "redraw"}:
            problem = f"recipe {trainer.recipe.name!r} reads the rewards, and TRL's never came by."
            raise UnseenError(problem, "Call `super()._calculate_rewards`.")
        return output
    rewards = (per_function * trainer.reward_weights.to(per_function.device)).nansum(dim=1)
    rows, rank = len(output["completion_ids"]), trainer._ranks.rank
    generations = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
    groups = torch.arange(len(rewards), device=rewards.device) // generations
    # Rewards and groups are those of all ranks, in their order; this rank carries its own.
    for name, values in (("rewards", rewards), ("group_ids", groups)):
        output[CARRIED[name]] = values[rank * rows : (rank + 1) * rows]
    return output


def edit_rollouts(trainer: Any, running: RolloutPass, output: dict[str, Any]) -> None:
    """Let the controller and the rollout edits see fresh rollouts, before any update on them."""
    measured = Measured.nothing(response_mask(output))
    if running.measure:
        # From TRL's own pass over the old policy, if it made one.
        old = output.get("old_per_token_logps")
        kept = [found for logprobs, found in running.recorded if logprobs is old]
        measured = kept[0] if kept else measure_rollouts(trainer, running, output)
    batch = token_batch(trainer, output, measured)
    edited = trainer.control.fresh(batch)
    if edited.old_entropy is not None:
        output[CARRIED["old_entropy"]] = edited.old_entropy
    fields = changed_fields(batch, edited, ROLLOUT_EDITABLE)
    output["advantages"] = fields.pop("advantages", output["advantages"])
    output.update({CARRIED[name]: value for name, value in fields.items()})
    if "logit_scale" in fields and "old_per_token_logps" in output:
        # The ratio compares like with like: the old log-probs are taken again, under the same scale.
        scaled = measure_rollouts(trainer, running, output, fields["logit_scale"])
        output["old_per_token_logps"] = scaled.logprobs


def measure_rollouts(
    trainer: Any, running: RolloutPass, output: dict[str, Any], scale: Tensor | None = None
) -> Measured:
    """Run the model over fresh rollouts once, without gradient."""
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    attention = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    # Pictures and the like: TRL's hook takes them by the names under which the rollouts carry them.
    extra = {name: output[name] for name in inspect.signature(running.hook).parameters if name in output}
    args = trainer.args
    rows = args.per_device_train_batch_size if trainer.model.training else args.per_device_eval_batch_size
    with torch.no_grad(), disable_gradient_checkpointing(trainer.model, args.gradient_checkpointing_kwargs):
        call = (ids, attention, output["completion_ids"].size(1))
        return measure(running.hook, rollout_request(trainer), trainer.model, call, scale, batch_size=rows, **extra)[1]


def rollout_request(trainer: Any) -> HeadRequest:
    """Return the request for fresh rollouts."""
    return dataclasses.replace(trainer._request, logit_stats="logit_stats" in trainer.recipe.needs)
