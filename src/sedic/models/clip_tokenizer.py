"""The tokenizer of the embedded text encoder: byte pairs as in CLIP, with its own vocabulary.

The merges were learnt from measured descriptions, so that each word of these is one token. Other
words become several tokens, if need be one for each byte. The ids are those of transformers'
``CLIPTokenizer`` with the same merges, whose import takes seconds; only characters that are letters
in one Unicode version and not in the other may differ.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from sedic.semantics import leading_words

Merges = list[tuple[str, str]]

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77  # tokens of a text, as in CLIP
_WORD_END = "</w>"
_SPECIAL = re.compile(f"({re.escape(START)}|{re.escape(END)})")
_CONTRACTION = re.compile("'(?:s|t|re|ve|m|ll|d)")
_SPACES = frozenset("\t\n\v\f\r\x85")


class Tokens(NamedTuple):
    """What a tokenizer gives for a text; the name is transformers'."""

    input_ids: list[int]


class Tokenizer:
    """Texts to token ids, the first of which marks the start and the last the end.

    ``merges``: pairs of pieces that become one, the most frequent first.
    """

    def __init__(self, merges: Merges) -> None:
        self._letters = _byte_letters()
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        alphabet = sorted(self._letters)
        pieces = [*alphabet, *(letter + _WORD_END for letter in alphabet)]
        pieces += dict.fromkeys(a + b for a, b in merges)
        self.vocabulary = {piece: index for index, piece in enumerate([*pieces, START, END])}

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __call__(self, text: str) -> Tokens:
        """``ids``, as transformers' tokenizers give them."""
        return Tokens(self.ids(text))

    def ids(self, text: str) -> list[int]:
        """The ids of a text, START and END around them."""
        ids = [self.vocabulary[START]]
        for part in _SPECIAL.split(text):
            if part in (START, END):
                ids.append(self.vocabulary[part])
                continue
            for word in _words(unicodedata.normalize("NFC", part)):
                ids += [self.vocabulary[piece] for piece in self._pieces(word)]
        return [*ids, self.vocabulary[END]]

    def knows(self, word: str) -> bool:
        """Whether a word in lower case is one token."""
        return word + _WORD_END in self.vocabulary

    def padded(self, text: str, length: int = LENGTH) -> list[int]:
        """Exactly ``length`` ids, filled with END: of a longer text, as many words as fit."""
        return padded(self.ids, text, length, self.vocabulary[END])

    def _pieces(self, word: str) -> list[str]:
        """A word in tokens of the vocabulary: the pair that was learnt first is merged first."""
        pieces = [self._letters[byte] for byte in word.encode()]
        pieces[-1] += _WORD_END
        while len(pieces) > 1:
            best = min(pairwise(pieces), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            joined: list[str] = []
            for piece in pieces:
                if joined and (joined[-1], piece) == best:
                    joined[-1] += piece
                else:
                    joined.append(piece)
            pieces = joined
        return pieces


def padded(ids_of: Callable[[str], list[int]], text: str, length: int, pad: int) -> list[int]:
    """Exactly ``length`` token ids of a text, filled with ``pad``.

    Of a longer text, as many whole words as fit; of a single word that is longer, its start.
    """
    words = text.split(" ")
    ids = ids_of(text)
    if len(ids) > length:
        counts = range(1, len(words) + 1)
        fit = bisect_right(counts, length, key=lambda n: len(ids_of(" ".join(words[:n]))))
        ids = ids_of(" ".join(words[: max(fit, 1)]))
    if len(ids) > length:
        ids = [*ids[: length - 1], ids[-1]]
    return ids + [pad] * (length - len(ids))


def leading_tokens(
    ids_of: Callable[[str], list[int]], text: str, words: int, length: int
) -> list[int]:
    """The positions in ``padded`` of the tokens of a text's first ``words`` words; at least one.

    Position 0 is the start token.
    """
    count = len(ids_of(leading_words(text, words))) - 2  # without the marks at both ends
    return list(range(1, min(max(1, count), length - 2) + 1))


def tokenizer_of(merges: Merges) -> Any:
    """The same tokenizer as a ``CLIPTokenizer`` of transformers."""
    from transformers import CLIPTokenizer

    pairs: Any = merges  # of strings, whatever the annotation there says
    vocabulary = Tokenizer(merges).vocabulary
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=LENGTH)


def learn_merges(texts: Iterable[str], count: int) -> Merges:
    """At most ``count`` byte pairs, the most frequent of ``texts``."""
    from tokenizers.trainers import BpeTrainer

    backend = tokenizer_of([]).backend_tokenizer
    trainer = BpeTrainer(
        vocab_size=count + 256 * 2,
        show_progress=False,
        end_of_word_suffix=_WORD_END,
        special_tokens=[],
    )
    backend.train_from_iterator(texts, trainer)
    merges = json.loads(backend.to_str())["model"]["merges"]
    return [(a, b) for a, b in merges][:count]


def _byte_letters() -> list[str]:
    """A printable letter for each byte value, as GPT-2 and CLIP write bytes."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(0x100)]


def _words(text: str) -> Iterator[str]:
    """The words of a text, in lower case: letters in a row, single digits, English contractions
    and runs of other characters. Spaces separate."""
    lowered = "".join(char.lower() for char in text)
    start = 0
    while start < len(lowered):
        if contraction := _CONTRACTION.match(lowered, start):
            yield contraction[0]
            start = contraction.end()
            continue
        kind, end = _kind(lowered[start]), start + 1
        if kind != "number":
            while end < len(lowered) and _kind(lowered[end]) == kind:
                end += 1
        if kind != "space":
            yield lowered[start:end]
        start = end


def _kind(char: str) -> str:
    category = unicodedata.category(char)
    if category[0] == "Z" or char in _SPACES:
        return "space"
    return {"L": "letter", "N": "number"}.get(category[0], "other")
