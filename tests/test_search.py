"""Searching files by their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sedic.coding.container import Container, pack
from sedic.profile import Profile
from sedic.search import Match, UnreadableFile, files_in, search, words_of
from sedic.semantics import Mask, ObjectLayer, ReferenceImage, SemanticImage
from sedic.word_cache import WordCache

MASK = Mask.of(np.ones((2, 3), np.bool_))


def write(path: Path, profile: Profile, overall: str, *objects: tuple[str, str]) -> None:
    layers = tuple(ObjectLayer(name, detail, MASK) for name, detail in objects)
    image = SemanticImage(24, 16, ReferenceImage("pixel", b"x"), overall, layers)
    data = pack(image, profile, profile="mini", mark=b"ab").to_bytes()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, mini: Profile) -> Path:
    root = tmp_path_factory.mktemp("files")
    write(root / "a.sedic", mini, "a red macaw", ("macaw", "macaw in red, sharp"))
    write(root / "b.sedic", mini, "a macaw, a red boat", ("macaw", "macaw in blue"))
    write(root / "sub" / "c.sedic", mini, "two dogs and a Boat")
    (root / "broken.sedic").write_bytes(b"nothing")
    (root / "other.txt").write_text("a red macaw")
    return root


def matches(folder: Path, query: str) -> dict[str, int]:
    found = [m for m in search(files_in(folder), query) if isinstance(m, Match)]
    return {match.path.name: match.score for match in found}


def test_every_word_must_be_there_and_one_object_with_all_is_best(folder: Path) -> None:
    assert matches(folder, "red macaw") == {"a.sedic": 2, "b.sedic": 1}
    assert matches(folder, "blue macaw") == {"b.sedic": 2}
    assert matches(folder, "green macaw") == {}


def test_case_plural_and_folders_do_not_matter(folder: Path) -> None:
    assert matches(folder, "BOATS dog") == {"c.sedic": 1}
    assert matches(folder, "mac") == {}  # whole words only


def test_a_damaged_file_does_not_end_the_search(folder: Path) -> None:
    found = list(search(files_in(folder), "macaw"))
    unread = [result for result in found if isinstance(result, UnreadableFile)]
    assert [result.path.name for result in unread] == ["broken.sedic"]
    assert sum(isinstance(result, Match) for result in found) == 2


def test_it_is_a_generator(folder: Path) -> None:
    paths = iter([folder / "a.sedic"])
    found = search(paths, "macaw")
    assert next(paths, None) == folder / "a.sedic"  # nothing was read yet
    assert list(found) == []


def test_words() -> None:
    assert words_of('Sail reading "14255", glass; dogs') == ("sail", "reading", "14255", "glass",
                                                             "dog")  # fmt: skip


def test_kept_words_are_those_that_were_decoded(folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "deep" / "words.sqlite"
    fresh = list(search(files_in(folder), "macaw"))
    for _ in range(2):
        with WordCache(base) as kept:
            assert list(search(files_in(folder), "macaw", cache=kept)) == fresh
    assert base.is_file()


def test_kept_words_are_not_decoded_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WordCache(tmp_path / "words.sqlite") as kept:
        before = matches(folder, "macaw")
        list(search(files_in(folder), "macaw", cache=kept))
        monkeypatch.setattr(Container, "words", None)
        found = [m for m in search(files_in(folder), "macaw", cache=kept) if isinstance(m, Match)]
        assert {match.path.name: match.score for match in found} == before


def test_a_broken_database_is_no_hindrance(folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "words.sqlite"
    base.write_bytes(b"this is no database" * 100)
    for place in (base, folder / "a.sedic" / "impossible"):
        with WordCache(place) as kept:
            assert any(isinstance(m, Match) for m in search(files_in(folder), "macaw", cache=kept))
