"""Other words for a file, without the original picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sedic.coding.container import Container
from sedic.describe.description import Description
from sedic.editing import edit as edit_bytes
from sedic.editing import shows
from sedic.encoder import Encoder
from sedic.errors import SedicError
from sedic.profile import Profile
from sedic.reference.pixel import Pixel
from sedic.semantics import (
    Mask,
    ObjectLayer,
    Rate,
)

PROFILE = Profile.load("mini", reference=Pixel())


def edit(file: Container, overall: str | None = None, **changes: Any) -> bytes:
    return edit_bytes(file.to_bytes(), PROFILE, overall=overall, **changes)


def mask(left: int) -> Mask:
    cells = np.zeros((8, 12), np.bool_)
    cells[2:6, left : left + 4] = True
    return Mask.of(cells)


@pytest.fixture(scope="module")
def file() -> Container:
    said = Description(
        "A street.",
        (
            ObjectLayer("red bus", "red bus, shiny", mask(1)),
            ObjectLayer("tree", "tree without leaves", mask(7)),
        ),
    )
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    done = Encoder(PROFILE).compress(
        picture, Rate(900), said, seed=5, settings={"last_steps": 3}, text_coder="huffman"
    )
    return Container.parse(done.data)


def test_nothing_changed_is_the_same_file(file: Container) -> None:
    assert edit(file) == file.to_bytes()


def test_words_change_and_nothing_else(file: Container) -> None:
    changed = Container.parse(edit(file, "A lane.", details={2: "tree in bloom"}))
    before, after = file.unpack(PROFILE), changed.unpack(PROFILE)
    assert after.overall == "A lane."
    tree = replace(before.objects[1], detail="tree in bloom")
    assert after == replace(before, overall="A lane.", objects=(before.objects[0], tree))
    assert changed.settings == file.settings and changed.mark == file.mark


@pytest.mark.parametrize(
    ("detail", "name", "written"),
    [
        ("blue lorry, dusty", "blue lorry", "blue lorry, dusty"),
        ("Red bus with dents", "Red bus", "Red bus with dents"),
        ("painted blue and rather dusty", "red bus", "red bus, painted blue and rather dusty"),
        ("bicycle", "bicycle", "bicycle"),
        ("line\nbreak, \x1b[31m", "line break", "line break, [31m"),
    ],
)
def test_a_detail_may_name_the_object_anew(
    file: Container, detail: str, name: str, written: str
) -> None:
    changed = Container.parse(edit(file, details={1: detail})).unpack(PROFILE).objects[0]
    assert (changed.name, changed.detail) == (name, written)


def test_objects_are_dropped_by_their_old_numbers(file: Container) -> None:
    changed = Container.parse(edit(file, details={2: "oak, old"}, dropped=[1])).unpack(PROFILE)
    assert [layer.name for layer in changed.objects] == ["oak"]
    assert Container.parse(edit(file, dropped=[1, 2])).object_count == 0
    for number in (0, 3):
        with pytest.raises(SedicError, match=f"no object {number}: the file has 2"):
            edit(file, dropped=[number])


def test_words_of_other_tables_are_not_touched(file: Container) -> None:
    other = replace(file, mark=bytes([file.mark[0] ^ 1, file.mark[1]]))
    with pytest.raises(SedicError, match="other weights"):
        edit(other, "A lane.")


def test_whether_other_words_show_depends_on_what_they_are_of(file: Container) -> None:
    before = file.to_bytes()
    for detail, seen in (("red bus, very rough", True), ("red bus, blue and dusty", False)):
        after = edit(file, details={1: detail})
        assert shows(before, after, PROFILE) is seen
    assert not shows(before, edit(file, "A lane."), PROFILE)


def test_an_object_is_described_or_dropped_not_both(file: Container) -> None:
    with pytest.raises(SedicError, match="object 1 is both"):
        edit(file, details={1: "red bus, new"}, dropped=[1])
