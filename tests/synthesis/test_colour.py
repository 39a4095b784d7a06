from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from sedic.synthesis.colour import low_frequencies, recolour, recolour_picture, smooth_picture


def test_the_wavelet_is_diffbirs(shared: Path) -> None:
    golden = load_file(shared / "parity" / "diffbir_sampler" / "sampler.safetensors")
    content, style = golden["wavelet.in.content"], golden["wavelet.in.style"]
    assert (low_frequencies(content) - golden["wavelet.out.low"]).abs().max() < 1e-5
    ours = recolour(content, style)
    assert (ours - golden["wavelet.out.reconstruction"]).abs().max() < 1e-5


def test_pictures_take_the_other_ones_colours_and_keep_their_detail() -> None:
    rng = np.random.default_rng(0)
    detail = rng.integers(-30, 31, (70, 90, 3))
    warm, cold = np.array([160, 120, 90]), np.array([90, 110, 150])
    content = (cold + detail).astype(np.uint8)
    style = np.broadcast_to(warm, content.shape).astype(np.uint8)
    fixed = recolour_picture(content, style)
    assert np.abs(fixed.mean((0, 1)) - warm).max() < 1
    assert np.corrcoef(fixed[..., 0].ravel(), content[..., 0].ravel())[0, 1] > 0.98


def test_large_pictures_are_done_in_parts_without_a_trace() -> None:
    rng = np.random.default_rng(1)
    wide = rng.integers(0, 256, (9, 1100, 3), dtype=np.uint8)
    pixels = torch.from_numpy(wide).permute(2, 0, 1)[None].float()
    whole = low_frequencies(pixels).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(smooth_picture(wide).astype(int) - whole).max() <= 1
    assert recolour_picture(wide, wide).tolist() == wide.tolist()
    assert smooth_picture(wide[:1, :1]).tolist() == wide[:1, :1].tolist()
