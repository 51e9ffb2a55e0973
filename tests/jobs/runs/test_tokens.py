"""What is kept of a few answers, token by token: checked against the plain formulas, and harmless to the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

from entrostat.jobs.runs import RunDirectory
from entrostat.jobs.runs._tokens import LONGEST, TokenWriter
from entrostat.measures import Clamped, Measure, Nucleus, Shannon, TopK
from entrostat.tasks import Drawn, countdown, warm_start_path

PROBLEMS = countdown.load("test")[:5]
PROMPTS = [countdown.prompt(problem) for problem in PROBLEMS]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(warm_start_path()), AutoTokenizer.from_pretrained(warm_start_path())


def written(
    loaded: tuple[Any, Any], path: Path, measure: Measure, *, problems: int = 3, temperature: float = 1.0
) -> list[dict[str, Any]]:
    model, tokenizer = loaded
    writer = TokenWriter(
        path, tokenizer=tokenizer, measure=measure, problems=problems, max_new_tokens=12, temperature=temperature
    )
    writer.write(model, step=4, split="test", prompts=PROMPTS, score=lambda n, text: countdown.score(PROBLEMS[n], text))
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("measure", [Clamped(clamp=0.98), TopK(k=3), Nucleus(top_p=0.9), Shannon()], ids=repr)
def test_every_figure_is_that_of_the_plain_formula(loaded: tuple[Any, Any], tmp_path: Path, measure: Measure) -> None:
    model, tokenizer = loaded
    rows = written(loaded, tmp_path / "tokens.jsonl", measure, temperature=1.25)
    assert [row["problem"] for row in rows] == [0, 1, 2]
    for row in rows:
        assert row["schema"] == 1
        assert (row["step"], row["split"], row["cut"]) == (4, "test", 0)
        text = row["prompt"] + "".join(row["tokens"])
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        first = len(tokenizer(row["prompt"])["input_ids"])
        assert tokenizer.decode(ids[0]) == text  # the pieces are the text
        with torch.no_grad():
            logits = model(ids).logits[0, first - 1 : -1].double() / 1.25
        probs = logits.softmax(-1)
        entropy = -(probs * probs.log()).nan_to_num().sum(-1)
        count = len(row["tokens"])
        assert {len(value) for value in row.values() if isinstance(value, list)} == {count}
        torch.testing.assert_close(torch.tensor(row["entropy"]).double(), entropy, rtol=2e-3, atol=1e-5)
        expected = measure(logits, temperature=1.0)
        torch.testing.assert_close(torch.tensor(row["clamped_entropy"]).double(), expected, rtol=2e-3, atol=1e-5)
        chosen = probs.gather(-1, ids[0, first:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(row["chosen"]).double(), chosen, rtol=2e-3, atol=1e-6)
        assert row["reward"] == countdown.score(
            PROBLEMS[row["problem"]], tokenizer.decode(ids[0, first:], skip_special_tokens=True)
        )


def test_alternatives_say_what_the_clamp_keeps(loaded: tuple[Any, Any], tmp_path: Path) -> None:
    (row,) = written(loaded, tmp_path / "tokens.jsonl", TopK(k=3), problems=1)
    for some, mass in zip(row["top"], row["kept_mass"], strict=True):
        chances = [chance for _, chance, _ in some]
        assert chances == sorted(chances, reverse=True)
        assert [keeps for _, _, keeps in some] == [True, True, True, False, False]
        assert sum(chances[:3]) == pytest.approx(mass, abs=2e-3)
    for token, kept, some in zip(row["tokens"], row["chosen_kept"], row["top"], strict=True):
        assert kept == (token in [text for text, _, keeps in some if keeps])


def test_without_a_clamp_everything_is_kept(loaded: tuple[Any, Any], tmp_path: Path) -> None:
    (row,) = written(loaded, tmp_path / "tokens.jsonl", Shannon(), problems=1)
    assert set(row["kept_mass"]) == {1.0}
    assert all(row["chosen_kept"])
    assert row["entropy"] == row["clamped_entropy"]


def test_the_run_does_not_notice(loaded: tuple[Any, Any], tmp_path: Path) -> None:
    model, _ = loaded
    model.train()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    once = written(loaded, tmp_path / "a.jsonl", TopK(k=3))
    assert torch.equal(torch.rand(4), expected)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert once == written(loaded, tmp_path / "b.jsonl", TopK(k=3))  # and the same every time
    model.eval()


def test_zero_problems_write_nothing(loaded: tuple[Any, Any], tmp_path: Path) -> None:
    assert written(loaded, tmp_path / "tokens.jsonl", Shannon(), problems=0) == []
    assert not (tmp_path / "tokens.jsonl").exists()


def test_a_resume_drops_what_came_after_its_step(loaded: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "tokens.jsonl"
    before = written(loaded, path, Shannon(), problems=2)
    with path.open("a") as file:
        file.write(json.dumps({**before[0], "step": 8}) + '\n{"schema": 1, "st')
    RunDirectory(tmp_path).rewind(4)
    assert [json.loads(line) for line in path.read_text().splitlines()] == before


def test_a_long_answer_is_cut_and_says_so(
    loaded: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tokenizer = loaded
    prompt = tokenizer(PROMPTS[0], return_tensors="pt")["input_ids"]
    long = torch.cat([prompt, prompt.new_full((1, LONGEST + 7), int(prompt[0, -1]))], dim=1)
    response = torch.arange(long.shape[1])[None] >= prompt.shape[1]
    drawn = Drawn(long, torch.ones_like(long), response)
    monkeypatch.setattr("entrostat.jobs.runs._tokens.draw", lambda *_, **__: drawn)
    (row,) = written((_Flat(), tokenizer), tmp_path / "tokens.jsonl", TopK(k=3), problems=1)
    assert (len(row["tokens"]), row["cut"]) == (LONGEST, 7)
    assert {len(value) for value in row.values() if isinstance(value, list)} == {LONGEST}


class _Flat(torch.nn.Module):
    """A model without a preference, of any length."""

    def forward(self, input_ids: torch.Tensor) -> Any:
        from types import SimpleNamespace

        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 1024))
