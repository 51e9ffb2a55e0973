"""The embedded model's tokenizer: one word, one token, V = 1024.

    ids 0..10      <pad> <bos> <eos>  > : = ;  + - * /
    ids 11..1023   the integers 0..1012

A correct answer to a shipped problem needs only the integers 0..100: numbers are at most 10, so the one
intermediate result is at most 10 * 10, and the last result is the target, at most 50. The integers 101..1012 are
there to be useless, as most of a real vocabulary is at any one position. What a policy puts on them shows whether
an entropy bonus buys exploration or leaks into tokens that can never help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

SPECIALS: Final = ("<pad>", "<bos>", "<eos>")
SYMBOLS: Final = (">", ":", "=", ";", "+", "-", "*", "/")
LARGEST_INTEGER: Final = 1012
LARGEST_USEFUL_INTEGER: Final = 100


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer; words are separated by spaces, nothing is added around a text, padding is on the left.

    There is no token for unknown words: a text that holds one is an error of the tokenizer, never silently cut.

    Raises:
        ImportError: If transformers is not installed.

    Example:
        >>> tokenizer = build_tokenizer()
        >>> tokenizer("<bos> 4 7 9 > 20 :")["input_ids"]
        [1, 15, 18, 20, 3, 31, 4]
        >>> tokenizer.decode([20, 7, 15, 5, 24, 2, 0], skip_special_tokens=True)
        '9 + 4 = 13'
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIALS, *SYMBOLS, *map(str, range(LARGEST_INTEGER + 1))]
    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}))
    backend.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def useless_token_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of the integers above 100: tokens that no correct answer to a shipped problem contains.

    Any tokenizer will do; one that has no such words as tokens gives an empty list.

    Example:
        >>> ids = useless_token_ids(build_tokenizer())
        >>> len(ids), min(ids), max(ids)
        (912, 112, 1023)
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    words = map(str, range(LARGEST_USEFUL_INTEGER + 1, LARGEST_INTEGER + 1))
    return [vocabulary[word] for word in words if word in vocabulary]
