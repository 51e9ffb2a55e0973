from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat.observe.calibrate._measure import Rows, measure, prefixes, push
from entrostat.ops import token_stats
from entrostat.tasks import Drawn

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def policy() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, tie_word_embeddings=True,
        )
    ).double().eval()  # fmt: skip


def drawn() -> Drawn:
    torch.manual_seed(1)
    ids = torch.randint(40, (6, 9))
    response = torch.zeros(6, 9, dtype=torch.bool)
    for row in range(6):
        response[row, 4 : 6 + row % 3] = True
    attention = torch.ones(6, 9, dtype=torch.long)
    attention[0, :2] = 0  # a shorter prompt, padded on the left
    return Drawn(ids, attention, response)


@pytest.mark.parametrize("setting", [{"clamp": 0.33}, {"clamp": 0.9}, {"top_k": 4}, {"top_p": 0.9}])
def test_one_sort_answers_as_the_kernels_do(policy: Any, setting: dict[str, float]) -> None:
    rows = Rows(policy, drawn(), temperature=0.7, size=4)
    found = measure(rows)
    logits = torch.cat([rows.logits(part)[0] for part in rows.parts()]).detach()
    stats = token_stats(logits, torch.zeros(len(logits), dtype=torch.long), **setting)  # pyright: ignore[reportArgumentType]
    ((name, size),) = setting.items()
    kept = {"clamp": found.by_share, "top_k": found.by_count, "top_p": found.by_mass}[name][size]  # pyright: ignore
    assert kept.mass == pytest.approx(float(stats.kept_mass.mean()), rel=1e-10)
    assert kept.entropy == pytest.approx(float(stats.clamped_entropy.mean()), rel=1e-10)
    assert sum(found.entropies) / len(found.entropies) == pytest.approx(float(stats.entropy.mean()), rel=1e-10)


def test_banned_tokens_and_certain_ones_are_no_trouble() -> None:
    mass, entropy = prefixes(torch.tensor([[0.0, float("-inf"), 0.0, float("-inf")], [0.0, -800.0, -900.0, -950.0]]))
    assert mass[:, -1].tolist() == [1.0, 1.0]
    assert entropy[0].tolist() == pytest.approx([0.0, 0.6931, 0.6931, 0.6931], abs=1e-4)
    assert entropy[1].tolist() == [0.0] * 4


def gradients(policy: Any, advantages: Tensor, parameters: list[Tensor]) -> Iterator[float]:
    batch = drawn()
    places = (batch.attention.cumsum(1) - 1).clamp(min=0)
    logits = (
        policy(input_ids=batch.ids, attention_mask=batch.attention, position_ids=places).logits[:, :-1].log_softmax(-1)
    )
    mask = batch.response[:, 1:].double()
    said = logits.gather(-1, batch.ids[:, 1:, None])[..., 0]
    entropy = -(logits.exp() * logits).sum(-1)
    for values in (advantages[:, None] * said, entropy):
        grads = torch.autograd.grad((values * mask).sum() / mask.sum(), parameters, retain_graph=True)
        yield sum(float(grad.square().sum()) for grad in grads) ** 0.5


@pytest.mark.parametrize("size", [1, 4, 6])
def test_both_norms_are_those_of_the_whole_batch(policy: Any, size: int) -> None:
    advantages = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 0.5], dtype=torch.float64)
    wanted = list(gradients(policy, advantages, list(policy.parameters())))
    rows = Rows(policy, drawn(), temperature=1.0, size=size)
    found = push(rows, advantages, through="model", signed=False)
    assert [found.policy, found.bonus] == pytest.approx(wanted, rel=1e-9)
    assert found.share(found.coef(0.05)) == pytest.approx(0.05)


def test_the_head_alone_is_meant_even_where_it_is_tied(policy: Any) -> None:
    rows = Rows(policy, drawn(), temperature=1.0, size=4)
    advantages = torch.ones(6, dtype=torch.float64)
    before = [parameter.requires_grad for parameter in policy.parameters()]
    found = push(rows, advantages, through="head", signed=True)
    with torch.no_grad():
        batch = drawn()
        places = (batch.attention.cumsum(1) - 1).clamp(min=0)
        states = policy.model(
            input_ids=batch.ids, attention_mask=batch.attention, position_ids=places
        ).last_hidden_state
    weight = policy.lm_head.weight.detach().clone().requires_grad_()
    logits = (states[:, :-1] @ weight.T).log_softmax(-1)
    mask = batch.response[:, 1:].double()
    said = (logits.gather(-1, batch.ids[:, 1:, None])[..., 0] * mask).sum() / mask.sum()
    (grad,) = torch.autograd.grad(said, [weight])
    assert found.policy == pytest.approx(float(grad.norm()), rel=1e-9)
    assert [parameter.requires_grad for parameter in policy.parameters()] == before
    assert all(parameter.grad is None for parameter in policy.parameters())
