"""The words of the embedded text encoder: CLIP's kind of tokenizer with a vocabulary of our own.

Byte pairs learnt from measured descriptions, so that each of their words is one token; any other
text falls back to pieces and, in the end, to bytes. The merges are all there is to store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Merges = list[tuple[str, str]]

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77  # tokens of a text, as in CLIP
_WORD_END = "</w>"


def tokenizer_of(merges: Merges) -> Any:
    """The ``CLIPTokenizer`` with these byte pairs."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(letter + _WORD_END for letter in letters)]
    pieces += dict.fromkeys(a + b for a, b in merges)
    vocabulary = {piece: index for index, piece in enumerate([*pieces, START, END])}
    pairs: Any = merges  # of strings, whatever the annotation there says
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
    found = json.loads(backend.to_str())["model"]["merges"]
    return [(a, b) for a, b in found][:count]
