"""A plan computed by hand, what sharding divides, and what is said when it does not fit."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

pytest.importorskip("transformers")

from entrostat.integrations.plan import Lora, ModelShape, Plan, Setup, plan_memory, shape_of
from entrostat.integrations.plan._states import states
from entrostat.integrations.plan._table import sentences, verdict
from entrostat.integrations.plan._traffic import control_bytes, host_bytes
from entrostat.integrations.plan._work import drawing, work

from .shapes import qwen25_15b

P, V, D, GIB = 1_543_714_304, 151_936, 1536, 1 << 30
ROWS, TOKENS = 8 * 1024, 8 * 1536


@pytest.fixture(scope="module")
def shape() -> ModelShape:
    return shape_of(qwen25_15b())


def setup(**changes: Any) -> Setup:
    return Setup(**{"sequences": 8, "prompt": 512, "completion": 1024, "rollouts": 64, **changes})


def parts(plan: Plan) -> dict[str, int]:
    return {line.part: line.bytes for line in plan.lines}


def test_qwen25_15b_on_one_gpu_by_hand(shape: ModelShape) -> None:
    plan = plan_memory(shape, setup())
    found = parts(plan)
    assert found["parameters"] == found["gradients"] == 4 * P
    assert found["optimizer"] == 8 * P
    # A block's input in fp32, the mask's shared bytes, the last norm's input, normalised input and output, cos and sin.
    ends = 12 * D + 4
    assert found["activations"] == 28 * TOKENS * 4 * D + TOKENS * 1536 + TOKENS * ends + 2 * 1536 * 128 * 4
    assert found["head's input"] == ROWS * D * 4
    assert found["entropy statistics"] == ROWS * 44
    # Autocast's copies of the blocks' matrices, the head's copy, and 2**25 // V rows of logits.
    matrices = 28 * (2 * D * D + 2 * D * 256 + 3 * D * 8960)
    chunk = 2**25 // V
    assert found["working memory"] == 2 * matrices + 2 * V * D + 2 * chunk * (V + D)
    keys = 64 * 1536 * 28 * 256 * (4 + 2)
    assert found["generation"] == keys + 64 * V * 10 + 2 * matrices + 2 * V * D
    own = sum(line.bytes for line in plan.lines if "update" in line.phases and line.torch)
    assert plan.peaks["update"] == pytest.approx(own * 1.05 + GIB, abs=16)
    assert plan.head.plain == 2 * ROWS * V * 2
    assert plan.head.trl_chunk == 4096 * 32768 * 2


def test_without_checkpointing_every_block_is_kept(shape: ModelShape) -> None:
    plan = plan_memory(shape, setup(checkpointing=False))
    norms = 2 * (D * 8 + 4)
    attention = 2 * (4 * D) + 4 * 12 + 2 * 1536  # keys repeated, a mask per block
    inputs, inner = 2 * (5 * D + 8960), 2 * 3 * 8960
    matrices = 2 * D * D + 2 * D * 256 + 3 * D * 8960
    blocks = 28 * (TOKENS * (norms + attention + inputs + inner) + 2 * matrices)
    assert parts(plan)["activations"] == blocks + TOKENS * (12 * D + 4) + 2 * 1536 * 128 * 4
    flash = plan_memory(shape, setup(checkpointing=False, attention="flash_attention_2"))
    saved = 28 * TOKENS * (2 * 2 * (1536 - 256) + 2 * 1536)
    assert parts(plan)["activations"] - parts(flash)["activations"] == saved


@pytest.mark.parametrize(
    ("sharding", "parameters", "gradients", "optimizer"),
    [
        ("ddp", 4 * P, 4 * P, 8 * P),
        ("fsdp2", 4 * P / 8, 4 * P / 8, 8 * P / 8),
        ("zero1", 2 * P, 2 * P, 12 * P / 8),
        ("zero2", 2 * P, 2 * P / 8, 12 * P / 8),
        ("zero3", 2 * P / 8, 2 * P / 8, 12 * P / 8),
    ],
)
def test_what_sharding_divides(
    shape: ModelShape, sharding: str, parameters: float, gradients: float, optimizer: float
) -> None:
    held = states(shape, setup(gpus=8, sharding=sharding))
    assert (held.parameters, held.gradients, held.optimizer) == (parameters, gradients, optimizer)


def test_a_reference_model_and_an_adapter(shape: ModelShape) -> None:
    assert parts(plan_memory(shape, setup(reference=True)))["reference model"] == 4 * P
    pytest.importorskip("peft")
    adapted = shape_of(qwen25_15b(), lora=Lora(rank=16))
    plan = plan_memory(adapted, setup(reference=True, weights="bfloat16"))
    found, trained = parts(plan), 28 * 16 * (D + D + D + 256)
    assert "reference model" not in found
    assert found["parameters"] == 2 * P + 4 * trained
    assert (found["gradients"], found["optimizer"]) == (4 * trained, 8 * trained)


def test_vllm_takes_its_share(shape: ModelShape) -> None:
    awake = plan_memory(shape, setup(vllm="colocate", vllm_share=0.5), gpu_memory=40)
    asleep = plan_memory(shape, setup(vllm="colocate", vllm_share=0.5, vllm_sleeps=True), gpu_memory=40)
    assert parts(awake)["vLLM"] == 20 * GIB
    assert "generation" not in parts(awake)
    assert awake.peaks["update"] - asleep.peaks["update"] == 20 * GIB
    assert awake.remedy.startswith("Let vLLM sleep during the update")
    assert "vLLM" not in parts(plan_memory(shape, setup(vllm="server")))


@pytest.mark.parametrize(
    ("changes", "gpu_memory", "says"),
    [
        ({}, 80, "Fits: 30.6 GiB of 80 GiB at the fullest (update)."),
        ({"checkpointing": False}, 48, "Turn gradient checkpointing on: then 30.6 GiB."),
        ({}, 30, "Put 4 sequences into a micro-batch and accumulate 2 times as many"),
        ({"gpus": 8, "sharding": "ddp"}, 24, "Shard over the 8 GPUs with FSDP2"),
        ({}, 16, "use 4 GPUs with FSDP2"),
        ({}, 2, "No number of such GPUs up to 1,024 is enough"),
    ],
)
def test_the_verdict(shape: ModelShape, changes: dict[str, Any], gpu_memory: float, says: str) -> None:
    plan = plan_memory(shape, setup(**changes), gpu_memory=gpu_memory)
    assert says in verdict(plan)
    assert plan.fits == (not plan.remedy)


def test_a_remedy_holds_what_it_promises(shape: ModelShape) -> None:
    plan = plan_memory(shape, setup(checkpointing=False), gpu_memory=32)
    after = plan_memory(shape, dataclasses.replace(plan.setup, checkpointing=True), gpu_memory=32)
    assert not plan.fits
    assert after.fits
    assert plan.remedy == f"Turn gradient checkpointing on: then {after.total / GIB:.1f} GiB."


def test_what_is_sent(shape: ModelShape) -> None:
    assert host_bytes(shape, setup(gpus=8, sharding="ddp")) == 2 * 7 * 4 * P // 8
    assert host_bytes(shape, setup(gpus=8, sharding="fsdp2")) == 3 * P * 2 * 7 // 8
    assert host_bytes(shape, setup()) == control_bytes(1) == 0
    assert control_bytes(1000) == 135


def test_the_work_of_a_step(shape: ModelShape) -> None:
    plain = work(shape, setup(checkpointing=False, padded=False))
    assert plain.blocks == 6 * TOKENS * (P - V * D - D)
    assert plain.attention == 6 * TOKENS * 28 * 1536 * D
    assert plain.head == 8 * ROWS * V * D
    again = work(shape, setup(padded=True))
    assert again.blocks == plain.blocks * 4 / 3
    assert again.attention == plain.attention * 8 / 3


def test_the_work_of_drawing(shape: ModelShape) -> None:
    drawn = drawing(shape, setup())
    attention = sum(4 * 28 * 1536 * length for length in range(1536))
    own = 2 * 1536 * (P - V * D - D) + attention + 2 * 1024 * V * D
    assert drawn.operations == pytest.approx(64 * own, rel=1e-4)
    assert drawn.steps == 1024
    assert drawn.weights_read == 1024 * 2 * (P - D)
    looked_at = sum(range(512, 1536))
    assert drawn.cache_read == pytest.approx(64 * looked_at * 28 * 2 * 256 * 2, rel=1e-3)


def test_as_json_and_in_words(shape: ModelShape) -> None:
    plan = plan_memory(shape, setup(gpus=8, sharding="ddp"))
    read = json.loads(json.dumps(plan.as_dict()))
    assert read["bytes"] == plan.total
    assert read["model"]["parameters"] == P
    assert read["logits_avoided_bytes"] == plan.head.plain
    assert [entry["part"] for entry in read["lines"]] == [line.part for line in plan.lines]
    words = " ".join(sentences(plan))
    assert "1,543,714,304 parameters" in words
    assert "Avoided by the fused head: 4.64 GiB of logits" in words
    assert "119 bytes by `aent`" in words


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sequences": 0}, "`sequences` must be at least 1"),
        ({"completion": 0}, "`completion` must be at least 1"),
        ({"weights": "float8"}, "unknown dtype 'float8'"),
        ({"sharding": "fdsp2"}, "unknown sharding 'fdsp2'. Did you mean 'fsdp2'?"),
        ({"sharding": "fsdp2"}, "`sharding` must fit 1 GPUs"),
        ({"gpus": 2}, "`sharding` must fit 2 GPUs"),
        ({"optimizer": "lion"}, "unknown optimiser"),
        ({"attention": "flash"}, "unknown attention 'flash'"),
        ({"vllm": "colocated"}, "Did you mean 'colocate'?"),
        ({"vllm_share": 1.0}, "`vllm_share` must lie in (0, 1)"),
    ],
)
def test_bad_settings_are_one_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as raised:
        setup(**changes)
    assert says in str(raised.value)


def test_a_gpu_has_memory(shape: ModelShape) -> None:
    with pytest.raises(ValueError, match="`gpu_memory` must be positive"):
        plan_memory(shape, setup(), gpu_memory=0)
