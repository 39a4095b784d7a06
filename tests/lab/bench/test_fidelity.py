from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data as samples
from skimage.metrics import peak_signal_noise_ratio

from sedic.errors import SedicError
from sedic.lab.bench.fidelity import gmsd, haarpsi, ms_ssim, psnr, vif


def blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def pair(damage: str) -> tuple[np.ndarray, np.ndarray]:
    """A damaged picture and the original."""
    cat = samples.chelsea()[:256, :320]
    if damage == "blur":
        return blurred(cat, 2), cat
    if damage == "posterized":
        return cat // 32 * 32 + 16, cat
    woman = samples.astronaut()[:255, :255]  # odd sides
    return np.clip(woman * np.array([1, 0.8, 1.1]), 0, 255).astype(np.uint8), woman


def test_psnr_of_known_errors() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert psnr(black, black) == math.inf
    assert psnr(black, black + 255) == pytest.approx(0)
    assert psnr(black, black + 51) == pytest.approx(20 * math.log10(5))
    damaged, original = pair("blur")
    assert psnr(damaged, original) == pytest.approx(peak_signal_noise_ratio(original, damaged))


# What piq 0.8.0 says of the same pairs, in float64. Its YIQ is rounded in other places, so HaarPSI
# agrees to three digits where there is colour.
@pytest.mark.parametrize(
    ("measure", "tolerance", "golden"),
    [
        (gmsd, 1e-9, (0.09940437874270887, 0.06170492910877238, 0.0028854927390635707)),
        (haarpsi, 1e-3, (0.7975531625722928, 0.8574905086715797, 0.7202267725800027)),
        (vif, 1e-4, (0.3703601359466952, 0.514464603006124, 0.9452095548187935)),
        (ms_ssim, 5e-4, (0.9240029374197477, 0.9505534288358595, 0.9912430087966433)),
    ],
)
def test_golden_values_of_another_library(
    measure: Callable[..., float], tolerance: float, golden: tuple[float, ...]
) -> None:
    if measure in (vif, ms_ssim):
        pytest.importorskip("torchmetrics", reason="needs the extra bench")
    for damage, expected in zip(("blur", "posterized", "tint"), golden, strict=True):
        assert measure(*pair(damage)) == pytest.approx(expected, rel=tolerance), damage


def test_haarpsi_of_equal_pictures_is_one_even_without_edges() -> None:
    for picture in (samples.chelsea()[:64, :64], np.zeros((32, 32, 3), np.uint8)):
        assert haarpsi(picture, picture) == pytest.approx(1)


def test_they_grow_worse_with_blur() -> None:
    picture = samples.chelsea()
    for measure, direction in ((gmsd, 1), (haarpsi, -1), (psnr, -1)):
        values = [direction * measure(blurred(picture, radius), picture) for radius in (1, 2, 4)]
        assert values == sorted(values)
    assert gmsd(picture, picture) == 0
    dimmed = np.clip(picture, 0, 250).astype(np.uint8)[2:-2, 2:-2]
    assert gmsd(dimmed + 5, dimmed) < 0.01  # a shift of brightness shows at the border only


def test_small_pictures_are_refused_with_the_size_they_need() -> None:
    pytest.importorskip("torchmetrics", reason="needs the extra bench")
    cat = samples.chelsea()
    for measure, least in ((ms_ssim, 176), (vif, 41)):
        for shape in ((least, least), (least, least + 30), (least + 30, least)):
            enough = cat[: shape[0], : shape[1]]
            assert measure(enough, enough) == pytest.approx(1)
        for shape in ((least - 1, least), (least, least - 1), (12, 300)):
            small = cat[: shape[0], : shape[1]]
            with pytest.raises(SedicError, match=f"at least {least} pixels"):
                measure(small, small)
