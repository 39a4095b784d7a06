"""Turns a language model's answer into words that a file may carry: cleaned, counted and cut.

The answer is hostile text: parsing gives ``Words`` that are safe to print, or raises one
``SedicError``. Words are not yet a description, which has masks: ``segmentation`` checks whether
and where the named objects are in the picture.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from sedic.describe.answer_scenes import OBJECT_BEGINS, find_objects, find_scene
from sedic.describe.answer_text import (
    check_is_description,
    final_text,
    is_placeholder,
    without_small_talk,
)
from sedic.describe.description import WORD, begin, cut, cut_detail, one_line, word_ends
from sedic.errors import DescriberError
from sedic.semantics import (
    MAX_NAME_WORDS,
    MAX_OBJECTS,
)

if TYPE_CHECKING:
    from sedic.picture import Picture

MAX_ANSWER = 1 << 17  # characters, thoughts included
CLIP_TOKENS = 77  # of CLIP's text encoders, the marks at both ends included


@dataclass(frozen=True)
class ObjectWords:
    """A model's words for one object; ``detail`` begins with ``name``, as in ``ObjectLayer``."""

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
    objects: tuple[ObjectWords, ...] = ()
    warnings: tuple[str, ...] = ()
    usage: Usage = Usage()


class Describer(Protocol):
    """Describes a picture in words."""

    def describe(
        self, picture: Picture, objects: int, detail_words: int, overall_words: int
    ) -> Words:
        """The words of a (height, width, 3) uint8 picture, within these limits.

        Raises ``SedicError`` where there are none.
        """
        ...


def parse_words(answer: str, objects: int, detail_words: int, overall_words: int) -> Words:
    """The words in a model's ``answer``.

    Thoughts, channels, small talk and marks between turns are removed (``answer_text``). In the
    rest, a JSON object of the form ``prompts.schema`` is searched (``answer_scenes``). If the
    answer breaks off, its complete objects are used. Where no objects are asked for, plain prose is
    the overall description. Parts of a wrong type, placeholders, objects without a name and second
    objects of one name are left out with a warning. Each text becomes one line without control
    characters or emoji, cut to its budget at the end of a phrase, or at least of a word.

    Raises ``RefusalError`` if the model refuses, and ``DescriberError`` if no words are left.
    """
    if len(answer) > MAX_ANSWER:
        raise DescriberError(f"the model's answer has more than {MAX_ANSWER} characters")
    items, whole, warnings = _scene(final_text(answer), objects)
    objects_by_name: dict[str, ObjectWords] = {}
    for item in items:
        if len(objects_by_name) >= min(objects, MAX_OBJECTS):
            break
        words, problem = _object_words(item, detail_words)
        if words and objects_by_name.setdefault(words.name.casefold(), words) is not words:
            problem = f"described {words.name!r} twice; the first one counts"
        if problem:
            warnings.append(f"the model {problem}")
    overall = cut(_clean(_description(whole, warnings if objects_by_name else None)), overall_words)
    if not overall and not objects_by_name:
        raise DescriberError("the model's answer has no description in it; try another model")
    if not objects_by_name and objects:
        warnings.append("the model described no object")
    if not overall and overall_words:
        warnings.append("the model did not describe the picture as a whole")
    text = " ".join([overall, *(words.detail for words in objects_by_name.values())])
    if _foreign(text):
        warnings.append("the words are not in Latin letters; decoders know English best")
    return Words(overall, tuple(objects_by_name.values()), tuple(dict.fromkeys(warnings)))


def _scene(text: str, objects: int) -> tuple[list[Any], str, list[str]]:
    """The objects and the overall description of an answer, not yet checked, and warnings."""
    scene = find_scene(text, objects > 0)
    if scene is None:
        if not objects and not OBJECT_BEGINS.search(text):
            return [], text, []
        objects_in_text = find_objects(text)
        if not objects_in_text:
            check_is_description(without_small_talk(text))
        return objects_in_text, "", ["the model's answer is damaged; only whole objects are kept"]
    items, whole = scene.get("objects", []), scene.get("overall", "")
    warnings = []
    if not isinstance(items, list):
        warnings.append("the model's answer has no proper list of objects")
        items = []
    if not isinstance(whole, str):
        warnings.append("the model's overall description is no text")
        whole = ""
    return items, whole, warnings


def _description(text: str, warnings: list[str] | None) -> str:
    """``text`` without small talk, "" if it is a placeholder.

    A refusal or an error message raises ``DescriberError``; given a list of ``warnings``, it is
    left out with one.
    """
    text = without_small_talk(text)
    try:
        check_is_description(text)
    except DescriberError as error:
        if warnings is None:
            raise
        warnings.append(str(error))
        return ""
    return "" if is_placeholder(text) else text


def _object_words(item: object, detail_words: int) -> tuple[ObjectWords | None, str]:
    """The object that ``item`` describes, if any, and what is wrong with it, if anything."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return None, "described an object without a name; left out"
    name = _name(item["name"])
    if not name or fit_clip(name) != name or is_placeholder(item["name"]):
        return None, "gave an object an unusable name; left out"
    detail, problem = item.get("detail", ""), ""
    if not isinstance(detail, str):
        detail, problem = "", f"gave {name!r} a detail that is no text"
    try:
        check_is_description(detail)
    except DescriberError:
        detail, problem = "", f"did not describe {name!r}"
    if is_placeholder(detail):
        detail = ""
    name, detail = begin(name, _without_article(_clean(detail)))
    return ObjectWords(name, cut_detail(name, detail, detail_words)), problem


_ARTICLES = ("a", "an", "the")
_AFTER_HEAD = frozenset(["with", "of", "in", "on", "at", "by", "from", "under", "behind", "near"])
_MARKS = " .,;:!?\"'*_`#-()[]"  # around a name


def _name(text: str) -> str:
    """One to ``MAX_NAME_WORDS`` words that name the object, "" if there are none.

    Of a longer phrase, they are the last words before a preposition such as "with" or "of", because
    the noun stands there in English.
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


_LONGEST_WORD = 40  # characters; longer ones are filler


def _clean(text: str) -> str:
    """``text`` in one line, without control characters, emoji and words of over 40 characters."""
    line = one_line("".join(" " if _is_emoji(char) else char for char in text))
    short = WORD.sub(lambda word: word[0] if len(word[0]) <= _LONGEST_WORD else "", line)
    return " ".join(short.split())


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

    The decoder's text encoder does not read more. ``tokenizer`` is the decoder's (like
    ``CLIPTokenizer``: called with a text, it gives an object with ``input_ids``). Without it the
    number of tokens is estimated, rather too high, at five letters a token: about 48 words of
    English fit then, instead of 57.
    """
    ends = word_ends(text)
    if tokenizer is None:
        counts = list(accumulate(map(_estimate, WORD.findall(text))))
        count = bisect_right(counts, CLIP_TOKENS - 2)
    else:

        def tokens(count: int) -> int:
            return len(tokenizer(text[: ends[count - 1]]).input_ids)

        # Usually more words have more tokens; letters may also join to fewer, so try a few more.
        count = bisect_right(range(1, len(ends) + 1), CLIP_TOKENS, key=tokens)
        while count and tokens(count) > CLIP_TOKENS:
            count -= 1
    if count == len(ends):
        return text
    return text[: ends[count - 1]].rstrip(",;") if count else ""


def _estimate(word: str) -> int:
    """Tokens of one word: CLIP splits at digits and punctuation, and rare letters into bytes."""
    return sum(
        -(-len(piece) // _LETTERS_PER_TOKEN) if piece.isascii() else len(piece.encode())
        for piece in _PIECE.findall(word)
    )
