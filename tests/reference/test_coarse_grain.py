"""Coarse grain: wider than the grain it is made of, as strong, and only where it is asked for."""

from __future__ import annotations

import numpy as np
from skimage import data as samples

from sedic.profile import Profile
from sedic.reference.coarse_grain import with_coarse_grain


def roughness(picture: np.ndarray) -> float:
    """The mean step from pixel to pixel over the deviation: small for wide grain."""
    values = picture.astype(np.float32)
    return float(np.abs(np.diff(values, axis=1)).mean() / values.std())


def test_grain_gets_wider_and_stays_as_strong_where_it_is_asked_for() -> None:
    plain = np.full((64, 128, 3), 128, np.uint8)
    noise = np.random.default_rng(0).normal(0, 10, plain.shape[:2])[..., None]
    noisy = np.clip(np.round(plain + noise), 0, 255).astype(np.uint8)
    share = np.zeros((4, 8), np.float32)
    share[:, 4:] = 1
    coarse = with_coarse_grain(noisy, plain, share)
    assert np.array_equal(coarse[:, :64], noisy[:, :64])
    assert roughness(coarse[:, 64:]) < 0.6 * roughness(noisy[:, 64:])
    assert 0.8 < coarse[:, 64:].std() / noisy[:, 64:].std() < 1.25


def test_more_coarse_than_fine_noise_makes_the_decoded_grain_wider() -> None:
    codec = Profile.load("mini").reference_codec()
    grass = samples.grass()[:128, :128, None].repeat(3, -1)
    data = codec.prepare(grass)(100)
    strengths = np.full((2, 16, 16), 0.2, np.float32)
    plain = codec.decode(data, 128, 128, realism=0).astype(np.float32)
    fine = codec.decode(data, 128, 128, realism=np.float32(1)) - plain
    strengths[0] = 1.0
    coarse = codec.decode(data, 128, 128, realism=strengths) - plain
    assert roughness(coarse) < 0.85 * roughness(fine)
