"""What cannot work together is refused when the trainer is made, in one sentence each."""

from __future__ import annotations

from typing import Any

from entrostat.errors import sentence
from entrostat.recipes import Recipe


def refuse_conflicts(args: Any, recipe: Recipe) -> None:
    """Raise if a setting of TRL's would do the recipe's work a second time, or undo it.

    Raises:
        TypeError: `recipe` is not a `Recipe`.
        ValueError: TRL's own entropy bonus or `nn.DataParallel`, or something the recipe needs is not there.
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(sentence("recipe", "be an entrostat Recipe, such as `entrostat.recipes.aent(...)`", recipe))
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
    if recipe.edits and args.use_liger_kernel:
        raise ValueError(sentence("use_liger_kernel", "be False with a recipe that edits the loss's inputs", True))
    _refuse_missing(args, recipe)


def _refuse_missing(args: Any, recipe: Recipe) -> None:
    offers = {"old_logprobs", "rewards", "group_ids", "total_steps"} | ({"ref_logprobs"} if args.beta else set[str]())
    if missing := sorted(recipe.needs - offers):
        remedy = " Set `beta` above 0 to keep a reference model." if "ref_logprobs" in missing else ""
        raise ValueError(f"recipe {recipe.name!r} needs {', '.join(missing)}, which TRL does not give here.{remedy}")


def refuse_unfused(recipe: Recipe, vocab: int) -> float:
    """Return the factor from the fused entropy to the recipe's measure; raise if the head cannot compute it."""
    scale = recipe.measure.fused_scale(vocab)
    if scale is None:
        raise ValueError(
            f"recipe {recipe.name!r} measures {recipe.measure!r}, which the fused head cannot compute. "
            "Use a measure by support (Shannon, Clamped, TopK, Nucleus, Normalized)."
        )
    return scale
