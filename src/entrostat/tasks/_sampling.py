"""Completions of many prompts from any causal language model, without disturbing a training run, and pass@k of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

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
    would hide the policy's behaviour. The global random state, train/eval mode and the model's settings are as
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
    with _undisturbed(model, _plain(model, tokenizer, max_new_tokens, temperature), seed):
        for start in range(0, len(queue), batch_size):
            encoded, ids = _generate(model, tokenizer, queue[start : start + batch_size])
            answers = ids[:, encoded["input_ids"].shape[1] :]
            completions += tokenizer.batch_decode(answers, skip_special_tokens=True)
    return [completions[start : start + samples] for start in range(0, len(queue), samples)]


class Drawn(NamedTuple):
    """Completions as tokens, prompts on their left."""

    ids: torch.Tensor
    """`[N, L]` prompt, completion, padding on both sides."""
    attention: torch.Tensor
    """`[N, L]` 1 where a token is real."""
    response: torch.Tensor
    """`[N, L]` True at the tokens that were drawn, the end token included."""


def draw(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int,
) -> Drawn:
    """Sample one completion of each prompt, as `sample` does, and return the tokens themselves.

    Example:
        >>> from transformers import AutoModelForCausalLM, AutoTokenizer
        >>> from entrostat.tasks import warm_start_path
        >>> model = AutoModelForCausalLM.from_pretrained(warm_start_path())
        >>> tokenizer = AutoTokenizer.from_pretrained(warm_start_path())
        >>> drawn = draw(model, tokenizer, ["<bos> 4 7 9 > 20 :"], max_new_tokens=12, temperature=0, seed=0)
        >>> tokenizer.decode(drawn.ids[drawn.response])
        '9 + 4 = 13 ; 13 + 7 = 20 <eos>'
    """
    settings = _plain(model, tokenizer, max_new_tokens, temperature)
    with _undisturbed(model, settings, seed):
        encoded, ids = _generate(model, tokenizer, prompts)
    width = encoded["input_ids"].shape[1]
    answers = ids[:, width:]
    ended = torch.zeros_like(answers)
    if settings.eos_token_id is not None:
        ended = torch.isin(answers, torch.tensor(settings.eos_token_id, device=ids.device)).long()
    drawn = ended.cumsum(1) - ended == 0
    response = torch.cat([torch.zeros_like(ids[:, :width], dtype=torch.bool), drawn], dim=1)
    attention = torch.cat([encoded["attention_mask"], drawn.to(encoded["attention_mask"].dtype)], dim=1)
    return Drawn(ids, attention, response)


@torch.no_grad()
def _generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]
) -> tuple[Any, torch.Tensor]:
    """Return the prompts as the tokenizer encodes them, padded on the left, and `[N, L]` tokens: prompt, completion."""
    encoded = tokenizer(list(prompts), padding=True, padding_side="left", return_tensors="pt").to(model.device)
    return encoded, model.generate(**encoded)  # pyright: ignore[reportCallIssue] its decorator is untyped


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
def _undisturbed(model: PreTrainedModel, settings: GenerationConfig, seed: int) -> Generator[None]:
    """Evaluation mode, `settings` and a seeded generator inside; afterwards everything is as it was."""
    before, training = model.generation_config, model.training
    model.generation_config = settings
    model.eval()
    # `torch.manual_seed` would seed every CUDA device, also those whose state is not restored here.
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            torch.default_generator.manual_seed(seed)
            for device in devices:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            yield
    finally:
        model.generation_config = before
        model.train(training)


class PassAtK(NamedTuple):
    """The mean of pass@k over problems and the standard error of that mean (NaN for a single problem)."""

    mean: float
    stderr: float


def pass_at_k(correct: Iterable[int], *, samples: int, k: int) -> PassAtK:
    """Estimate pass@k, the chance that at least one of k answers is right, averaged over problems.

        pass@k = 1 - C(n - c, k) / C(n, k)          c right answers among n >= k

    This is unbiased: it is the chance that k answers drawn without replacement are not all wrong. The naive
    1 - (1 - c/n)^k draws with replacement and is too low.

    Args:
        correct: For each problem, how many of its answers were right.
        samples: How many answers each problem got, n.
        k: How many answers one may try, at most `samples`.

    Returns:
        The mean over problems and its standard error. The error estimates how far another set of problems might have
        moved the mean; it does not cover another training run.

    Raises:
        TypeError: If a count is not an integer.
        ValueError: If `k` exceeds `samples`, a count lies outside 0..samples, or there are no problems.

    Reference:
        Chen et al. (2021), "Evaluating Large Language Models Trained on Code", equation 1. arXiv:2107.03374.

    Example:
        >>> estimate = pass_at_k([0, 2, 4], samples=4, k=2)
        >>> f"{estimate.mean:.3f} +- {estimate.stderr:.3f}"
        '0.611 +- 0.309'
    """
    require_count("samples", samples, least=1)
    require_count("k", k, least=1)
    require(k <= samples, "k", f"be at most samples={samples}", k, "Draw more samples for a larger k.")
    counts = list(correct)
    require(len(counts) > 0, "correct", "hold at least one problem", counts)
    for c in counts:
        require_count("correct", c)
        require(c <= samples, "correct", f"be at most samples={samples}", c)
    by_count = {c: 1 - math.comb(samples - c, k) / math.comb(samples, k) for c in set(counts)}
    values = [by_count[c] for c in counts]
    stderr = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return PassAtK(statistics.fmean(values), stderr)
