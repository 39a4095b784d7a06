"""Names for the classifier's classes, and the kinds that they belong to.

``imagenet.txt`` holds the table. Every class has a name, every name a kind, and a kind may have a
wider kind: golden retriever, dog, animal. Two views that disagree on the name may agree on the
kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Kinds whose names are places where a picture was taken, not objects in it.
_SCENES = ("landscape", "room")
_PERSON = "person"


@dataclass(frozen=True)
class Names:
    """All names and kinds: the nodes of a forest, each class below one of them.

    ``words`` (n): the name of each node; ``parents`` (n): the index of its kind, -1 at the top;
    ``depth`` (n): 0 for a class' own name, else the length of the longest path down to one;
    ``members`` (n, classes): 1 where a class belongs to the node; ``bare``: nodes whose word takes
    no article ("sunglasses"); ``silent``: nodes that no description uses; ``scenes``: places.
    """

    words: tuple[str, ...]
    parents: tuple[int, ...]
    depth: tuple[int, ...]
    members: Floats
    bare: frozenset[int]
    silent: frozenset[int]
    scenes: frozenset[int]

    @property
    def person(self) -> int:
        """The node for people, for whom there is no class."""
        return self.words.index(_PERSON)

    def chances(self, classes: Floats) -> Floats:
        """Chances (..., n) of the nodes from those of the classes (..., classes)."""
        return np.asarray(classes @ self.members.T, np.float32)

    def line(self, node: int) -> list[int]:
        """``node``, its kind, the kind of that, and so on."""
        line = [node]
        while (node := self.parents[node]) >= 0:
            line.append(node)
        return line

    def with_article(self, node: int, adjective: str = "") -> str:
        """The node's word after ``adjective``, with its article if it takes one: "a red macaw"."""
        phrase = f"{adjective} {self.words[node]}".strip()
        if node in self.bare:
            return phrase
        return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


@cache
def load_names() -> Names:
    """The table of the package."""
    text = (files("sedic") / "describe" / "imagenet.txt").read_text(encoding="utf-8")
    return parse_names(text)


def parse_names(text: str) -> Names:
    """The names of a table in the form of ``imagenet.txt``."""
    index: dict[tuple[str, str], int] = {}  # (word, kind) of each node; the kind of a kind is ""
    parents: list[int] = []
    bare: set[int] = set()
    silent: set[int] = set()

    def node(word: str, kind: str) -> int:
        plain = word.rstrip("*?")
        key = (plain, "" if plain == kind else kind)
        if key not in index:
            index[key] = len(parents)
            parents.append(-1)
        if "*" in word:
            bare.add(index[key])
        if "?" in word:
            silent.add(index[key])
        return index[key]

    classes: list[int] = []
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        if " <" in line:
            kind, wider = (part.strip() for part in line.split("<"))
            index_of_node = node(kind, "")
            if wider:
                parents[index_of_node] = node(wider, "")
            continue
        kind, names = line.split(": ", 1)
        for name in names.split(", "):
            index_of_node = node(name, kind)
            if name.rstrip("*?") != kind:
                parents[index_of_node] = node(kind, "")
            classes.append(index_of_node)
    members = np.zeros((len(parents), len(classes)), np.float32)
    scenes = set()
    depth = [0] * len(parents)
    for number, index_of_node in enumerate(classes):
        steps = 0
        while index_of_node >= 0:
            members[index_of_node, number] = 1
            depth[index_of_node] = max(depth[index_of_node], steps)
            index_of_node, steps = parents[index_of_node], steps + 1
    words = tuple(word for word, _ in index)
    for index_of_node in range(len(parents)):
        top = index_of_node
        while top >= 0:
            if words[top] in _SCENES:
                scenes.add(index_of_node)
            top = parents[top]
    return Names(
        words,
        tuple(parents),
        tuple(depth),
        members,
        frozenset(bare),
        frozenset(silent),
        frozenset(scenes),
    )
