"""Responses to some of the prompts, drawn again at another temperature and put among those TRL has drawn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from entrostat.integrations.trl._batch import CARRIED, response_mask
from entrostat.recipes import Redraw

Draw = Callable[[list[dict[str, Any]]], dict[str, Any]]

_LEFT = ("prompt_ids", "prompt_mask")
"""Padded on the left; everything else with a position axis belongs to the response, and is padded on the right."""


def draw_again(
    trainer: Any, redraw: Redraw, inputs: list[dict[str, Any]], output: dict[str, Any], draw: Draw
) -> dict[str, Any]:
    """Return the rollouts with some replaced by ones drawn at the controller's coefficient as temperature.

    Args:
        trainer: the trainer; its metrics of the second draw are dropped, but for two of ours.
        redraw: which rollouts are drawn again, and which of the new ones are taken.
        inputs: the rows of the batch on this rank, whole groups.
        output: TRL's rollouts of them.
        draw: TRL's generation and scoring.

    Raises:
        ValueError: a batch with pictures, whose tensors do not follow the responses.
    """
    if foreign := sorted(name for name, value in output.items() if not _follows(value, len(inputs))):
        raise ValueError(f"a second draw works on text alone, but the batch has {', '.join(foreign)}.")
    temperature = trainer.regulator.coefficient
    rows = redraw.prompts(len(inputs) // trainer.num_generations) * trainer.num_generations
    with _at(trainer, temperature):
        again = draw(inputs[:rows])
    judged = again["advantages"] if redraw.judge == "advantage" else again[CARRIED["rewards"]]
    taken = (judged > redraw.threshold).nonzero().flatten()
    taken = taken[: redraw.most(len(inputs), cooling=temperature < trainer.temperature)]
    again["advantages"] = torch.ones_like(again["advantages"])
    # Groups are numbered over all ranks, so the new ones start after the last group of the last rank.
    groups = len(inputs) // trainer.num_generations * trainer._ranks.world_size
    again[CARRIED["group_ids"]] = again[CARRIED["group_ids"]] + groups
    pad = trainer._tokenizer.pad_token_id
    merged = {name: _merge(name, output[name], again[name], taken, pad) for name in output}
    # The host divides its loss by the tokens it counts.
    merged["num_items_in_batch"] = trainer._ranks.all_reduce(response_mask(merged).sum())
    metrics = trainer._metrics["train"]
    metrics["entropy_control/redraw_temperature"].append(temperature)
    share = trainer._ranks.all_reduce(torch.tensor(float(len(taken)), device=taken.device)) / trainer._ranks.world_size
    metrics["entropy_control/redraw_share"].append(float(share) / len(inputs))
    return merged


def _follows(value: Any, rows: int) -> bool:
    return isinstance(value, Tensor) and (value.dim() == 0 or (value.dim() <= 2 and len(value) == rows))


@contextmanager
def _at(trainer: Any, temperature: float) -> Generator[None]:
    """Sample at a temperature, and drop the metrics logged meanwhile."""
    config, settings = trainer.generation_config, trainer.generation_kwargs
    metrics, logs = copy.deepcopy(dict(trainer._metrics["train"])), copy.deepcopy(trainer._logs)
    trainer.generation_config = copy.deepcopy(config)
    trainer.generation_config.temperature = temperature
    trainer.generation_kwargs = {**settings, "temperature": temperature}
    try:
        yield
    finally:
        trainer.generation_config, trainer.generation_kwargs = config, settings
        tokens = trainer._metrics["train"].get("num_tokens")
        trainer._metrics["train"].clear()
        trainer._metrics["train"].update(metrics)
        if tokens is not None:  # tokens of the second draw were generated all the same
            trainer._metrics["train"]["num_tokens"] = tokens
        trainer._logs = logs


def _merge(name: str, first: Tensor, second: Tensor, taken: Tensor, pad: int) -> Tensor:
    """Return `first` with its first rows replaced by the rows `taken` of `second`."""
    if first.dim() == 0:
        return first
    if first.dim() == 2:
        length = max(first.shape[1], second.shape[1])
        fill = pad if name in ("prompt_ids", "completion_ids") else 0
        first, second = (_pad(value, length, fill, left=name in _LEFT) for value in (first, second))
    return torch.cat([second[taken], first[len(taken) :]])


def _pad(value: Tensor, length: int, fill: int, *, left: bool) -> Tensor:
    missing = length - value.shape[1]
    return torch.nn.functional.pad(value, (missing, 0) if left else (0, missing), value=fill)
