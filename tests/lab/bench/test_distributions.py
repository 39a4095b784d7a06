from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from sedic.errors import SedicError
from sedic.lab.bench.distributions import FEWEST_KID, fid, kid, patches


def blocks(count: int, shift: float, seed: int, width: int = 16) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    mix = np.random.default_rng(9).normal(size=(width, width)) / width**0.5
    values = (draw.normal(size=(count, width)) @ mix * (1 + shift) + shift).astype(np.float32)
    return np.array_split(values, 7)


def test_fid_by_scipys_matrix_root() -> None:
    a, b = blocks(300, 0.2, 1), blocks(200, 0, 2)
    x, y = (np.concatenate(part).astype(np.float64) for part in (a, b))
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(
        first + second - 2 * linalg.sqrtm(first @ second).real
    )
    assert fid(a, b) == pytest.approx(expected, rel=1e-6)
    assert fid(a, a) == pytest.approx(0, abs=1e-6)


def test_kid_by_its_sums() -> None:
    a, b = blocks(120, 0.2, 1), blocks(110, 0, 2)
    x, y = (np.concatenate(part).astype(np.float64) for part in (a, b))

    def kernel(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return (u @ v.T / 16 + 1) ** 3

    off = [kernel(u, u)[~np.eye(len(u), dtype=bool)].mean() for u in (x, y)]
    assert kid(a, b) == pytest.approx(off[0] + off[1] - 2 * kernel(x, y).mean(), rel=1e-9)


def test_kid_of_one_distribution_is_about_zero_whatever_the_split() -> None:
    same = [kid(blocks(400, 0, seed), blocks(400, 0, seed + 50)) for seed in range(8)]
    assert abs(np.mean(same)) < 0.02 and min(same) < 0  # unbiased, so not always above 0
    assert kid(blocks(400, 0.3, 1), blocks(400, 0, 2)) > 0.1


def test_too_few_are_refused_with_the_number_needed() -> None:
    with pytest.raises(SedicError, match="16 vectors are too few for FID: it needs more than 16"):
        fid(blocks(16, 0, 1), blocks(300, 0, 2))
    with pytest.raises(SedicError, match="too few for KID"):
        kid(blocks(FEWEST_KID - 1, 0, 1), blocks(300, 0, 2))
    with pytest.raises(SedicError, match="no features"):
        kid([], blocks(300, 0, 2))


def test_patches_are_two_grids_half_a_patch_apart() -> None:
    picture = np.arange(512 * 768 * 3, dtype=np.uint32).astype(np.uint8).reshape(512, 768, 3)
    found = list(patches(picture))
    assert len(found) == 6 + 2 and all(patch.shape == (256, 256, 3) for patch in found)
    np.testing.assert_array_equal(found[1], picture[:256, 256:512])
    np.testing.assert_array_equal(found[6], picture[128:384, 128:384])
    assert list(patches(picture[:255])) == []
