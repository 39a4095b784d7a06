"""Picture to meaning: what is described, in which words, and where it is.

``measure`` makes the embedded, measured description; ``sidecar`` reads a caller's own. Both give a
``Description``. Nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sedic.semantics import ObjectLayer


@dataclass(frozen=True)
class Description:
    """What is said about a picture: as a whole, and object by object, most important first."""

    overall: str
    objects: tuple[ObjectLayer, ...] = ()

    @property
    def text(self) -> str:
        """Every word of it, one line for the whole and one for each object."""
        return "\n".join([self.overall, *(found.detail for found in self.objects)])


def shorten(
    description: Description, objects: int, detail_words: int, overall_words: int
) -> Description:
    """The first ``objects`` objects, with every text cut to its budget of words.

    Texts are cut where a phrase ends (``cut``); masks and names stay as they are, so a detail
    never gets shorter than its name.
    """
    kept = tuple(_shorter(found, detail_words) for found in description.objects[:objects])
    return Description(cut(description.overall, overall_words), kept)


def _shorter(found: ObjectLayer, words: int) -> ObjectLayer:
    rest = found.detail[len(found.name) + 1 :]
    kept = cut(rest, words - len(found.name.split(" ")))
    return replace(found, detail=f"{found.name} {kept}".rstrip())


_JOINTS = frozenset(["with", "and", "while", "that", "which", "who", "where", "but"])
_LEAST_WORDS = 6  # fewer words, cut anywhere, say nothing


def cut(text: str, words: int) -> str:
    """The longest start of ``text`` that ends with a phrase and has at most ``words`` words.

    A phrase ends after a comma, semicolon or full stop; where the first of these comes too late,
    before a word such as "with"; and where there is none of either, as may happen in a text that
    was not measured, after any word. "" where not even that would say anything.
    """
    found = text.split()
    if len(found) <= words:
        return text
    for count in range(words, 0, -1):
        if found[count - 1][-1] in ",;.":
            return " ".join(found[:count]).rstrip(",;")
    for count in range(words, 0, -1):
        if found[count] in _JOINTS:
            return " ".join(found[:count])
    return " ".join(found[:words]) if words >= _LEAST_WORDS else ""
