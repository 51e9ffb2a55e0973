"""A job file overrides the default job, says what is wrong with it, and survives a round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from entrostat.jobs import settings as jobs
from entrostat.jobs.settings import EvaluationJob, Job, RecipeJob, TrainJob


def test_the_default_job_survives_toml(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(tomli_w.dumps(jobs.to_table(Job())))
    assert jobs.load(path) == Job()


def test_every_default_recipe_can_be_built() -> None:
    assert [recipe.build().name for recipe in Job().recipes] == ["none", "entropy_bonus", "aent", "aent"]


def test_a_file_overrides_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('steps = 4\nseeds = 2\n[train]\nprompts = 8\n[[recipes]]\nname = "none"\nlabel = "plain"\n')
    job = jobs.load(path)
    assert (job.steps, job.seeds, job.train.prompts, job.train.generations) == (4, (0, 1), 8, 8)
    assert [recipe.label for recipe in job.recipes] == ["plain"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"step": 3}, "Did you mean 'steps'"),
        ({"train": {"learning_rat": 1}}, "Did you mean 'learning_rate'"),
        ({"train": 3}, "`train` must be a table"),
        ({"recipes": {}}, "array of tables"),
        ({"recipes": [{"label": "x"}]}, "needs a `name`"),
        ({"recipes": []}, "at least one recipe"),
        ({"recipes": [{"name": "none"}, {"name": "none"}]}, "different labels"),
        ({"recipes": [{"name": "none", "label": "../up"}]}, "name a directory"),
        ({"recipes": [{"name": "none", "label": ".."}]}, "name a directory"),
        ({"seeds": 0}, "at least one seed"),
        ({"seeds": [1, 1]}, "differ"),
        ({"steps": -5}, "`steps` must be at least 1"),
        ({"steps": 1.5}, "`steps` must be an integer"),
        ({"model": 3}, "`model` must be a text"),
        ({"train": {"generations": 1}}, "no advantage"),
        ({"train": {"minibatches": 7}}, "divide the 256 responses"),
        ({"train": {"micro_batch": 3}}, "divide the 128 responses of a minibatch"),
        ({"train": {"temperature": 0.0}}, "`temperature` must be positive"),
        ({"train": {"warmup": 1.0}}, r"`warmup` must lie in \[0, 1\)"),
        ({"train": {"schedule": "cosin"}}, "Did you mean 'cosine'"),
        ({"train": {"precision": "fp16"}}, "unknown `precision` 'fp16'"),
        ({"train": {"gradient_checkpointing": 1}}, "`gradient_checkpointing` must be true or false"),
        ({"train": {"vllm": "server"}, "workers": 1}, "`vllm_server` must be given"),
        ({"train": {"vllm": "colocate"}}, "`workers` must be 1 with vllm"),
        ({"data": {"answer": "solution"}}, "`source` must be given where \\[data\\] sets answer"),
        ({"data": {"source": "x.csv", "reward": "maths"}}, "Did you mean 'math'"),
        ({"data": {"source": "x.csv", "answer": ""}}, "`answer` must name a column"),
        ({"data": {"source": "x.csv", "answer_from": "box"}}, "Did you mean 'boxed'"),
        ({"data": {"source": "x.csv", "template": "Q:"}}, "`template` must contain {prompt}"),
        ({"data": {"source": "x.csv", "system": "Be brief.", "chat_template": False}}, "without a chat template"),
        ({"evaluation": {"samples": 0}}, "`samples`"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, table: dict[str, Any], says: str) -> None:
    path = tmp_path / "job.toml"
    path.write_text(tomli_w.dumps(table))
    with pytest.raises(ValueError, match=says) as caught:
        jobs.load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text("steps = = 3")
    with pytest.raises(ValueError, match=r"job\.toml"):
        jobs.load(path)


def test_recipes_are_chosen_by_label_or_by_name() -> None:
    job = Job().with_recipes(["aent-tight", "none"])
    assert [recipe.label for recipe in job.recipes] == ["aent-tight", "none"]
    assert dict(job.recipes[0].parameters)["keep"] == 31
    with pytest.raises(ValueError, match="Did you mean 'aent'"):
        Job().with_recipes(["aemt"])


def test_a_recipe_line_names_itself_when_it_cannot_be_built() -> None:
    broken = RecipeJob(name="aent", label="mine", parameters={"low": 0.3, "high": 0.2})
    with pytest.raises(ValueError, match="recipe 'mine': `low`"):
        broken.build()


def test_pass_at_k_goes_as_far_as_the_samples() -> None:
    assert EvaluationJob(samples=16).ks == (1, 4, 8, 16)
    assert EvaluationJob(samples=1).ks == (1,)


def test_a_batch_is_cut_into_minibatches_and_those_into_micro_batches() -> None:
    train = TrainJob(prompts=16, generations=8, minibatches=4, iterations=2, micro_batch=8)
    assert (train.minibatch, train.accumulation, train.updates) == (32, 4, 8)
    assert TrainJob().accumulation == 1


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        TrainJob().prompts = 3  # pyright: ignore[reportAttributeAccessIssue]
