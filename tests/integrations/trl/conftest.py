"""A language model small enough to train in a test, and trainers around it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

pytest.importorskip("trl")

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from entrostat import recipes
from entrostat.integrations.trl import EntropyGRPOTrainer

WORDS = ["<pad>", "<bos>", "<eos>", *(f"w{number}" for number in range(34))]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", padding_side="left"
    )


def tiny_model(seed: int = 0, **settings: Any) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=32, tie_word_embeddings=False, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, initializer_range=0.3, **settings,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def even_words(completions: list[str], **_: Any) -> list[float]:
    """A reward that varies within a group: the share of even words."""
    return [sum(word[1:] in "02468" for word in text.split()) / 6 for text in completions]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def grpo_config(folder: Path, **changes: Any) -> GRPOConfig:
    """Return TRL's settings of a short training on a CPU."""
    values: dict[str, Any] = {
        "output_dir": str(folder / "out"), "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
        "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 6, "max_steps": 3,
        "learning_rate": 1e-2, "logging_steps": 1, "report_to": "none", "save_strategy": "no", "beta": 0.0,
        "disable_tqdm": True, "lr_scheduler_type": "constant",
    }  # fmt: skip
    return GRPOConfig(**{**values, **changes})


def prompts() -> Dataset:
    return Dataset.from_list([{"prompt": f"<bos> w{number} w{number + 1}"} for number in range(16)])


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., GRPOConfig]:
    return functools.partial(grpo_config, tmp_path)


@pytest.fixture
def make_trainer(settings: Callable[..., GRPOConfig], tmp_path: Path) -> Callable[..., Any]:
    """Return a function that makes a trainer; `recipe=None` makes TRL's own. With `beta`, its reference is `model`."""

    def make(recipe: recipes.Recipe | None = None, *, model: Any = None, **changes: Any) -> Any:
        ours = {name: changes.pop(name) for name in ("watched_token_ids",) if name in changes}
        model = model or tiny_model()
        if changes.get("beta"):  # TRL loads its reference from where the model came from
            model.save_pretrained(tmp_path / "reference")
            model.config._name_or_path = str(tmp_path / "reference")
        arguments: dict[str, Any] = {
            "model": model,
            "reward_funcs": changes.pop("reward_funcs", even_words),
            "args": settings(**changes),
            "train_dataset": prompts(),
            "processing_class": tiny_tokenizer(),
        }
        if recipe is None:
            return GRPOTrainer(**arguments)
        return EntropyGRPOTrainer(**arguments, recipe=recipe, **ours)

    return make


def logged(trainer: Any, name: str) -> list[float]:
    """Return a metric's value at every logged step that has it."""
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def trl_has_its_kernel() -> bool:
    """Whether TRL can train by itself here: 1.15 needs Triton for its own fused head, ours does not."""
    from trl.trainer import utils

    kernel = utils._ChunkedLogProbFunction
    return getattr(kernel, "original", kernel) is not None


needs_trl_s_kernel = pytest.mark.skipif(not trl_has_its_kernel(), reason="this TRL needs Triton for its own head")
