from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from skimage import data as samples

from sedic.evaluation.lpips import LPIPS, weights_path
from sedic.evaluation.metrics import gmsd, psnr
from sedic.semantics import SedicError


def blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def test_psnr_of_known_errors() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert psnr(black, black) == math.inf
    assert psnr(black, black + 255) == pytest.approx(0)
    assert psnr(black, black + 51) == pytest.approx(20 * math.log10(5))


def test_gmsd_grows_with_blur_and_ignores_a_shift_of_brightness() -> None:
    picture = samples.chelsea()
    values = [gmsd(blurred(picture, radius), picture) for radius in (0, 1, 2, 4)]
    assert values[0] == 0 and values == sorted(values) and values[-1] > 0.1
    dimmed = np.clip(picture, 0, 250).astype(np.uint8)
    assert gmsd(dimmed + 5, dimmed) == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module")
def lpips(shared: Path) -> LPIPS:
    return LPIPS(weights_path(shared))


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255


def test_lpips_is_zero_for_equals_symmetric_and_grows_with_damage(lpips: LPIPS) -> None:
    picture = samples.chelsea()[:256, :256]
    x = tensor(picture)
    assert float(lpips(x, x)) == 0
    distances = [float(lpips(tensor(blurred(picture, r)), x)) for r in (1, 2, 4, 8)]
    assert distances == sorted(distances) and 0.05 < distances[0] < distances[-1] < 1
    soft = tensor(blurred(picture, 2))
    assert float(lpips(soft, x)) == pytest.approx(float(lpips(x, soft)), rel=1e-5)


def test_lpips_passes_gradients_to_the_picture_alone(lpips: LPIPS) -> None:
    x = tensor(samples.chelsea()[:64, :64])
    y = (x * 0.9).requires_grad_(True)
    lpips(y, x).sum().backward()
    assert y.grad is not None and y.grad.abs().sum() > 0
    assert all(p.grad is None for p in lpips.parameters())


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="weights not found"):
        LPIPS(tmp_path / "none.safetensors")
