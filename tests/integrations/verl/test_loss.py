"""Our loss is verl's own on edited inputs, plus the terms; its metrics survive verl's aggregation."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from entrostat import recipes
from entrostat.integrations.host import clipped_loss, probe_batch
from entrostat.integrations.verl import _selfcheck
from entrostat.integrations.verl._loss import EntropyLoss
from entrostat.recipes import Recipe

MASK = torch.tensor([[1.0, 1, 1], [1, 1, 0]])
MODES = ["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]


def config(**settings: Any) -> Any:
    from verl.workers.config import FSDPActorConfig

    return FSDPActorConfig(**{"strategy": "fsdp", "rollout_n": 1, "ppo_micro_batch_size_per_gpu": 2} | settings)


def made_up(seed: int = 0) -> tuple[Any, Any, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logprobs = (-torch.rand(2, 3, generator=generator)).requires_grad_()
    entropy = torch.rand(2, 3, generator=generator).requires_grad_()
    return *_selfcheck.packed_batch(logprobs, entropy), logprobs, entropy


def with_coef(data: Any, coef: float) -> Any:
    from verl.utils import tensordict_utils as tu

    sent = {"entrostat_coef": coef, "entrostat_total_steps": 10, "entrostat_edited": True, "entrostat_vocab": 50}
    tu.assign_non_tensor(data, **sent)
    return data


def bonus() -> Recipe:
    return recipes.entropy_bonus(coef=0.3)


def test_verls_loss_on_edited_inputs_is_the_objective_written_out() -> None:
    _selfcheck.verify_host()
    batch = probe_batch()
    assert torch.allclose(_selfcheck.host_loss(), clipped_loss(batch).sum() / batch.mask.sum(), atol=1e-6)


def test_the_self_check_sees_a_loss_that_ignores_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from entrostat.integrations.verl import _loss

    monkeypatch.setattr(_loss, "edited", lambda before, after, config, data: (config, data))
    with pytest.raises(_selfcheck.UnsupportedHostError, match="on edited inputs"):
        _selfcheck.verify_host()


@pytest.mark.parametrize("mode", MODES)
def test_without_a_recipe_it_is_verls_loss(mode: str) -> None:
    from verl.workers.utils.losses import ppo_loss

    outputs, data, logprobs, _ = made_up()
    theirs, their_metrics = ppo_loss(config(loss_agg_mode=mode), outputs, data)
    ours, metrics = EntropyLoss(config=config(loss_agg_mode=mode), recipe=recipes.none())(outputs, data)
    assert torch.equal(ours, theirs)
    assert torch.equal(*(torch.autograd.grad(loss, logprobs, retain_graph=True)[0] for loss in (ours, theirs)))
    assert set(their_metrics) <= set(metrics)


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.feature(f"loss_agg_mode={mode}", "works")) for mode in MODES]
)
def test_a_bonus_is_the_mean_over_tokens_whatever_verl_averages(mode: str) -> None:
    outputs, data, _, entropy = made_up()
    plain, _ = EntropyLoss(config=config(loss_agg_mode=mode), recipe=recipes.none())(outputs, data)
    loss, metrics = EntropyLoss(config=config(loss_agg_mode=mode), recipe=bonus())(outputs, with_coef(data, 0.3))
    expected = -0.3 * (entropy * MASK).sum() / 5
    assert torch.allclose(loss - plain, expected, atol=1e-6)
    assert torch.allclose(torch.autograd.grad(loss, entropy)[0], -0.3 * MASK / 5, atol=1e-7)
    assert metrics["entrostat/sum/bonus"].aggregate() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_tokens_weight_is_the_one_verl_gives_it(mode: str) -> None:
    from verl.trainer.ppo.core_algos import agg_loss

    from entrostat.integrations.verl._batch import host_weight

    settings = config(loss_agg_mode=mode)
    values = torch.rand(2, 3)
    theirs = agg_loss(values, MASK.bool(), mode, dp_size=1, batch_num_tokens=11, global_batch_size=4)
    ours = (values * host_weight(settings, MASK, 11, 4) * MASK).sum() / 11
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_way_to_reduce_that_nobody_knows_is_rejected() -> None:
    from entrostat.integrations.verl._batch import host_weight

    with pytest.raises(ValueError, match=r"unknown loss_agg_mode 'brand-new'.*Known: seq-mean-token-mean"):
        host_weight(SimpleNamespace(loss_agg_mode="brand-new"), MASK, 11, 4)


@pytest.mark.feature("metrics through verl's reductions, over micro-batches and ranks", "works")
def test_sums_become_means_over_all_tokens_in_verls_aggregation() -> None:
    """Two ranks, two micro-batches each, as verl's worker and driver reduce them."""
    from verl.utils import tensordict_utils as tu
    from verl.utils.metric import Metric, reduce_metrics

    from entrostat.integrations.verl import Driver

    coef, ranks, total, tokens = 0.3, [], 0.0, 0.0
    for rank in range(2):
        per_rank: dict[str, Any] = {}
        for part in range(2):
            outputs, data, _, entropy = made_up(seed=2 * rank + part)
            tu.assign_non_tensor(data, dp_size=2, batch_num_tokens=20)
            _, metrics = EntropyLoss(config=config(), recipe=bonus())(outputs, with_coef(data, coef))
            total, tokens = total + (entropy * MASK).sum().item(), tokens + MASK.sum().item()
            for key, value in metrics.items():
                if isinstance(value, Metric):
                    per_rank.setdefault(key, value.init_list()).append(value)
        ranks.append(per_rank)
    joined = {f"actor/{key}": [Metric.aggregate_dp([rank[key] for rank in ranks])] for key in ranks[0]}
    metrics = reduce_metrics(joined)
    driver = Driver(bonus(), total_steps=3)
    driver.close(metrics)
    assert metrics["actor/entrostat/entropy"] == pytest.approx(total / tokens, rel=1e-6)
    assert metrics["actor/entrostat/bonus"] == pytest.approx(-coef * total / tokens, rel=1e-5)
    assert metrics["actor/entrostat/coef"] == 0.3
    assert not any("/sum/" in key for key in metrics)


def test_a_reference_model_is_read_where_verl_keeps_one() -> None:
    from entrostat.integrations.verl._batch import to_token_batch

    settings = config(use_kl_loss=True, kl_loss_coef=0.2)
    outputs, data, logprobs, _ = made_up()
    data["ref_log_prob"] = data["old_log_probs"]
    batch = to_token_batch(settings, outputs, with_coef(data, 0.1), None)
    assert torch.equal(batch.given("ref_logprobs") * MASK, (logprobs.detach() - 1) * MASK)
    assert batch.kl_coef == 0.2
    loss, _ = EntropyLoss(config=settings, recipe=recipes.adrpo())(outputs, data)
    assert torch.isfinite(torch.autograd.grad(loss, logprobs)[0]).all()


def test_it_leaves_verls_settings_and_data_as_they_were() -> None:
    settings, (outputs, data, _, _) = config(), made_up()
    before, advantages = copy.copy(settings.clip_ratio_high), data["advantages"]
    EntropyLoss(config=settings, recipe=recipes.clip_higher())(outputs, data)
    assert settings.clip_ratio_high == before
    assert data["advantages"] is advantages


def test_it_travels_to_a_worker() -> None:
    loss = EntropyLoss(config=config(), recipe=recipes.aent(low=0.1, high=0.2))
    assert pickle.loads(pickle.dumps(loss)).recipe == loss.recipe


def test_an_engine_without_our_outputs_is_named() -> None:
    outputs, data, _, _ = made_up()
    with pytest.raises(RuntimeError, match="VERL_ENGINE_VENDOR=entrostat"):
        EntropyLoss(config=config(), recipe=bonus())({"log_probs": outputs["log_probs"]}, data)


REFUSED = [
    ({"entropy_coeff": 0.1}, "entropy_coeff", "entropy_coeff"),
    ({"use_fused_kernels": True}, "use_fused_kernels", "use_fused_kernels"),
    ({"strategy": "megatron"}, "strategy", "engines other than FSDP"),
    ({"policy_loss": SimpleNamespace(loss_mode="gspo")}, "loss_mode", "edits beside a loss_mode other than vanilla"),
]


@pytest.mark.parametrize(
    ("settings", "name", "feature"),
    [pytest.param(*row, marks=pytest.mark.feature(row[-1], "rejected"), id=row[1]) for row in REFUSED],
)
def test_settings_that_would_undo_a_recipe_are_refused(
    settings: dict[str, Any], name: str, feature: str, record_property: Callable[[str, str], None]
) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must") as caught:
        EntropyLoss(config=config(**settings), recipe=recipes.clip_higher())
    record_property(feature, str(caught.value))


@pytest.mark.feature("recipes that compute", "works")
@pytest.mark.feature("the other recipes", "rejected")
def test_every_recipe_is_taken_or_refused_in_one_sentence(record_property: Callable[[str, str], None]) -> None:
    """Those that need what verl cannot give say what; the others compute a finite loss with a gradient."""
    taken, refused = [], dict[str, str]()
    for name in recipes.names():
        recipe = recipes.build(name, recipes.embedded(name).get("parameters", {}))
        try:
            loss = EntropyLoss(config=config(), recipe=recipe)
        except ValueError as error:
            refused[name] = str(error)
            continue
        outputs, data, logprobs, _ = made_up()
        data["entrostat_old_entropy"] = data["old_log_probs"].abs()
        value, _ = loss(outputs, with_coef(data, 0.1))
        assert torch.isfinite(value), name
        assert torch.isfinite(torch.autograd.grad(value, logprobs)[0]).all(), name
        taken.append(name)
    assert set(refused) == {"adrpo", "aepo"}  # a reference model; rollouts drawn again
    assert all(f"recipe {name!r}" in reason for name, reason in refused.items())
    record_property("recipes that compute", ", ".join(taken))
    record_property("the other recipes", ", ".join(refused))
