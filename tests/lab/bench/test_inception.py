from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.bench.inception import Inception, network

# The first three features and the length of all of them.
SMALL = (0.0, 2.3783925, 1.5096275), 160.22295
LARGE = (0.01880873, 2.7559297, 2.1243608), 215.97824


@pytest.mark.slow
def test_features_are_those_of_torch_fidelity(
    made_up: Callable[..., dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    """torch-fidelity 0.4.0 with the same made-up weights, on a picture smaller and one larger."""
    shapes = {name: value.shape for name, value in network().state_dict().items()}
    save_file(made_up(shapes) | {"fc.bias": torch.zeros(1008)}, tmp_path / "made.safetensors")
    inception = Inception(tmp_path / "made.safetensors")
    cat = samples.chelsea()
    for picture, golden in ((cat[:96, :128], SMALL), (cat, LARGE)):
        features = inception.features(picture)
        assert features.shape == (2048,) and features.dtype == np.float32
        first, length = golden
        np.testing.assert_allclose(features[:3], first, rtol=1e-3, atol=1e-4)
        assert np.linalg.norm(features) == pytest.approx(length, rel=1e-4)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    save_file({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(SedicError, match="not the Inception network"):
        Inception(tmp_path / "odd.safetensors")
    with pytest.raises(SedicError, match="weights not found"):
        Inception(tmp_path / "none.pth")
