"""What cannot work together is refused when the trainer is made, in one clear sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from entrostat import measures, recipes
from entrostat.integrations.trl import EntropyGRPOTrainer, _overrides, _selfcheck
from entrostat.integrations.trl._refusals import refuse_conflicts

Make = Callable[..., Any]
AENT = recipes.aent(low=0.1, high=0.2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"entropy_coef": 0.01}, "`entropy_coef` must be 0"),
        ({"use_adaptive_entropy": True}, "`use_adaptive_entropy` must"),
    ],
)
def test_trl_s_own_bonus_beside_ours(make_trainer: Make, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_trainer(AENT, **changes)


def test_data_parallel(settings: Callable[..., Any]) -> None:
    args = settings()
    args._n_gpu = 2
    with pytest.raises(ValueError, match="accelerate launch"):
        refuse_conflicts(args, AENT)


def test_something_that_is_no_recipe(make_trainer: Make) -> None:
    with pytest.raises(TypeError, match=r"recipes\.aent"):
        make_trainer("aent")


def test_a_reference_model_that_is_not_there(make_trainer: Make, settings: Callable[..., Any]) -> None:
    needy = dataclasses.replace(AENT, needs=frozenset({"ref_logprobs"}))
    with pytest.raises(ValueError, match="Set `beta` above 0"):
        make_trainer(needy)
    refuse_conflicts(settings(beta=0.01), needy)


@pytest.mark.parametrize(
    ("recipe", "changes", "says"),
    [
        (recipes.clip_higher(), {"loss_type": "sapo"}, "`loss_type` must be one with PPO's clip"),
        (
            recipes.cispo(high=1.0),
            {"loss_type": "cispo", "epsilon_high": 5.0},
            "`loss_type` must be one with PPO's clip",
        ),
        (recipes.ce_gppo(), {"importance_sampling_level": "sequence"}, "'ce_gppo' makes each token's ratio itself"),
        (recipes.gppo(), {"beta": 0.1, "use_bias_correction_kl": True}, "`use_bias_correction_kl` must be False"),
        (recipes.erc(), {"off_policy_mask_threshold": 0.5}, "`off_policy_mask_threshold` must be None"),
    ],
)
def test_a_loss_that_forms_its_ratio_another_way(
    make_trainer: Make, recipe: recipes.Recipe, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        make_trainer(recipe, num_iterations=2, **changes)


def test_clip_bounds_go_with_a_sequence_s_ratio(make_trainer: Make) -> None:
    make_trainer(recipes.clip_higher(), num_iterations=2, importance_sampling_level="sequence")


def test_a_measure_the_head_cannot_compute(make_trainer: Make) -> None:
    with pytest.raises(ValueError, match="fused head cannot compute"):
        make_trainer(dataclasses.replace(AENT, measure=measures.Tsallis(q=2.0)))


def test_watched_tokens_outside_the_vocabulary(make_trainer: Make) -> None:
    with pytest.raises(ValueError, match=r"`watched_token_ids` must lie in \[0, 37\)"):
        make_trainer(AENT, watched_token_ids=[3, 37])


@pytest.mark.parametrize("version", ["1.14.2", "1.17.0", "2.0.0.dev0", "0.24.0"])
def test_an_untested_release(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr("trl.__version__", version)
    with pytest.raises(_selfcheck.UnsupportedHostError, match=r"supports trl>=1\.15,<1\.17"):
        _selfcheck.verify_host()


def test_a_loss_that_reads_its_inputs_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    original = GRPOTrainer._compute_loss

    def reads_first(self: Any, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        return original(self, model, _Frozen(inputs))

    monkeypatch.setattr(GRPOTrainer, "_compute_loss", reads_first)
    with pytest.raises(_selfcheck.UnsupportedHostError, match="its loss on edited inputs"):
        _selfcheck.verify_host()


class _Frozen(dict[str, Any]):
    """A copy taken before the hook runs: edits of the original do not show."""


def test_a_kernel_with_other_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        @staticmethod
        def forward(ctx: Any, hidden: Any) -> None: ...

    monkeypatch.setattr("trl.trainer.utils._ChunkedLogProbFunction", Other)
    with pytest.raises(_selfcheck.UnsupportedHostError, match="its fused head takes"):
        _selfcheck.verify_host()


OVERRIDES = sorted(name for name, method in vars(EntropyGRPOTrainer).items() if hasattr(method, "overrides"))


def test_every_method_that_shadows_one_of_the_host_s_is_marked_as_an_override() -> None:
    methods = {name for name, value in vars(EntropyGRPOTrainer).items() if isinstance(value, FunctionType)}
    assert {name for name in methods - {"__init__"} if hasattr(GRPOTrainer, name)} == {*OVERRIDES}


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_release_that_renames_a_hook(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    base = getattr(EntropyGRPOTrainer, name).overrides
    monkeypatch.setattr(base, f"{name}_renamed", getattr(base, name), raising=False)
    monkeypatch.delattr(base, name)
    with pytest.raises(_selfcheck.UnsupportedHostError, match=rf"has no \w+\.{name}\b"):
        _overrides.verify_overrides(EntropyGRPOTrainer)


def test_a_release_that_gives_a_hook_other_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    def scored(self: Any, model: Any, ids: Any, attention_mask: Any, logits_to_keep: Any) -> None: ...

    monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", scored)
    with pytest.raises(_selfcheck.UnsupportedHostError, match="_get_per_token_logps_and_entropies takes"):
        _overrides.verify_overrides(EntropyGRPOTrainer)


def test_the_installed_release_passes() -> None:
    _selfcheck.verify_host()
