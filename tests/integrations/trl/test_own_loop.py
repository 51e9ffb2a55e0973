"""Every recipe in a plain torch loop, through `Control`, does what it does under TRL on the same batch."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

import entrostat as es
from entrostat import Control, TokenBatch, recipes
from entrostat.integrations.trl._batch import CARRIED

from . import ranks_script as script
from .conftest import tiny_model, tiny_tokenizer


def own_loop(name: str, model: Any, beta: float, loss_type: str) -> dict[str, Any]:
    """Train on the script's rollouts as its TRL trainer does, in plain torch: gradients, coefficients, means."""
    recipe, _ = script.recipe_of(name)
    # The script leaves out AEPO's second draw, so nothing needs one.
    control = Control(recipe, total_steps=10, total_rollouts=5, offers=frozenset(recipes.HOST_OFFERS))
    gradients: list[Tensor] = []
    means: list[dict[str, float]] = []
    halves = script.own_rows(0, 1)
    for step in range(script.STEPS):
        rows = script.pick(script.rollouts(step), [row for half in halves for row in half])
        mask, targets = rows["completion_mask"], rows["completion_ids"]

        def logits(part: slice, rows: dict[str, Any] = rows) -> Tensor:
            ids = torch.cat([rows["prompt_ids"], rows["completion_ids"]], 1)[part]
            return model(input_ids=ids).logits[:, -script.LENGTH - 1 : -1]

        everything = slice(None)
        with torch.no_grad():
            raw = logits(everything)
            fresh = TokenBatch.of(
                control.stats(raw, targets),
                mask,
                advantages=rows["advantages"],
                old_logprobs=rows["old_per_token_logps"],
                ref_logprobs=rows["ref_per_token_logps"] if beta else None,
                rewards=rows[CARRIED["rewards"]],
                group_ids=rows[CARRIED["group_ids"]],
                mean_logit=raw.mean(-1),
                target_logit=raw.gather(-1, targets.unsqueeze(-1)).squeeze(-1),
                kl_coef=beta,
                kl_ratio=True,  # TRL's default: its divergence is multiplied by the ratio
                vocab=script.VOCAB,
            )
            # As under TRL, where the script's rollout batches count as one for two steps: shown to those that look.
            if step % 2 == 0 or recipe.rollout_edits or "old_entropy" in recipe.needs:
                fresh = control.fresh(fresh)
            if fresh.logit_scale is not None:
                # The ratio compares like with like: old log-probs under the same scale.
                fresh = fresh.replace(old_logprobs=control.stats(raw, targets, logit_scale=fresh.logit_scale).logprobs)
        model.zero_grad()
        for half in range(2):
            part = slice(half * script.ROWS // 2, (half + 1) * script.ROWS // 2)
            micro = fresh.rows(part)
            stats = control.stats(logits(part), targets[part], logit_scale=micro.logit_scale)
            micro = micro.updated(stats, num_tokens=mask.sum(), num_responses=torch.tensor(script.ROWS))
            edited, bonus = control.micro_batch(micro)
            ratio = (edited.logprobs - edited.old_logprobs).exp()
            clipped = ratio.clamp(1 - edited.clip_low, 1 + edited.clip_high)
            loss = -torch.minimum(ratio * edited.advantages, clipped * edited.advantages)
            if beta:
                apart = edited.given("ref_logprobs") - edited.logprobs
                loss = loss + beta * ratio * (apart.exp() - apart - 1)
            if loss_type == "grpo":
                policy = ((loss * edited.mask).sum(-1) / edited.mask.sum(-1).clamp(min=1)).mean() / 2
            else:
                policy = es.losses.token_mean(loss, edited.mask, num_tokens=mask.sum())
            (policy + bonus).backward()
        means.append(control.close_step())
        if step % 2:
            control.close_rollout()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    return {"gradients": gradients, "means": means, "coef": control.coefficient}


@pytest.mark.train
@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_does_in_a_plain_loop_what_it_does_under_trl(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    tiny_model().save_pretrained(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ranks_script.py", str(tmp_path)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", recipes.InertRecipeWarning)
        under_trl = script.measure(name, tokenizer, 0, 1)
    train = script.recipe_of(name)[1]
    model = LlamaForCausalLM.from_pretrained(tmp_path)
    torch.manual_seed(0)
    alone = own_loop(name, model, train.get("beta", 0.0), train.get("loss_type", "dapo"))
    assert alone["coef"] == pytest.approx(under_trl["coefs"][0][-1], rel=1e-5, abs=1e-7)
    for step, means in enumerate(alone["means"]):
        for key, value in means.items():
            theirs = under_trl["metrics"][f"entropy_control/{key}"][step]
            assert value == pytest.approx(theirs, rel=1e-5, abs=1e-6), f"step {step}: {key}"
    if name in ("aepo", "clip_cov"):
        return  # they draw at random, and the two runs draw different numbers
    for ours, theirs in zip(alone["gradients"], under_trl["gradients"], strict=True):
        assert float((ours - torch.tensor(theirs)).norm()) <= 1e-5 * max(1e-3, float(ours.norm()))
