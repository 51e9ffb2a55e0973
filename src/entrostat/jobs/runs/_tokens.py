"""One answer to each of a few fixed problems per evaluation, token by token: `tokens.jsonl`, one JSON object a line.

    {"schema": 1, "step": 90, "split": "test", "problem": 0, "prompt": "...", "reward": 1.0, "cut": 0,
     "tokens": ["9", " +"], "entropy": [0.31, 0.02], "clamped_entropy": [0.3, 0.02], "chosen": [0.8, 0.99],
     "chosen_kept": [true, true], "kept_mass": [0.99, 1.0],
     "top": [[["9", 0.8, true], ["4", 0.1, true]], [[" +", 0.99, true], [" -", 0.01, false]]]}

Every list has one item per token. `clamped_entropy` is the recipe's own measure and `kept` its verdict on a token, both
at the training temperature, as the recipe sees them. `cut` counts the tokens of a long answer that are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from entrostat.measures import Measure, shannon
from entrostat.ops import kept_weights
from entrostat.tasks import Drawn, draw

SCHEMA = 1
TOP = 5
"""Alternatives kept for each token."""
LONGEST = 512
"""Tokens kept of one answer."""
_ROWS = 64
"""Rows of logits measured at a time, so that those of a large vocabulary are not held twice at full length."""
_SEED = 1234
"""Seed of the sampling, the same at every evaluation: only the policy changes between two steps."""


class TokenWriter:
    """Samples the answers, measures them and adds them to a file.

    Args:
        path: the file.
        tokenizer: the model's.
        measure: the recipe's.
        problems: problems per split, the first ones; 0 writes nothing.
        max_new_tokens: longest answer, in tokens.
        temperature: of the sampling and of the measure; the training's.
    """

    def __init__(
        self, path: Path, *, tokenizer: Any, measure: Measure, problems: int, max_new_tokens: int, temperature: float
    ) -> None:
        self._path, self._tokenizer, self._measure = path, tokenizer, measure
        self._problems, self._max_new_tokens, self._temperature = problems, max_new_tokens, temperature

    def write(
        self, model: Any, *, step: int, split: str, prompts: Sequence[str], score: Callable[[int, str], float]
    ) -> None:
        """Add one answer to each of the first prompts; `score` takes the number of a prompt and an answer to it.

        The model, its mode and the random state of the run are as before afterwards.
        """
        few = list(prompts[: self._problems])
        if not few:
            return
        drawn = draw(
            model, self._tokenizer, few, max_new_tokens=self._max_new_tokens, temperature=self._temperature, seed=_SEED
        )
        rows = [
            {
                "schema": SCHEMA,
                "step": step,
                "split": split,
                "problem": number,
                "prompt": prompt,
                "reward": float(score(number, self._text(drawn, number))),
                **self._measured(model, drawn, number),
            }
            for number, prompt in enumerate(few)
        ]
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))

    def _text(self, drawn: Drawn, number: int) -> str:
        return self._tokenizer.decode(drawn.ids[number][drawn.response[number]], skip_special_tokens=True)

    def _measured(self, model: Any, drawn: Drawn, number: int) -> dict[str, Any]:
        real = drawn.attention[number].bool()
        ids, response = drawn.ids[number][real], drawn.response[number][real]
        first, count = int((~response).sum()), int(response.sum())
        ids = ids[: first + LONGEST]
        found: dict[str, list[Any]] = {
            "tokens": self._pieces([(ids[at - 1 : at], ids[at]) for at in range(first, len(ids))])
        }
        for start, logits in self._logits(model, ids, first):
            self._add(found, logits, ids[start - 1 : start + len(logits)])
        return {"cut": max(0, count - LONGEST), **found}

    @torch.no_grad()
    def _logits(self, model: Any, ids: Tensor, first: int) -> Generator[tuple[int, Tensor]]:
        # The logits for a position come out one position before it.
        with _evaluating(model):
            logits = model(input_ids=ids[None]).logits[0, first - 1 : -1]
        for start in range(0, len(logits), _ROWS):
            yield first + start, logits[start : start + _ROWS].float()

    def _add(self, found: dict[str, list[Any]], logits: Tensor, ids: Tensor) -> None:
        """Add the figures of some rows; `ids` are their tokens, with the token before the first one."""
        scaled = logits / self._temperature
        kept = kept_weights(scaled, self._measure.support)
        probs = scaled.softmax(-1)
        chosen = ids[1:, None]
        columns = {
            "entropy": shannon(scaled),
            "clamped_entropy": self._measure(logits, temperature=self._temperature),
            "chosen": probs.gather(-1, chosen)[:, 0],
            "kept_mass": (probs * kept).sum(-1),
        }
        for name, values in columns.items():
            found.setdefault(name, []).extend(_short(value) for value in values.tolist())
        found.setdefault("chosen_kept", []).extend((kept.gather(-1, chosen)[:, 0] > 0).tolist())
        found.setdefault("top", []).extend(self._top(probs, kept, ids))

    def _top(self, probs: Tensor, kept: Tensor, ids: Tensor) -> list[list[list[Any]]]:
        chances, tokens = probs.topk(min(TOP, probs.shape[-1]))
        stays = kept.gather(-1, tokens) > 0
        places = [(ids[row : row + 1], token) for row, some in enumerate(tokens) for token in some]
        texts = iter(self._pieces(places))
        return [
            [[next(texts), _short(chance), keeps] for chance, keeps in zip(*row, strict=True)]
            for row in zip(chances.tolist(), stays.tolist(), strict=True)
        ]

    def _pieces(self, places: Sequence[tuple[Tensor, Tensor]]) -> list[str]:
        """Return the text each token adds after the one before it: alone, one may lose its leading space."""
        before = self._decode([[*lead.tolist()] for lead, _ in places])
        both = self._decode([[*lead.tolist(), int(token)] for lead, token in places])
        alone = self._decode([[int(token)] for _, token in places])
        return [
            pair.removeprefix(lead) if pair.startswith(lead) else text
            for lead, pair, text in zip(before, both, alone, strict=True)
        ]

    def _decode(self, rows: list[list[int]]) -> list[str]:
        return self._tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


@contextmanager
def _evaluating(model: Any) -> Generator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
