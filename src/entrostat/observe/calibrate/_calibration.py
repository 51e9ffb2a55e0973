"""Samples rollouts of a model, measures them, and proposes settings; the answer as plain values or as text."""

from __future__ import annotations

import csv
import dataclasses
import json
import statistics
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.observe.calibrate._measure import Measured, Push, Rows, Through, measure, push
from entrostat.observe.calibrate._propose import Proposal, clamp_count, propose
from entrostat.observe.files import read_text
from entrostat.observe.text import number, percent, visible
from entrostat.tasks import Drawn, countdown, draw, warm_start_path

# Index of the prompt and a completion -> reward.
Reward = Callable[[int, str], float]
# Parameters up to which gradients run through the whole model by default.
WHOLE = 300_000_000
# Logits held at a time, 128 MB in fp32.
_LOGITS = 1 << 25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """The measurements and the settings proposed from them."""

    model: str
    data: str
    responses: int
    tokens: int
    temperature: float
    reward: float | None
    """Mean reward; None without a reward."""
    entropy: float
    """Mean per token, nats."""
    measured: Measured
    push: Push
    """With the proposed clamp."""
    push_full: Push
    """With the full entropy as the bonus."""
    proposal: Proposal

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values; the tokens' entropies as their deciles."""
        found = dataclasses.asdict(self)
        found["measured"]["entropies"] = self.deciles()
        return found

    def deciles(self) -> list[float]:
        """Return the nine deciles of the tokens' entropies."""
        values = self.measured.entropies
        return statistics.quantiles(values, n=10) if len(values) > 1 else values * 9

    def as_text(self, width: int | None = 100) -> str:
        """Return all of it in words, ending with the recipe proposed.

        Args:
            width: most characters of a line of prose; None for lines as long as their sentences.
        """
        deciles, measured = self.deciles(), self.measured
        reward = "" if self.reward is None else f", mean reward {number(self.reward)}"
        head = (
            f"{visible(self.model, limit=200)} on {visible(self.data, limit=200)}: {self.responses} responses, "
            f"{self.tokens:,} tokens at temperature {self.temperature:g}{reward}."
        )
        entropy = (
            f"Entropy {number(self.entropy)} nats per token; a tenth of the tokens have less than "
            f"{number(deciles[0])}, half less than {number(deciles[4])}, a tenth more than {number(deciles[8])}."
        )
        clamps = [(f"drop {share:>6.1%} of the vocabulary", kept) for share, kept in measured.by_share.items()]
        clamps += [(f"keep {mass:>6.1%} of the probability", kept) for mass, kept in measured.by_mass.items()]
        rows = [
            f"  {clamp}: kept mass {percent(kept.mass)}, clamped entropy {number(kept.entropy)}"
            for clamp, kept in clamps
        ]
        head, entropy, *reasons = (
            text if width is None else textwrap.fill(text, width) for text in (head, entropy, *self.proposal.reasons)
        )
        return "\n".join([head, entropy, *rows, "", *reasons, "", self.proposal.python])


def calibrate(
    model: str | None = None,
    data: str | Path | None = None,
    *,
    prompts: int = 32,
    samples: int = 8,
    max_new_tokens: int | None = None,
    temperature: float = 1.0,
    through: Through | None = None,
    reward: Reward | None = None,
    seed: int = 0,
    progress: Callable[[str], object] = lambda _: None,
) -> Calibration:
    """Measure a model's entropy on its own rollouts and propose band, clamp and coefficient. Nothing is trained.

        share(coef) = coef |grad (1/N) sum Hk| / |grad (1/N) sum A log p|

    Args:
        model: directory or hub id of a causal language model; the embedded one without it.
        data: JSON lines or CSV with a column `prompt`, or a text with a prompt per line; the embedded task's prompts
            without it.
        prompts: how many prompts to sample, from the start of the file.
        samples: completions of each.
        max_new_tokens: longest completion; 12 for the embedded task, else 128.
        temperature: of the sampling.
        through: `model` or `head`: how far the gradients are taken. Without it, the whole model up to 300 million
            parameters, else the head.
        reward: judges a completion. Without it, and except for the embedded task, the advantages are random signs.
        seed: of the sampling.
        progress: called with the name of each stage as it begins.

    Returns:
        The calibration.

    Raises:
        ValueError: no model or no prompts there, or a setting out of range.
        ImportError: transformers is not installed.

    Reference:
        Shen, "On Entropy Control in LLM-RL Algorithms", arXiv 2509.03493, for the settings that are proposed.

    Example:
        >>> found = calibrate(prompts=4, samples=2)
        >>> found.responses, 0.1 < found.entropy < 0.9, found.proposal.low < found.proposal.high < found.entropy
        (8, True, True)
    """
    require_count("prompts", prompts, least=1)
    require_count("samples", samples, least=2)
    require(require_finite("temperature", temperature) > 0, "temperature", "be above 0", temperature)
    require(through in (None, "model", "head"), "through", "be 'model' or 'head'", through)
    embedded = data is None
    problems = countdown.load("train")[:prompts]
    asked = [countdown.prompt(one) for one in problems] if data is None else read_prompts(Path(data))[:prompts]
    length = require_count("max_new_tokens", max_new_tokens or (12 if embedded else 128), least=1)
    progress("loading the model")
    policy, tokenizer = _load(model)
    texts = [_text(tokenizer, prompt) for prompt in asked]
    try:
        tokenizer(texts)
    except Exception as error:  # a tokenizer without a token for the unknown raises a bare Exception
        raise ValueError(f"the model's tokenizer cannot read the prompts: {error}.") from None
    queue = [text for text in texts for _ in range(samples)]
    progress(f"sampling {len(queue)} responses")
    drawn = draw(policy, tokenizer, queue, max_new_tokens=length, temperature=temperature, seed=seed)

    def embedded_reward(index: int, text: str) -> float:
        return countdown.score(problems[index], text)

    judge = reward or (embedded_reward if embedded else None)
    rewards = None if judge is None else _rewards(tokenizer, drawn, samples, judge)
    size = max(1, _LOGITS // (drawn.ids.shape[1] * policy.get_output_embeddings().weight.shape[0]))
    rows = Rows(policy, drawn, temperature=temperature, size=size)
    progress("measuring entropy and clamps")
    measured = measure(rows)
    entropy = statistics.fmean(measured.entropies)
    require(entropy > 0, "model", "have some entropy left to calibrate", entropy)
    advantages, signed = _advantages(rewards, samples, len(queue), seed)
    chosen: Through = through or ("model" if sum(p.numel() for p in policy.parameters()) <= WHOLE else "head")
    progress("measuring gradients")
    full = push(rows, advantages, through=chosen, signed=signed)
    keep = clamp_count(measured)
    clamped = full if keep is None else push(rows, advantages, through=chosen, signed=signed, top_k=keep)
    return Calibration(
        model=model or "embedded warm start",
        data="embedded countdown prompts" if data is None else str(data),
        responses=len(queue),
        tokens=len(measured.entropies),
        temperature=temperature,
        reward=None if rewards is None else float(rewards.mean()),
        entropy=entropy,
        measured=measured,
        push=clamped,
        push_full=full,
        proposal=propose(measured, clamped, responses=len(queue), start=entropy),
    )


def _load(model: str | None) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError:
        raise ImportError("calibrating needs transformers: install entrostat with its `run` extra.") from None
    logging.disable_progress_bar()
    source = str(warm_start_path()) if model is None else model
    try:
        policy: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except Exception as error:
        # transformers has an exception of its own kind for nearly every way a directory can be damaged.
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"`model` must be a directory or hub id of a causal language model, got model={source!r}: {first}"
        ) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return policy.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _text(tokenizer: Any, prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    require(bool(tokenizer.chat_template), "data", "hold texts where the tokenizer has no chat template", "a chat")
    return tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)


def _rewards(tokenizer: Any, drawn: Drawn, samples: int, judge: Reward) -> Tensor:
    pairs = zip(drawn.ids, drawn.response, strict=True)
    texts: Sequence[str] = [tokenizer.decode(ids[said], skip_special_tokens=True) for ids, said in pairs]
    return torch.tensor([judge(i // samples, text) for i, text in enumerate(texts)], dtype=torch.float32)


def _advantages(rewards: Tensor | None, samples: int, count: int, seed: int) -> tuple[Tensor, bool]:
    """Return one advantage per response, as GRPO forms them, and whether they are random signs instead."""
    if rewards is not None:
        groups = rewards.view(-1, samples)
        advantages = (groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)
        if bool((advantages != 0).any()):
            return advantages.flatten(), False
    signs = torch.randint(2, (count,), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return signs.float(), True


def read_prompts(path: Path) -> list[Any]:
    """Return the prompts of a file: texts, or chats as lists of messages."""
    try:
        text = read_text(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if path.suffix.lower() == ".jsonl":
        found = [_json_prompt(line, f"{path}, line {number}") for number, line in lines]
    elif path.suffix.lower() == ".csv":
        found = _table_prompts(text, path)
    else:
        found = [line for _, line in lines]
    if not found:
        raise ValueError(f"{path} holds no prompt.")
    return found


def _json_prompt(line: str, place: str) -> Any:
    try:
        fields = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(f"{place}: not a JSON line.") from None
    value = fields.get("prompt") if isinstance(fields, dict) else None
    messages = isinstance(value, list) and value and all(isinstance(one, dict) and "content" in one for one in value)
    if not (messages or (isinstance(value, str) and value.strip())):
        raise ValueError(f"{place}: no text or chat under 'prompt'.")
    return value


def _table_prompts(text: str, path: Path) -> list[Any]:
    try:
        rows = list(csv.DictReader(text.splitlines(keepends=True), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}.") from None
    if rows and "prompt" not in rows[0]:
        raise ValueError(f"{path} has no column 'prompt'; its columns are {', '.join(map(str, rows[0]))}.")
    return [row["prompt"] for row in rows if row["prompt"] and row["prompt"].strip()]
