"""[68] The nearest-neighbour bonus over a group of rollouts follows the entropy of what the group does."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, entropy, main
from entrostat.lab.classical import knn_bonus

CLUSTERS = 12


def embedded_group(masses: Tensor, *, size: int, copies: bool, rng: torch.Generator) -> Tensor:
    """Return embeddings `[size, 8]` of rollouts in clusters drawn by `masses`; copies agree exactly within one."""
    centres = 4 * torch.randn(CLUSTERS, 8, generator=rng, dtype=torch.float64)
    drawn = torch.multinomial(masses, size, replacement=True, generator=rng)
    noise = torch.randn(size, 8, generator=rng, dtype=torch.float64)
    return centres[drawn] + (0.0 if copies else 0.3) * noise


def correlation(*, size: int, groups: int, seed: int) -> tuple[float, list[float], list[float]]:
    """Return the correlation over groups of the mean bonus with the true entropy of the clusters, and both."""
    rng = torch.Generator().manual_seed(seed)
    truth: list[float] = []
    bonus: list[float] = []
    for k in range(groups):
        masses = (torch.randn(CLUSTERS, generator=rng, dtype=torch.float64) * 6 * k / groups).softmax(-1)
        features = embedded_group(masses, size=size, copies=False, rng=rng)
        truth.append(float(entropy(masses)))
        bonus.append(float(knn_bonus(features, standardise=False).mean()))
    pair = torch.tensor([truth, bonus], dtype=torch.float64)
    return float(torch.corrcoef(pair)[0, 1]), truth, bonus


def ranking_of_copies(seed: int) -> tuple[float, float]:
    """Return the bonus of a lone answer minus that of a much-copied one, with and without copies as neighbours."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.cat([torch.zeros(20, 8), torch.randn(8, 8, generator=rng), 3 * torch.ones(1, 8)]).double()
    bonus = knn_bonus(features, standardise=False)
    distance = torch.cdist(features, features).sort(-1).values[:, :5].mean(-1).log1p()  # the point itself included
    return float(bonus[-1] - bonus[0]), float(distance[0])


def check(quick: bool) -> Outcome:
    """Compare group sizes, and look at copies."""
    groups = 60 if quick else 300
    sizes = (4, 8, 32, 64)
    found = {size: correlation(size=size, groups=groups, seed=size) for size in sizes}
    ahead, blind = ranking_of_copies(0)
    by_size = [found[size][0] for size in sizes]
    holds = by_size[-1] > 0.85 and min(by_size) == by_size[0] and ahead > 0 and blind == 0
    _, truth, bonus = found[32]
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures={
            **{f"correlation with the entropy, groups of {s}": c for s, c in zip(sizes, by_size, strict=True)},
            "lone answer's bonus over that of an answer given 20 times": ahead,
            "bonus of the latter if copies and the point itself are neighbours": blind,
        },
        seeds=(0, *sizes),
        plots=(
            Plot(
                title=f"Groups of 32 rollouts in {CLUSTERS} clusters",
                x_label=f"entropy of the clusters (nats, at most {math.log(CLUSTERS):.2f})",
                y_label="mean nearest-neighbour bonus",
                series=(Series(name="groups", x=truth, y=bonus, points=True),),
            ),
        ),
        remarks=(
            "Synthetic embeddings. The paper's gain in robustness is not tested here; it reports that the gain "
            "disappears with few rollouts per estimate, which agrees with the small groups' correlation."
        ),
    )


CLAIM = Claim(
    name="classical_knn_bonus",
    statement=(
        "The mean nearest-neighbour bonus of a group of rollouts follows the entropy of their distribution, least well "
        "in the smallest groups, provided that copies are no neighbours."
    ),
    source="[68] Ashlag et al. 2025, arXiv 2506.07085 (appendix and authors' code read; test ours)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
