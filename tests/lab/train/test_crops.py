"""Crops depend on seed and step alone, show faces and grain where asked to, and may be drawn ahead
by other processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data as samples

from sedic.lab.train.crops import Ahead, Batch, Crops
from sedic.lab.train.grain import with_grain

FACE = np.array([[60, 190, 180, 270]], np.float32)  # of the astronaut
NO_FACE = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def crops() -> Crops:
    return Crops([samples.astronaut(), samples.chelsea()], 64, 3, seed=1)


def equal(a: Batch, b: Batch) -> bool:
    return torch.equal(a.pixels, b.pixels) and torch.equal(a.faces, b.faces)


def test_crops_depend_on_seed_and_step_alone(crops: Crops) -> None:
    assert crops(5).pixels.shape == (3, 64, 64, 3) and crops(5).pixels.dtype == torch.uint8
    assert equal(crops(5), replace(crops)(5))
    assert not equal(crops(5), crops(6))
    assert not equal(crops(5), replace(crops, seed=2)(5))
    assert not crops(5).faces.any()


def test_photographs_with_faces_are_cropped_around_them(crops: Crops) -> None:
    usual = replace(crops, batch=40, faces=[FACE, NO_FACE])
    chosen = replace(usual, face=1.0)
    shown = [
        [
            bool(one.any())
            for one, source in zip(batch.faces, batch.sources, strict=True)
            if not source
        ]
        for batch in (usual(0), chosen(0))
    ]
    assert np.mean(shown[0]) < 0.6 and all(shown[1])
    batch = chosen(0)
    assert batch.faces.shape == (40, 1, 8, 8) and 0 <= batch.faces.min() <= batch.faces.max() <= 1
    assert not any(
        one.any() for one, source in zip(batch.faces, batch.sources, strict=True) if source
    )


def test_grain_changes_deviation_and_not_brightness() -> None:
    grey = np.full((128, 128, 3), 120, np.uint8)
    for seed in range(8):
        grainy = with_grain(np.random.default_rng(seed), grey)
        assert grainy.dtype == np.uint8 and grainy.shape == grey.shape
        assert 1 < grainy.std() < 12 and abs(grainy.mean() - 120) < 0.5
        assert np.array_equal(grainy, with_grain(np.random.default_rng(seed), grey))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_the_crops_gets_grain(share: float) -> None:
    grey = np.full((128, 128, 3), 120, np.uint8)
    pixels = Crops([grey], 64, 8, seed=0, grain=share)(0).pixels
    assert sum(bool((crop != 120).any()) for crop in pixels) == 8 * share


@pytest.mark.filterwarnings("ignore:.*pin_memory.*")
def test_batches_drawn_ahead_are_those_drawn_at_once(crops: Crops) -> None:
    ahead = Ahead(crops, steps=6, workers=2)
    for step in (0, 1, 2, 4, 5):  # one is left out, as by a run that goes on from a checkpoint
        assert equal(ahead(step), crops(step))
    assert equal(Ahead(crops, steps=6, workers=0)(3), crops(3))
