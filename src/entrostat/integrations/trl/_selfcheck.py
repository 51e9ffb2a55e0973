"""Is the installed TRL the one these hooks were written for? Asked once, at import, of TRL itself.

Two of the hooks are private to TRL: the per-token log-prob method, through which a recipe edits what the loss reads,
and the kernel behind the fused head. A release that renames one, or reads the batch before calling the other, would
otherwise train a method silently wrong. So the check runs TRL's own loss on a made-up batch with everything edited and
compares it with the objective written out.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from entrostat.integrations._hosts import in_range

SUPPORTED = ("1.15", "1.17")
"""First release line that is supported, and first that is not."""

_KERNEL_ARGUMENTS = [
    "ctx", "hidden", "weight", "bias", "targets", "temperature", "chunk_size", "final_logit_softcapping", "logit_scale",
    "outputs",
]  # fmt: skip


class UnsupportedHostError(ImportError):
    """The installed TRL cannot carry entrostat's hooks."""


def verify_host() -> None:
    """Raise `UnsupportedHostError` unless the installed TRL is in range and behaves as the hooks expect."""
    try:
        import trl
    except ImportError as error:
        raise UnsupportedHostError("entrostat's TRL integration needs TRL: pip install 'entrostat[trl]'.") from error
    version = trl.__version__
    if not in_range(version, SUPPORTED):
        _refuse(version, "that release was never tested")
    from trl.trainer.grpo_trainer import GRPOTrainer

    _check_names(version, GRPOTrainer)
    ours, theirs = _explicit_loss(), _host_loss(GRPOTrainer)
    if not torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6):
        _refuse(version, f"its loss on edited inputs is {theirs.tolist()}, the objective gives {ours.tolist()}")


def _refuse(version: str, reason: str) -> None:
    raise UnsupportedHostError(
        f"entrostat supports trl>={SUPPORTED[0]},<{SUPPORTED[1]}, but TRL {version} is installed and {reason}. "
        f"Install a supported release: pip install 'trl>={SUPPORTED[0]},<{SUPPORTED[1]}'."
    )


def _check_names(version: str, trainer: Any) -> None:
    from trl.trainer import utils

    for name in ("_get_per_token_logps_and_entropies", "_compute_loss", "_calculate_rewards", "_save_checkpoint"):
        if not hasattr(trainer, name):
            _refuse(version, f"it has no GRPOTrainer.{name}")
    if not hasattr(utils, "_ChunkedLogProbFunction") or not hasattr(utils, "add_fused_lm_head"):
        _refuse(version, "it has no fused head in trl.trainer.utils")
    kernel: Any = utils._ChunkedLogProbFunction  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    kernel = getattr(kernel, "original", kernel)
    if kernel is None:
        return  # TRL 1.15 has its kernel only where Triton is installed; ours stands in for it anyway
    found = list(inspect.signature(kernel.forward).parameters)
    if found != _KERNEL_ARGUMENTS:
        _refuse(version, f"its fused head takes {found}")


# One batch, B = 2 and T = 3, with every editable input different per token.
_LOGPROBS = torch.tensor([[-0.9, -1.4, -0.3], [-0.5, -2.0, -0.7]])
_OLD = torch.tensor([[-1.0, -1.0, -0.6], [-0.4, -1.5, -0.7]])
_ADVANTAGES = torch.tensor([[1.0, -0.5, 2.0], [-1.0, 0.3, 0.0]])
_LOW = torch.tensor([[0.1, 0.2, 0.3], [0.05, 0.2, 0.1]])
_HIGH = torch.tensor([[0.05, 0.3, 0.2], [0.2, 0.1, 0.4]])
_MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


def _explicit_loss() -> Tensor:
    ratio = (_LOGPROBS - _OLD).exp()
    clipped = ratio.clamp(1 - _LOW, 1 + _HIGH)
    loss = -torch.minimum(ratio * _ADVANTAGES, clipped * _ADVANTAGES)
    return ((loss * _MASK).sum(-1) / _MASK.sum(-1)).mean()


def _host_loss(trainer: Any) -> Tensor:
    """TRL's own loss, fed the edits at the moment the real hook makes them."""
    inputs: dict[str, Any] = {
        "prompt_ids": torch.zeros(2, 1, dtype=torch.long),
        "prompt_mask": torch.ones(2, 1, dtype=torch.long),
        "completion_ids": torch.zeros(2, 3, dtype=torch.long),
        "completion_mask": _MASK,
        "advantages": torch.zeros(2),
        "num_items_in_batch": _MASK.sum(),
    }
    host = _StandIn()

    def hook(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, None]:
        inputs.update(advantages=_ADVANTAGES, old_per_token_logps=_OLD)
        host.epsilon_low, host.epsilon_high = _LOW, _HIGH
        return _LOGPROBS, torch.zeros_like(_LOGPROBS), None

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
