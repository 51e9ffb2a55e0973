"""Three ways to estimate the entropy of whole sequences, and which of them may be differentiated."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from entrostat.errors import require_choice, sentence

SequenceEstimator = Literal["crude", "smoothed", "smoothed_unbiased"]
"""Ways to estimate the gradient of a sequence's entropy."""

# For a sequence a drawn from p(a) = prod_t p(a_t | a_<t), with H_t the entropy of p(. | a_<t):
#     H = E[-log p(a)] = E[sum_t H_t]                              both unbiased in value
#     grad H = E[-log p(a) grad log p(a)]                          crude: E[grad log p] = 0 kills the other term
#            = E[sum_t grad H_t + sum_t H_t grad log p(a_<t)]      smoothed: the product rule on p(a_<t) H_t
# The second sum, ordered by the token that is differentiated: sum_t grad log p(a_t | a_<t) sum_{i>t} H_i.


def sequence_entropy(logprobs: Tensor, entropy: Tensor, mask: Tensor, *, estimator: SequenceEstimator) -> Tensor:
    """Estimate of the sequence entropy from each sampled sequence; unbiased in value, not to be differentiated.

        crude:     -sum_t log p(a_t | a_<t)
        smoothed:   sum_t H_t                        (the same value for "smoothed_unbiased")

    Args:
        logprobs: `[B, T]` log-probs of the sampled tokens.
        entropy: `[B, T]` full-vocabulary entropy where each token was drawn, nats.
        mask: `[B, T]`, nonzero at the sequence's own tokens.
        estimator: "crude" needs log-probs only; "smoothed" varies less on most policies, not on all.

    Returns:
        `[B]`, nats, without gradient.

    Raises:
        ValueError: shapes differ, or an unknown estimator.

    Reference:
        Zhang, Vuong, Song, Gong, Ross, "Efficient entropy for policy gradient with multidimensional action space",
        arXiv 1806.00589.

    Example:
        >>> import torch
        >>> logprobs, entropy = torch.tensor([[-1.0, -2.0]]), torch.tensor([[0.5, 0.25]])
        >>> float(sequence_entropy(logprobs, entropy, torch.ones(1, 2), estimator="crude"))
        3.0
        >>> float(sequence_entropy(logprobs, entropy, torch.ones(1, 2), estimator="smoothed"))
        0.75
    """
    _check(logprobs, entropy, mask, estimator)
    values = -logprobs if estimator == "crude" else entropy
    return torch.where(mask.bool(), values, 0).sum(-1).detach()


def sequence_entropy_surrogate(
    logprobs: Tensor, entropy: Tensor, mask: Tensor, *, estimator: SequenceEstimator
) -> Tensor:
    """Per token, something whose summed gradient estimates the gradient of the sequence entropy.

        crude:              sg(-log p(a)) log p(a_t | a_<t)              unbiased, noisy
        smoothed:           H_t                                          biased: forgets that tokens choose prefixes
        smoothed_unbiased:  H_t + sg(sum_{i>t} H_i) log p(a_t | a_<t)    unbiased

    `sg` stops the gradient. Only the gradient means something; the value does not. Sequences must come from the policy
    that is differentiated.

    Args:
        logprobs: `[B, T]` log-probs of the sampled tokens, with gradient.
        entropy: `[B, T]` full-vocabulary entropies, with gradient.
        mask: `[B, T]`, nonzero at the sequence's own tokens.
        estimator: which of the three.

    Returns:
        `[B, T]`, to be summed over a sequence and maximised; 0 where masked.

    Raises:
        ValueError: shapes differ, or an unknown estimator.

    Reference:
        Zhang et al., arXiv 1806.00589, section 4.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 3)
        >>> sequence_entropy_surrogate(-ones, 0.5 * ones, ones, estimator="smoothed_unbiased")
        tensor([[-0.5000,  0.0000,  0.5000]])
    """
    _check(logprobs, entropy, mask, estimator)
    kept = mask.bool()
    logprobs, entropy = torch.where(kept, logprobs, 0), torch.where(kept, entropy, 0)
    if estimator == "crude":
        return -logprobs.sum(-1, keepdim=True).detach() * logprobs
    if estimator == "smoothed":
        return entropy
    later = entropy.detach()
    later = later.flip(-1).cumsum(-1).flip(-1) - later  # at each position, the sum of all later values of the row
    return entropy + later * logprobs


def _check(logprobs: Tensor, entropy: Tensor, mask: Tensor, estimator: str) -> None:
    require_choice("estimator", estimator, SequenceEstimator)
    for name, value in (("entropy", entropy), ("mask", mask)):
        if value.shape != logprobs.shape:
            raise ValueError(sentence(name, f"have the shape of `logprobs`, {tuple(logprobs.shape)}", value.shape))
