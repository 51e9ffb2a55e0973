"""Combinations that cannot work under TRL, each rejected in one sentence when the trainer is made."""

from __future__ import annotations

import warnings
from typing import Any

from entrostat.control import measure_scale, refuse_scaled_terms, require_recipe
from entrostat.errors import require, sentence, unknown_name
from entrostat.integrations.trl._batch import LOSS_TYPES
from entrostat.recipes import HOST_OFFERS, InertRecipeWarning, Recipe


def check_recipe(recipe: Recipe, args: Any, model: Any) -> None:
    """Raise the errors that the trainer raises when it is made; the model may be on torch's `meta` device.

    Raises:
        ValueError: a setting in conflict with the recipe, or a head or a measure that does not fit it.
    """
    refuse_conflicts(args, recipe)
    measure_scale(recipe, model.get_output_embeddings().weight.shape[0], "the fused head")
    refuse_head(recipe, model)


def refuse_conflicts(args: Any, recipe: Recipe) -> None:
    """Raise if a setting of TRL's would do the recipe's work a second time, or undo it.

    Raises:
        TypeError: `recipe` is not a `Recipe`.
        ValueError: TRL's own entropy bonus or `nn.DataParallel`, or something the recipe needs is not there.
    """
    require_recipe(recipe)
    if args is None:
        return
    if args.entropy_coef:
        raise ValueError(
            sentence(
                "entropy_coef",
                "be 0 beside a recipe",
                args.entropy_coef,
                "Two bonuses would add up; let the recipe pay.",
            )
        )
    if args.use_adaptive_entropy:
        raise ValueError(
            sentence(
                "use_adaptive_entropy",
                "be False beside a recipe",
                True,
                "Two controllers would fight over one entropy.",
            )
        )
    if args.n_gpu > 1:
        raise ValueError(
            sentence(
                "n_gpu", "be 1 in one process: nn.DataParallel is not supported", args.n_gpu, "Use `accelerate launch`."
            )
        )
    if args.use_liger_kernel:
        remedy = "Its kernels patch the model's forward, as the fused head does; no one has tried both."
        raise ValueError(sentence("use_liger_kernel", "be False beside a recipe", True, remedy))
    _refuse_missing(args, recipe)
    _refuse_ratio(args, recipe)


def _refuse_missing(args: Any, recipe: Recipe) -> None:
    offers = HOST_OFFERS.keys() - ({"ref_logprobs"} if not args.beta else set[str]())
    if missing := sorted(recipe.needs - offers):
        remedy = " Set `beta` above 0 to keep a reference model." if "ref_logprobs" in missing else ""
        raise ValueError(f"recipe {recipe.name!r} needs {', '.join(missing)}, which TRL does not give here.{remedy}")
    if recipe.redraw is not None:
        _refuse_redraw(args, recipe)
    # A term changes TRL's divergence token by token, and so needs to know the ratio that it is multiplied by.
    sequence = args.importance_sampling_level == "sequence" and args.use_bias_correction_kl
    if "ref_logprobs" in recipe.needs and recipe.terms and sequence:
        remedy = f"Recipe {recipe.name!r} changes the divergence of each token; a sequence's ratio is none of a token."
        raise ValueError(
            sentence("use_bias_correction_kl", 'be False with importance_sampling_level="sequence"', True, remedy)
        )


def _refuse_ratio(args: Any, recipe: Recipe) -> None:
    """Raise if TRL's loss would not form its ratio per token, or not clip it, where an edit counts on that."""
    if (recipe.edits or recipe.terms) and args.loss_type not in LOSS_TYPES:
        # How it reduces, and which edits it reads, is not known.
        raise unknown_name("loss_type", args.loss_type, LOSS_TYPES)
    of_clip = {"clip_low", "clip_high", "old_logprobs"}
    if args.loss_type in ("cispo", "sapo", "vespo") and of_clip & _set_by(recipe):
        remedy = f"Recipe {recipe.name!r} sets clip bounds or ratio, which this loss does not read that way."
        raise ValueError(
            sentence("loss_type", "be one with PPO's clip, such as 'dapo' or 'grpo'", args.loss_type, remedy)
        )
    if args.importance_sampling_level != "token" and "old_logprobs" in _set_by(recipe):
        level, remedy = args.importance_sampling_level, f"Recipe {recipe.name!r} makes each token's ratio itself."
        raise ValueError(sentence("importance_sampling_level", "be 'token'", level, remedy))
    if args.beta and args.use_bias_correction_kl and "old_logprobs" in _set_by(recipe):
        remedy = f"TRL would multiply its divergence by the ratio that recipe {recipe.name!r} edits."
        raise ValueError(sentence("use_bias_correction_kl", "be False", True, remedy))
    if args.off_policy_mask_threshold is not None and "old_logprobs" in _set_by(recipe):
        remedy = f"TRL would read its mask off the log-probs that recipe {recipe.name!r} edits."
        raise ValueError(sentence("off_policy_mask_threshold", "be None", args.off_policy_mask_threshold, remedy))


def _set_by(recipe: Recipe) -> set[str]:
    return {field for edit in recipe.edits for field in edit.sets}


def warn_if_inert(args: Any, recipe: Recipe) -> None:
    """Warn if the recipe acts through a ratio that this job leaves at 1."""
    updates = args.steps_per_generation * args.num_iterations / args.gradient_accumulation_steps
    if recipe.ratio_only and updates <= 1:
        warnings.warn(
            f"recipe {recipe.name!r} does nothing here: it acts where the ratio to the rollout policy leaves 1, and "
            "this job makes one update per rollout batch. Raise `num_iterations`, or `steps_per_generation` above "
            "`gradient_accumulation_steps`.",
            InertRecipeWarning,
            stacklevel=3,
        )


def _refuse_redraw(args: Any, recipe: Recipe) -> None:
    if args.use_vllm:
        raise ValueError(
            f"recipe {recipe.name!r} draws at a second temperature, which is not supported with `use_vllm=True`. "
            "Generate with transformers, or choose another recipe."
        )
    local = args.per_device_train_batch_size * args.steps_per_generation
    require(
        local % args.num_generations == 0,
        "per_device_train_batch_size",
        f"make whole groups of {args.num_generations} on every process with recipe {recipe.name!r}",
        args.per_device_train_batch_size,
    )


def refuse_head(recipe: Recipe, model: Any) -> None:
    """Raise if the recipe scales logits, or reads them, in a head where that is no linear matter."""
    asked = recipe.needs & {"logit_scale", "logit_stats"}
    if not asked:
        return
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    if softcap is not None or ("logit_scale" in asked and model.get_output_embeddings().bias is not None):
        raise ValueError(
            f"recipe {recipe.name!r} works on the logits of a head without softcap and bias; this model's head has "
            f"{'a softcap' if softcap is not None else 'a bias'}. Choose another recipe for it."
        )
    refuse_scaled_terms(recipe)
