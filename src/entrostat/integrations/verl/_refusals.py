"""Combinations that cannot work on verl, each rejected at construction in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from entrostat.control import measure_scale, refuse_scaled_terms, require_recipe
from entrostat.controllers import Constant
from entrostat.errors import sentence, unknown_name
from entrostat.integrations.verl._batch import AGGREGATIONS
from entrostat.recipes import HOST_OFFERS, Recipe

OFFERS = frozenset(HOST_OFFERS) - {"redraw"}
"""The needs of a recipe that the plug-in can meet; `ref_logprobs` with `use_kl_loss` only."""

ENGINE = "verl's engine"

TRAINER = "entrostat_sync"
"""The value of `trainer.v1.trainer_mode` that carries a recipe."""

IGNORED = (
    "VERL_ENGINE_VENDOR=entrostat is set, but this worker trains with a loss of verl's own: no recipe is at work. "
    "Settings under `entrostat` need the group `+entrostat=control`; without a recipe, unset the variable."
)
"""The warning of our engine when another loss uses it; training without a recipe is no error."""


def refuse_arguments(arguments: Sequence[str]) -> None:
    """Raise `ValueError` if a command line has our settings without their group: Hydra accepts, verl ignores them.

    With the group, Hydra itself refuses to add a setting that exists already. A setting forced by `++`, or one in a
    file, may have the group beside it in that file.

    Args:
        arguments: Hydra's overrides, among other things.
    """
    alone = [each for each in arguments if each.startswith(("+entrostat.recipe=", "+entrostat.window="))]
    if alone and not any(each.startswith("+entrostat=") for each in arguments):
        raise ValueError(
            f"{alone[0]} stands without the group of its settings, and verl would ignore it. Write +entrostat=control "
            f"{alone[0].removeprefix('+')}, with hydra.searchpath=[pkg://entrostat.integrations.verl.config]."
        )


def refuse_trainer(use_v1: bool, mode: str) -> str:
    """Return the trainer's name; raise `ValueError` if it is one that would train without the recipe and say nothing.

    The Hydra group calls it, as the resolver `entrostat_carries`, when verl resolves its configuration.

    Args:
        use_v1: verl's `trainer.use_v1`.
        mode: verl's `trainer.v1.trainer_mode`.
    """
    if not use_v1:
        remedy = "verl's old trainer would ignore the recipe."
        raise ValueError(sentence("trainer.use_v1", "be True beside +entrostat=control", use_v1, remedy))
    if mode != TRAINER:
        remedy = "That trainer would ignore the recipe; leave the setting out, or leave the group out."
        raise ValueError(sentence("trainer_mode", f"be {TRAINER} beside +entrostat=control", mode, remedy))
    return mode


def refuse_actor(config: Any, recipe: Recipe) -> None:
    """Raise `ValueError` if the recipe and the actor's settings cannot go together.

    Args:
        config: verl's `ActorConfig`, or its Hydra node.
        recipe: the recipe.
    """
    require_recipe(recipe)
    _refuse_missing(config, recipe)
    if config.entropy_coeff:
        remedy = "Two bonuses would add up; let the recipe pay."
        raise ValueError(sentence("entropy_coeff", "be 0 beside a recipe", config.entropy_coeff, remedy))
    if config.strategy not in ("fsdp", "fsdp2"):
        raise ValueError(sentence("strategy", "be fsdp or fsdp2 beside a recipe", config.strategy))
    if config.use_fused_kernels:
        remedy = "verl's fused head gives no logits to measure."
        raise ValueError(sentence("use_fused_kernels", "be False beside a recipe", True, remedy))
    refuse_scaled_terms(recipe)
    if recipe.terms and config.loss_agg_mode not in AGGREGATIONS:
        raise unknown_name("loss_agg_mode", config.loss_agg_mode, AGGREGATIONS)
    if recipe.edits and config.policy_loss.loss_mode != "vanilla":
        remedy = f"Recipe {recipe.name!r} edits what that loss reads; the other losses read it differently."
        raise ValueError(sentence("loss_mode", "be 'vanilla'", config.policy_loss.loss_mode, remedy))


def _refuse_missing(config: Any, recipe: Recipe) -> None:
    offers = OFFERS if config.use_kl_loss else OFFERS - {"ref_logprobs"}
    if missing := sorted(recipe.needs - offers):
        remedy = " Set `use_kl_loss` to keep a reference model." if "ref_logprobs" in missing else ""
        raise ValueError(f"recipe {recipe.name!r} needs {', '.join(missing)}, which verl does not give here.{remedy}")
    # Whether the engine can compute a measure does not depend on the vocabulary.
    measure_scale(recipe, 2, ENGINE)


def refuse_run(config: Any, recipe: Recipe) -> None:
    """Raise `ValueError` if other settings of verl leave the recipe no place, or no data.

    Args:
        config: verl's whole configuration.
        recipe: the recipe.
    """
    if (distillation := config.get("distillation")) and distillation.get("enabled"):
        remedy = "A worker has one loss, and the recipe's would take the place of the distillation's."
        raise ValueError(sentence("distillation.enabled", "be False beside a recipe", True, remedy))
    actor = config.actor_rollout_ref.actor
    parts = max(each.get("ulysses_sequence_parallel_size", 1) for each in (actor, actor.get("fsdp_config", {})))
    if "logit_scale" in recipe.needs and parts > 1:
        remedy = f"Recipe {recipe.name!r} scales the logits of single positions, and a rank then has some of them."
        raise ValueError(sentence("ulysses_sequence_parallel_size", "be 1", parts, remedy))
    correction = config.algorithm.get("rollout_correction")
    if "old_entropy" in recipe.needs and correction and correction.get("bypass_mode"):
        remedy = f"Recipe {recipe.name!r} measures fresh rollouts in the pass that this mode leaves out."
        raise ValueError(sentence("algorithm.rollout_correction.bypass_mode", "be False", True, remedy))


def refuse_parts(keys: Sequence[str], recipe: Recipe) -> None:
    """Raise `ValueError` if a recipe that compares whole responses meets one in several parts, which share a reward.

    Args:
        keys: verl's names of the rows, `UID_SESSION_PART`.
        recipe: the recipe.
    """
    parts = Counter(key.rsplit("_", 1)[0] for key in keys)
    session, most = max(parts.items(), key=lambda item: item[1])
    if most > 1 and recipe.needs & {"rewards", "group_ids"}:
        raise ValueError(
            f"recipe {recipe.name!r} compares whole responses, but session {session} answered in {most} parts. "
            "Use an agent loop that returns one output per session."
        )


def refuse_window(recipe: Recipe, updates: int) -> None:
    """Raise `ValueError` if the controller moves at every optimizer step and verl makes several per rollout batch.

    Args:
        recipe: the recipe.
        updates: optimizer steps per rollout batch.
    """
    if recipe.window == "step" and updates > 1 and not isinstance(recipe.controller, Constant):
        raise ValueError(
            f"recipe {recipe.name!r} moves its coefficient at every optimizer step, but verl makes {updates} of them "
            "between two visits of the driver. Set `entrostat.window=rollout`."
        )
