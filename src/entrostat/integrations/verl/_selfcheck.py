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

from entrostat.integrations.host import UnsupportedHostError, clipped_loss, in_range, probe_batch
from entrostat.integrations.verl._batch import STATISTICS
from entrostat.integrations.verl._loss import EntropyLoss
from entrostat.recipes import none

SUPPORTED = ("0.9", "0.10")
"""First release line that is supported, and first that is not."""


@dataclasses.dataclass(frozen=True)
class _EditAll:
    sets: ClassVar[frozenset[str]] = frozenset({"advantages", "old_logprobs", "clip_low", "clip_high"})

    def __call__(self, batch: Any) -> Any:
        edits = probe_batch()._asdict()
        return batch.replace(**{name: edits[name] for name in self.sets})


def verify_host() -> None:
    """Raise `UnsupportedHostError` unless the installed verl is in range and its loss reads what edits change."""
    from importlib import metadata

    version = metadata.version("verl")
    reason = "that release was never tested"
    if in_range(version, SUPPORTED):
        batch = probe_batch()
        # verl's default reduction: the mean over all tokens.
        ours, theirs = clipped_loss(batch).sum() / batch.mask.sum(), host_loss()
        if torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6):
            return
        reason = f"its loss on edited inputs is {theirs.item()}, the objective gives {ours.item()}"
    raise UnsupportedHostError(
        f"entrostat supports verl>={SUPPORTED[0]},<{SUPPORTED[1]}, but verl {version} is installed and {reason}."
    )


def host_loss() -> Tensor:
    """verl's loss, by way of ours."""
    from verl.workers.config import FSDPActorConfig

    config = FSDPActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=2)
    loss = EntropyLoss(config=config, recipe=none().with_edits(_EditAll()))
    return loss(*packed_batch(probe_batch().logprobs, torch.zeros(2, 3)))[0]


def packed_batch(logprobs: Tensor, entropy: Tensor) -> tuple[dict[str, Any], Any]:
    """Return the engine's output and its input, for two responses of 3 and 2 tokens to one-token prompts."""
    from verl.utils import tensordict_utils as tu

    def packed(values: Tensor, lengths: tuple[int, int], before: int = 0, after: int = 0) -> Tensor:
        rows = [torch.nn.functional.pad(row[:n], (before, after)) for row, n in zip(values, lengths, strict=True)]
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    lengths = (3, 2)
    # The engine's row has prompt and response; the values of a token stand one place before it.
    outputs = {"log_probs": packed(logprobs, lengths, after=1)}
    outputs |= {key: packed(entropy, lengths, after=1) for key in STATISTICS.values()}
    ids = torch.zeros(2, 3, dtype=torch.long)
    batch = probe_batch()
    responses = {
        "responses": ids, "response_mask": batch.mask, "old_log_probs": logprobs.detach() - 1,
        "advantages": batch.clip_low,
    }  # fmt: skip
    data = tu.get_tensordict(
        tensor_dict={
            "prompts": packed(ids[:, :1], (1, 1)),
            **{key: packed(value, lengths) for key, value in responses.items()},
        },
        non_tensor_dict={"dp_size": 1, "batch_num_tokens": 5, "global_batch_size": 2},
    )
    return outputs, data
