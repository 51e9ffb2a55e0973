"""A training loop of your own in plain PyTorch, with a recipe at work and a monitor beside it, then diagnosed.

    python examples/own_loop.py

No trainer: sample, score, one clipped policy-gradient step on group advantages. entrostat gives `Control`, which
measures, edits, adds the recipe's terms and moves its coefficient, and the record that `entrostat diagnose` and
`entrostat report` read. Another recipe is another line; nothing else changes.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

import entrostat as es
from entrostat import cli
from entrostat.tasks import countdown, warm_start_path

PROMPTS, GROUP, LONGEST = 32, 8, 12
RECIPE = es.recipes.aent(keep=31, low="60%", high="85%", initial=0.02, rate=0.03, floor=0.0, ceiling=0.2, warmup=10)


def rollouts(model: Any, tokenizer: Any, problems: list[countdown.Problem]) -> tuple[Tensor, Tensor, Tensor]:
    """Sample a group of answers per problem; return tokens, their mask, and one reward each."""
    prompts = [countdown.prompt(problem) for problem in problems for _ in range(GROUP)]
    asked = tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt")
    with torch.no_grad():
        tokens = model.generate(**asked, max_new_tokens=LONGEST, do_sample=True, temperature=1.0, top_k=0)
    answers = tokens[:, asked["input_ids"].shape[1] :]
    ended = answers == tokenizer.eos_token_id
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    mask[:, -answers.shape[1] :] = (ended.cumsum(1) - ended.long()) == 0  # up to and with the end token
    texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
    scores = [countdown.score(problems[n // GROUP], text) for n, text in enumerate(texts)]
    return tokens, mask, torch.tensor(scores)


def advantages(rewards: Tensor) -> Tensor:
    """Compare each answer with its group: GRPO's advantage."""
    groups = rewards.view(-1, GROUP)
    return ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)).flatten()


def forward(model: Any, tokens: Tensor, padding: int) -> tuple[Tensor, Tensor]:
    """Return logits `[B, T-1, V]` and the tokens that they are the distributions of."""
    attention = (tokens != padding).long()
    return model(input_ids=tokens, attention_mask=attention).logits[:, :-1], tokens[:, 1:]


def train(steps: int, directory: str) -> None:
    """Train the embedded model, and write records."""
    torch.manual_seed(0)
    choose = random.Random(0)
    model = AutoModelForCausalLM.from_pretrained(warm_start_path())
    tokenizer = AutoTokenizer.from_pretrained(warm_start_path())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)
    control = es.Control(RECIPE, total_steps=steps)
    with es.monitor(directory, top_k=31) as monitor:
        for step in range(1, steps + 1):
            problems = choose.sample(countdown.load("train"), PROMPTS)
            tokens, mask, rewards = rollouts(model, tokenizer, problems)
            logits, targets = forward(model, tokens, tokenizer.pad_token_id)
            count, mask = int(mask.sum()), mask[:, 1:]

            # One update per rollout batch: the fresh rollouts are the step's only micro-batch.
            stats = control.stats(logits, targets)
            groups = torch.arange(len(tokens)) // GROUP
            batch = es.TokenBatch.of(stats, mask, advantages=advantages(rewards), rewards=rewards, group_ids=groups)
            edited, bonus = control.micro_batch(control.fresh(batch))
            surrogate = es.losses.clipped_surrogate(
                edited.logprobs, edited.old_logprobs, edited.advantages,
                clip_low=edited.clip_low, clip_high=edited.clip_high,
            )  # fmt: skip
            loss = es.losses.token_mean(surrogate.loss, mask, num_tokens=count) + bonus
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

            monitor.observe(logits, targets, mask)
            means = control.close_step()  # the coefficient moves, once per optimizer step
            monitor.step(reward=float(rewards.mean()), coef=means["coef"])
            if step % max(1, steps // 8) == 0:
                print(f"step {step:4}  entropy {means['entropy']:.3f}  coef {means['coef']:.4f}")


def main() -> None:
    """Train, then let `entrostat diagnose` read what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=80, help="optimizer steps")
    steps = parser.parse_args().steps
    started = time.perf_counter()
    disable_progress_bar()
    directory = tempfile.mkdtemp(prefix="own-loop-")
    train(steps, directory)
    print(f"{time.perf_counter() - started:.0f} seconds, {time.process_time():.0f} of them on a processor")
    print(f"\n$ entrostat diagnose {directory}", flush=True)
    sys.argv = ["entrostat", "diagnose", directory]
    cli.main()


if __name__ == "__main__":
    main()
