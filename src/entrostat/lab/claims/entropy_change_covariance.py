"""What a policy-gradient step does to the entropy, and which single tokens raise it.

With dH/dz_a = -p_a (log p_a + H), a small change dz of the logits changes the entropy by

    dH = -sum_a p_a (log p_a + H) dz_a = -Cov_p(log p, dz)
    policy gradient   dz = eta p A:        dH = -eta Cov_p(log p, p A)
    natural gradient  dz = eta A:          dH = -eta Cov_p(log p, A)
    one token a       dz = eta A (e_a-p):  dH = -eta A [p_a (log p_a + H) - sum_j p_j^2 (log p_j + H)]

The last sum is Cov_p(p, log p) >= 0, so a token with p_a <= e^{-H} makes the bracket negative, always: rewarding an
unlikely token raises the entropy, punishing it lowers it. For likely tokens the two terms fight.
"""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, entropy, main

_TOKENS = 9


def check(quick: bool) -> Outcome:
    """Compare the identities with real steps, and count the signs of single-token updates."""
    count = 20_000 if quick else 200_000
    logits = _logits(count, seed=0)
    advantages = torch.randn(count, _TOKENS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors = {step: _error(logits, advantages, step) for step in (1e-2, 5e-3)}
    single = _single_token_error(logits, advantages[:, 0])
    table, plot = _signs(logits)
    fits = (
        single < 1e-6 and errors[5e-3] < 0.3 * errors[1e-2] and table["rewarded, p <= e^-H: share that raises H"] == 1
    )
    return Outcome(
        verdict="holds" if fits else "does not hold",
        figures={
            "categoricals": count,
            "largest error of the two identities, step 0.01": errors[1e-2],
            "the same, step 0.005 (a quarter: second order)": errors[5e-3],
            "largest error of the single-token formula": single,
            **table,
        },
        seeds=(0, 1, 2),
        plots=(plot,),
        remarks=(
            "Exact on the unlikely side, a tendency on the likely side: how often it holds there depends on the "
            f"distributions drawn (here softmax of normal logits over {_TOKENS} tokens, standard deviation uniform in "
            "0.3 to 3, the token drawn uniformly)."
        ),
    )


def _logits(count: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = 0.3 + 2.7 * torch.rand(count, 1, generator=generator, dtype=torch.float64)
    return spread * torch.randn(count, _TOKENS, generator=generator, dtype=torch.float64)


def _covariance(p: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return (p * x * y).sum(-1) - (p * x).sum(-1) * (p * y).sum(-1)


def _error(logits: Tensor, advantages: Tensor, step: float) -> float:
    p = logits.softmax(-1)
    logp = logits.log_softmax(-1)
    centred = advantages - (p * advantages).sum(-1, keepdim=True)
    worst = 0.0
    for change in (p * centred, centred):
        real = entropy((logits + step * change).softmax(-1)) - entropy(p)
        worst = max(worst, float((real + step * _covariance(p, logp, change)).abs().max()))
    return worst


def _bracket(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    p, logp = logits.softmax(-1), logits.log_softmax(-1)
    each = p * (logp + entropy(p).unsqueeze(-1))
    return p, logp, each - (p * each).sum(-1, keepdim=True)


def _single_token_error(logits: Tensor, advantage: Tensor) -> float:
    # Central differences with the first token as the one drawn.
    p, _, bracket = _bracket(logits)
    direction = -p * advantage.unsqueeze(-1)
    direction[:, 0] += advantage
    h = 1e-5
    ahead, behind = (entropy((logits + s * h * direction).softmax(-1)) for s in (1, -1))
    return float(((ahead - behind) / (2 * h) + advantage * bracket[:, 0]).abs().max())


def _signs(logits: Tensor) -> tuple[dict[str, float], Plot]:
    p, logp, bracket = _bracket(logits)
    drawn = torch.randint(_TOKENS, (len(p), 1), generator=torch.Generator().manual_seed(2))
    h = entropy(p)
    surprise = (-logp.gather(-1, drawn)).squeeze(-1) - h
    raises = bracket.gather(-1, drawn).squeeze(-1) < 0  # of a rewarded token; a punished one does the opposite
    unlikely = surprise >= 0
    low, high = float(raises[unlikely].double().mean()), float(raises[~unlikely].double().mean())
    table = {
        "rewarded, p <= e^-H: share that raises H": low,
        "punished, p <= e^-H: share that lowers H": low,
        "rewarded, p > e^-H: share that lowers H": 1 - high,
        "punished, p > e^-H: share that raises H": 1 - high,
    }
    edges = torch.linspace(-2, 3, 41, dtype=torch.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    bins = torch.bucketize(surprise, edges) - 1
    share = [float(raises[bins == i].double().mean()) for i in range(len(centres))]
    series = Series(name="rewarded token raises the entropy", x=centres.tolist(), y=share)
    plot = Plot(
        title="Which rewarded tokens raise the entropy",
        x_label="surprise of the token minus the entropy, -log p - H (nats)",
        y_label="share of random policies",
        series=(series,),
    )
    return table, plot


CLAIM = Claim(
    name="entropy_change_covariance",
    statement=(
        "A policy-gradient step changes the entropy by minus a covariance with log p; "
        "rewarding a token rarer than e^-H always raises it, punishing one always lowers it."
    ),
    source="Cui et al., arXiv 2505.22617 (covariance); single-token form derived above.",
    check=check,
    topic="theory",
)

if __name__ == "__main__":
    main(CLAIM)
