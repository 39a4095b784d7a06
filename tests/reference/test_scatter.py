"""What repeats from block to block goes to random places; what does not stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import data as samples

from sedic.lab.bench import texture
from sedic.picture import Picture
from sedic.profile import Profile
from sedic.reference.compact import Compact
from sedic.reference.scatter import LAYERS, REACH, pieces, scattered, scattered_picture


def moves(height: int, width: int, seed: int = 0) -> torch.Tensor:
    shape = 2, LAYERS, pieces(height), pieces(width)
    return torch.randint(-REACH, REACH, shape, generator=torch.Generator().manual_seed(seed))


def tiled(blocks: int, noise: float) -> Picture:
    """A grey picture, 320 x 384, of one tile again and again and of noise."""
    rng = np.random.default_rng(blocks)
    side = 16 * blocks
    tile = ndimage.gaussian_filter(rng.normal(size=(side, side)), 0.7, mode="wrap")
    if blocks == 2:  # as a checkerboard is: each second block is the same
        tile[16:] = np.roll(tile[:16], 16, 1)
    plane = np.tile(tile / tile.std(), (320 // side, 384 // side))
    plane = 128 + 20 * (plane + noise * rng.normal(size=plane.shape))
    return np.clip(np.round(plane), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


def detail(picture: Picture) -> float:
    """The deviation of what is faster than some ten pixels."""
    plane = picture[..., 1].astype(np.float32)
    return float((plane - ndimage.gaussian_filter(plane, 4)).std())


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_pattern_loses_its_period_and_keeps_its_strength(blocks: int, noise: float) -> None:
    picture = tiled(blocks, noise)
    grain = np.random.default_rng(9).integers(100, 156, picture.shape[:2], np.uint8)
    original = grain[..., None].repeat(3, 2)
    result = scattered_picture(picture, moves(320, 384))
    assert texture.repetition(picture, original) > 0.6
    assert texture.repetition(result, original) < 0.15
    assert detail(result) == pytest.approx(detail(picture), rel=0.2)
    assert np.array_equal(result, scattered_picture(picture, moves(320, 384)))
    assert not np.array_equal(result, scattered_picture(picture, moves(320, 384, seed=1)))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_photographs_stay_as_they_are(name: str) -> None:
    photo = getattr(samples, name)()
    photo = photo[: photo.shape[0] // 16 * 16, : photo.shape[1] // 16 * 16]
    result = scattered_picture(photo, moves(*photo.shape[:2]))
    assert np.abs(result.astype(int) - photo).mean() < 0.05


def test_tiles_are_as_the_whole_and_small_pictures_are_left_alone() -> None:
    picture = np.tile(tiled(2, 0.3), (4, 4, 1))[:1056, :1520]
    at = moves(1056, 1520)
    whole = scattered(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255, at)
    whole = torch.round(whole[0] * 255).clamp(0, 255).permute(1, 2, 0).numpy()
    difference = np.abs(scattered_picture(picture, at) - whole)
    assert difference.max() <= 1 and difference.mean() < 0.001
    small = picture[:16, :160]
    assert scattered_picture(small, moves(16, 160)) is small


def test_training_learns_through_it() -> None:
    picture = torch.from_numpy(tiled(1, 0.1)).permute(2, 0, 1)[None].float() / 255
    picture.requires_grad_(True)
    scattered(picture, moves(320, 384)).square().sum().backward()
    assert picture.grad is not None and picture.grad.isfinite().all() and picture.grad.any()


def test_a_photograph_in_300_bytes_shows_no_pattern(
    mini: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = samples.coffee()
    height, width = photo.shape[:2]
    compact = Compact(mini.store.path("compact"))
    encode = compact.prepare(photo)
    data = encode(max(level for level in range(0, 60, 6) if len(encode(level)) <= 300))
    assert texture.repetition(compact.decode(data, width, height), photo) < 0.1
    monkeypatch.setattr("sedic.reference.compact.scattered_picture", lambda picture, moves: picture)
    assert texture.repetition(compact.decode(data, width, height), photo) > 0.25
