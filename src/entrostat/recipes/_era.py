from __future__ import annotations

from entrostat.edits import ClipBounds, SharpenedLogits
from entrostat.errors import require, require_finite
from entrostat.recipes._base import Recipe, recipe


@recipe(
    acts_on="logits of the update",
    paper="kang2025entropy",
    needs={"old_entropy", "logit_scale"},
    embedded={"parameters": {"low": 0.8}},
)
def era(
    *,
    k: float = 2.0,
    low: float = 0.45,
    high: float = 3.0,
    scale_advantages: bool = True,
    truncate: bool = False,
    clip: float = 1.0,
) -> Recipe:
    """ERA: good responses are updated under sharpened logits, so that sure tokens are pushed less.

        h = mean of the top 20 % token entropies of the response, at the time of the rollout
        z' = k z if h < low,  z / k if h > high,  z otherwise;  z wherever A <= 0
        A' = A / k,           k A,                A
        J  = E[A' log softmax(z')_a]

    Old and new log-probs are both under z', so the ratio is 1 at the first update. The update sees a sharper model than
    the one that samples; a sure token is pushed less, and the sampling model stays softer.

    How sure: medium. Transformation and defaults are the published code's and its notes'; that the advantage is scaled
    by default is the notes' (the published default script leaves it off). A third party's note says that the paper
    transforms the top 20 % of the tokens only; code and notes transform all of a response, and so do we. The published
    code also takes log-probs from the 20 largest logits alone; we take all. A floor under the entropy is claimed;
    treat it as empirical.

    Args:
        k: factor on the logits (published: 2).
        low: sharpen below this entropy, nats (published: 0.45).
        high: flatten above it (published: 3).
        scale_advantages: divide the advantage by the factor. False is the published default script.
        truncate: decide by the integer part of the advantage, an accident of the published code: advantages between
            0 and 1 leave the logits alone.
        clip: both clip bounds; 1 is the published choice, meant for strictly on-policy runs.

    Raises:
        ValueError: `k` below 1, thresholds out of order, `clip` outside [0, 1].

    Reference:
        Kang et al., "Entropy Regularizing Activation", arXiv 2510.08549.

    Example:
        >>> sorted(era().needs)
        ['logit_scale', 'old_entropy']
    """
    require(0 <= require_finite("clip", clip) <= 1, "clip", "lie in [0, 1]", clip)
    return Recipe(
        edits=(ClipBounds(low=clip, high=clip),),
        rollout_edits=(SharpenedLogits(k=k, low=low, high=high, scale_advantages=scale_advantages, truncate=truncate),),
    )
