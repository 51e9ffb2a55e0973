"""How much a clamp of the entropy bonus changes: its bias, and the entropy of logits like a language model's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._policy import kept_mask
from entrostat.lab._tree import PrefixTree, soft_tree_optimum
from entrostat.lab.theory.bounds import log_uniform, lost, samples
from entrostat.measures import clamped, shannon
from entrostat.ops import token_stats

PUBLISHED = (0.25, 0.33, 0.4)
VOCAB = 151_936

# The bias of a clamped bonus: |A| becomes |A(s)|, which is a small change at the published clamps.
#
# The clamped bonus pays for tokens of A(s) only, so a policy that puts its mass elsewhere earns nothing by it. Its best
# policy lives on A(s), and the entropy-bias lemma repeats itself there, as long as a best answer stays inside:
#
#     V* - V(pi*_l) <= l (H log |A(s)| - log N*),        a gain of at most l H log(1 / (1 - p))
#
# For one state with N right tokens (reward 1, else 0) the bias is exact: odds of wrong to right
# (|A(s)| - N) / (N e^{1/l}). Clamping by p is the same as lowering 1/l by log(1 / (1 - p)).


def _bias_on_trees(count: int) -> tuple[Tensor, Tensor]:
    ratios: list[Tensor] = []
    gains: list[Tensor] = []
    for tree, logits in samples(count, scale=2, seed=0):
        permitted = torch.ones(count, 1, dtype=torch.bool)
        for level in logits:
            permitted = (permitted.unsqueeze(-1) & kept_mask(level, 0.34)).flatten(1)
        inside = (permitted & tree.optimal).any(-1)  # the lemma asks for a best answer inside
        coef = log_uniform(count, 1e-2, 3.0, seed=1)[inside]
        whole = PrefixTree(rewards=tree.rewards[inside], horizon=tree.horizon)
        restricted = PrefixTree(rewards=whole.rewards, horizon=tree.horizon, permitted=permitted[inside])
        size, right = permitted.sum(-1)[inside].double(), (permitted & tree.optimal).sum(-1)[inside].double()
        bias, bias_whole = (lost(t, soft_tree_optimum(t, coef=coef)[1]) for t in (restricted, whole))
        price = coef * (size.log() - right.log())
        ratios.append((bias / price)[price > 1e-9])
        gains.append(bias_whole - bias)
    return torch.cat(ratios), torch.cat(gains)


def _distance_of_ascent(steps: int) -> float:
    # Gradient ascent on E[r] + coef * H~ from a random policy must end at the softmax of r / coef on A(s).
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, generator=generator, dtype=torch.float64)
    reward = torch.zeros(12, dtype=torch.float64)
    reward[logits.topk(3).indices] = 1
    target = (reward / 0.5).masked_fill(~kept_mask(logits, 1 / 3), -torch.inf).softmax(-1)
    logits.requires_grad_()
    adam = torch.optim.Adam([logits], lr=0.02)
    for _ in range(steps):
        value = logits.softmax(-1) @ reward + 0.5 * clamped(logits, clamp=1 / 3)
        adam.zero_grad()
        (-value).backward()
        adam.step()
    return float((logits.detach().softmax(-1) - target).abs().sum() / 2)


def _half(clamp: float) -> float:
    # Half of the reward is lost where (K - 1) e^{-1/l} = 1, K tokens being kept.
    return 1 / math.log(VOCAB - int(clamp * VOCAB) - 1)


@claim("theory", source="Derived: Shen, arXiv 2509.03493, proves nothing about the clamped bonus and names it as open.")
def clamped_bias(quick: bool) -> Outcome:
    """Clamping puts |A(s)| in the place of |A| in the bias as long as a best answer is kept; at the published clamps
    this is at most 0.51 of 11.93 nats per token.
    """
    # Try the lemma with |A(s)| on random trees, then put numbers on the published clamps.
    ratio, gain = _bias_on_trees(1000 if quick else 20_000)
    distance = _distance_of_ascent(1500 if quick else 4000)
    figures: dict[str, float | str] = {
        "trees": len(ratio),
        "tightest clamped bias / bound with |A(s)|": float(ratio.max()),
        "trees where clamping raised the bias": float((gain < -1e-9).sum()),
        "total variation between gradient ascent on the clamped objective and the optimum on A(s)": distance,
    }
    for clamp in PUBLISHED:
        figures[f"nats per token off the bound at p = {clamp} (of {math.log(VOCAB):.2f})"] = math.log(1 / (1 - clamp))
    for clamp in (*PUBLISHED, 0.99):
        figures[f"coefficient that loses half the reward, p = {clamp} (p = 0: {_half(0):.4f})"] = _half(clamp)
    fits = float(ratio.max()) <= 1 + 1e-9 and distance < 0.01
    coefs = torch.linspace(0.04, 0.2, 80).tolist()
    wrong = {p: VOCAB - int(p * VOCAB) - 1 for p in (0.0, 0.25, 0.4, 0.9, 0.99, 0.999)}
    lines = {p: [1 / (1 + math.exp(1 / coef) / count) for coef in coefs] for p, count in wrong.items()}
    return Outcome(
        verdict="holds" if fits else "does not hold",
        figures=figures,
        seeds=(0, 1),
        plots=(
            Plot(
                title=f"What the regularised optimum loses, one right token of {VOCAB}",
                x_label="coefficient of the bonus",
                y_label="V* - V of the regularised optimum",
                series=tuple(Series(name=f"clamp p = {p}", x=coefs, y=y) for p, y in lines.items()),
            ),
        ),
        remarks=(
            "The predicted gain at the published clamps is small: 0.29 to 0.51 nats of 11.93, which is the same as "
            "lowering the coefficient by 2 to 4 percent. Only clamps that keep a few hundred or thousand tokens change "
            "the picture. The bias can also rise: where the ranking is not informed, right answers are clamped away as "
            "readily as wrong ones. The lemma is silent where every best answer is clamped away."
        ),
    )


# How much the clamp removes on logits that look like a language model's.
#
# Logits of a vocabulary of 151,936: a Gaussian tail and a few high ones. The clamp's share p counts tokens, not
# probability, and the lower third of such a vocabulary has next to no probability to lose.

CLAMPS = (*PUBLISHED, 0.9, 0.99, 0.999, 0.9999)
SHAPES: dict[str, tuple[float, tuple[float, ...]]] = {
    "peaked": (2.5, (18.0, 15.0, 12.0)),
    "several peaks": (2.5, (11.0, 10.8, 10.6, 10.5, 10.3)),
    "no peaks": (1.0, ()),
}
"""Standard deviation of the tail and the high logits."""


def _logits(spread: float, peaks: tuple[float, ...], seed: int) -> Tensor:
    logits = spread * torch.randn(VOCAB, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits[: len(peaks)] = torch.tensor(peaks, dtype=torch.float64)
    return logits


@claim("theory", source="Derived on synthetic logits; settings of Shen, arXiv 2509.03493 (p = 0.25 to 0.4).")
def clamp_activity(quick: bool) -> Outcome:
    """On peaked logits the clamp at its published settings changes the entropy by less than 0.01 nats."""
    # Clamp three kinds of synthetic logits and compare entropy, mass and gradient.
    seeds = (0,) if quick else (0, 1, 2, 3, 4)
    figures: dict[str, float | str] = {}
    lines: list[Series] = []
    for name, (spread, peaks) in SHAPES.items():
        logits = torch.stack([_logits(spread, peaks, seed) for seed in seeds])
        whole = float(shannon(logits).mean())
        kept_mass = token_stats(logits, torch.zeros(len(logits), dtype=torch.long), clamp=0.33).kept_mass
        change = {p: whole - float(clamped(logits, clamp=p).mean()) for p in CLAMPS}
        figures[f"{name}: entropy"] = whole
        for p in (*PUBLISHED, 0.9):
            figures[f"{name}: entropy lost at p = {p}"] = change[p]
        figures[f"{name}: mass removed at p = 0.33"] = float((1 - kept_mass).mean())
        lines.append(Series(name=name, x=[1 - p for p in CLAMPS], y=[abs(change[p]) / whole for p in CLAMPS]))
    leaf = torch.stack([_logits(*SHAPES["peaked"], seed) for seed in seeds]).requires_grad_()
    full, part = (torch.autograd.grad(value.sum(), leaf)[0] for value in (shannon(leaf), clamped(leaf, clamp=0.33)))
    relative = (full - part).norm(dim=-1) / full.norm(dim=-1)
    figures["peaked: relative change of the bonus's gradient at p = 0.33"] = float(relative.mean())
    inert = all(float(figures[f"peaked: entropy lost at p = {p}"]) < 0.01 for p in PUBLISHED)
    return Outcome(
        verdict="holds" if inert else "does not hold",
        figures=figures,
        seeds=seeds,
        plots=(
            Plot(
                title="What the clamp takes from the entropy",
                x_label="share of the vocabulary kept, 1 - p",
                y_label="change of the entropy / entropy",
                series=tuple(lines),
                log_x=True,
                log_y=True,
            ),
        ),
        remarks=(
            "Synthetic logits: a model's tail may be heavier. Every AEnt run of this library logs `kept_mass` and "
            "`entropy - clamped_entropy`, so that the question is answered on the model at hand."
        ),
    )
