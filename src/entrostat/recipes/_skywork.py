from __future__ import annotations

from typing import Literal

from entrostat.controllers import Step
from entrostat.errors import unknown_name
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import EntropyBonus, Surprisal

DEFAULTS = {"skywork": (1e-4, 5e-3), "trl": (5e-3, 1.0)}
"""Step and ceiling of each implementation. The two differ by factors of 50 and 200."""


@recipe(
    acts_on="loss term",
    paper="he2025skywork",
    embedded={"parameters": {"target": 0.3, "delta": 0.002, "ceiling": 0.05}},
)
def skywork(
    *,
    variant: Literal["skywork", "trl"] = "skywork",
    target: float = 0.2,
    delta: float | None = None,
    floor: float = 0.0,
    ceiling: float | None = None,
    initial: float = 0.0,
) -> Recipe:
    """Skywork-OR1: an entropy bonus below a target only, its coefficient stepped up and down.

        L = L_host - g c (1/N) sum_{b,t} H_{b,t}
        g = 1[h < target],   c <- clip(c + delta if h < target else c - delta, floor, ceiling)

    | variant     | h                                        | moves              | first   | at h = target |
    |-------------|------------------------------------------|--------------------|---------|---------------|
    | `"skywork"` | mean surprisal -log pi_old of the tokens | per rollout batch  | g = 1   | off, down     |
    | `"trl"`     | mean entropy of the policy               | per optimizer step | g = 0   | on, up        |

    Either as its authors published it or as TRL has it. One-sided: nothing lowers the entropy above the target. The
    gate shuts the bonus at once, so expect a cycle around the target, not rest.

    How sure: high. Both rules were read in code. The authors' code looks at one rank only and forgets `c` on resume;
    here `h` is the mean over all tokens of all ranks and `c` is saved.

    Args:
        variant: `"skywork"` for the authors' code, `"trl"` for `use_adaptive_entropy`.
        target: entropy to stay above, nats per token. 0.2 in the authors' scripts and in TRL; it depends on the model.
        delta: step of the coefficient; None for the variant's (1e-4 in the authors' scripts, 5e-3 in TRL).
        floor: least coefficient.
        ceiling: greatest coefficient; None for the variant's (5e-3, or 1).
        initial: first coefficient.

    Raises:
        ValueError: an unknown variant, or a setting that the controller rejects.

    Reference:
        He et al., "Skywork Open Reasoner 1 Technical Report", arXiv 2505.22312; TRL's `GRPOConfig`.

    Example:
        >>> skywork(variant="trl").controller
        Step(target=0.2, delta=0.005, floor=0.0, ceiling=1.0, initial=0.0, variant='trl')
    """
    if variant not in DEFAULTS:
        raise unknown_name("variant", variant, DEFAULTS)
    usual_delta, usual_ceiling = DEFAULTS[variant]
    law = Step(
        target=target, delta=usual_delta if delta is None else delta, floor=floor,
        ceiling=usual_ceiling if ceiling is None else ceiling, initial=initial, variant=variant,
    )  # fmt: skip
    theirs = variant == "skywork"
    return Recipe(
        controller=law,
        signal=Surprisal(old=True) if theirs else None,
        terms=(EntropyBonus(),),
        window="rollout" if theirs else "step",
        parameters={
            "variant": variant,
            "target": target,
            "delta": law.delta,
            "floor": floor,
            "ceiling": law.ceiling,
            "initial": initial,
        },
    )
