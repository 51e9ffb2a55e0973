"""What each recipe is run with on the embedded job, where `entrostat run --recipe NAME` names no settings.

A paper's targets and coefficients belong to its model: in nats, no two models agree. The values here suit the embedded
one; they are starting points, not results. What a recipe has a default for and is not named here runs at that default.
`train` changes how the host trains that line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "adrpo": {"parameters": {"scale": 0.02, "low": -1.0, "high": 1.0}, "train": {"beta": 0.02}},
    "aent": {"parameters": {"low": 0.2, "high": 0.4, "initial": 0.02, "rate": 0.03, "floor": 0.0, "ceiling": 0.2}},
    "aepo": {"parameters": {"target": 0.4}},
    "aer": {"parameters": {"rate": 0.05, "rho": 1.0, "fraction": 0.8, "initial": 0.01, "ceiling": 0.05}},
    "cde": {"parameters": {"zero_one": True}},
    "cispo": {"parameters": {"high": 0.2}},
    "clip_cov": {"parameters": {"share": 0.02}},
    "entrocraft": {"parameters": {"low": 0.3, "high": 0.4, "low_end": 0.2, "high_end": 0.3}},
    "entropic": {"parameters": {"target": 0.2}},
    "entropy_bonus": {"parameters": {"coef": 0.03}},
    "era": {"parameters": {"low": 0.8}},
    "espo": {"train": {"loss_type": "grpo"}},
    "gspo": {"train": {"loss_type": "grpo"}},
    "kl_cov": {"parameters": {"share": 0.02}},
    "siren": {"parameters": {"beta": 0.1}},
    "skywork": {"parameters": {"target": 0.3, "delta": 0.002, "ceiling": 0.05}},
    "stare": {"parameters": {"target": 0.4}},
    "tre": {"parameters": {"top_p": 0.99, "coef": 0.02}},
}
