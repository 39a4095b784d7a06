"""Words that a small vocabulary has not, read as others that it has.

The embedded text encoder learnt the words of measured descriptions. What else a text holds would
reach it in pieces that it never saw together, so a closed table (``near_words.txt``) says a colour,
a texture, a place or ``object`` instead. Words of neither kind stay as they are.
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
    """What each word of the table is read as."""
    text = (files("sedic") / "models" / "near_words.txt").read_text(encoding="utf-8")
    return parse_near_words(text)


def parse_near_words(text: str) -> dict[str, str]:
    """A table in the form of ``near_words.txt``; of two lines with one word, the first counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        substitute, colon, words = line.partition(": ")
        if colon and not line.startswith("#"):
            for word in words.split(","):
                found.setdefault(word.strip(), substitute)
    return found


def read_as(word: str, known: Callable[[str], bool]) -> str | None:
    """What a word is read as: itself where it is ``known``, else what the table has for it or for
    it without an ending; None where there is nothing."""
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
    """``text`` with every word that is not known read as one that is, where there is one.

    Several objects in a row, as "sailing boat" might give, are one.
    """

    def instead(match: re.Match[str]) -> str:
        found = read_as(match.group(), known)
        return match.group() if found is None else found

    read = _WORD.sub(instead, text)
    return re.sub(rf"\b{_THING}( {_THING})+\b", _THING, read)
