"""verl's rollout batch on the driver as one `TokenBatch`, and the recipe's changes written back beside the rollouts.

verl keeps the batch in its TransferQueue, by row and field, and hands out names. Rows that verl adds to fill up its
mini-batches are no rollouts: no edit sees them, and fields of ours hold a filler there.
"""

# verl is installed in an environment of its own.
# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.control import changed_fields
from entrostat.edits import ROLLOUT_EDITABLE
from entrostat.integrations.verl._batch import (
    ASK,
    ASK_LOGITS,
    LOGITS,
    PER_RESPONSE,
    PER_TOKEN,
    STATISTICS,
    TENSORS,
    bounds,
    kl_coef,
)
from entrostat.integrations.verl._refusals import refuse_parts
from entrostat.recipes import Recipe


def measuring_request(recipe: Recipe) -> dict[str, Any]:
    """Return the settings to send along with verl's pass over fresh rollouts, so that the engine measures them."""
    asked = {ASK: recipe.measure} if "old_entropy" in recipe.needs else {}
    return {**asked, ASK_LOGITS: True} if "logit_stats" in recipe.needs else asked


def sees_rollouts(recipe: Recipe) -> bool:
    """Whether the recipe asks for anything of whole rollout batches."""
    return bool(recipe.rollout_edits or recipe.needs & {*PER_RESPONSE, "old_entropy"})


def read(rollouts: Any, recipe: Recipe, actor: Any, temperature: float) -> TokenBatch:
    """Return the rollouts, which have their advantages.

    Args:
        rollouts: verl's `KVBatchMeta`.
        recipe: the recipe.
        actor: verl's settings of the actor.
        temperature: the divisor of verl's logits.

    Raises:
        ValueError: responses in several parts, and a recipe that looks at whole ones.
    """
    keys = _keys(rollouts)
    refuse_parts(keys, recipe)
    fields = _fields(recipe)
    padded = _padded(rollouts, keys, fields)
    given: dict[str, Any] = {name: padded[key].float() for name, key in fields.items()}
    if "rewards" in recipe.needs:
        given["rewards"] = given["rewards"].sum(1)
    if "group_ids" in recipe.needs:
        given["group_ids"] = _groups(keys)
    mask, logprobs = padded["response_mask"], given["old_logprobs"]
    # Unmeasured quantities are NaN, so that reading one by mistake shows.
    given = {name: torch.full_like(logprobs, torch.nan) for name in STATISTICS} | given
    given |= bounds(actor, logprobs) | {"kl_coef": kl_coef(actor), "temperature": temperature}
    return TokenBatch(logprobs=logprobs, mask=mask, **given)


def write(rollouts: Any, before: TokenBatch, after: TokenBatch) -> None:
    """Put the edited fields, and those that later updates read, beside the rollouts.

    Args:
        rollouts: verl's `KVBatchMeta`; its list of fields is brought up to date.
        before: the batch that `read` returned.
        after: the batch as the recipe left it.
    """
    changed = changed_fields(before, after, ROLLOUT_EDITABLE).keys()
    carried = {name for name in PER_TOKEN | PER_RESPONSE if getattr(after, name) is not None}
    values = {(TENSORS | PER_TOKEN | PER_RESPONSE)[name]: getattr(after, name) for name in changed | carried}
    if not values:
        return
    keys = _keys(rollouts)
    lengths = _fetch(rollouts, keys, ["response_mask"])["response_mask"].offsets().diff().tolist()
    _put(rollouts, keys, {key: _cut(value, lengths) for key, value in values.items()})
    if filling := _keys(rollouts, filling=True):
        # A field counts as there only where every row has it; verl's fillers have one token, which is masked.
        ours = {(PER_TOKEN | PER_RESPONSE)[name]: getattr(after, name)[:1] for name in carried}
        rows = [1] * len(filling)
        _put(rollouts, filling, {key: _cut(_filler(value, len(rows)), rows) for key, value in ours.items()})
    if rollouts.fields is not None:
        spent = {*STATISTICS.values(), *LOGITS.values()}
        rollouts.fields = sorted(({*rollouts.fields} | {*values}) - spent)


def _fields(recipe: Recipe) -> dict[str, str]:
    """Return field of the batch -> verl's or our own name, of the fields the driver reads; `rewards` come by token."""
    needs = recipe.needs
    fields = {name: TENSORS[name] for name in ("old_logprobs", "advantages")}
    fields |= {"ref_logprobs": TENSORS["ref_logprobs"]} if "ref_logprobs" in needs else {}
    fields |= {"rewards": "rm_scores"} if "rewards" in needs else {}
    fields |= STATISTICS if "old_entropy" in needs else {}
    return fields | (LOGITS if "logit_stats" in needs else {})


def _padded(rollouts: Any, keys: list[str], fields: dict[str, str]) -> Any:
    """Return the fields padded to the longest response; those of the engine's also cover the prompt, which goes."""
    from verl.workers.utils.padding import response_from_nested

    data = _fetch(rollouts, keys, ["response_mask", *fields.values()])
    for key in {*STATISTICS.values(), *LOGITS.values()} & {*fields.values()}:
        data[key] = response_from_nested(data[key], data["response_mask"])
    return data.to_padded_tensor()


def _fetch(rollouts: Any, keys: list[str], names: list[str]) -> Any:
    import transfer_queue

    return transfer_queue.kv_batch_get(keys=keys, partition_id=rollouts.partition_id, select_fields=names)


def _put(rollouts: Any, keys: list[str], fields: dict[str, Tensor]) -> None:
    import transfer_queue
    from tensordict import TensorDict

    values = TensorDict(fields, batch_size=len(keys))
    transfer_queue.kv_batch_put(keys=keys, partition_id=rollouts.partition_id, fields=values)


def _keys(rollouts: Any, *, filling: bool = False) -> list[str]:
    pairs = zip(rollouts.keys, rollouts.tags, strict=True)
    return [key for key, tag in pairs if bool(tag.get("is_padding")) == filling]


def _groups(keys: list[str]) -> Tensor:
    """Return the number of each row's prompt; verl names rows `UID_SESSION_PART`."""
    prompts = [key.rsplit("_", 2)[0] for key in keys]
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    return torch.tensor([numbers[prompt] for prompt in prompts])


def _cut(values: Tensor, lengths: list[int]) -> Tensor:
    """Return `[B, T]` as rows of these lengths; `[B]` as it is."""
    if values.dim() == 1:
        return values
    rows = [row[:length] for row, length in zip(values, lengths, strict=True)]
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def _filler(like: Tensor, rows: int) -> Tensor:
    """Return one by token, and by response a group that nobody is in."""
    return torch.ones(rows, 1, dtype=like.dtype) if like.dim() == 2 else torch.full((rows,), -1, dtype=like.dtype)
