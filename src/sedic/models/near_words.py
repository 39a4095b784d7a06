"""Replaces words that the embedded text encoder does not know by similar ones that it knows.

The embedded text encoder was trained on the words of measured descriptions. Other words would be
split into tokens that it has never seen together. So a table (``near_words.txt``) replaces them by
a colour, a texture, a place or ``object``. Words that are in neither vocabulary stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

_WORD = re.compile(r"[^\W\d_]+")
# Endings to take off, and what is put there, until a word is known.
_ENDINGS = (
    ("ies", "y"),
    ("ves", "f"),
    ("es", ""),
    ("s", ""),
    ("ish", ""),
    ("dish", ""),
    ("ed", ""),
)
_THING = "object"


@cache
def table() -> dict[str, str]:
    """The substitute of each word of the table."""
    text = (files("sedic") / "models" / "near_words.txt").read_text(encoding="utf-8")
    return parse_near_words(text)


def parse_near_words(text: str) -> dict[str, str]:
    """The substitute of each word in a text like ``near_words.txt``: lines ``substitute: words``.

    If two lines have the same word, the first one counts.
    """
    substitutes: dict[str, str] = {}
    for line in text.splitlines():
        substitute, colon, words = line.partition(": ")
        if colon and not line.startswith("#"):
            for word in words.split(","):
                substitutes.setdefault(word.strip(), substitute)
    return substitutes


def read_as(word: str, known: Callable[[str], bool]) -> str | None:
    """The word itself if it is ``known``; else its substitute in the table, or the known stem or
    the substitute of the word without an ending; None where there is none of these."""
    lowered = word.lower()
    if known(lowered):
        return word
    for end, instead in (("", ""), *_ENDINGS):
        if not lowered.endswith(end):
            continue
        stem = lowered[: len(lowered) - len(end)] + instead
        if len(stem) < 3:
            continue
        if end and known(stem):
            return stem
        if stem in table() and all(map(known, table()[stem].split())):
            return table()[stem]
    return None


def readable(text: str, known: Callable[[str], bool]) -> str:
    """``text`` with every unknown word replaced by ``read_as``, where that gives a word.

    Several ``object`` in a row, to which "sailing boat" might lead, become one.
    """

    def instead(match: re.Match[str]) -> str:
        substitute = read_as(match.group(), known)
        return match.group() if substitute is None else substitute

    read = _WORD.sub(instead, text)
    return re.sub(rf"\b{_THING}( {_THING})+\b", _THING, read)
