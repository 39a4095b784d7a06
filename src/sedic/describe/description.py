"""Descriptions of pictures, the describers' interface, and cutting texts to a budget of words."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from sedic.semantics import MAX_TEXT_BYTES, ObjectLayer, leading_words

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.semantics import Rate


@dataclass(frozen=True)
class Description:
    """The words and masks of a picture: the overall description, and the objects, the most
    important one first."""

    overall: str
    objects: tuple[ObjectLayer, ...] = ()

    @property
    def text(self) -> str:
        """Every word of it, one line for the whole and one for each object."""
        return "\n".join([self.overall, *(layer.detail for layer in self.objects)])


@dataclass(frozen=True)
class DescriberResult:
    """A description, and ``notes`` for the user: lines about how it was made."""

    description: Description
    notes: tuple[str, ...] = ()


class Describer(Protocol):
    """Finds the words and masks of a picture. Describers are listed in ``parts.DESCRIBERS``."""

    def describe(self, picture: Picture, rate: Rate, method: str = "sedic") -> DescriberResult:
        """Describe a (height, width, 3) uint8 picture.

        ``rate`` says how many objects and words are wanted at most; ``method`` is one of
        ``semantics.METHODS``. Raises ``DescriberError`` where that fails.
        """
        ...


def shorten(
    description: Description, objects: int, detail_words: int, overall_words: int
) -> Description:
    """The first ``objects`` objects, with every text cut to its budget of words.

    Texts are cut where a phrase ends (``cut``); masks and names stay as they are, so a detail
    never gets shorter than its name.
    """
    layers = tuple(
        replace(layer, detail=cut_detail(layer.name, layer.detail, detail_words))
        for layer in description.objects[:objects]
    )
    return Description(cut(description.overall, overall_words), layers)


# Letters of scripts without blanks between words (Han, kana, Thai, Lao, Burmese, Khmer): each
# counts as a word of its own, with the marks and punctuation that follow it.
_UNSPACED = (
    "\u3005-\u3007\u3041-\u3098\u309b-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9d\U00020000-\U0003ffff\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0"
    "\u0eb2\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf\u1000-\u102a\u103f\u1050-\u1055\u1780-\u17b3"
)
WORD = re.compile(rf"[{_UNSPACED}][^\w\s]*|[^\s{_UNSPACED}]+")
_PAUSES = ",;.\u3001\u3002\uff0c\uff1b\uff0e"  # the last six are full-width
_UNFINISHED = ",;\u3001\uff0c\uff1b"  # pauses that end no text
_NO_GAP = re.compile(rf"[{_UNSPACED}][^\w\s]*$")


def word_ends(text: str) -> list[int]:
    """Where each word of ``text`` ends: ``text[:word_ends(text)[n - 1]]`` are the first n words."""
    return [word.end() for word in WORD.finditer(text)]


def cut_detail(name: str, detail: str, words: int) -> str:
    """``detail``, which begins with ``name``, cut to ``words`` words but never into the name."""
    pieces = detail.split(" ")
    start = len(name.split(" "))
    rest = cut(" ".join(pieces[start:]), words - len(word_ends(name)))
    return " ".join([*pieces[:start], rest]) if rest else name


_JOINTS = frozenset(["with", "and", "while", "that", "which", "who", "where", "but"])
_LEAST_WORDS = 6  # limit from which a text may be cut after any word


def cut(text: str, words: int) -> str:
    """The longest start of ``text`` that ends with a phrase and has at most ``words`` words.

    The text is cut at the last place of the first of these kinds that it has: after a comma,
    semicolon or full stop in the last two thirds of the words; before a word such as "with" there;
    after a comma, semicolon or full stop anywhere; before such a word anywhere; after any word. The
    last kind gives "" where ``words`` is below six.
    """
    ends = word_ends(text)
    if len(ends) <= words:
        return text
    text = " ".join(text.split())
    ends = word_ends(text)
    tokens = WORD.findall(text)
    stops = [n for n in range(words, 0, -1) if tokens[n - 1][-1] in _PAUSES]
    joints = [n for n in range(words, 0, -1) if tokens[n] in _JOINTS]
    for count in [n for n in (*stops[:1], *joints[:1]) if 3 * n >= words] + stops[:1] + joints[:1]:
        return text[: ends[count - 1]].rstrip(_UNFINISHED + " ")
    return text[: ends[words - 1]] if words >= _LEAST_WORDS else ""


def one_line(text: str) -> str:
    """Any text in one line of at most ``MAX_TEXT_BYTES`` bytes of valid, printable UTF-8."""
    valid = text.encode("utf-8", "replace").decode()
    printable = "".join(c if c.isprintable() else " " for c in valid)
    line = " ".join(printable.split())
    if len(line.encode()) <= MAX_TEXT_BYTES:
        return line
    ends = word_ends(line)
    count = bisect_right(ends, MAX_TEXT_BYTES, key=lambda end: len(line[:end].encode()))
    return line[: ends[count - 1]] if count else ""


def begin(name: str, detail: str) -> tuple[str, str]:
    """Name and detail such that the detail begins with the name, spelt as it is there.

    Both are lines already (``one_line``).
    """
    start = leading_words(detail, len(name.split(" ")))
    if start.casefold() == name.casefold():
        return start, detail
    if _NO_GAP.search(name) and detail.startswith(name):  # no blank shows where the name ends
        rest = detail[len(name) :]
        if rest and rest[0] not in _PAUSES:
            return name, one_line(f"{name} {rest}")
        detail = rest.lstrip(_PAUSES + " ")
    return name, one_line(f"{name}, {detail}") if detail else name
