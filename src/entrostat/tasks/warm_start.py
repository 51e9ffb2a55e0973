"""Train the embedded small language model: ``python -m entrostat.tasks.warm_start --out DIR``.

A Llama of two layers and 0.24 M parameters learns countdown's format from demonstrations (see
`_embedded.py`; no held-out problem is among them) in about two minutes on one core. It writes an
ordinary ``save_pretrained`` directory, plus ``warm_start.json`` with the settings and the figures measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from entrostat.errors import require_count
from entrostat.tasks._embedded import Demonstration, build_tokenizer, demonstrations, useless_token_ids
from entrostat.tasks._sampling import pass_at_k, sample
from entrostat.tasks.countdown import Split, load, prompt, score

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

# The same settings give the same weights bit for bit on one machine with one thread. Elsewhere floating point rounds
# differently and the weights drift, but not their behaviour: with other CPU kernels the loss on unseen demonstrations
# moved by 0.0003 nats, entropy by 0.003, pass@1 by 0.004 and pass@16 by 0.016.

MAX_NEW_TOKENS: Final = 12  # two steps of five words, ";" and <eos>
_PROMPT_WORDS: Final = 7  # <bos>, three numbers, ">", the target, ":"
_REPORTED: Final[tuple[Split, ...]] = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """Settings of the warm start.

    Args:
        steps: Optimizer steps.
        batch_size: Demonstrations in a step.
        lr: Peak learning rate.
        warmup: Steps of linear warm-up to the peak; a cosine to zero follows.
        max_norm: Gradients are clipped to this norm.
        seed: Seed of the initial weights and of the demonstrations.

    Raises:
        TypeError: If a count is not an integer.
        ValueError: If a count is below 1.
    """

    steps: int = 1200
    batch_size: int = 128
    lr: float = 3e-3
    warmup: int = 50
    max_norm: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        require_count("steps", self.steps, least=1)
        require_count("batch_size", self.batch_size, least=1)
        require_count("warmup", self.warmup, least=1)


def build_model(tokenizer: PreTrainedTokenizerBase, *, seed: int) -> LlamaForCausalLM:
    """Build the untrained model: 64 wide, 2 layers, 4 heads, embeddings untied, positions up to 64."""
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = tokenizer.get_vocab()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=vocabulary["<pad>"],
        bos_token_id=vocabulary["<bos>"],
        eos_token_id=vocabulary["<eos>"],
    )
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        return LlamaForCausalLM(config)


def train(settings: WarmStart) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """Train the model on demonstrations; return it with its tokenizer."""
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed=settings.seed)
    fit(model, tokenizer, settings)
    return model.eval(), tokenizer


def fit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: WarmStart) -> None:
    """Train any model of this tokenizer on demonstrations; held-out problems are excluded."""
    held_out = {problem.key for split in ("validation", "test") for problem in load(split)}
    stream = demonstrations(settings.seed, without=held_out)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr)

    def lr_factor(step: int) -> float:
        # A linear warm-up, times a cosine to zero.
        return min(1.0, (step + 1) / settings.warmup) * 0.5 * (1 + math.cos(math.pi * step / settings.steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_factor)
    model.train()
    for _ in range(settings.steps):
        loss = demonstration_loss(model, tokenizer, itertools.islice(stream, settings.batch_size))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_norm)
        optimizer.step()
        schedule.step()


def demonstration_loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Iterable[Demonstration]
) -> torch.Tensor:
    """Cross-entropy of the responses, <eos> included, given the prompts; nats per token."""
    vocabulary = tokenizer.get_vocab()
    rows: list[list[int]] = []
    for demonstration in batch:
        words = f"{prompt(demonstration.problem)} {demonstration.response} <eos>".split()
        rows.append([vocabulary[word] for word in words])
    # Every prompt has 7 words and every response 12, so the rows are of one length: nothing to pad.
    ids = torch.tensor(rows, device=model.device)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=MAX_NEW_TOKENS + 1).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), ids[:, -MAX_NEW_TOKENS:].flatten())


def measure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, split: Split, *, samples: int = 16, seed: int = 0
) -> dict[str, float]:
    """Measure pass@k on a split at temperature 1, and the policy's character along its own completions.

    Returns:
        ``pass@k`` for those k of 1, 4, 8, 16 that `samples` allows; ``entropy`` in nats per token;
        ``useless_mass``, the probability of the tokens no correct answer contains, per token.
    """
    problems = load(split)
    prompts = [prompt(problem) for problem in problems]
    completions = sample(model, tokenizer, prompts, samples=samples, max_new_tokens=MAX_NEW_TOKENS, seed=seed)
    correct = [
        sum(score(problem, text) == 1.0 for text in texts) for problem, texts in zip(problems, completions, strict=True)
    ]
    figures = {f"pass@{k}": pass_at_k(correct, samples=samples, k=k).mean for k in (1, 4, 8, 16) if k <= samples}
    texts = [f"{asked} {text} <eos>" for asked, texts in zip(prompts, completions, strict=True) for text in texts]
    return figures | _character(model, tokenizer, texts)


@torch.no_grad()
def _character(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> dict[str, float]:
    """Entropy and mass on useless tokens, averaged over all tokens after the prompts."""
    encoded = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt").to(model.device)
    after_prompt = encoded["attention_mask"][:, _PROMPT_WORDS:].bool()
    logprobs = model(**encoded, use_cache=False).logits[:, _PROMPT_WORDS - 1 : -1][after_prompt].log_softmax(-1)
    probabilities = logprobs.exp()
    return {
        "entropy": float(-(probabilities * logprobs).sum(-1).mean()),
        "useless_mass": float(probabilities[:, useless_token_ids(tokenizer)].sum(-1).mean()),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train the embedded small language model.")
    parser.add_argument("--out", type=Path, required=True, help="the directory to write")
    parser.add_argument("--steps", type=int, default=WarmStart.steps, help="optimizer steps (%(default)s)")
    parser.add_argument("--seed", type=int, default=WarmStart.seed, help="random seed (%(default)s)")
    arguments = parser.parse_args()
    # Sums in another order round differently: one thread makes the result repeatable, and is no slower here.
    torch.set_num_threads(1)
    settings = WarmStart(steps=arguments.steps, seed=arguments.seed)
    started = time.process_time()
    model, tokenizer = train(settings)
    print(f"trained in {time.process_time() - started:.0f} CPU-seconds")
    save(arguments.out, model, tokenizer, settings)


def save(directory: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: WarmStart) -> None:
    """Write model, tokenizer and ``warm_start.json``; print the figures measured."""
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    figures = {split: measure(model, tokenizer, split) for split in _REPORTED}
    record = json.dumps({"settings": asdict(settings), "figures": figures}, indent=2)
    (directory / "warm_start.json").write_text(record + "\n", encoding="utf-8", newline="\n")
    print(record)


if __name__ == "__main__":
    main()
