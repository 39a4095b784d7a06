from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sedic.training.perception import Perception, mesh


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


def test_the_loss_looks_from_anywhere(shared: Path) -> None:
    perceived = Perception(shared)
    torch.manual_seed(0)
    a, b = torch.rand(2, 1, 3, 128, 128) - 0.5
    places = {float(perceived.anywhere(a, b)) for _ in range(8)}
    assert len(places) > 1
    assert perceived.anywhere(a, a) == 0
    assert min(places) == pytest.approx(float(perceived(a, b)), rel=0.2)
