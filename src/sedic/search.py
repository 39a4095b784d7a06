"""Searches files by their words. Only the text section of a file is decoded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sedic.coding.container import Container
from sedic.errors import SedicError
from sedic.files import read_bounded
from sedic.kept_words import KeptWords
from sedic.semantics import MAX_REFERENCE_BYTES

if TYPE_CHECKING:
    from sedic.profile import Profile

SUFFIX = ".sedic"
MAX_FILE_BYTES = MAX_REFERENCE_BYTES + (1 << 22)
_WORD = re.compile(r"\w+(?:[-'’]\w+)*")


@dataclass(frozen=True)
class Match:
    """A file whose text has all that was looked for: ``where`` is the best matching line of it.

    ``score``: 2 where one object has every word, else 1.
    """

    path: Path
    score: int
    where: str
    overall: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class UnreadableFile:
    """A file that could not be searched, and why."""

    path: Path
    problem: str


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, plurals as singulars, without punctuation."""
    return tuple(_singular(word) for word in _WORD.findall(text.casefold()))


def search(
    paths: Iterable[Path],
    query: str,
    profile: Profile | None = None,
    kept_words: KeptWords | None = None,
) -> Iterator[Match | UnreadableFile]:
    """The files among ``paths`` whose words hold every word of ``query``, as they are found.

    Words match whole, without regard to case and plural. ``profile`` reads the files; by default
    each file's own profile, loaded once. ``kept_words`` is a cache: decoding the words of a file
    takes 20 ms, a look-up less than 1 ms. Damaged files and files of other versions come as
    ``UnreadableFile``.
    """
    from sedic.profile import Profile as Owner

    wanted = set(words_of(query))
    memory = kept_words or KeptWords(None)
    owners: dict[str, Profile] = {}
    for path in paths:
        try:
            container = Container.parse(read_bounded(path, MAX_FILE_BYTES))
            owner = profile or owners.get(container.profile)
            if owner is None:
                owner = owners[container.profile] = Owner.load(container.profile)
            overall, objects = memory.of(container, owner)
        except SedicError as error:
            yield UnreadableFile(path, str(error))
            continue
        lines = [detail for _, detail in objects]
        whole = next((line for line in (*lines, overall) if wanted <= set(words_of(line))), None)
        if whole is not None or wanted <= set(words_of(" ".join((overall, *lines)))):
            score = 2 if whole is not None and whole in lines else 1
            names = tuple(name for name, _ in objects)
            yield Match(path, score, overall if whole is None else whole, overall, names)


def files_in(folder: Path) -> Iterator[Path]:
    """All ``.sedic`` files of ``folder`` and of the folders in it, in order; a file is itself."""
    if folder.is_file():
        yield folder
        return
    yield from sorted(path for path in folder.rglob(f"*{SUFFIX}") if path.is_file())


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
