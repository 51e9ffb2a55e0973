"""The entropy bonus: what the policy is paid for every nat it keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require_count, sentence, unknown_name
from entrostat.losses import SequenceEstimator, sequence_entropy_surrogate


@dataclass(frozen=True, kw_only=True)
class EntropyBonus:
    """Minus the coefficient times the recipe's measure, for every response token.

        loss_{b,t} = -coef w_{b,t} H_{b,t}

    `H` is the batch's `clamped_entropy`, that is, whatever the recipe measures; with a Shannon measure this is the
    ordinary entropy bonus, with a clamped one AEnt's. `w` is the batch's `weight`, 1 unless a rollout edit set it.

    Tokens also choose which states come after them, and the entropy there. The gradient of the sequence's entropy has a
    part for that, which this bonus, like everybody's, leaves out; `estimator` puts it in.

    Args:
        keep: where the measure keeps this many tokens, multiply by `log V / log keep`: the largest entropy of the whole
            vocabulary over the largest of `keep` tokens. None for no factor.
        estimator: `"smoothed"`, the above; `"smoothed_unbiased"` with the missing part; `"crude"` from log-probs alone,
            whatever the measure. The two are unbiased on the first update after a rollout, approximate on later ones.

    Raises:
        ValueError: `keep` below 2, an unknown estimator.

    Reference:
        Williams and Peng 1991 (the bonus); Shen, arXiv 2509.03493, section 4.1 (clamped);
        Zhang et al., arXiv 1806.00589 (estimators).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=2 * ones,
        ...                    clamped_entropy=1.5 * ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> EntropyBonus()(batch, 0.1)
        tensor([[-0.1500, -0.1500]])
    """

    keep: int | None = None
    estimator: SequenceEstimator = "smoothed"

    def __post_init__(self) -> None:
        if self.estimator not in get_args(SequenceEstimator):
            raise unknown_name("estimator", self.estimator, get_args(SequenceEstimator))
        if self.keep is not None:
            require_count("keep", self.keep, least=2)

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `-coef * w * H` of each token, `[B, T]`.

        Raises:
            ValueError: `keep` is given and the batch does not know its vocabulary.
        """
        if coef == 0:
            # No graph for a bonus that is switched off: nothing of it is computed in the backward pass.
            return torch.zeros_like(batch.clamped_entropy, requires_grad=False)
        return batch.weighed(self._bonus(batch) * -(coef * self._factor(batch.vocab)))

    def _bonus(self, batch: TokenBatch) -> Tensor:
        if self.estimator == "smoothed":
            return batch.clamped_entropy
        return sequence_entropy_surrogate(batch.logprobs, batch.clamped_entropy, batch.mask, estimator=self.estimator)

    def _factor(self, vocab: int | None) -> float:
        if self.keep is None:
            return 1.0
        if vocab is None:
            raise ValueError(sentence("vocab", "be known to a bonus with `keep`", None))
        return math.log(vocab) / math.log(self.keep)
