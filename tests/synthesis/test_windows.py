from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sedic.synthesis.windows import Tiling, Window

KERNEL = torch.randn(3, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def blur(x: Tensor) -> Tensor:
    """A network that sees two cells each way."""
    return F.conv2d(x, KERNEL, padding=2)


@pytest.mark.parametrize("size", [(64, 96), (40, 33 * 4), (128, 40), (36, 36), (4, 500)])
def test_tiles_are_the_whole_where_a_network_sees_little(size: tuple[int, int]) -> None:
    tiling = Tiling(*size, side=32, multiple=4)
    x = torch.randn(1, 3, *size)
    tiled = tiling.run(lambda window: blur(window.of(x)))
    assert torch.allclose(tiled, blur(x), atol=1e-5)


@pytest.mark.parametrize("zoom", [1, 8])
def test_what_is_the_same_everywhere_stays_the_same(zoom: int) -> None:
    tiling = Tiling(48, 72, side=16, multiple=2)

    def ones(window: Window) -> Tensor:
        (top, bottom), (left, right) = window.rows, window.columns
        return torch.ones(1, 2, zoom * (bottom - top), zoom * (right - left))

    assert torch.allclose(tiling.run(ones, zoom), torch.ones(1, 2, 48 * zoom, 72 * zoom))


def test_windows_are_bounded_aligned_and_cover_everything() -> None:
    tiling = Tiling(height=72, width=1000, side=64, multiple=8)
    seen = torch.zeros(72, 1000)
    for window in tiling.windows:
        part = window.of(seen)
        assert max(part.shape) <= 64
        assert window.rows[0] % 8 == window.columns[0] % 8 == 0
        part += 1
    assert seen.min() >= 1
    assert len(tiling.windows) == 2 * -(-(1000 - 8) // 56)


def test_little_work_is_done_twice() -> None:
    """Windows of 640 pixels: at most 27 % more cells than the picture has."""
    for rows, columns in ((128, 128), (96, 144), (256, 256), (384, 512), (640, 1000)):
        windows = Tiling(rows, columns, side=80, multiple=4).windows
        cells = sum((w.rows[1] - w.rows[0]) * (w.columns[1] - w.columns[0]) for w in windows)
        assert cells <= 1.27 * rows * columns


def test_a_latent_of_a_tiles_area_is_one_window_whatever_its_shape() -> None:
    assert len(Tiling(height=16, width=256, side=64, multiple=8).windows) == 1
    assert len(Tiling(height=24, width=256, side=64, multiple=8).windows) > 1


def test_disagreeing_tiles_meet_gradually() -> None:
    """Each window's own level, the worst case: it takes half the overlap to change."""
    tiling = Tiling(height=64, width=200, side=64, multiple=4)
    levels = iter(range(100))

    def level(window: Window) -> Tensor:
        return torch.full_like(window.of(torch.zeros(1, 1, 64, 200)), float(next(levels)))

    tiled = tiling.run(level)
    assert tiled.diff(dim=-1).abs().max() <= 1 / 4 + 1e-6


def test_a_window_round_a_mask_holds_its_margin_in_whole_multiples() -> None:
    tiling = Tiling(height=24, width=40, side=64, multiple=4)
    mask = torch.zeros(24, 40, dtype=torch.bool)
    mask[9, 17], mask[12, 30] = True, True
    assert tiling.around(mask, 0) == Window((8, 16), (16, 32))
    assert tiling.around(mask, 2) == Window((4, 16), (12, 36))
    assert tiling.around(mask, 13) == Window((0, 24), (4, 40))
    assert tiling.around(mask, 1000) == tiling.whole == Window((0, 24), (0, 40))


def test_a_part_is_put_into_a_copy() -> None:
    tiling = Tiling(height=8, width=8, side=64, multiple=2)
    whole, window = torch.zeros(1, 3, 8, 8), Window((2, 6), (4, 8))
    changed = window.put(torch.ones(1, 3, 4, 4), whole)
    assert not whole.any() and changed.sum() == 3 * 16
    assert window.of(changed).all()
    assert tiling.within(window) == Tiling(height=4, width=4, side=64, multiple=2)
