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
from verl.utils import tensordict_utils as tu
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from entrostat.integrations._hosts import measure_scale
from entrostat.integrations.verl._batch import STATISTICS
from entrostat.integrations.verl._loss import EntropyLoss
from entrostat.integrations.verl._refusals import IGNORED, NOT_COMPUTED
from entrostat.integrations.verl._selfcheck import verify_host
from entrostat.ops._token_stats import entropies

VENDOR = "entrostat"

verify_host()


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu", "cpu"], vendor=VENDOR
)
class EntropyFSDPEngine(FSDPEngineWithLMHead):
    """verl's engine; where the loss is an `EntropyLoss`, its recipe's measure stands beside verl's outputs."""

    _gather_and_unpad_packed: Any

    def prepare_model_outputs(self, output: Any, output_args: Any, micro_batch: Any, logits_processor_func: Any) -> Any:
        """verl's outputs, and `STATISTICS` as packed sequences."""
        if not isinstance(logits_processor_func, EntropyLoss):
            if logits_processor_func is not None and torch.is_grad_enabled():
                warnings.warn(IGNORED, RuntimeWarning, stacklevel=2)
            return super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        # Without this verl lets the log-probs' backward pass write over the logits, which ours reads again.
        tu.assign_non_tensor(micro_batch, calculate_entropy=True)
        outputs = super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        offsets = micro_batch["input_ids"].offsets()
        logits, temperature, pad = _packed(output.logits, output_args, offsets)
        measure = logits_processor_func.recipe.measure
        if bool((temperature != 1).any()):
            logits = logits / temperature.clamp(min=1e-8).to(logits.dtype).unsqueeze(-1)
        entropy, clamped, mass = entropies(logits, measure.support, 1.0)
        clamped = clamped * measure_scale(logits_processor_func.recipe, logits.shape[-1], NOT_COMPUTED)
        for name, value in (("entropy", entropy), ("clamped_entropy", clamped), ("kept_mass", mass)):
            value = value if pad is None else self._gather_and_unpad_packed(value, pad)
            outputs[STATISTICS[name]] = torch.nested.nested_tensor_from_jagged(value, offsets)
        return outputs


def _packed(logits: Any, output_args: Any, offsets: Tensor) -> tuple[Tensor, Tensor, int | None]:
    """Return logits `[nnz, V]` and temperature `[nnz]` of the packed tokens, and the padding at their end if any."""
    logits = logits.full_tensor() if hasattr(logits, "full_tensor") else logits
    if "temperature_rmpad" in output_args:
        return logits.squeeze(0), output_args["temperature_rmpad"], output_args["pad_size"]
    lengths = offsets.diff()
    kept = torch.arange(logits.shape[1], device=logits.device) < lengths.unsqueeze(1)
    return logits[kept], output_args["temperature"].repeat_interleave(lengths), None
