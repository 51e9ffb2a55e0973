"""Edits to hold the contracts against. An edit that is not listed is taken as some recipe holds it."""

from __future__ import annotations

import math
from typing import Any

from entrostat import edits

from ..parts import at_its_defaults, in_a_recipe, kinds

# (a setting that changes nothing or None, edit)
MICRO_BATCH: list[tuple[Any, Any]] = [
    (edits.EntropyMask(keep=1.0), edits.EntropyMask(keep=0.4)),
    (edits.EntropyMask(keep=1.0, rescale=False), edits.EntropyMask(keep=0.4, rescale=False)),
    (edits.EntropyAdvantage(alpha=0.0, kappa=2.0), edits.EntropyAdvantage(alpha=0.4, kappa=2.0)),
    (edits.ScaleAdvantage(factor=1.0), edits.ScaleAdvantage(factor=0.0)),
    (edits.ClipBounds(), edits.ClipBounds(low=0.1, high=0.3)),
    (edits.CovarianceMask(share=0.0), edits.CovarianceMask(share=0.3, low=0.0)),
    (edits.DivergenceAdvantage(coef=0.0), edits.DivergenceAdvantage(coef=0.1)),
    (edits.DualClip(limit=float("inf")), edits.DualClip(limit=1.0)),
    (edits.EntropyRatioMask(low=1.0, high=float("inf")), edits.EntropyRatioMask()),
    (edits.PreservedGradient(), edits.PreservedGradient(low=1.0, high=1.0)),
    # No setting of these leaves a batch alone.
    (None, edits.ClippedWeight(high=0.1)),
    (None, edits.CovarianceWeight(share=0.3)),
    (None, edits.FlexibleBounds()),
    (None, edits.FlexibleBounds(shape="OD")),
    (None, edits.GroupedRatio()),
    (None, edits.GroupedRatio(denominator="old")),
    (None, edits.SequenceRatio()),
    (None, edits.VerifiedAdvantage(above=-0.5)),
]

# (edit, a setting of it that changes nothing or None, what the batch has to say)
ROLLOUT: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "band, below": (edits.BandFilter(low=5.0, high=6.0), edits.BandFilter(low=0.0, high=9.0), {}),
    "band, above": (edits.BandFilter(low=0.0, high=0.1, normalise="batch"), None, {}),
    "band, all": (edits.BandFilter(low=0.0, high=0.1, normalise="none"), None, {}),
    "band, raw": (edits.BandFilter(low=0.0, high=0.1, raw_rewards=True), None, {}),
    "curiosity": (edits.CuriosityReward(alpha=1.0, kappa=3.0), edits.CuriosityReward(alpha=0.0, kappa=3.0), {}),
    "self, mean": (edits.SelfReward(reward="mean_entropy", baseline="z_score"), None, {}),
    "self, sum": (edits.SelfReward(reward="sum_entropy", baseline="leave_one_out"), None, {}),
    "self, logprob": (edits.SelfReward(reward="logprob", baseline="leave_one_out"), None, {}),
    "sharpened": (
        edits.SharpenedLogits(k=2.0, low=0.8, high=0.9),
        edits.SharpenedLogits(k=2.0, low=0.0, high=math.inf),
        {},
    ),
    "surprisal": (edits.SurprisalWeights(share=0.2, falls=1.0), None, {"coef": 0.1}),
    "uncertainty": (
        edits.UncertaintyAdvantage(up=0.25, down=0.35, penalty=0.05),
        edits.UncertaintyAdvantage(up=0.0, down=0.0, penalty=0.0),
        {},
    ),
    "uncertainty, sum": (edits.UncertaintyAdvantage(up=0.2, down=0.3, penalty=0.0, confidence="sum"), None, {}),
}
LACKING: list[str] = []
"""What is to be done about edits that no contract tests."""

for _kind in (
    set(kinds(edits, edits.Edit))
    - {type(edit) for _, edit in MICRO_BATCH}
    - {type(edit) for edit, _, _ in ROLLOUT.values()}
):
    if (_edit := in_a_recipe(_kind, "rollout_edits")) is not None:
        ROLLOUT[_kind.__name__] = (_edit, None, {})
    elif (_edit := in_a_recipe(_kind, "edits") or at_its_defaults(_kind)) is not None:
        MICRO_BATCH.append((None, _edit))
    else:
        LACKING.append(
            f"no example of {_kind.__name__} to test: add `(None, edits.{_kind.__name__}(...)),` to MICRO_BATCH, or, "
            f'if it edits fresh rollouts, `"{_kind.__name__}": (edits.{_kind.__name__}(...), None, {{}}),` to ROLLOUT, '
            "in tests/edits/examples.py"
        )
