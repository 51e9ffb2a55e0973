"""verl's FSDP engine with one more output: entropies and kept mass of every token, from the logits it already has.

Importing this module registers the engine, if the installed verl is one that carries our hooks.
"""

# verl is installed in an environment of its own.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUntypedClassDecorator=false
from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from verl.utils import tensordict_utils as tu
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from entrostat.integrations.verl._batch import ASK, ASK_LOGITS, FACTS, LOGITS, PER_TOKEN, STATISTICS
from entrostat.integrations.verl._loss import EntropyLoss
from entrostat.integrations.verl._refusals import IGNORED
from entrostat.integrations.verl._selfcheck import verify_host
from entrostat.measures import Measure
from entrostat.ops import token_entropies

VENDOR = "entrostat"

verify_host()


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu", "cpu"], vendor=VENDOR
)
class EntropyFSDPEngine(FSDPEngineWithLMHead):
    """verl's engine; where the loss is an `EntropyLoss`, or the driver asks, a measure stands beside verl's outputs."""

    _gather_and_unpad_packed: Any

    def prepare_model_outputs(self, output: Any, output_args: Any, micro_batch: Any, logits_processor_func: Any) -> Any:
        """verl's outputs, and `STATISTICS` as packed sequences; `LOGITS` too where the driver asks for them."""
        measure = self._measure(micro_batch, logits_processor_func)
        if (scale := PER_TOKEN["logit_scale"]) in micro_batch:
            factors = _factors(micro_batch[scale], micro_batch["input_ids"].offsets().diff(), output.logits.shape)
            output.logits = output.logits * factors.to(output.logits.dtype)
        outputs = super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        if measure is None:
            return outputs
        offsets = micro_batch["input_ids"].offsets()
        logits, temperature, padding = _packed(output.logits, output_args, offsets)
        # The micro-batch goes on to the loss.
        tu.assign_non_tensor(micro_batch, **{FACTS["vocab"][0]: logits.shape[-1]})
        values = _statistics(logits, temperature, measure)
        if tu.get_non_tensor_data(micro_batch, ASK_LOGITS, False):
            values |= _raw(logits, output_args["input_ids_rmpad_rolled"])
        for key, value in values.items():
            value = value if padding is None else self._gather_and_unpad_packed(value, padding)
            outputs[key] = torch.nested.nested_tensor_from_jagged(value, offsets)
        return outputs

    def _measure(self, micro_batch: Any, loss: Any) -> Measure | None:
        """Return the measure: the loss's own, or in a pass without a loss the one the driver asks for, if any."""
        if isinstance(loss, EntropyLoss):
            # Without this verl lets the log-probs' backward pass write over the logits, which ours reads again.
            tu.assign_non_tensor(micro_batch, calculate_entropy=True)
            return loss.recipe.measure
        if loss is None:
            return tu.get_non_tensor_data(micro_batch, ASK, None)
        if torch.is_grad_enabled():
            warnings.warn(IGNORED, RuntimeWarning, stacklevel=3)
        return None


def _statistics(logits: Tensor, temperature: Tensor, measure: Measure) -> dict[str, Tensor]:
    """Return entropy, the measure and kept mass of each token, by key."""
    if bool((temperature != 1).any()):
        logits = logits / temperature.clamp(min=1e-8).to(logits.dtype).unsqueeze(-1)
    entropy, clamped, mass = token_entropies(logits, support=measure.support)
    scale = measure.fused_scale(logits.shape[-1])
    assert scale is not None, "refused when the loss or the trainer was made"
    return dict(zip(STATISTICS.values(), (entropy, clamped * scale, mass), strict=True))


def _factors(scale: Tensor, lengths: Tensor, shape: torch.Size) -> Tensor:
    """Return the factor of every position of logits `[B, S, V]`, or `[1, nnz, V]`, from those of the responses' tokens.

    The values of a token stand one place before it; prompts, last places and padding have ones.
    """
    pairs = zip(scale.unbind(), lengths.tolist(), strict=True)
    rows = [pad(row, (length - len(row) - 1, 1), value=1.0) for row, length in pairs]
    rows = [torch.cat(rows)] if shape[0] == 1 else rows
    return torch.stack([pad(row, (0, shape[1] - len(row)), value=1.0) for row in rows]).unsqueeze(-1)


def _raw(logits: Tensor, sampled: Tensor) -> dict[str, Tensor]:
    """Return mean and sampled logit of each token, before the temperature, by key."""
    target = logits.gather(-1, sampled.unsqueeze(-1)).squeeze(-1)
    return dict(zip(LOGITS.values(), (logits.mean(-1, dtype=torch.float32), target.float()), strict=True))


def _packed(logits: Any, output_args: Any, offsets: Tensor) -> tuple[Tensor, Tensor, int | None]:
    """Return logits `[nnz, V]` and temperature `[nnz]` of the packed tokens, and the padding at their end if any."""
    logits = logits.full_tensor() if hasattr(logits, "full_tensor") else logits
    if "temperature_rmpad" in output_args:
        return logits.squeeze(0), output_args["temperature_rmpad"], output_args["pad_size"]
    lengths = offsets.diff()
    kept = torch.arange(logits.shape[1], device=logits.device) < lengths.unsqueeze(1)
    return logits[kept], output_args["temperature"].repeat_interleave(lengths), None
