"""CompressAI's contract: what its evaluation loop does with a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data as samples

from sedic.errors import SedicError
from sedic.profile import Profile
from sedic.reference.compressai import Adapter
from sedic.reference.pixel import Pixel


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """Two pictures, (2, 3, 60, 76), 0 to 1."""
    photo = samples.chelsea()
    pair = np.stack([photo[20:80, 100:176], photo[120:180, 200:276]])
    return torch.from_numpy(pair).permute(0, 3, 1, 2) / 255


def test_a_documented_evaluation_runs(x: torch.Tensor, mini: Profile) -> None:
    model = Adapter(mini.reference_codec(), level=2).eval()
    model.update(force=True)
    with torch.no_grad():
        coded = model.compress(x)
        decoded = model.decompress(coded["strings"], coded["shape"])["x_hat"]
    bpp = sum(len(s) for group in coded["strings"] for s in group) * 8.0 / (2 * 60 * 76)
    psnr = -10 * torch.log10(((decoded - x) ** 2).mean()).item()
    assert decoded.shape == x.shape and 0 < bpp < 1 and psnr > 12
    codec = mini.reference_codec()
    picture = (x[1].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    assert coded["strings"][0][1] == codec.prepare(picture)(2)
    alone = codec.decode(coded["strings"][0][1], 76, 60)
    assert np.array_equal((decoded[1].permute(1, 2, 0) * 255).round().numpy(), alone)


def test_levels_and_shapes(x: torch.Tensor) -> None:
    codec = Pixel()
    sizes = [len(Adapter(codec, level).compress(x[:1])["strings"][0][0]) for level in (0, 3)]
    assert sizes[0] < sizes[1]
    with pytest.raises(SedicError, match="level"):
        Adapter(codec, codec.levels)
    with pytest.raises(SedicError, match="tensor"):
        Adapter(codec).compress(x[0])
    coded = Adapter(codec).compress(x)
    for strings, shape in (([], (60, 76)), ([[b""]], (60, 76)), (coded["strings"], (60,))):
        with pytest.raises(SedicError):
            Adapter(codec).decompress(strings, shape)
