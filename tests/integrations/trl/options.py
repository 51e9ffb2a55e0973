"""TRL's options beside `aent`: what is tried, and how. Read by `test_options.py` and by docs/make_compatibility.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal
from unittest import mock

import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM

from entrostat import controllers, recipes
from entrostat.integrations.trl import EntropyGRPOTrainer

from . import vision
from .conftest import WORDS, even_words, grpo_config, logged, prompts, tiny_model, tiny_tokenizer

BAND: dict[str, Any] = {"low": 3.0, "high": 3.2, "initial": 0.5, "rate": 0.5, "floor": 0.0, "ceiling": 5.0, "warmup": 1}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to set TRL, and what has to come of it.

    Args:
        name: what a reader looks for.
        settings: of `GRPOConfig`.
        model: makes the model, given a directory to keep it in.
        more: further arguments of the trainer.
        standing_in: what takes the place of a name while the trainer is made, where the real thing needs a GPU.
        learns: part of the name of a parameter that has to move as well.
        result: whether `aent` trains with it, or the trainer is refused when it is made.
        says: part of the refusal.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    model: Callable[[Path], Any] = lambda folder: tiny_model()
    more: Callable[[], dict[str, Any]] = dict
    standing_in: dict[str, Any] = field(default_factory=dict)
    learns: str = ""
    result: Literal["works", "rejected"] = "works"
    says: str = ""


def on_disk(folder: Path) -> str:
    """A model with a path: TRL loads its reference model from it."""
    tiny_model().save_pretrained(folder / "model")
    return str(folder / "model")


def experts(folder: Path) -> Any:
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=32, num_local_experts=4, output_router_logits=True,
        router_aux_loss_coef=0.1, tie_word_embeddings=False, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.3,
    )  # fmt: skip
    return MixtralForCausalLM(config)


def lora() -> dict[str, Any]:
    from peft import LoraConfig

    return {"peft_config": LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")}


class Engine:
    """Where vLLM would generate: random words, at the log-prob they were drawn with."""

    vllm_client = SimpleNamespace(get_server_info=lambda: {"model_config": {"logprobs_mode": "processed_logprobs"}})

    def __init__(self, **settings: Any) -> None:
        assert settings["mode"] in ("colocate", "server")

    def sync_weights(self) -> None: ...

    def generate(self, prompts: list[list[int]], **_: Any) -> tuple[Any, list[list[int]], list[list[list[float]]], Any]:
        words = torch.randint(3, len(WORDS), (len(prompts), 6)).tolist()
        return prompts, words, [[[-math.log(len(WORDS) - 3)]] * 6 for _ in prompts], None


LOSSES = ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "vespo")
OPTIONS: tuple[Option, ...] = (
    *(Option(name=f"loss_type={name}", settings={"loss_type": name}) for name in LOSSES),
    Option(name="loss_type=luspo", settings={"loss_type": "luspo", "importance_sampling_level": "sequence"}),
    Option(
        name="importance_sampling_level=sequence (GSPO)",
        settings={"loss_type": "grpo", "importance_sampling_level": "sequence", "num_iterations": 2},
    ),
    Option(name="gradient_accumulation_steps=2", settings={"gradient_accumulation_steps": 2}),
    Option(name="num_iterations=2", settings={"num_iterations": 2, "max_steps": 4}),
    Option(name="steps_per_generation=2", settings={"steps_per_generation": 2, "max_steps": 4}),
    Option(
        name="mask_truncated_completions",
        settings={"mask_truncated_completions": True, "max_completion_length": 16, "per_device_train_batch_size": 16},
    ),
    Option(name="beta=0.04 (KL to a reference model)", settings={"beta": 0.04}, model=on_disk),
    Option(
        name="beta=0.04 with use_bias_correction_kl",
        settings={"beta": 0.04, "use_bias_correction_kl": True},
        model=on_disk,
    ),
    Option(name="PEFT: LoRA", more=lora),
    Option(name="PEFT: LoRA with beta=0.04", settings={"beta": 0.04}, more=lora),
    Option(name="gradient_checkpointing", settings={"gradient_checkpointing": True}),
    Option(name="bf16 autocast", settings={"bf16": True}),
    Option(name="bf16 autocast with cast_lm_head_to_fp32", settings={"bf16": True, "cast_lm_head_to_fp32": True}),
    Option(name="mixture of experts with auxiliary loss", model=experts),
    Option(
        name="vision inputs (LLaVA, a picture per prompt)",
        settings={
            "steps_per_generation": 2,
            "num_iterations": 2,
            "per_device_train_batch_size": 4,
            "max_steps": 4,
            "generation_kwargs": {"suppress_tokens": [vision.PICTURE]},
        },
        model=vision.model,
        more=vision.tasks,
        learns="vision_tower",
    ),
    Option(name="delta=1.5 (two-sided clipping)", settings={"delta": 1.5, "num_iterations": 2}),
    Option(name="top_entropy_quantile=0.5", settings={"top_entropy_quantile": 0.5}),
    Option(name="off_policy_mask_threshold=0.5", settings={"off_policy_mask_threshold": 0.5, "num_iterations": 2}),
    Option(name="temperature=0.7", settings={"temperature": 0.7}),
    *(
        Option(
            name=f"use_vllm, vllm_mode={mode} (a stand-in for the engine)",
            settings={"use_vllm": True, "vllm_mode": mode, "num_iterations": 2},
            standing_in={"trl.trainer.grpo_trainer.VLLMGeneration": Engine},
        )
        for mode in ("colocate", "server")
    ),
    Option(
        name="use_liger_kernel",
        settings={"use_liger_kernel": True},
        result="rejected",
        says="`use_liger_kernel` must be False",
    ),
    Option(name="entropy_coef", settings={"entropy_coef": 0.01}, result="rejected", says="`entropy_coef` must be 0"),
    Option(
        name="use_adaptive_entropy",
        settings={"use_adaptive_entropy": True},
        result="rejected",
        says="`use_adaptive_entropy` must be False",
    ),
)
"""Every row of docs/compatibility.md that a single process can try."""


UNTESTED: dict[str, str] = {
    "use_vllm with the real engine": "needs a GPU",
    "DeepSpeed ZeRO-3 on GPUs": "needs a GPU; on two CPU ranks it equals one process, see below",
    "DeepSpeed ZeRO-1 and ZeRO-2": "nobody has tried; nothing refuses them",
    "torch_compile": "nothing refuses it, but on a CPU three steps of the tiny model did not finish: 250 seconds with "
    "the backend `aot_eager`, 500 with `inductor`; dynamo breaks the graph where the head checks its targets",
}
"""What nobody has tried, and why."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an option; `says` is the refusal, or why it could not be tried."""

    result: Literal["works", "rejected", "untested"]
    says: str = ""


def attempt(option: Option, folder: Path) -> Outcome:
    """Try an option with `aent`.

    Raises:
        AssertionError: it trains, but not as `aent` has to.
    """
    torch.manual_seed(0)
    try:
        with ExitStack() as stack:
            for name, instead in option.standing_in.items():
                stack.enter_context(mock.patch(name, instead))
            trainer = _make(option, folder)
    except (ValueError, TypeError, ImportError) as refusal:
        return Outcome(result="rejected", says=str(refusal))
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters() if value.requires_grad}
    trainer.train()
    _check(trainer, before, option.learns)
    return Outcome(result="works")


def _make(option: Option, folder: Path) -> Any:
    tasks = {"reward_funcs": even_words, "train_dataset": prompts(), "processing_class": tiny_tokenizer()}
    return EntropyGRPOTrainer(
        model=option.model(folder), args=grpo_config(folder, **option.settings), recipe=recipes.aent(clamp=0.4, **BAND),
        **{**tasks, **option.more()},
    )  # fmt: skip


def _check(trainer: Any, before: dict[str, torch.Tensor], learns: str) -> None:
    """Assert what holds in every run of `aent`: the law, the bonus it adds, and that the model learns from both."""
    coefs, entropies, bonuses = (
        logged(trainer, f"entropy_control/{name}") for name in ("coef", "clamped_entropy", "bonus")
    )
    assert len(coefs) == trainer.args.max_steps
    law = controllers.Band(**BAND)
    state = law.init()
    for coef, entropy, bonus in zip(coefs, entropies, bonuses, strict=True):
        assert coef == pytest.approx(law.coefficient(state), rel=1e-6)
        assert bonus == pytest.approx(-coef * entropy, rel=1e-4)
        assert 0 < entropy <= math.log(len(WORDS))
        state = law.update(state, entropy=entropy)
    assert trainer.regulator.coefficient == pytest.approx(law.coefficient(state), rel=1e-6)
    assert all(math.isfinite(loss) for loss in logged(trainer, "loss"))
    moved = {
        name for name, value in trainer.model.named_parameters() if name in before and (value != before[name]).any()
    }
    assert moved, "the model did not move"
    assert any(learns in name for name in moved), f"{learns} did not move"
