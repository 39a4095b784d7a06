"""Texture as statistics: a weave is found, noise is none; edges are no texture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from sedic.errors import SedicError
from sedic.lab.bench import texture
from sedic.lab.bench.metrics import load_metric, score
from sedic.lab.bench.report.summary import merit


def grey(plane: np.ndarray) -> np.ndarray:
    return np.clip(np.round(plane), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


@pytest.fixture(scope="module")
def meadow() -> np.ndarray:
    """Irregular fine texture, (192, 192), about 128."""
    noise = np.random.default_rng(3).normal(size=(192, 192))
    return 128 + 25 * ndimage.gaussian_filter(noise, 0.8)


def weave(strength: float) -> np.ndarray:
    y, x = np.mgrid[:192, :192]
    return strength * np.sin(np.pi * x / 2) * np.sin(np.pi * y / 2 + 1)


def test_a_weave_has_peaks_and_other_texture_of_its_strength_has_none(meadow: np.ndarray) -> None:
    original = grey(meadow)
    other = grey(256 - meadow[::-1, ::-1])
    assert texture.spectral_peaks(original, original) == 0
    assert abs(texture.spectral_peaks(other, original)) < 0.15
    weaker = 128 + (meadow - 128) / 2
    found = [texture.spectral_peaks(grey(weaker + weave(s)), original) for s in (1, 2, 4)]
    assert 0 < found[0] < found[1] < found[2] and found[2] > 1


@pytest.mark.parametrize("blocks", [1, 2])
def test_blocks_that_repeat_are_found_and_other_texture_is_not(
    meadow: np.ndarray, blocks: int
) -> None:
    original = grey(meadow)
    assert texture.repetition(original, original) == 0
    assert abs(texture.repetition(grey(256 - meadow[::-1, ::-1]), original)) < 0.03
    side = 16 * blocks
    tile = meadow[:side, :side] - 128
    repeated = np.tile(tile, (192 // side, 192 // side))
    found = [
        texture.repetition(grey(128 + share * repeated + (1 - share) * (meadow - 128)), original)
        for share in (0.3, 0.5, 1)
    ]
    assert 0.05 < found[0] < found[1] < found[2] and found[2] > 0.8
    # What the original repeats is no fault.
    assert abs(texture.repetition(grey(128 + 0.9 * repeated), grey(128 + repeated))) < 0.01
    metric = load_metric("Repetition")
    assert metric.better == "lower"
    assert score([metric], grey(128 + repeated), original).values[metric.name] == found[2]
    for small in (original[:79, :79], original[:5]):
        with pytest.raises(SedicError, match="80 pixels"):
            texture.repetition(small, small)


def test_strength_and_error_of_texture(meadow: np.ndarray) -> None:
    original = grey(meadow)
    half = grey(128 + (meadow - 128) / 2)
    assert texture.texture_strength(original, original) == 1
    strength = load_metric("Texture strength")
    assert strength.better == "nearer 1" and merit(0.9, strength.better) > merit(1.2, "nearer 1")
    assert score([strength], half, original).values[strength.name] == pytest.approx(0.5, abs=0.02)
    assert texture.texture_strength(half, original) == pytest.approx(0.5, abs=0.02)
    assert texture.texture_error(original, original) == 0
    # Half of the picture too strong, half too weak: right on average, and wrong.
    uneven = 128 + (meadow - 128) * np.where(np.arange(192) < 96, 1.5, 0.5)
    assert texture.texture_strength(grey(uneven), original) == pytest.approx(1, abs=0.1)
    assert texture.texture_error(grey(uneven), original) > 0.3


def test_edges_are_structure_and_texture_is_not(meadow: np.ndarray) -> None:
    plane = meadow.copy()
    plane[:, 96:] += 70
    pixels = torch.from_numpy(grey(plane)).permute(2, 0, 1)[None].float() / 255
    found = texture.structure(pixels)
    assert found.shape == (1, 1, 24, 24)
    assert found.min() >= 0 and found.max() <= 1
    columns = found[0, 0].mean(0)
    assert columns[11:13].min() > 0.6 and columns[:9].max() < 0.35


def test_pictures_of_edges_alone_have_no_number() -> None:
    columns = np.arange(192) // 24 % 2
    stripes = grey(np.full((192, 1), 255.0) * columns)
    with pytest.raises(SedicError, match="no texture"):
        texture.spectral_peaks(stripes, stripes)
    with pytest.raises(SedicError, match="no texture"):
        texture.texture_error(stripes[:50], stripes[:50])
