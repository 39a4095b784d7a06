"""Other words for a file, without the original picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sedic.cli.edit import edit
from sedic.codec import Codec

from sedic.coding.container import Container
from sedic.describe.description import Description
from sedic.errors import SedicError
from sedic.reference.pixel import Pixel
from sedic.semantics import (
    Mask,
    ObjectLayer,
    Rate,
)


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
    codec = Codec(reference=Pixel(), text_coder="huffman")
    done = codec.compress(picture, Rate(900), said, seed=5, settings={"last_steps": 3})
    return Container.parse(done.data)


def test_nothing_changed_is_the_same_file(file: Container) -> None:
    assert edit(file) == file.to_bytes()


def test_words_change_and_nothing_else(file: Container) -> None:
    changed = Container.parse(edit(file, "A lane.", {2: "tree in bloom"}))
    before, after = file.unpack(), changed.unpack()
    assert after.overall == "A lane."
    tree = replace(before.objects[1], detail="tree in bloom")
    assert after == replace(before, overall="A lane.", objects=(before.objects[0], tree))
    assert changed.settings == file.settings and changed.fingerprint == file.fingerprint


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
    changed = Container.parse(edit(file, details={1: detail})).unpack().objects[0]
    assert (changed.name, changed.detail) == (name, written)


def test_objects_are_dropped_by_their_old_numbers(file: Container) -> None:
    changed = Container.parse(edit(file, details={2: "oak, old"}, dropped=[1])).unpack()
    assert [layer.name for layer in changed.objects] == ["oak"]
    assert Container.parse(edit(file, dropped=[1, 2])).object_count == 0
    for number in (0, 3):
        with pytest.raises(SedicError, match=f"no object {number}: the file has 2"):
            edit(file, dropped=[number])


def test_words_of_other_tables_are_not_touched(file: Container) -> None:
    other = replace(file, fingerprint=bytes([file.fingerprint[0] ^ 1, file.fingerprint[1]]))
    with pytest.raises(SedicError, match="other weights"):
        edit(other, "A lane.")
