"""The jobs for GPUs, without one: every file is read by what reads it there, and holds the values it says it holds."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")
pytest.importorskip("math_verify")

from entrostat import recipes
from entrostat.integrations.trl import grpo
from entrostat.jobs import settings as jobs
from entrostat.tasks.rewards import math

EXAMPLES = Path(__file__).parents[2] / "examples"
GPU = EXAMPLES / "gpu"
# Of the published settings: prompts per batch, responses, prompts per optimizer step, problems, rollout batches.
BATCHES = {
    "aent_math_1.5b": (512, 16, 128, 7_500, 420),
    "aent_openr1_1.5b": (256, 8, 64, 40_000, 936),
}
RECIPES = {
    "aent_math_1.5b": recipes.aent(
        clamp=0.33, low=0.15, high=0.24, initial=0.002, rate=0.002, floor=6e-4, ceiling=9e-3, warmup=29,
        window="rollout",
    ),
    "aent_openr1_1.5b": recipes.aent(
        clamp=0.25, low=0.35, high=0.62, initial=3e-4, rate=1e-4, floor=4e-5, ceiling=1e-3, warmup=155,
        window="rollout",
    ),
}  # fmt: skip
LENGTHS = {"aent_math_1.5b": (3072, 2e-6, 30, 45), "aent_openr1_1.5b": (7168, 1e-6, 6, 156)}
QWEN = {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 1536, "num_hidden_layers": 28,
    "num_attention_heads": 12, "num_key_value_heads": 2, "intermediate_size": 8960, "vocab_size": 151936,
    "max_position_embeddings": 32768, "tie_word_embeddings": True,
}  # fmt: skip


def settings(name: str, *flags: str) -> tuple[Any, ...]:
    # transformers refuses bf16 on a machine without a GPU, unless it is told that none is meant.
    return grpo.parse(["--config", str(GPU / f"{name}.yaml"), "--use_cpu", *flags])


def commands(path: Path) -> list[list[str]]:
    """Return the command lines at the head of a file."""
    lines: list[str] = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        if line.startswith("#   "):
            lines.append(line[1:])
    return [shlex.split(each) for each in "\n".join(lines).replace("\\\n", " ").splitlines()]


def launches() -> list[tuple[str, list[str]]]:
    files = sorted(GPU.glob("*.yaml"))
    return [(path.name, words) for path in files for words in commands(path) if words[0] == "accelerate"]


@pytest.mark.parametrize("name", BATCHES)
def test_a_published_setting_is_what_was_published(name: str) -> None:
    recipe, reward, script, args, model, _, _ = settings(name)
    assert recipe.build() == RECIPES[name]
    assert reward.resolve() == [math]
    prompts, generations, _, problems, batches = BATCHES[name]
    length, rate, epochs, save = LENGTHS[name]
    assert (args.generation_batch_size, args.num_generations) == (prompts * generations, generations)
    assert problems // prompts * args.num_train_epochs == batches
    assert (args.max_completion_length, args.learning_rate, args.num_train_epochs) == (length, rate, epochs)
    assert args.save_steps == 4 * save, "four optimizer steps per rollout batch"
    assert args.vllm_max_model_length == length + 1024
    assert (args.epsilon, args.epsilon_high, args.delta, args.beta) == (0.2, 0.2, 3.0, 0.0)
    assert (args.weight_decay, args.max_grad_norm, args.temperature) == (0.01, 1.0, 1.0)
    assert (args.lr_scheduler_type, args.warmup_steps, args.num_iterations) == ("constant", 0, 1)
    assert (args.use_vllm, args.vllm_mode, args.bf16, model.dtype) == (True, "colocate", True, "float32")
    assert (GPU / "prepare.py").exists()
    assert script.dataset_name == f"data/{name.split('_')[1]}"


@pytest.mark.parametrize("name", BATCHES)
def test_trl_makes_as_many_batches_of_it_as_the_file_says(name: str) -> None:
    from trl.trainer.utils import RepeatSampler

    prompts, generations, minibatch, problems, batches = BATCHES[name]
    args = settings(name)[3]
    sampler = RepeatSampler(list(range(problems)), mini_repeat_count=generations, batch_size=prompts)
    responses = len(sampler) * args.num_train_epochs
    assert responses == batches * prompts * generations
    steps = responses // (minibatch * generations)
    whole = f"{problems:,} problems make {problems // prompts} whole batches"
    said = f"{whole}: {batches} rollout batches, {steps:,} optimizer steps"
    assert said in (GPU / f"{name}.yaml").read_text()


@pytest.mark.parametrize(("file", "words"), launches())
def test_every_launch_makes_the_published_optimizer_step(file: str, words: list[str]) -> None:
    from accelerate.commands.launch import launch_command_parser

    args = launch_command_parser().parse_args(words[2:])
    assert args.module
    assert args.training_script == "entrostat.integrations.trl.grpo"
    place = EXAMPLES.parent / args.config_file
    read = accelerate_config(place)
    flags = args.training_script_args
    name = Path(flags[1]).stem
    training = settings(name, *flags[2:])[3]
    prompts, generations, minibatch, *_ = BATCHES[name]
    micro = training.per_device_train_batch_size * read.num_processes
    assert micro * training.gradient_accumulation_steps == minibatch * generations
    assert prompts * generations % (micro * training.gradient_accumulation_steps) == 0
    assert file in (place.name, Path(flags[1]).name)


def accelerate_config(path: Path) -> Any:
    from accelerate.commands.config.config_args import load_config_from_file

    return load_config_from_file(str(path))


def test_accelerate_reads_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    shapes = {}
    for path in sorted(GPU.glob("*x8.yaml")):
        read = accelerate_config(path)
        assert read.num_processes == 8 * read.num_machines
        # The launcher's own way from the file to what it starts; it refuses keys it does not know.
        parsed = launch_command_parser().parse_args(["--config_file", str(path), "train.py"])
        args, _, _ = _validate_launch_command(parsed)
        assert args.mixed_precision == "bf16"
        shapes[path.stem] = (args.use_fsdp, args.multi_gpu, read.num_machines, read.fsdp_config.get("fsdp_version"))
    assert shapes == {
        "ddp_1x8": (False, True, 1, None),
        "fsdp2_1x8": (True, False, 1, 2),
        "fsdp2_4x8": (True, False, 4, 2),
    }


def test_fsdp2_takes_these_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    parsed = launch_command_parser().parse_args(["--config_file", str(GPU / "fsdp2_4x8.yaml"), "train.py"])
    args, _, _ = _validate_launch_command(parsed)
    with monkeypatch.context() as patch:
        for key, value in prepare_multi_gpu_env(args).items():
            patch.setenv(key, value)
        plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert not plugin.activation_checkpointing, "beside TRL's gradient checkpointing"
    assert "FULL" in str(plugin.state_dict_type)
    assert plugin.cpu_ram_efficient_loading


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with what a dry run needs in place of the hub: a model's config, and prepared data."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(QWEN))
    for data in ("math", "openr1"):
        (tmp_path / "data" / data).mkdir(parents=True)
        row = {"prompt": [{"role": "user", "content": "1 + 1?"}], "answer": "2"}
        (tmp_path / "data" / data / "train.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BATCHES)
def test_a_published_setting_fits_into_eight_gpus(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--dry_run", "--dry_run_gpus", "8"]
    assert " ".join(flags) in (GPU / f"{name}.yaml").read_text()
    grpo.main(["--config", str(GPU / f"{name}.yaml"), "--model_name_or_path", "model", *flags])
    shown = capsys.readouterr().out
    assert shown.startswith("recipe aent, 1 reward(s)")
    assert "GiB" in shown


def test_the_toml_job_is_what_it_says_and_fits(place: Path) -> None:
    from entrostat.jobs.runs import dry_run

    job = jobs.load(GPU / "gsm8k.toml")
    built = {entry.label: entry.build() for entry in job.recipes}
    assert list(built) == ["none", "aent-constant", "aent-steered"]
    constant = built["aent-constant"]
    state = constant.controller.init()
    for entropy in (0.01, 5.0, 0.01, 5.0):
        state = constant.controller.update(state, entropy=entropy)
    assert constant.controller.coefficient(state) == 0.002
    assert job.train.prompts * job.train.generations == 1024
    assert job.train.updates * 116 == job.steps
    found = dry_run(jobs.from_table({**jobs.to_table(job), "model": "model"}), place / "out")
    assert set(found.costs) == set(built)
    assert any("vLLM" in note for note in found.notes)


def test_the_toml_job_reads_gsm8k_as_it_is_written(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from entrostat.jobs.runs import build_task
    from entrostat.tasks import warm_start_path

    rows = [{"question": f"{n} + 1 :", "answer": f"{n}+1=<<{n}+1={n + 1}>>{n + 1}\n#### {n + 1:,}"} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = jobs.to_table(jobs.load(GPU / "gsm8k.toml"))
    # The embedded model stands in: it has no chat template, and no letters for the instruction.
    table["data"] |= {
        "source": str(tmp_path / "rows.jsonl"),
        "subset": "",
        "chat_template": False,
        "template": "{prompt}",
    }
    task = build_task(jobs.from_table(table), AutoTokenizer.from_pretrained(warm_start_path()))
    one = task.train[0]
    assert task.score([one] * 3, [rf"so \boxed{{{one.target}}}", f"{one.target}.0", r"\boxed{-1}"]) == [1.0, 1.0, 0.0]


def test_the_server_script_starts_a_server_and_a_training_that_fit_together(tmp_path: Path) -> None:
    script = GPU / "vllm_server.sh"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)
    said = 'printf "%s\\n" "$CUDA_VISIBLE_DEVICES" "$@"'
    stubs = {
        "trl": f"{said} > {tmp_path}/trl.new; mv {tmp_path}/trl.new {tmp_path}/trl.args",
        "accelerate": f"{said} > {tmp_path}/accelerate.args; until test -e {tmp_path}/trl.args; do sleep 0.1; done",
    }
    for name, stub in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{stub}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    for name, (_, generations, minibatch, *_) in BATCHES.items():
        command = [str(script), str(GPU / f"{name}.yaml"), "--save_steps", "100"]
        (tmp_path / "trl.args").unlink(missing_ok=True)
        subprocess.run(command, check=True, env={**os.environ, "PATH": path})
        gpus, *served = (tmp_path / "trl.args").read_text().splitlines()
        server, training = server_arguments(served), trained(tmp_path / "accelerate.args")
        model, args = settings(name)[4], training[3]
        assert server.model == model.model_name_or_path
        assert server.max_model_len == args.vllm_max_model_length
        assert server.data_parallel_size == len(gpus.split(",")) == 4
        assert str(server.port) == args.vllm_server_base_url.rpartition(":")[2]
        assert (args.vllm_mode, args.vllm_enable_sleep_mode, args.save_steps) == ("server", False, 100)
        assert args.per_device_train_batch_size * args.gradient_accumulation_steps * 4 == minibatch * generations


def server_arguments(words: list[str]) -> Any:
    from trl import TrlParser
    from trl.scripts.vllm_serve import ScriptArguments

    assert words[0] == "vllm-serve"
    return TrlParser(ScriptArguments).parse_args_and_config(words[1:])[0]


def trained(path: Path) -> tuple[Any, ...]:
    from accelerate.commands.launch import launch_command_parser

    gpus, command, *words = path.read_text().splitlines()
    assert (gpus, command) == ("4,5,6,7", "launch")
    args = launch_command_parser().parse_args(words)
    assert args.num_processes == 4
    return grpo.parse([*args.training_script_args, "--use_cpu"])


@pytest.mark.parametrize("name", ["math", "openr1"])
def test_prepared_data_is_what_the_script_and_the_reward_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    tokenizer(tmp_path / "tokenizer")
    rows = [
        {"problem": "One half?", "solution": r"It is \boxed{\frac12}.", "answer": r"\frac12"},
        {"problem": "No answer?", "solution": "None.", "answer": ""},
        {"problem": "long " * 1100, "solution": r"\boxed{1}", "answer": "1"},
    ]
    Path("copy").mkdir()
    Path("copy/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare = runpy.run_path(str(GPU / "prepare.py"))["main"]
    command = [name, "--source", "copy", "--tokenizer", "tokenizer"]
    with pytest.raises(SystemExit) as stopped:
        prepare([*command, "--rows", "2"])
    assert stopped.value.code == 2
    assert "error: only 1 rows are fit for use, and 2 are wanted" in capsys.readouterr().err
    prepare([*command, "--rows", "1"])
    [row] = [json.loads(line) for line in Path("data", name, "train.jsonl").read_text().splitlines()]
    assert row["prompt"][0]["content"].startswith("One half? ")
    assert r"\boxed{}" in row["prompt"][0]["content"]
    assert math([[{"role": "assistant", "content": r"So \boxed{0.5}"}]], answer=[row["answer"]]) == [1.0]


def tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    made.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    made.save_pretrained(folder)


def test_every_file_says_how_it_is_started() -> None:
    for path in [*GPU.glob("*.yaml"), *GPU.glob("*.toml"), *GPU.glob("*.sh"), *GPU.glob("*.py")]:
        head = re.split(r"\n(?![#\s])", path.read_text(), maxsplit=1)[0]
        assert f"examples/gpu/{path.name}" in head, path.name
