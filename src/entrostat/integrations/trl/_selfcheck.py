"""Is the installed TRL the one these hooks were written for? Asked once, at import, of TRL itself."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FunctionType, SimpleNamespace
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor

from entrostat.integrations.host import UnsupportedHostError, clipped_loss, in_range, made_up_batch

SUPPORTED = ("1.15", "1.17")
"""First release line that is supported, and first that is not."""

F = TypeVar("F", bound=Callable[..., Any])

_KERNEL_ARGUMENTS = [
    "ctx", "hidden", "weight", "bias", "targets", "temperature", "chunk_size", "final_logit_softcapping", "logit_scale",
    "outputs",
]  # fmt: skip


def overrides(base: type) -> Callable[[F], F]:
    """Mark a method as an override of one that `base` itself defines; `verify_overrides` reads the mark."""

    def mark(method: F) -> F:
        method.__dict__["overrides"] = base
        return method

    return mark


def verify_overrides(cls: type) -> None:
    """Raise `UnsupportedHostError` unless every method of `cls` that is meant to override one of the host's does.

    A hook that a release renames would otherwise never be called, and a recipe would train as if it were none. Each
    override must exist in the base it is marked with, and take the parameters that ours names, in the same order.
    """
    import trl

    for name, method in vars(cls).items():
        base = method.__dict__.get("overrides") if isinstance(method, FunctionType) else None
        if base is None:
            continue
        theirs = vars(base).get(name)
        if theirs is None:
            _refuse(trl.__version__, f"it has no {base.__name__}.{name}")
        named = [
            parameter.name
            for parameter in inspect.signature(method).parameters.values()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        found = list(inspect.signature(theirs).parameters)
        if found[: len(named)] != named:
            _refuse(trl.__version__, f"its {base.__name__}.{name} takes {found}, not {named}")


@contextmanager
def naming_overrides(trainer: object, *hooks: str) -> Generator[None]:
    """Name the overrides that stand before ours of some hooks, in an error about what the recipe did not see.

    Args:
        trainer: the trainer, perhaps of a subclass.
        *hooks: names of methods.
    """
    try:
        yield
    except RuntimeError as error:
        # A subclass comes before the class whose methods carry our marks.
        found: list[str] = []
        for cls in type(trainer).__mro__:
            if any("overrides" in getattr(method, "__dict__", {}) for method in vars(cls).values()):
                break
            found += [f"{cls.__name__}.{name}" for name in hooks if name in vars(cls)]
        if not found:
            raise
        raise RuntimeError(f"{error} Overridden here: {', '.join(found)}.") from error


def verify_host() -> None:
    """Raise `UnsupportedHostError` unless the installed TRL is in range and behaves as the hooks expect."""
    try:
        import trl
    except ImportError as error:
        raise UnsupportedHostError("entrostat's TRL integration needs TRL: pip install 'entrostat[trl]'.") from error
    version = trl.__version__
    if not in_range(version, SUPPORTED):
        _refuse(version, "that release was never tested")
    from trl.trainer.grpo_trainer import GRPOTrainer

    _verify_head(version)
    batch = made_up_batch()
    # GRPO's own reduction: the mean over the tokens of a response, then over responses.
    ours = (clipped_loss(batch).sum(-1) / batch.mask.sum(-1)).mean()
    try:
        theirs = _host_loss(GRPOTrainer)
    except AttributeError as error:
        _refuse(version, f"its loss cannot be called: {error}")
    if not torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6):
        _refuse(version, f"its loss on edited inputs is {theirs.tolist()}, the objective gives {ours.tolist()}")


def _refuse(version: str, reason: str) -> NoReturn:
    raise UnsupportedHostError(
        f"entrostat supports trl>={SUPPORTED[0]},<{SUPPORTED[1]}, but TRL {version} is installed and {reason}. "
        f"Install a supported release: pip install 'trl>={SUPPORTED[0]},<{SUPPORTED[1]}'."
    )


def _verify_head(version: str) -> None:
    from trl.trainer import utils

    if not hasattr(utils, "_ChunkedLogProbFunction") or not hasattr(utils, "add_fused_lm_head"):
        _refuse(version, "it has no fused head in trl.trainer.utils")
    kernel: Any = utils._ChunkedLogProbFunction  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    kernel = getattr(kernel, "original", kernel)
    if kernel is None:
        return  # TRL 1.15 has its kernel only where Triton is installed; ours stands in for it anyway
    found = list(inspect.signature(kernel.forward).parameters)
    if found != _KERNEL_ARGUMENTS:
        _refuse(version, f"its fused head takes {found}")


def _host_loss(trainer: Any) -> Tensor:
    """TRL's own loss, fed the edits at the moment the real hook makes them."""
    batch = made_up_batch()
    inputs: dict[str, Any] = {
        "prompt_ids": torch.zeros(2, 1, dtype=torch.long),
        "prompt_mask": torch.ones(2, 1, dtype=torch.long),
        "completion_ids": torch.zeros(2, 3, dtype=torch.long),
        "completion_mask": batch.mask,
        "advantages": torch.zeros(2),
        "num_items_in_batch": batch.mask.sum(),
    }
    host = _StandIn()

    def hook(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, None]:
        inputs.update(advantages=batch.advantages, old_per_token_logps=batch.old_logprobs)
        host.epsilon_low, host.epsilon_high = batch.clip_low, batch.clip_high
        return batch.logprobs, torch.zeros_like(batch.logprobs), None

    host._get_per_token_logps_and_entropies = hook
    return trainer._compute_loss(host, None, inputs)


class _Alone:
    """What TRL's loss asks of accelerate, on a single rank."""

    num_processes = 1
    sync_gradients = True

    def gather(self, tensor: Tensor) -> Tensor:
        return tensor

    def reduce(self, tensor: Tensor, reduction: str) -> Tensor:
        return tensor


class _StandIn(SimpleNamespace):
    """What TRL's loss reads of its trainer, with every optional feature off."""

    def __init__(self) -> None:
        super().__init__(
            accelerator=_Alone(), args=SimpleNamespace(delta=None, steps_per_generation=1), model=torch.nn.Identity(),
            _metrics={"train": defaultdict(list), "eval": defaultdict(list)}, aux_loss_enabled=False, beta=0.0,
            current_gradient_accumulation_steps=1, epsilon_low=0.2, epsilon_high=0.2, importance_sampling_level="token",
            loss_type="grpo", off_policy_mask_threshold=None, top_entropy_quantile=1.0, use_vllm=False,
            vllm_importance_sampling_correction=False, _entropy_bonus_enabled=False, use_adaptive_entropy=False,
        )  # fmt: skip
