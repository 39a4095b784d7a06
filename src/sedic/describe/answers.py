"""A language model's answer, made into words that may go on: cleaned, counted, cut.

The answer is hostile text: whatever is in it, parsing gives ``Words`` or one ``SedicError``, and
the words are data that is safe to print. Words are not yet a description: nobody has looked
whether the named objects are in the picture, or where.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from sedic.describe.description import begin, cut, cut_detail, one_line
from sedic.errors import SedicError
from sedic.semantics import (
    MAX_NAME_WORDS,
    MAX_OBJECTS,
)

if TYPE_CHECKING:
    from sedic.picture import Picture

MAX_ANSWER = 1 << 16  # characters
CLIP_TOKENS = 77  # of CLIP's text encoders, the marks at both ends included


@dataclass(frozen=True)
class Said:
    """What a model says of one object; ``detail`` begins with ``name``, as in ``ObjectLayer``."""

    name: str
    detail: str


@dataclass(frozen=True)
class Usage:
    """Tokens sent (prompt and picture) and received, and their cost in the prices' currency,
    ``None`` where no prices are known."""

    sent: int = 0
    received: int = 0
    cost: float | None = None

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        received = self.received + other.received
        return Usage(self.sent + other.sent, received, sum(costs) if costs else None)


@dataclass(frozen=True)
class Words:
    """A picture in a model's words, most important object first; ``warnings`` for the user."""

    overall: str
    objects: tuple[Said, ...] = ()
    warnings: tuple[str, ...] = ()
    usage: Usage = Usage()


class Describer(Protocol):
    """Who puts a picture into words."""

    def describe(
        self, picture: Picture, objects: int, detail_words: int, overall_words: int
    ) -> Words:
        """At most ``objects`` objects and as many words as said; ``SedicError`` if none."""
        ...


def parse(answer: str, objects: int, detail_words: int, overall_words: int) -> Words:
    """The words in a model's ``answer``.

    A JSON object as ``prompts.schema`` has it is looked for anywhere in the answer: in prose, in
    code fences, after other objects (the last one counts). Of an answer that breaks off, the
    objects that are whole are kept. Where no objects are asked for, bare prose is the overall
    description. Parts of a wrong type, nameless objects and second objects of one name are left
    out with a warning. Texts come out in one line without control characters or emoji, cut to their
    budgets where a phrase or at least a word ends.

    Raises ``SedicError`` if no words are left.
    """
    if len(answer) > MAX_ANSWER:
        raise SedicError(f"the model's answer has more than {MAX_ANSWER} characters")
    items, whole, warnings = _scene(answer, objects)
    said: dict[str, Said] = {}
    for item in items:
        if len(said) >= min(objects, MAX_OBJECTS):
            break
        found, problem = _said(item, detail_words)
        if found and said.setdefault(found.name.casefold(), found) is not found:
            problem = f"described {found.name!r} twice; the first one counts"
        if problem:
            warnings.append(f"the model {problem}")
    overall = cut(_clean(whole), overall_words)
    if not overall and not said:
        raise SedicError("the model's answer has no description in it; try another model")
    if not said and objects:
        warnings.append("the model described no object")
    if not overall and overall_words:
        warnings.append("the model did not describe the picture as a whole")
    text = " ".join([overall, *(found.detail for found in said.values())])
    if _foreign(text):
        warnings.append("the words are not in Latin letters; decoders know English best")
    return Words(overall, tuple(said.values()), tuple(dict.fromkeys(warnings)))


def _scene(answer: str, objects: int) -> tuple[list[Any], str, list[str]]:
    """What the answer has of objects and overall description, unchecked, and warnings."""
    found = _json_objects(answer)
    scenes = [item for item in found if "objects" in item or "overall" in item]
    if not scenes:
        if not objects and "{" not in answer:
            return [], answer, []
        return found, "", ["the model's answer is damaged; only whole objects are kept"]
    items, whole = scenes[-1].get("objects", []), scenes[-1].get("overall", "")
    warnings = []
    if not isinstance(items, list):
        warnings.append("the model's answer has no proper list of objects")
        items = []
    if not isinstance(whole, str):
        warnings.append("the model's overall description is no text")
        whole = ""
    return items, whole, warnings


_MAX_STARTS = 64  # braces that are tried as the start of an object


def _json_objects(text: str) -> list[dict[str, Any]]:
    """The outermost complete JSON objects in ``text``, in their order."""
    decoder = json.JSONDecoder(strict=False)  # line breaks inside texts are common
    found: list[dict[str, Any]] = []
    at = text.find("{")
    for _ in range(_MAX_STARTS):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
            found.append(value)
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)
    return found


def _said(item: object, detail_words: int) -> tuple[Said | None, str]:
    """The object that ``item`` describes, if any, and what is wrong with it, if anything."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return None, "described an object without a name; left out"
    name = _name(item["name"])
    if not name or fit_clip(name) != name:
        return None, "gave an object a name of no use; left out"
    detail, problem = item.get("detail", ""), ""
    if not isinstance(detail, str):
        detail, problem = "", f"gave {name!r} a detail that is no text"
    name, detail = begin(name, _without_article(_clean(detail)))
    return Said(name, cut_detail(name, detail, detail_words)), problem


_ARTICLES = ("a", "an", "the")
_AFTER_HEAD = frozenset(["with", "of", "in", "on", "at", "by", "from", "under", "behind", "near"])
_MARKS = " .,;:!?\"'*_`#-()[]"  # around a name


def _name(text: str) -> str:
    """One to ``MAX_NAME_WORDS`` words that name the object, "" if there are none.

    Of a longer phrase, the last words before "with", "of" and the like: in English the noun is
    there.
    """
    words = _without_article(_clean(text).strip(_MARKS)).split(" ")
    for place, word in enumerate(words):
        if place and word.casefold() in _AFTER_HEAD:
            words = words[:place]
            break
    words = words[-MAX_NAME_WORDS:]
    if words[0].casefold() in ("and", "or"):
        words = words[1:]
    return " ".join(words).strip(_MARKS)


def _without_article(text: str) -> str:
    first, _, rest = text.partition(" ")
    return rest if rest and first.casefold() in _ARTICLES else text


_LONGEST_WORD = 40  # characters; longer ones are filler, or a script without blanks


def _clean(text: str) -> str:
    """``text`` in one line, without control characters, emoji and words too long to be words."""
    kept = one_line("".join(" " if _is_emoji(char) else char for char in text))
    return " ".join(word for word in kept.split(" ") if len(word) <= _LONGEST_WORD)


def _is_emoji(char: str) -> bool:
    if char < "\u2000":
        return False
    modifies = "\ufe00" <= char <= "\ufe0f" or "\U0001f3fb" <= char <= "\U0001f3ff"
    return modifies or char == "\u20e3" or unicodedata.category(char) == "So"


def _foreign(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return 2 * sum(char > "\u024f" for char in letters) > len(letters)


_PIECE = re.compile(r"[^\W\d_]+|\S")  # letters in a row, or any other character
_LETTERS_PER_TOKEN = 5


def fit_clip(text: str, tokenizer: Callable[[str], Any] | None = None) -> str:
    """The longest start of ``text``, whole words only, that fits ``CLIP_TOKENS`` tokens.

    What is cut, the decoder's text encoder would not read. ``tokenizer`` is the decoder's
    (``CLIPTokenizer``: called with a text, it gives an object with ``input_ids``). Without it the
    tokens are estimated, rather too many: five letters each where a real word has one or two; then
    about 48 words of English fit where 57 would.
    """
    words = text.split()
    if tokenizer is None:
        counts = list(accumulate(map(_estimate, words)))
        count = bisect_right(counts, CLIP_TOKENS - 2)
    else:
        lengths = range(1, len(words) + 1)
        # One token more for a word more, at least: the counts are in order.
        count = bisect_right(
            lengths,
            CLIP_TOKENS,
            key=lambda n: len(tokenizer(" ".join(words[:n])).input_ids),
        )
    return text if count == len(words) else " ".join(words[:count]).rstrip(",;")


def _estimate(word: str) -> int:
    """Tokens of one word: CLIP splits at digits and punctuation, and rare letters into bytes."""
    return sum(
        -(-len(piece) // _LETTERS_PER_TOKEN) if piece.isascii() else len(piece.encode())
        for piece in _PIECE.findall(word)
    )
