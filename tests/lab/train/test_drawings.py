"""Drawn crops are pictures of the asked size, always the same ones, and many of them are flat."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data as samples

from sedic.lab.train.crops import Crops
from sedic.lab.train.drawings import drawing


def test_drawings_are_flat_or_have_shapes() -> None:
    drawn = [drawing(np.random.default_rng(seed), 64) for seed in range(80)]
    assert all(x.shape == (64, 64, 3) and x.dtype == np.uint8 for x in drawn)
    flat = [bool((x == x[0, 0]).all()) for x in drawn]
    assert 15 < sum(flat) < 60
    again = drawing(np.random.default_rng(7), 64)
    assert np.array_equal(again, drawn[7])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_the_crops_is_drawn(share: float) -> None:
    grey = np.full_like(samples.chelsea()[:128, :128], 7)
    crops = Crops([grey], 64, 8, seed=0, plain=share)(0)
    drawn = [not bool((crop == 7).all()) for crop in crops.pixels]
    assert sum(drawn) == 8 * share
