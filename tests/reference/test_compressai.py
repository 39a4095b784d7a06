"""CompressAI's contract: what its evaluation loop does with a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as samples

from sedic.errors import SedicError
from sedic.picture import save_picture
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


def evaluated(model: torch.nn.Module, pictures: list[torch.Tensor]) -> dict[str, float]:
    """Means over pictures (3, height, width), measured as CompressAI's ``eval_model`` does.

    Pictures are padded to multiples of 64, and the first picture's strings are counted.
    """
    device = next(model.parameters()).device
    means = {"psnr": 0.0, "bpp": 0.0}
    for picture in pictures:
        x = picture.to(device)[None]
        height, width = x.shape[2:]
        right, bottom = -width % 64, -height % 64
        out = model.compress(torch.nn.functional.pad(x, (0, right, 0, bottom)))
        x_hat = model.decompress(out["strings"], out["shape"])["x_hat"][..., :height, :width]
        error = ((x * 255).round() - (x_hat * 255).clamp(0, 255).round()).pow(2).mean()
        means["psnr"] += 20 * np.log10(255) - 10 * torch.log10(error).item()
        bits = 8.0 * sum(len(strings[0]) for strings in out["strings"])
        means["bpp"] += bits / (height * width)
    return {name: total / len(pictures) for name, total in means.items()}


@pytest.mark.parametrize("level", [0, 8])
def test_the_flow_of_eval_model(x: torch.Tensor, mini: Profile, level: int) -> None:
    model = Adapter(mini.reference_codec(), level).eval()
    found = evaluated(model, list(x))
    assert 0 < found["bpp"] < 2 and found["psnr"] > 12
    half = model.half()  # scripts have an option for it; bytes are the same
    assert (
        half.compress(x[:1].half())["strings"]
        == Adapter(model.codec, level).compress(x[:1].half().float())["strings"]
    )


def test_compressai_evaluates_the_codecs(x: torch.Tensor, mini: Profile, tmp_path: Path) -> None:
    script = pytest.importorskip("compressai.utils.eval_model.__main__", exc_type=ImportError)
    path = tmp_path / "one.png"
    save_picture((x[0].permute(1, 2, 0).numpy() * 255).round().astype("uint8"), path)
    model = Adapter(mini.reference_codec(), level=2).eval()
    options = {"architecture": "sedic", "half": False, "per_image": False}
    found = script.eval_model(model, tmp_path, tmp_path, [path], **options)
    assert found["bpp"] == pytest.approx(evaluated(model, [x[0]])["bpp"])


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
