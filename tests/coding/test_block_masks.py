"""Masks of 8 x 8 blocks: what MISC sends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedic.coding.masks import BlockMasks
from sedic.describe.clip_maps import coarse
from sedic.errors import SedicError
from sedic.semantics import (
    Mask,
)


def disc(height: int, width: int, x: float, y: float, radius: float) -> Mask:
    down, across = np.mgrid[:height, :width]
    return Mask.of(np.hypot(across / width - x, down / height - y) < radius)


@given(
    st.integers(1, 100),
    st.integers(1, 100),
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.02, 0.6)), min_size=1, max_size=7
    ),
)
@settings(max_examples=50, deadline=None)
def test_coarse_masks_round_trip_on_grids_of_every_size(
    height: int, width: int, discs: list[tuple[float, float, float]]
) -> None:
    masks = tuple(coarse(disc(height, width, *at)) for at in discs)
    data = BlockMasks().encode(masks)
    assert BlockMasks().decode(data, width, height, len(masks)) == masks


def test_a_map_costs_less_than_its_64_bits() -> None:
    masks = [coarse(disc(64, 96, x, 0.5, 0.25)) for x in (0.2, 0.5, 0.8)]
    assert len(BlockMasks().encode(masks)) <= 18  # of 24 uncoded


def test_the_bytes_of_format_version_1_do_not_change() -> None:
    masks = [coarse(disc(31, 45, x, 0.5, 0.25)) for x in (0.3, 0.8)]
    assert BlockMasks().encode(masks).hex() == "297ea7f32c97736a"


def test_other_masks_are_refused() -> None:
    with pytest.raises(SedicError, match="8 x 8 blocks"):
        BlockMasks().encode([disc(32, 48, 0.5, 0.5, 0.3)])
