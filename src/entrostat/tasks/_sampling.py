"""Completions of many prompts from any causal language model, without disturbing a training run around it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch

from entrostat.errors import require, require_count, require_finite

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    samples: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int,
    batch_size: int = 1024,
) -> list[list[str]]:
    """Sample completions from the model's own distribution at a temperature, with no top-k and no top-p.

    Sampling defaults that a checkpoint brings along (top-k, repetition penalty, ...) are set aside, since they
    would hide what the policy does. The global random state, train/eval mode and the model's settings are as
    before afterwards, so that evaluating in the middle of a run does not change the run.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer, with a padding and an end token.
        prompts: Texts to complete.
        samples: Completions of each prompt.
        max_new_tokens: Longest completion, in tokens.
        temperature: Divides the logits; 0 decodes greedily.
        seed: Seed of the sampling. The same seed and batch size give the same completions.
        batch_size: Completions generated at a time.

    Returns:
        For each prompt its completions, special tokens removed.

    Raises:
        TypeError: If a count is not an integer, or `temperature` is not a number.
        ValueError: If a count is below 1, or `temperature` is negative or not finite.

    Example:
        >>> from transformers import AutoModelForCausalLM, AutoTokenizer
        >>> from entrostat.tasks import warm_start_path
        >>> model = AutoModelForCausalLM.from_pretrained(warm_start_path())
        >>> tokenizer = AutoTokenizer.from_pretrained(warm_start_path())
        >>> sample(model, tokenizer, ["<bos> 4 7 9 > 20 :"], samples=1, max_new_tokens=12, temperature=0, seed=0)
        [['9 + 4 = 13 ; 13 + 7 = 20']]
    """
    require_count("samples", samples, least=1)
    require_count("max_new_tokens", max_new_tokens, least=1)
    require_count("batch_size", batch_size, least=1)
    require(require_finite("temperature", temperature) >= 0, "temperature", "be at least 0", temperature)
    queue = [prompt for prompt in prompts for _ in range(samples)]
    completions: list[str] = []
    with _undisturbed(model, _plain(model, tokenizer, max_new_tokens, temperature)), _own_randomness(model, seed):
        for start in range(0, len(queue), batch_size):
            completions += _complete(model, tokenizer, queue[start : start + batch_size])
    return [completions[start : start + samples] for start in range(0, len(queue), samples)]


class Drawn(NamedTuple):
    """Completions as tokens, prompts on their left."""

    ids: torch.Tensor
    """`[N, L]` prompt, completion, padding on both sides."""
    attention: torch.Tensor
    """`[N, L]` 1 where a token is real."""
    response: torch.Tensor
    """`[N, L]` True at the tokens that were drawn, the end token included."""


@torch.no_grad()
def draw(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int,
) -> Drawn:
    """Sample one completion of each prompt, as `sample` does, and return the tokens themselves."""
    settings = _plain(model, tokenizer, max_new_tokens, temperature)
    with _undisturbed(model, settings), _own_randomness(model, seed):
        encoded = tokenizer(list(prompts), padding=True, padding_side="left", return_tensors="pt").to(model.device)
        ids: torch.Tensor = model.generate(**encoded)  # pyright: ignore[reportCallIssue] its decorator is untyped
    width = encoded["input_ids"].shape[1]
    ends = (
        torch.tensor(settings.eos_token_id, device=ids.device).reshape(-1)
        if settings.eos_token_id is not None
        else None
    )
    ended = torch.zeros_like(ids[:, width:]) if ends is None else torch.isin(ids[:, width:], ends).long()
    drawn = ended.cumsum(1) - ended == 0
    response = torch.cat([torch.zeros_like(encoded["input_ids"], dtype=torch.bool), drawn], dim=1)
    attention = torch.cat([encoded["attention_mask"], drawn.to(encoded["attention_mask"].dtype)], dim=1)
    return Drawn(ids, attention, response)


@torch.no_grad()
def _complete(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> list[str]:
    encoded = tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt").to(model.device)
    ids: torch.Tensor = model.generate(**encoded)  # pyright: ignore[reportCallIssue] its decorator is untyped
    return tokenizer.batch_decode(ids[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)


def _plain(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int, temperature: float
) -> GenerationConfig:
    """Build settings that keep the model's end tokens and nothing else of its defaults."""
    from transformers import GenerationConfig

    ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature > 0,
        temperature=temperature if temperature > 0 else None,
        top_k=0 if temperature > 0 else None,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id if ends is None else ends,
    )


@contextmanager
def _undisturbed(model: PreTrainedModel, settings: GenerationConfig) -> Generator[None]:
    """Evaluation mode and `settings` inside; outside, everything as it was."""
    before, training = model.generation_config, model.training
    model.generation_config = settings
    model.eval()
    try:
        yield
    finally:
        model.generation_config = before
        model.train(training)


@contextmanager
def _own_randomness(model: PreTrainedModel, seed: int) -> Generator[None]:
    """Seed inside; outside, the random state as it was, on the CPU and on the model's CUDA device if it has one.

    `torch.manual_seed` would seed every CUDA device, also those not put back here.
    """
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
