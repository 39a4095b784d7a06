"""Outlines from evidence: whole things, without what is around them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from sedic.describe.outline import NARROW, WIDE, outline

Floats = npt.NDArray[np.float64]
ROWS, COLUMNS = 64, 96


def scene(thing: npt.NDArray[np.bool_], colour: tuple[float, float, float]) -> Floats:
    """A grey scene with a slow gradient, some noise, and a thing of another colour."""
    rng = np.random.default_rng(0)
    look = np.zeros((ROWS, COLUMNS, 3))
    look[..., 0] = 60 + np.linspace(-8, 8, COLUMNS)
    look[thing] = colour
    return look + rng.normal(0, 1, look.shape)


def blob(y: float, x: float, radius: float) -> Floats:
    rows, columns = np.indices((ROWS, COLUMNS))
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * radius**2))


def agreement(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_evidence_on_one_end_finds_the_whole_thing() -> None:
    thing = np.zeros((ROWS, COLUMNS), np.bool_)
    thing[24:40, 20:70] = True  # evidence only near its left end, blurred beyond its edge
    found = outline(scene(thing, (40, 30, 25)), blob(32, 34, 14))
    assert agreement(found[0], thing) > 0.8


def test_a_halo_of_even_background_is_left_out() -> None:
    thing = np.zeros((ROWS, COLUMNS), np.bool_)
    thing[16:56, 44:52] = True  # a tower, the evidence three times as wide
    found = outline(scene(thing, (90, 5, 10)), blob(34, 48, 13))
    assert agreement(found[0], thing) > 0.7


def test_two_things_are_two_pieces() -> None:
    thing = np.zeros((ROWS, COLUMNS), np.bool_)
    thing[20:44, 12:32] = thing[20:44, 60:84] = True
    heat = np.maximum(blob(32, 22, 9), 0.9 * blob(32, 72, 10))
    found = outline(scene(thing, (40, 30, 25)), heat)
    assert len(found) == 2 and not (found[0] & found[1]).any()
    assert agreement(found[0] | found[1], thing) > 0.8


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_evidence_gives_regions_of_the_right_shape(value: float) -> None:
    found = outline(np.full((20, 30, 6), 50.0), np.full((20, 30), value))
    assert all(piece.shape == (20, 30) and piece.dtype == np.bool_ for piece in found)


def test_pieces_hang_together() -> None:
    rng = np.random.default_rng(1)
    look = rng.normal(50, 20, (ROWS, COLUMNS, 3))
    for piece in outline(look, blob(20, 30, 10)):
        assert ndimage.label(piece)[1] <= 1


def test_less_evidence_is_enough_for_a_wide_outline() -> None:
    thing = np.zeros((ROWS, COLUMNS), np.bool_)
    thing[20:44, 30:66] = True
    rng = np.random.default_rng(2)
    look = scene(thing, (50, 8, 8)) + rng.normal(0, 3, (ROWS, COLUMNS, 3))
    narrow, wide = (outline(look, blob(32, 40, 8), level)[0] for level in (NARROW, WIDE))
    assert wide.sum() >= narrow.sum() and (wide & narrow).sum() > 0.9 * narrow.sum()
