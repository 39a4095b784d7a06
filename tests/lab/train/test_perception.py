from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from skimage import data as samples

from sedic.lab.train.perception import Perception, edges, mesh


def test_a_mesh_is_what_repeats_from_block_to_block() -> None:
    torch.manual_seed(0)
    picture = torch.rand(2, 3, 192, 192)
    pattern = 0.1 * torch.rand(16, 16)
    repeated = pattern.var(correction=0)
    found = mesh(picture + pattern.repeat(12, 12), picture)
    assert found == pytest.approx([float(repeated)] * 2, rel=1e-3)
    # Grain as strong is no mesh, and neither is another brightness.
    grain = repeated.sqrt() * torch.randn_like(picture)
    assert mesh(picture + grain, picture).abs().max() < 0.02 * repeated
    assert mesh(picture + 0.1, picture).abs().max() < 1e-9


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
