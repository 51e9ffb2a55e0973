"""One word is one token, nothing is added, and 912 tokens are of no use."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrostat.tasks import build_tokenizer, countdown, demonstrations, useless_token_ids, warm_start_path

transformers = pytest.importorskip("transformers", reason="transformers (the run extra) is not installed")


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_every_id_is_one_word(tokenizer) -> None:
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(1024))
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    assert words == ["<pad>", "<bos>", "<eos>", *">:=;+-*/", *map(str, range(1013))]
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)


def test_prompts_and_responses_come_back_as_they_went(tokenizer) -> None:
    for _, demonstration in zip(range(100), demonstrations(seed=0), strict=False):
        asked = countdown.prompt(demonstration.problem)
        ids = tokenizer(asked)["input_ids"]
        assert len(ids) == 7
        assert tokenizer.decode(ids) == asked
        ids = tokenizer(f"{demonstration.response} <eos>")["input_ids"]
        assert len(ids) == 12
        assert tokenizer.decode([*ids, 0, 0], skip_special_tokens=True) == demonstration.response


def test_batches_are_padded_on_the_left(tokenizer) -> None:
    batch = tokenizer(["<bos> 4 > 4 :", "<bos> 4 7 > 11 :"], padding=True)
    assert batch["input_ids"] == [[0, 1, 15, 3, 15, 4], [1, 15, 18, 3, 22, 4]]
    assert batch["attention_mask"] == [[0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]
    assert set(batch) == {"input_ids", "attention_mask"}


def test_a_word_outside_the_vocabulary_is_not_dropped_silently(tokenizer) -> None:
    with pytest.raises(Exception, match="WordLevel error"):
        tokenizer("<bos> 4 seven")


@pytest.mark.parametrize("source", ["saved", "shipped"])
def test_the_tokenizer_survives_a_directory(tokenizer, source: str, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path if source == "saved" else warm_start_path())
    assert loaded.get_vocab() == tokenizer.get_vocab()
    batch = ["<bos> 4 > 4 :", "<bos> 4 7 > 11 : <eos>"]
    assert dict(loaded(batch, padding=True)) == dict(tokenizer(batch, padding=True))
    assert loaded.decode([1, 15, 7, 15, 2, 0], skip_special_tokens=True) == "4 + 4"
    assert loaded.special_tokens_map == tokenizer.special_tokens_map


def test_useless_tokens_are_the_integers_above_100(tokenizer) -> None:
    assert tokenizer.convert_ids_to_tokens(useless_token_ids(tokenizer)) == [str(n) for n in range(101, 1013)]


def test_no_demonstration_holds_a_useless_token(tokenizer) -> None:
    useless = set(useless_token_ids(tokenizer))
    for _, demonstration in zip(range(1000), demonstrations(seed=1), strict=False):
        assert not useless & set(tokenizer(demonstration.response)["input_ids"])
