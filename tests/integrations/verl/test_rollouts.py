"""Whole rollout batches: through verl's TransferQueue to the recipe and back, and on to a worker's loss.

The queue is the real one, under a local Ray; the rollouts are two prompts of three responses, and two rows of the kind
with which verl fills up a batch.
"""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat import recipes
from entrostat.batch import TokenBatch
from entrostat.recipes import Recipe

PROMPTS, LENGTHS = [2, 2, 2, 3, 3, 3], [4, 2, 3, 1, 4, 3]
KEYS = [f"uid_of_{prompt}_{session}_0" for prompt in "ab" for session in range(3)]
FILLING = ["padf0_0_0", "padf0_1_0"]
REWARDS = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, -1.0])
ACTOR = SimpleNamespace(clip_ratio=0.2, clip_ratio_low=0.2, clip_ratio_high=None, kl_loss_coef=0.1, use_kl_loss=False)
TEMPERATURE = 0.7
MEASURES = ("entropy", "clamped_entropy", "kept_mass", "mean_logit", "target_logit")


def jagged(rows: list[Tensor]) -> Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def values(seed: int, lengths: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(length, generator=generator) for length in lengths]


def held() -> dict[str, list[Tensor]]:
    """Return what verl holds of the responses, by field of the batch: rows of their own lengths."""
    held = {name: values(seed, LENGTHS) for seed, name in enumerate(MEASURES)}
    held |= {"old_logprobs": [-3 * row for row in values(7, LENGTHS)]}
    advantages = torch.tensor([1.2, -0.6, -0.6, 0.6, 0.6, -1.2])
    held["advantages"] = [torch.full((n,), float(a)) for n, a in zip(LENGTHS, advantages, strict=True)]
    held["mask"] = [torch.ones(length, dtype=torch.long) for length in LENGTHS]
    held["mask"][0][1] = 0  # a tool wrote it
    return held


def by_hand(recipe: Recipe, **facts: Any) -> TokenBatch:
    """Return the batch as the recipe should see it, from the rows themselves."""
    rows = {name: torch.nn.utils.rnn.pad_sequence(value, batch_first=True) for name, value in held().items()}
    if "logit_stats" not in recipe.needs:
        del rows["mean_logit"], rows["target_logit"]
    if "old_entropy" in recipe.needs:
        rows["old_entropy"] = rows["entropy"]
    else:
        rows |= {name: torch.full_like(rows["entropy"], torch.nan) for name in MEASURES[:3]}
    if "rewards" in recipe.needs:
        facts["rewards"] = REWARDS
    if "group_ids" in recipe.needs:
        facts["group_ids"] = torch.tensor([0, 0, 0, 1, 1, 1])
    bounds = dict.fromkeys(("clip_low", "clip_high"), torch.full_like(rows["entropy"], 0.2))
    return TokenBatch(logprobs=rows["old_logprobs"], temperature=TEMPERATURE, **rows, **bounds, **facts)


@pytest.fixture(scope="module")
def queue() -> Generator[Any]:
    """verl's queue, alone under Ray."""
    import ray
    import transfer_queue

    ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR", object_store_memory=100_000_000)
    transfer_queue.init({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}})  # pyright: ignore[reportArgumentType]
    yield transfer_queue
    transfer_queue.close()
    ray.shutdown()


@pytest.fixture
def rollouts(queue: Any) -> Generator[Any]:
    """The batch as verl's driver has it when the advantages are there: names of rows in the queue."""
    from tensordict import TensorDict

    names = {name: f"entrostat_{name}" for name in MEASURES}
    names |= {"old_logprobs": "old_log_probs", "advantages": "advantages", "mask": "response_mask"}
    lengths, prompts, fields = [*LENGTHS, 1, 1], [*PROMPTS, 1, 1], {}
    for name, rows in held().items():
        rows = [*rows, *[torch.zeros(1, dtype=rows[0].dtype)] * len(FILLING)]
        if name in MEASURES:  # the engine's row has prompt and response; what belongs to a token stands one before it
            rows = [
                torch.cat([torch.full((p - 1,), 9.0), row, torch.tensor([9.0])])
                for p, row in zip(prompts, rows, strict=True)
            ]
        fields[names[name]] = jagged(rows)
    scores = [torch.nn.functional.pad(REWARDS[i : i + 1], (n - 1, 0)) for i, n in enumerate(LENGTHS)]
    fields["rm_scores"] = jagged([*scores, *[torch.zeros(1)] * len(FILLING)])
    ids = {"prompts": prompts, "responses": lengths}
    fields |= {name: jagged([torch.zeros(n, dtype=torch.long) for n in rows]) for name, rows in ids.items()}
    tags = [{} for _ in KEYS] + [{"is_padding": True} for _ in FILLING]
    keys = [*KEYS, *FILLING]
    yield queue.kv_batch_put(
        keys=keys, partition_id="train", tags=tags, fields=TensorDict(fields, batch_size=len(keys))
    )
    queue.kv_clear(keys=keys, partition_id="train")


def built(name: str) -> Recipe:
    return recipes.build(name, recipes.embedded(name).get("parameters", {}))


def looking() -> list[str]:
    """Return the recipes that ask for something of whole batches, and that verl can carry."""
    needs = {name: built(name).needs for name in recipes.names()}
    asking = {"old_entropy", "rewards", "group_ids", "logit_stats"}
    return [name for name in needs if needs[name] & asking and "redraw" not in needs[name]]


def through(recipe: Recipe, rollouts: Any, step: int = 3) -> tuple[TokenBatch, Any]:
    """Take the rollouts through the driver; return what the recipe saw, and what a worker gets."""
    from verl.utils.transferqueue_utils import _meta_to_realdata

    from entrostat.integrations.verl import Driver
    from entrostat.integrations.verl._rollouts import read, write

    driver = Driver(recipe, total_steps=10)
    seen = read(rollouts, recipe, ACTOR, TEMPERATURE)
    write(rollouts, seen, driver.see(seen, step))
    rollouts.extra_info.update(driver.facts(step))
    return seen, _meta_to_realdata(rollouts)


def rows(values: Tensor) -> list[Tensor]:
    """Return `[B, T]` as rows of the responses' lengths."""
    return [row[:length] for row, length in zip(values, LENGTHS, strict=True)]


@pytest.mark.parametrize("name", looking())
@pytest.mark.feature("edits of whole rollout batches, through verl's TransferQueue", "works")
def test_a_recipe_sees_the_rollouts_and_a_worker_gets_what_it_made_of_them(name: str, rollouts: Any) -> None:
    recipe = built(name)
    seen, data = through(recipe, rollouts)
    expected = by_hand(recipe, step=3, total_steps=10)
    for field in ("logprobs", "advantages", "entropy", "clamped_entropy", "rewards", "group_ids"):
        ours, theirs = getattr(seen, field), getattr(expected, field)
        assert (ours is None and theirs is None) or torch.equal(ours.nan_to_num(-5), theirs.nan_to_num(-5)), field
    torch.manual_seed(3)
    for edit in recipe.rollout_edits:
        expected = edit(expected)
    kept = {name: f"entrostat_{name}" for name in ("old_entropy", "weight", "logit_scale")} | {
        "advantages": "advantages"
    }
    for field, key in kept.items():
        value = getattr(expected, field)
        assert (value is None) == (key not in data), field
        if value is not None:
            pairs = zip(data[key].unbind()[: len(KEYS)], rows(value), strict=True)
            assert all(torch.equal(ours, theirs.to(ours.dtype)) for ours, theirs in pairs), field
    for field in ("rewards", "group_ids"):
        if (value := getattr(expected, field)) is not None:
            assert torch.equal(data[f"entrostat_{field}"][: len(KEYS)], value)


def test_rows_that_fill_up_a_batch_stay_as_they_were(rollouts: Any) -> None:
    seen, data = through(built("cde"), rollouts)
    assert len(seen.mask) == len(KEYS)
    for row in data["advantages"].unbind()[len(KEYS) :]:
        assert row.tolist() == [0.0]
    assert data["entrostat_group_ids"][len(KEYS) :].tolist() == [-1, -1]


def test_what_was_measured_is_not_sent_twice(rollouts: Any) -> None:
    _, data = through(built("ucas"), rollouts)
    assert "entrostat_old_entropy" in data
    assert not {f"entrostat_{name}" for name in MEASURES} & set(data.keys())


def test_a_law_on_fresh_rollouts_moves_before_the_first_update(rollouts: Any) -> None:
    recipe = recipes.stare(target=2.0, adaptive=True)  # the entropies are below 1: the weight rises by one step
    _, data = through(recipe, rollouts)
    assert data["entrostat_coef"] == pytest.approx(0.1 + 0.01)


def test_responses_in_parts_are_refused_where_whole_ones_are_compared() -> None:
    from entrostat.integrations.verl._refusals import refuse_parts

    keys = ["uid_0_0", "uid_0_1", "uid_1_0"]
    with pytest.raises(ValueError, match=r"session uid_0 answered in 2 parts\. Use an agent loop"):
        refuse_parts(keys, built("cde"))
    refuse_parts(keys, built("clip_cov"))


def test_draws_are_those_of_the_step(rollouts: Any) -> None:
    """A run resumed at this step drops the same tokens; whatever torch's own generator is at."""
    recipe = recipes.clip_cov(share=0.3, low=-9.0, high=9.0)
    from entrostat.integrations.verl import Driver
    from entrostat.integrations.verl._rollouts import read

    seen = read(rollouts, recipe, ACTOR, TEMPERATURE)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = Driver(recipe, total_steps=10).see(seen, 3).advantages
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(Driver(recipe, total_steps=10).see(seen, 3).advantages, first)
    assert not torch.equal(Driver(recipe, total_steps=10).see(seen, 4).advantages, first)


def written_out(recipe: Recipe, coef: float) -> float:
    """Return the loss of one mini-batch: PPO's with verl's dual clip, and the terms, on what the edits left."""
    batch = by_hand(recipe, step=3, total_steps=10, coef=coef)
    torch.manual_seed(3)
    for edit in recipe.rollout_edits:
        batch = edit(batch)
    same = torch.full_like(batch.entropy, 0.4)
    batch = batch.replace(logprobs=torch.full_like(same, -1), entropy=same, clamped_entropy=same, kept_mass=same)
    for edit in recipe.edits:
        batch = edit(batch)
    ratio, advantages = (batch.logprobs - batch.old_logprobs).exp(), batch.advantages
    gain = torch.minimum(ratio * advantages, ratio.clamp(1 - batch.clip_low, 1 + batch.clip_high) * advantages)
    loss = -torch.where(advantages < 0, torch.maximum(gain, 3.0 * advantages), gain)
    loss = sum((term(batch, coef) for term in recipe.terms), loss)
    return float((loss * batch.mask).sum() / batch.mask.sum())


@pytest.mark.parametrize("name", ["aer", "kl_cov", "erc", "stare", "rent"])
def test_a_workers_loss_reads_what_the_driver_kept(name: str, rollouts: Any) -> None:
    from verl.utils import tensordict_utils as tu
    from verl.workers.config import FSDPActorConfig

    from entrostat.integrations.verl import EntropyLoss
    from entrostat.integrations.verl._batch import STATISTICS

    recipe = built(name)
    _, data = through(recipe, rollouts)
    loss = EntropyLoss(
        config=FSDPActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=2), recipe=recipe
    )
    tokens = int(sum(row.sum() for row in held()["mask"]))
    tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=tokens, global_batch_size=len(data))
    (part,) = tu.make_iterator(data, mini_batch_size=len(data), epochs=1, seed=0, dataloader_kwargs={"shuffle": False})
    sizes = (part["prompts"].offsets().diff() + part["responses"].offsets().diff()).tolist()
    engine = {key: jagged([torch.full((n,), 0.4) for n in sizes]) for key in STATISTICS.values()}
    engine["log_probs"] = jagged([torch.full((n,), -1.0) for n in sizes])
    assert float(loss(engine, part)[0]) == pytest.approx(written_out(recipe, data["entrostat_coef"]), rel=1e-5)


def test_rollouts_that_nobody_edited_stop_the_loss() -> None:
    from verl.workers.config import FSDPActorConfig

    from entrostat.integrations.verl import Driver, EntropyLoss
    from entrostat.integrations.verl._batch import STATISTICS

    config = FSDPActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=2)
    recipe, unseen = built("aer"), Driver(built("aer"), total_steps=10).facts(3)
    for sent in ({}, unseen):
        with pytest.raises(RuntimeError, match="another trainer than entrostat_sync"):
            EntropyLoss(config=config, recipe=recipe)(dict.fromkeys(STATISTICS.values()), sent)
