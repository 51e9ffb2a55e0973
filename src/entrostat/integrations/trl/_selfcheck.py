"""Is the installed TRL the one these hooks were written for? Asked once, at import, of TRL itself."""

from __future__ import annotations

import inspect
from collections import defaultdict
from types import SimpleNamespace
from typing import Any, NoReturn

import torch
from torch import Tensor

from entrostat.integrations.host import UnsupportedHostError, clipped_loss, in_range, probe_batch

SUPPORTED = ("1.15", "1.17")
"""First release line that is supported, and first that is not."""

_KERNEL_ARGUMENTS = [
    "ctx", "hidden", "weight", "bias", "targets", "temperature", "chunk_size", "final_logit_softcapping", "logit_scale",
    "outputs",
]  # fmt: skip


def verify_host() -> None:
    """Raise `UnsupportedHostError` unless the installed TRL is in range and behaves as the hooks expect."""
    import trl

    version = trl.__version__
    if not in_range(version, SUPPORTED):
        refuse_release(version, "that release was never tested")
    from trl.trainer.grpo_trainer import GRPOTrainer

    _verify_head(version)
    batch = probe_batch()
    # GRPO's own reduction: the mean over the tokens of a response, then over responses.
    ours = (clipped_loss(batch).sum(-1) / batch.mask.sum(-1)).mean()
    try:
        theirs = _host_loss(GRPOTrainer)
    except AttributeError as error:
        refuse_release(version, f"its loss cannot be called: {error}")
    if not torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6):
        refuse_release(version, f"its loss on edited inputs is {theirs.tolist()}, the objective gives {ours.tolist()}")


def refuse_release(version: str, reason: str) -> NoReturn:
    raise UnsupportedHostError(
        f"entrostat supports trl>={SUPPORTED[0]},<{SUPPORTED[1]}, but TRL {version} is installed and {reason}. "
        f"Install a supported release: pip install 'trl>={SUPPORTED[0]},<{SUPPORTED[1]}'."
    )


def _verify_head(version: str) -> None:
    from trl.trainer import utils

    if not hasattr(utils, "_ChunkedLogProbFunction") or not hasattr(utils, "add_fused_lm_head"):
        refuse_release(version, "it has no fused head in trl.trainer.utils")
    kernel: Any = utils._ChunkedLogProbFunction  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    kernel = getattr(kernel, "original", kernel)
    if kernel is None:
        return  # TRL 1.15 has its kernel only where Triton is installed; ours stands in for it anyway
    found = list(inspect.signature(kernel.forward).parameters)
    if found != _KERNEL_ARGUMENTS:
        refuse_release(version, f"its fused head takes {found}")


def _host_loss(trainer: Any) -> Tensor:
    """TRL's own loss, fed the edits at the moment the real hook makes them."""
    batch = probe_batch()
    inputs: dict[str, Any] = {
        "prompt_ids": torch.zeros(2, 1, dtype=torch.long),
        "prompt_mask": torch.ones(2, 1, dtype=torch.long),
        "completion_ids": torch.zeros(2, 3, dtype=torch.long),
        "completion_mask": batch.mask,
        "advantages": torch.zeros(2),
        "num_items_in_batch": batch.mask.sum(),
    }
    host = _StandIn()

    def hook(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, None]:
        inputs.update(advantages=batch.advantages, old_per_token_logps=batch.old_logprobs)
        host.epsilon_low, host.epsilon_high = batch.clip_low, batch.clip_high
        return batch.logprobs, torch.zeros_like(batch.logprobs), None

    host._get_per_token_logps_and_entropies = hook
    return trainer._compute_loss(host, None, inputs)


class _Alone:
    """What TRL's loss asks of accelerate, on a single rank."""

    num_processes = 1
    sync_gradients = True

    def gather(self, tensor: Tensor) -> Tensor:
        return tensor

    def reduce(self, tensor: Tensor, reduction: str) -> Tensor:
        return tensor


class _StandIn(SimpleNamespace):
    """What TRL's loss reads of its trainer, with every optional feature off."""

    def __init__(self) -> None:
        super().__init__(
            accelerator=_Alone(), args=SimpleNamespace(delta=None, steps_per_generation=1), model=torch.nn.Identity(),
            _metrics={"train": defaultdict(list), "eval": defaultdict(list)}, aux_loss_enabled=False, beta=0.0,
            current_gradient_accumulation_steps=1, epsilon_low=0.2, epsilon_high=0.2, importance_sampling_level="token",
            loss_type="grpo", off_policy_mask_threshold=None, top_entropy_quantile=1.0, use_vllm=False,
            vllm_importance_sampling_correction=False, _entropy_bonus_enabled=False, use_adaptive_entropy=False,
        )  # fmt: skip
