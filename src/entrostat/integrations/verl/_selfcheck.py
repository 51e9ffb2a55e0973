"""Is the installed verl the one these hooks were written for? Asked of verl itself when the engine is registered.

verl's own `ppo_loss` runs on a made-up batch with everything edited, and is compared with the objective written out.
"""

# verl is installed in an environment of its own.
# pyright: reportMissingImports=false
from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import torch
from torch import Tensor

from entrostat.integrations._hosts import in_range
from entrostat.integrations.verl._batch import STATISTICS
from entrostat.integrations.verl._loss import EntropyLoss
from entrostat.recipes import none

SUPPORTED = ("0.9", "0.10")
"""First release line that is supported, and first that is not."""

# One batch, B = 2 and T = 3, with every editable input different per token.
_LOGPROBS = torch.tensor([[-0.9, -1.4, -0.3], [-0.5, -2.0, -0.7]])
_OLD = torch.tensor([[-1.0, -1.0, -0.6], [-0.4, -1.5, -0.7]])
_ADVANTAGES = torch.tensor([[1.0, -0.5, 2.0], [-1.0, 0.3, 0.5]])
_LOW = torch.tensor([[0.1, 0.2, 0.3], [0.05, 0.2, 0.1]])
_HIGH = torch.tensor([[0.05, 0.3, 0.2], [0.2, 0.1, 0.4]])
_MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


class UnsupportedHostError(ImportError):
    """The installed verl cannot carry entrostat's hooks."""


@dataclasses.dataclass(frozen=True)
class _EditAll:
    sets: ClassVar[frozenset[str]] = frozenset({"advantages", "old_logprobs", "clip_low", "clip_high"})

    def __call__(self, batch: Any) -> Any:
        return batch.replace(advantages=_ADVANTAGES, old_logprobs=_OLD, clip_low=_LOW, clip_high=_HIGH)


def verify_host() -> None:
    """Raise `UnsupportedHostError` unless the installed verl is in range and its loss reads what edits change."""
    from importlib import metadata

    version = metadata.version("verl")
    reason = "that release was never tested"
    if in_range(version, SUPPORTED):
        ours, theirs = explicit_loss(), host_loss()
        if torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6):
            return
        reason = f"its loss on edited inputs is {theirs.item()}, the objective gives {ours.item()}"
    raise UnsupportedHostError(
        f"entrostat supports verl>={SUPPORTED[0]},<{SUPPORTED[1]}, but verl {version} is installed and {reason}."
    )


def explicit_loss() -> Tensor:
    """The clipped objective on the edited inputs, averaged over tokens."""
    ratio = (_LOGPROBS - _OLD).exp()
    clipped = ratio.clamp(1 - _LOW, 1 + _HIGH)
    loss = -torch.minimum(ratio * _ADVANTAGES, clipped * _ADVANTAGES)
    return (loss * _MASK).sum() / _MASK.sum()


def host_loss() -> Tensor:
    """verl's loss, by way of ours."""
    from verl.workers.config import FSDPActorConfig

    config = FSDPActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=2)
    loss = EntropyLoss(config=config, recipe=none().with_edits(_EditAll()))
    return loss(*made_up_batch(_LOGPROBS, torch.zeros(2, 3)))[0]


def made_up_batch(logprobs: Tensor, entropy: Tensor) -> tuple[dict[str, Any], Any]:
    """Return what the engine gives and what it was given, for two responses of 3 and 2 tokens to one-token prompts."""
    from verl.utils import tensordict_utils as tu

    def packed(values: Tensor, lengths: tuple[int, int], before: int = 0, after: int = 0) -> Tensor:
        rows = [torch.nn.functional.pad(row[:n], (before, after)) for row, n in zip(values, lengths, strict=True)]
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    lengths = (3, 2)
    # The engine's row has prompt and response; what belongs to a token stands one place before it.
    outputs = {"log_probs": packed(logprobs, lengths, after=1)}
    outputs |= {key: packed(entropy, lengths, after=1) for key in STATISTICS.values()}
    ids = torch.zeros(2, 3, dtype=torch.long)
    responses = {"responses": ids, "response_mask": _MASK, "old_log_probs": logprobs.detach() - 1, "advantages": _LOW}
    data = tu.get_tensordict(
        tensor_dict={
            "prompts": packed(ids[:, :1], (1, 1)),
            **{key: packed(value, lengths) for key, value in responses.items()},
        },
        non_tensor_dict={"dp_size": 1, "batch_num_tokens": 5, "global_batch_size": 2},
    )
    return outputs, data
