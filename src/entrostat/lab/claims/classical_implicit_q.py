"""[57] Implicit Q-values: entropy and KL together end where entropy alone ends, at temperature (1 - alpha) tau."""

from __future__ import annotations

import torch

from entrostat.lab import Claim, Outcome, Plot, Series, main, soft_value_iteration
from entrostat.lab.claims.classical_natural_actor_critic import random_mdp
from entrostat.lab.classical import implicit_q_iteration, implicit_q_loss

TEMPERATURE = 0.1


def distance(munchausen: float, seed: int) -> float:
    """Return the largest difference of the fixed point's policy from the soft optimum at `(1 - alpha) tau`."""
    mdp = random_mdp(seed)
    found = implicit_q_iteration(mdp, temperature=TEMPERATURE, munchausen=munchausen)
    best = soft_value_iteration(mdp, coef=(1 - munchausen) * TEMPERATURE)
    return float((found.logprobs.exp() - best.policy).abs().max())


def loss_at_the_fixed_point(munchausen: float, seed: int) -> float:
    """Return the largest loss over all state-action pairs once iteration has converged, targets being its own."""
    mdp = random_mdp(seed)
    found = implicit_q_iteration(mdp, temperature=TEMPERATURE, munchausen=munchausen)
    values = found.values.unsqueeze(-1).expand_as(found.logprobs)
    loss = implicit_q_loss(
        found.logprobs,
        found.logprobs,
        values,
        mdp.ahead(found.values),
        mdp.rewards,
        torch.ones_like(values),
        temperature=TEMPERATURE,
        munchausen=munchausen,
        discount=mdp.discount,
        floor=-torch.inf,
    )
    return float(loss.max())


def check(quick: bool) -> Outcome:
    """Compare fixed points on random MDPs of 8 states and 4 actions."""
    seeds = tuple(range(1 if quick else 5))
    shares = (0.0, 0.5, 0.9)
    gap = {alpha: max(distance(alpha, s) for s in seeds) for alpha in shares}
    loss = max(loss_at_the_fixed_point(alpha, 0) for alpha in shares)
    changes = {a: implicit_q_iteration(random_mdp(0), temperature=TEMPERATURE, munchausen=a).changes for a in shares}
    steps = range(0, 400, 10)
    lines = tuple(
        Series(
            name=f"alpha = {a}", x=[float(k + 1) for k in steps if c[k] > 0], y=[float(c[k]) for k in steps if c[k] > 0]
        )
        for a, c in changes.items()
    )
    return Outcome(
        verdict="holds" if max(gap.values()) < 1e-9 and loss < 1e-18 else "does not hold",
        figures={
            **{f"largest policy difference at alpha = {a}": g for a, g in gap.items()},
            "largest loss at the fixed point": loss,
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Convergence of implicit Q-iteration",
                x_label="iteration",
                y_label="largest change of a probability",
                series=lines,
                log_y=True,
            ),
        ),
        remarks="tau = 0.1, exact regressions over all actions; sampling and clipping are left out here.",
    )


CLAIM = Claim(
    name="classical_implicit_q",
    statement=(
        "Regressing tau log pi + V on the Munchausen target converges to the optimum of entropy alone at temperature "
        "(1 - alpha) tau; alpha = 0 is soft value iteration."
    ),
    source="[57] Vieillard et al. 2022, arXiv 2108.07041 (opening only; loss from memory, equivalence derived)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
