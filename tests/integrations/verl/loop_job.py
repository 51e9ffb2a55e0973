"""A whole verl job of a few seconds: tiny Qwen2, hand-made tokenizer, eight prompts, a rule reward, its overrides."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# Qwen2's tokenizer in byte-level letters: space and newline are the first two.
SPECIALS = ["<pad>", "<|im_start|>", "<|im_end|>"]
LETTERS = [*"\u0120\u010a", *string.ascii_lowercase, *string.digits]
PARAMETERS = {
    "low": 2.4,
    "high": 2.6,
    "keep": 20,
    "initial": 0.2,
    "rate": 0.1,
    "floor": 0.0,
    "ceiling": 1.0,
    "warmup": 0,
}


def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: object = None) -> float:
    """verl's reward function: the share of the answer's letters that are wanted."""
    return sum(letter in ground_truth for letter in solution_str) / max(len(solution_str), 1)


def write(folder: Path) -> None:
    """Write model, tokenizer and data below the folder."""
    import pandas
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2Tokenizer

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = Qwen2Config(
        vocab_size=len(SPECIALS + LETTERS), num_key_value_heads=1, tie_word_embeddings=False, **shape, **ids
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "model")
    vocab = {word: index for index, word in enumerate(SPECIALS + LETTERS)}
    names = dict(zip(("pad_token", "bos_token", "eos_token"), SPECIALS, strict=True))
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=[], unk_token=None, **names)
    tokenizer.chat_template = "<|im_start|>{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder / "model")
    rows = [
        {
            "data_source": "letters",
            "prompt": [{"role": "user", "content": f"say {letter}"}],
            "reward_model": {"style": "rule", "ground_truth": string.ascii_lowercase[:13]},
            "extra_info": {"index": index},
        }
        for index, letter in enumerate("abcdefgh")
    ]
    pandas.DataFrame(rows).to_parquet(folder / "data.parquet")


def overrides(folder: Path, steps: int, recipe: str = "aent", parameters: Mapping[str, Any] = PARAMETERS) -> list[str]:
    """Return what stands behind `python -m verl.trainer.main_ppo`."""
    settings = {
        "data.train_files": folder / "data.parquet",
        "data.val_files": folder / "data.parquet",
        "data.train_batch_size": 4,
        "data.max_prompt_length": 8,
        "data.max_response_length": 6,
        "data.dataloader_num_workers": 0,
        "data.shuffle": False,
        "algorithm.adv_estimator": "grpo",
        "actor_rollout_ref.model.path": folder / "model",
        "actor_rollout_ref.model.external_lib": "cpu_process_group",
        "actor_rollout_ref.model.use_remove_padding": False,
        "actor_rollout_ref.model.enable_gradient_checkpointing": False,
        "+actor_rollout_ref.model.override_config.attn_implementation": "eager",
        "actor_rollout_ref.actor.strategy": "fsdp2",
        "actor_rollout_ref.actor.ppo_mini_batch_size": 4,
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 4,
        "actor_rollout_ref.actor.optim.lr": 0.02,
        "actor_rollout_ref.actor.use_torch_compile": False,
        "actor_rollout_ref.actor.fsdp_config.use_torch_compile": False,
        "+actor_rollout_ref.actor.fsdp_config.mixed_precision": "{param_dtype:fp32,reduce_dtype:fp32}",
        "actor_rollout_ref.rollout.name": "scripted",
        "actor_rollout_ref.rollout.n": 4,
        "actor_rollout_ref.rollout.tensor_model_parallel_size": 2,
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": 8,
        "actor_rollout_ref.rollout.agent.num_workers": 1,
        "reward.num_workers": 1,
        "reward.custom_reward_function.path": HERE / "loop_job.py",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
        "trainer.device": "cpu",
        "trainer.n_gpus_per_node": 2,
        "trainer.logger": "[file]",
        "trainer.val_before_train": False,
        "trainer.total_training_steps": steps,
        "trainer.total_epochs": 9,
        "trainer.save_freq": 2,
        "trainer.default_local_dir": folder / "checkpoints",
        "ray_kwargs.ray_init.num_cpus": 16,
        "+ray_kwargs.ray_init.num_gpus": 2,
        "+ray_kwargs.ray_init.include_dashboard": False,
        "+ray_kwargs.ray_init.object_store_memory": 200_000_000,
        "hydra.searchpath": "[pkg://entrostat.integrations.verl.config]",
        "+entrostat": "control",
        "entrostat.recipe": recipe,
    }
    settings |= {f"+entrostat.parameters.{name}": value for name, value in parameters.items()}
    return [f"{name}={value}" for name, value in settings.items()]
