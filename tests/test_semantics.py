from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedic.errors import SedicError
from sedic.semantics import (
    MAX_TEXT_BYTES,
    Mask,
    ObjectLayer,
    Rate,
    ReferenceImage,
    SemanticImage,
    grid_size,
)

REFERENCE = ReferenceImage("pixel", b"abc")


def disc(width: int, height: int) -> Mask:
    y, x = np.mgrid[:height, :width]
    return Mask.of((x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2)


@given(st.integers(1, 40), st.integers(1, 40), st.randoms())
def test_mask_keeps_its_cells(width: int, height: int, random) -> None:
    cells = np.array([[random.random() < 0.5 for _ in range(width)] for _ in range(height)])
    mask = Mask.of(cells)
    assert np.array_equal(mask.array, cells)
    assert mask.area == cells.sum()
    assert mask == Mask.of(cells.copy()) and hash(mask) == hash(Mask.of(cells.copy()))


def test_masks_differ_by_one_cell_or_by_shape() -> None:
    cells = np.zeros((4, 6), np.bool_)
    other = cells.copy()
    other[3, 5] = True
    assert Mask.of(cells) != Mask.of(other)
    assert Mask.of(cells) != Mask.of(cells.reshape(6, 4))


@pytest.mark.parametrize(
    ("width", "height", "bits"),
    [(0, 1, b""), (8, 1, b""), (8, 1, b"ab"), (4, 1, b"\x0f"), (20_000, 1, bytes(2_500))],
)
def test_mask_bytes_that_do_not_fit_are_refused(width: int, height: int, bits: bytes) -> None:
    with pytest.raises(SedicError):
        Mask(width, height, bits)


def test_equality_of_semantic_images_is_by_meaning() -> None:
    def make(**changes) -> SemanticImage:
        layer = ObjectLayer("red car", "red car, shiny", disc(12, 8))
        fields = {"overall": "A street.", "objects": (layer,), "seed": 3} | changes
        return SemanticImage(90, 60, REFERENCE, **fields)

    assert make() == make()
    assert hash(make()) == hash(make())
    for changes in ({"overall": "A road."}, {"objects": ()}, {"seed": 4}, {"method": "misc"}):
        assert make(**changes) != make()


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("", "car"),
        ("one two three four", "one two three four"),
        ("red  car", "red  car"),
        ("red car", "a red car"),
        ("red car", "red carpet"),
        ("red car,", "red car, shiny"),
        ("red\ncar", "red\ncar"),
        ("red", "red \x1b[31m"),
        ("red", "red "),
        ("red", "red " + "x" * MAX_TEXT_BYTES),
        ("red", "red \ud800"),
    ],
)
def test_objects_that_cannot_be_sent_are_refused(name: str, detail: str) -> None:
    with pytest.raises(SedicError):
        ObjectLayer(name, detail, disc(12, 8))


def test_masks_must_lie_on_the_grid() -> None:
    assert grid_size(1, 1) == (1, 1)
    assert grid_size(769, 512) == (97, 64)
    with pytest.raises(SedicError, match="grid is 12x8"):
        SemanticImage(90, 60, REFERENCE, objects=(ObjectLayer("a", "a", disc(8, 12)),))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (16_384, 1), (8_193, 8_193)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SedicError):
        SemanticImage(*size, REFERENCE)


def test_operating_points_of_the_paper() -> None:
    low, high = Rate.of_bpp(0.03, 768, 512), Rate.of_bpp(0.05, 768, 512)
    assert (low.max_bytes, low.max_objects, low.detail_words, low.overall_words) == (
        1474,
        1,
        20,
        30,
    )
    assert (high.max_bytes, high.max_objects, high.detail_words, high.overall_words) == (
        2457,
        3,
        30,
        50,
    )
    for bad in (0, -1, float("nan"), float("inf")):
        with pytest.raises(SedicError):
            Rate.of_bpp(bad, 768, 512)
