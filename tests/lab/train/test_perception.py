from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from skimage import data as samples

from sedic.lab.train.perception import Perception, edges, mesh


def tiles(picture: torch.Tensor, *patterns: torch.Tensor) -> torch.Tensor:
    """The picture (b, 3, 192, 192) with these 16x16 patterns in turn, as on a checkerboard."""
    row, column = torch.arange(12)[:, None], torch.arange(12)
    chosen = torch.stack(patterns)[(row + column) % len(patterns)]  # (12, 12, 16, 16)
    return picture + chosen.permute(0, 2, 1, 3).reshape(192, 192)


@pytest.mark.parametrize("count", [1, 2, 4])  # patterns: each block's, a checkerboard's, diagonals
def test_a_mesh_is_what_repeats_from_block_to_block(count: int) -> None:
    torch.manual_seed(0)
    picture = F.avg_pool2d(torch.rand(2, 3, 194, 194), 3, 1)  # it has texture of its own
    patterns = 0.05 * torch.randn(count, 16, 16)
    found = mesh(tiles(picture, *patterns), picture)
    assert (found > 0.005).all()
    twice = mesh(tiles(picture, *2 * patterns), picture)
    assert (twice > 2 * found).all()
    # Grain as strong is no mesh, and neither is another brightness, nor the picture's own pattern.
    assert (mesh(picture + 0.05 * torch.randn_like(picture), picture) < 0.1 * found).all()
    assert mesh(picture + 0.1, picture).max() < 1e-4
    assert (mesh(tiles(picture, *patterns), tiles(picture, *patterns)) == 0).all()


def test_a_mesh_can_be_unlearnt() -> None:
    torch.manual_seed(0)
    picture = F.avg_pool2d(torch.rand(1, 3, 194, 194), 3, 1)
    decoded = tiles(picture, 0.05 * torch.randn(16, 16)).requires_grad_(True)
    before = mesh(decoded, picture)
    before.sum().backward()
    assert decoded.grad is not None and decoded.grad.isfinite().all()
    step = 0.03 * decoded.grad / decoded.grad.square().mean().sqrt()
    assert mesh(decoded.detach() - step, picture) < 0.8 * before.detach()


def test_edges_miss_what_is_blurred_and_what_was_never_there() -> None:
    grass = torch.from_numpy(samples.grass()[:256, :256]).expand(1, 3, -1, -1) / 255 - 0.5
    flat = torch.zeros_like(grass)
    soft, blurred = (F.avg_pool2d(grass, n, 1, n // 2, count_include_pad=False) for n in (5, 17))
    versions = grass, soft, grass.flip(-1), blurred, flat  # other grass is better than none
    found = [float(edges(version, grass)) for version in versions]
    assert found[0] == 0
    assert found == sorted(found)
    assert edges(grass, flat) == pytest.approx(found[-1])
    assert edges(flat, flat) == 0
    learning = flat.clone().requires_grad_(True)
    edges(learning, grass).sum().backward()
    assert learning.grad is not None and learning.grad.isfinite().all()


def test_the_loss_looks_from_anywhere(shared: Path) -> None:
    perceived = Perception(shared)
    torch.manual_seed(0)
    a, b = torch.rand(2, 1, 3, 128, 128) - 0.5
    places = {float(perceived.anywhere(a, b)) for _ in range(8)}
    assert len(places) > 1
    assert perceived.anywhere(a, a) == 0
    assert min(places) == pytest.approx(float(perceived(a, b)), rel=0.2)
