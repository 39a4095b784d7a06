from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from skimage import data as samples
from torch import nn

from sedic.errors import SedicError
from sedic.lab.bench.backbones import architecture
from sedic.lab.bench.dists import DISTS
from sedic.lab.bench.lpips import LPIPS, weights_path

MadeUp = Callable[..., dict[str, torch.Tensor]]


def blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255


def backbone_shapes(name: str) -> dict[str, Any]:
    layers = nn.Sequential(*architecture(name).layers)
    return {f"features.{key}": value.shape for key, value in layers.state_dict().items()}


def head_shapes(name: str) -> dict[str, Any]:
    channels = architecture(name).taps.values()
    return {f"lin{i}.model.1.weight": (1, count, 1, 1) for i, count in enumerate(channels)}


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    picture = samples.chelsea()[:96, :128]
    return tensor(blurred(picture, 2)), tensor(picture)


@pytest.mark.parametrize(
    ("name", "golden"), [("alex", 0.1398193), ("vgg", 0.1456357), ("squeeze", 0.1737429)]
)
def test_lpips_is_what_the_authors_library_says(
    name: str, golden: float, made_up: MadeUp, pair: tuple[torch.Tensor, ...], tmp_path: Path
) -> None:
    """lpips 0.1.4 with the same made-up weights; heads and features from two files."""
    features = made_up(backbone_shapes(name))
    save_file(features | {"classifier.1.weight": torch.zeros(2)}, tmp_path / "features.safetensors")
    save_file(made_up(head_shapes(name)), tmp_path / "heads.safetensors")
    lpips = LPIPS(tmp_path / "features.safetensors", tmp_path / "heads.safetensors", backbone=name)
    assert float(lpips(*pair)) == pytest.approx(golden, rel=1e-4)


def test_dists_is_what_the_authors_library_says(
    made_up: MadeUp, pair: tuple[torch.Tensor, ...], tmp_path: Path
) -> None:
    """DISTS-pytorch 0.1 with the same made-up weights."""
    save_file(made_up(backbone_shapes("vgg")), tmp_path / "vgg.safetensors")
    shares = made_up({"alpha": (1, 1475, 1, 1), "beta": (1, 1475, 1, 1)})
    save_file(shares, tmp_path / "dists.safetensors")
    dists = DISTS(tmp_path / "vgg.safetensors", tmp_path / "dists.safetensors")
    assert float(dists(*pair)) == pytest.approx(0.0178136, rel=1e-4)
    assert float(dists(pair[0], pair[0])) == pytest.approx(0, abs=1e-5)


def test_weights_of_another_network_are_refused(made_up: MadeUp, tmp_path: Path) -> None:
    path = tmp_path / "alex.safetensors"
    save_file(made_up(backbone_shapes("alex")), path)
    with pytest.raises(SedicError, match="not the weights of vgg"):
        LPIPS(path, backbone="vgg")
    with pytest.raises(SedicError, match="not the LPIPS heads of alex"):
        LPIPS(path, backbone="alex")
    with pytest.raises(SedicError, match="weights not found"):
        LPIPS(tmp_path / "none.safetensors")
    with pytest.raises(SedicError, match="DISTS: weights not found"):
        DISTS(tmp_path / "none.safetensors", path)


@pytest.fixture(scope="module")
def caffe(shared: Path) -> LPIPS:
    return LPIPS(weights_path(shared))


def test_lpips_is_zero_for_equals_symmetric_and_grows_with_damage(caffe: LPIPS) -> None:
    picture = samples.chelsea()[:256, :256]
    x = tensor(picture)
    assert float(caffe(x, x)) == 0
    distances = [float(caffe(tensor(blurred(picture, r)), x)) for r in (1, 2, 4, 8)]
    assert distances == sorted(distances) and 0.05 < distances[0] < distances[-1] < 1
    soft = tensor(blurred(picture, 2))
    assert float(caffe(soft, x)) == pytest.approx(float(caffe(x, soft)), rel=1e-5)


def test_lpips_passes_gradients_to_the_picture_alone(caffe: LPIPS) -> None:
    x = tensor(samples.chelsea()[:64, :64])
    y = (x * 0.9).requires_grad_(True)
    caffe(y, x).sum().backward()
    assert y.grad is not None and y.grad.abs().sum() > 0
    assert all(p.grad is None for p in caffe.parameters())
