"""How a run trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from entrostat.errors import require, require_count, require_finite, unknown_name

SCHEDULES: Final = ("constant", "linear", "cosine")
"""What the learning rate does after its warm-up."""


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """How a run trains. The defaults suit the embedded model; every field goes to TRL's `GRPOConfig`.

    Args:
        prompts: prompts per rollout batch.
        generations: responses per prompt: a group.
        minibatches: parts a rollout batch is cut into; each makes one optimizer step.
        iterations: passes over a rollout batch, PPO's epochs.
        micro_batch: responses in one forward and backward pass, whose gradients are added up; 0 for a whole minibatch.
        learning_rate: AdamW's, at its highest.
        schedule: what the learning rate does after the warm-up: `constant`, `linear` or `cosine`, down to zero.
        warmup: share of the steps in which the learning rate rises from zero.
        adam_beta2: AdamW's second-moment decay.
        weight_decay: AdamW's.
        max_grad_norm: the gradient is scaled down to this norm; 0 for no limit.
        max_completion_length: longest response, tokens.
        temperature: sampling temperature of the rollouts.
        clip_low: how far a ratio may fall below 1.
        clip_high: how far it may rise above 1.
        loss_type: TRL's name for the normalisation of the policy loss.
        scale_rewards: what advantages are divided by: the deviation of the `group`, of the `batch`, or `none`.
        mask_truncated: leave responses out of the loss that were cut off at their longest.
        beta: coefficient of TRL's divergence to the reference model; 0 keeps no reference model.
        dtype: of the weights and of the optimizer's state.
        precision: of the computation: `bf16` (autocast), `fp32`, or `auto` for bf16 on a GPU and fp32 without one.
        gradient_checkpointing: recompute activations in the backward pass instead of keeping them.
        vllm: empty to draw rollouts with transformers; `colocate` for vLLM on the same GPU, `server` for one elsewhere.
        vllm_memory: share of the GPU's memory that a colocated vLLM takes.
        vllm_server: address of the server, `http://HOST:PORT`.
        save_every: optimizer steps between checkpoints; rounded up to whole rollout batches.
    """

    prompts: int = 32
    generations: int = 8
    minibatches: int = 2
    iterations: int = 1
    micro_batch: int = 0
    learning_rate: float = 5e-4
    schedule: str = "constant"
    warmup: float = 0.0
    adam_beta2: float = 0.98
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_completion_length: int = 12
    temperature: float = 1.0
    clip_low: float = 0.2
    clip_high: float = 0.2
    loss_type: str = "dapo"
    scale_rewards: str = "group"
    mask_truncated: bool = False
    beta: float = 0.0
    dtype: str = "float32"
    precision: str = "auto"
    gradient_checkpointing: bool = False
    vllm: str = ""
    vllm_memory: float = 0.3
    vllm_server: str = ""
    save_every: int = 60

    def __post_init__(self) -> None:
        for name in ("prompts", "minibatches", "iterations", "max_completion_length", "save_every"):
            require_count(name, getattr(self, name), least=1)
        require_count("generations", self.generations, least=2, remedy="A group of one has no advantage.")
        self._check_batches()
        self._check_optimizer()
        self._check_choices()
        for name in ("clip_low", "clip_high", "adam_beta2", "warmup"):
            require(0 <= require_finite(name, getattr(self, name)) < 1, name, "lie in [0, 1)", getattr(self, name))

    @property
    def minibatch(self) -> int:
        """Responses behind one optimizer step."""
        return self.prompts * self.generations // self.minibatches

    @property
    def accumulation(self) -> int:
        """Forward and backward passes per optimizer step.

        Example:
            >>> TrainJob(prompts=16, generations=8, minibatches=2, micro_batch=4).accumulation
            16
        """
        return self.minibatch // (self.micro_batch or self.minibatch)

    @property
    def updates(self) -> int:
        """Optimizer steps per rollout batch.

        Example:
            >>> TrainJob(minibatches=4, iterations=2).updates
            8
        """
        return self.minibatches * self.iterations

    def _check_batches(self) -> None:
        responses = self.prompts * self.generations
        rule = f"divide the {responses} responses of a batch"
        require(responses % self.minibatches == 0, "minibatches", rule, self.minibatches)
        micro = require_count("micro_batch", self.micro_batch)
        rule = f"divide the {self.minibatch} responses of a minibatch"
        require(not micro or self.minibatch % micro == 0, "micro_batch", rule, micro)

    def _check_optimizer(self) -> None:
        for name in ("learning_rate", "temperature"):
            require(require_finite(name, getattr(self, name)) > 0, name, "be positive", getattr(self, name))
        for name in ("beta", "weight_decay", "max_grad_norm"):
            require(require_finite(name, getattr(self, name)) >= 0, name, "be at least 0", getattr(self, name))

    def _check_choices(self) -> None:
        choices = {
            "schedule": SCHEDULES,
            "scale_rewards": ("group", "batch", "none"),
            "dtype": ("float32", "bfloat16"),
            "precision": ("auto", "bf16", "fp32"),
            "vllm": ("", "colocate", "server"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise unknown_name(f"`{name}`", getattr(self, name), filter(None, known))
        memory = require_finite("vllm_memory", self.vllm_memory)
        require(0 < memory < 1, "vllm_memory", "lie between 0 and 1", memory)
        served = bool(self.vllm_server)
        rule = 'be given with vllm = "server", and only with it'
        require(served == (self.vllm == "server"), "vllm_server", rule, self.vllm_server)
