"""Sampling draws from the model's own distribution and leaves no trace."""

from __future__ import annotations

import pytest
import torch

from entrostat.tasks import countdown, sample, warm_start_path

transformers = pytest.importorskip("transformers", reason="transformers (the run extra) is not installed")

PROMPTS = [countdown.prompt(problem) for problem in countdown.load("validation")[:3]]


@pytest.fixture
def model():
    return transformers.AutoModelForCausalLM.from_pretrained(warm_start_path())


@pytest.fixture(scope="module")
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(warm_start_path())


def test_completions_come_in_the_order_of_the_prompts(model, tokenizer) -> None:
    # Prompts of unlike length, so that padding matters; greedy, so that each can be checked alone.
    prompts = ["<bos> 4 7 9 > 20 :", "<bos> 1 2 > 3 :", "<bos> 10 > 10 :"]
    together = sample(model, tokenizer, prompts, samples=2, max_new_tokens=12, temperature=0, seed=0)
    alone = sample(model, tokenizer, prompts, samples=2, max_new_tokens=12, temperature=0, seed=0, batch_size=1)
    assert together == alone
    assert [len(completions) for completions in together] == [2, 2, 2]
    for prompt, (one, other) in zip(prompts, together, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")
        greedy = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids["input_ids"].shape[1] :]
        assert one == other == tokenizer.decode(greedy, skip_special_tokens=True)


def test_a_seed_fixes_the_completions(model, tokenizer) -> None:
    def draw(seed: int) -> list[list[str]]:
        return sample(model, tokenizer, PROMPTS, samples=8, max_new_tokens=12, seed=seed)

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_frequencies_are_the_models_probabilities(model, tokenizer, temperature: float) -> None:
    count = 4000
    settings = {"samples": count, "max_new_tokens": 1, "temperature": temperature, "seed": 0}
    (words,) = sample(model, tokenizer, PROMPTS[:1], **settings)
    with torch.no_grad():
        logits = model(**tokenizer(PROMPTS[0], return_tensors="pt")).logits[0, -1]
    expected = (logits / temperature).softmax(-1)
    ids = tokenizer.convert_tokens_to_ids([word or "<pad>" for word in words])  # a special token decodes to ""
    drawn = torch.bincount(torch.tensor(ids), minlength=1024)
    # The standard deviation of a share is sqrt(p (1 - p) / count); five of them, over the likely words.
    likely = expected > 1e-3
    likely[tokenizer.all_special_ids] = False
    deviation = (drawn / count - expected).abs() / (expected * (1 - expected) / count).sqrt()
    assert likely.sum() >= 3
    assert deviation[likely].max() < 5


def test_sampling_defaults_of_the_checkpoint_are_set_aside(model, tokenizer) -> None:
    plain = sample(model, tokenizer, PROMPTS, samples=8, max_new_tokens=12, seed=0)
    model.generation_config.update(do_sample=True, top_k=1, top_p=0.1, repetition_penalty=5.0, min_p=0.5)
    assert sample(model, tokenizer, PROMPTS, samples=8, max_new_tokens=12, seed=0) == plain
    assert model.generation_config.top_k == 1


def test_an_end_token_of_the_checkpoint_is_kept(model, tokenizer) -> None:
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.get_vocab()["="]]
    (texts,) = sample(model, tokenizer, PROMPTS[:1], samples=4, max_new_tokens=12, seed=0)
    assert {len(text.split()) for text in texts} == {4}


@pytest.mark.parametrize("training", [True, False])
def test_nothing_around_it_changes(model, tokenizer, training: bool) -> None:
    model.train(training)
    settings, state = model.generation_config, torch.get_rng_state()
    sample(model, tokenizer, PROMPTS, samples=2, max_new_tokens=12, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training is training
    assert model.generation_config is settings
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_nothing_around_it_changes_when_it_fails(model, tokenizer) -> None:
    settings, state = model.generation_config, torch.get_rng_state()
    model.train()
    with pytest.raises(Exception, match="WordLevel error"):
        sample(model, tokenizer, ["not a prompt"], samples=1, max_new_tokens=1, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert model.generation_config is settings


def test_no_prompts_give_no_completions(model, tokenizer) -> None:
    assert sample(model, tokenizer, [], samples=4, max_new_tokens=12, seed=0) == []


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("samples", 0, ValueError),
        ("max_new_tokens", 0, ValueError),
        ("batch_size", 0, ValueError),
        ("samples", 1.5, TypeError),
        ("temperature", -1.0, ValueError),
        ("temperature", float("nan"), ValueError),
    ],
)
def test_impossible_settings_are_rejected(model, tokenizer, setting: str, value: float, error: type) -> None:
    settings = {"samples": 1, "max_new_tokens": 1, "seed": 0, setting: value}
    with pytest.raises(error, match=f"`{setting}` must be"):
        sample(model, tokenizer, PROMPTS, **settings)
