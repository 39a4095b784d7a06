"""Words of surfaces act on the noise inside an object's mask, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedic.semantics import Mask, ObjectLayer, leading_words
from sedic.synthesis.touch import MOST, Touch, strengths, touch


def layer(detail: str, columns: slice, width: int = 20) -> ObjectLayer:
    cells = np.zeros((10, width), bool)
    cells[:, columns] = True
    return ObjectLayer(leading_words(detail, 1), detail, Mask.of(cells))


def test_words_of_surfaces_have_a_direction() -> None:
    assert touch("red car, large, at the left") == Touch()
    assert max(touch("car, smooth")) < 1 < min(touch("rock, rough"))
    assert max(touch("car, very smooth")) < max(touch("car, smooth"))
    assert max(touch("car, smooth")) < max(touch("car, almost smooth shading")) < 1
    fine, coarse = touch("wall with clear fine texture"), touch("wall with clear coarse texture")
    assert fine.coarse < 1 < fine.fine and coarse.fine < 1 < coarse.coarse
    assert touch("wall, grainy").fine > 1 == touch("wall, grainy").coarse
    assert touch("wall, not smooth") == Touch() == touch("smoothly painted wall")
    assert touch("Wall, ROUGH.") == touch("wall rough")


@given(st.text(max_size=60) | st.lists(st.sampled_from(["very", "rough", "coarse"])).map(" ".join))
def test_any_words_give_strengths_in_their_limits(detail: str) -> None:
    assert all(0 <= factor <= MOST for factor in touch(detail))


def test_strengths_are_those_of_the_smallest_mask_at_every_place() -> None:
    wide, narrow = layer("wall, rough", slice(0, 12)), layer("door, smooth", slice(4, 8))
    found = strengths([narrow, wide], 160, 80, 0.5)
    assert isinstance(found, np.ndarray) and found.shape == (2, 10, 20)
    assert found[:, :, 13] == pytest.approx(0.5)
    assert found[0, 0, 0] == pytest.approx(0.5 * touch("rough").coarse)
    assert found[1, 0, 5] == pytest.approx(0.5 * touch("smooth").fine)


def test_objects_that_say_nothing_of_their_surface_change_nothing() -> None:
    assert strengths([layer("red car", slice(0, 5))], 160, 80, 0.7) == 0.7
    assert strengths([layer("wall, rough", slice(0, 5))], 160, 80, 0.0) == 0.0
