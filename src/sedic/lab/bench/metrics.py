"""Metrics by name, each with the weights it used, or the reason why it is not available.

    loaded = [load(name) for name in NAMES]  # Metric | Unavailable
    scores = score(metrics, decoded, original, text)

A metric whose weights or library are not here is ``Unavailable`` with the reason. One that cannot
measure a certain picture (too small, no text, out of memory, an error of its library) leaves a note
in its ``Scores``, and the others go on. A metric that was not measured has no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sedic.errors import SedicError
from sedic.failures import reason, translated
from sedic.lab.bench import consistency, fidelity
from sedic.models.download import sha256_of
from sedic.models.registry import require

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sedic.lab.bench.clip import Clip
    from sedic.lab.bench.inception import Inception
    from sedic.lab.bench.lpips import LPIPS
    from sedic.picture import Picture

Measure = Callable[["Picture", "Picture", str], float]  # decoded, original, text


@dataclass(frozen=True)
class Metric:
    """A metric of a decoded picture. ``weights``: the files it uses and their sha256, or none."""

    name: str
    better: str  # higher | lower | nearer 1
    weights: str
    measure: Measure


@dataclass(frozen=True)
class Unavailable:
    """A metric that cannot be computed on this machine, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: not available: {self.reason}"


class Scores(NamedTuple):
    """Values by metric, and a line for every metric that has none."""

    values: dict[str, float]
    notes: list[str]


def load_metric(name: str) -> Metric | Unavailable:
    """A metric of ``NAMES``, with its networks; ``SedicError`` for any other name."""
    if name not in _KINDS:
        raise SedicError(f"unknown metric {name!r}; one of {', '.join(NAMES)}")
    better, build = _KINDS[name]
    try:
        with translated("cannot be loaded"):
            measure, weights = build()
    except SedicError as error:
        return Unavailable(name, str(error))
    return Metric(name, better, weights, measure)


def score(metrics: Iterable[Metric], decoded: Picture, original: Picture, text: str = "") -> Scores:
    """Every metric of a decoded picture; ``text``: the words of its file, for CLIP.

    ``SedicError`` if the pictures differ in size.
    """
    if decoded.shape != original.shape:
        (a, b), (c, d) = decoded.shape[:2], original.shape[:2]
        raise SedicError(f"the decoded picture is {b}x{a} and the original {d}x{c}")
    scores = Scores({}, [])
    for metric in metrics:
        try:
            value = metric.measure(decoded, original, text)
        except Exception as error:  # of whatever library
            scores.notes.append(str(Unavailable(metric.name, reason(error))))
            continue
        if math.isnan(value):
            scores.notes.append(str(Unavailable(metric.name, "its result is not a number")))
        else:
            scores.values[metric.name] = value
    return scores


def load_inception() -> tuple[Inception, str] | Unavailable:
    """The network of FID and KID and the weights it uses."""
    from sedic.lab.bench.inception import Inception

    name = "pt_inception-2015-12-05-6726825d.pth"
    try:
        with translated("cannot be loaded"):
            path = require("inception-fid") / name
            return Inception(path), _described(path)
    except SedicError as error:
        return Unavailable("FID and KID", str(error))


def _formula(function: Callable[[Picture, Picture], float]) -> tuple[Measure, str]:
    return (lambda decoded, original, _: function(decoded, original)), "none"


def _torchmetrics(function: Callable[[Picture, Picture], float]) -> tuple[Measure, str]:
    try:
        library = version("torchmetrics")
    except ImportError as error:
        raise SedicError("needs torchmetrics: pip install 'sedic[bench]'") from error
    return _formula(function)[0], f"none (torchmetrics {library})"


def _lpips(backbone: str) -> tuple[Measure, str]:
    from sedic.lab.bench.lpips import LPIPS

    folder = require(f"lpips-{backbone}")
    features = {
        "alex": "alexnet-owt-7be5be79.pth",
        "vgg": "vgg16-397923af.pth",
        "squeeze": "squeezenet1_1-b8a52dc0.pth",
    }
    paths = folder / features[backbone], folder / f"{backbone}.pth"
    return _lpips_measure(LPIPS(*paths, backbone=backbone)), _described(*paths)


def _lpips_caffe(shifted: bool = False) -> tuple[Measure, str]:
    """``shifted``: of both pictures without their first row and column. A decoder that works on a
    grid may have learnt where the network samples; moved by a pixel, it samples elsewhere."""
    from sedic.lab.bench.lpips import LPIPS, weights_path
    from sedic.lab.train.photos import shared_folder

    path = weights_path(shared_folder())
    return _lpips_measure(LPIPS(path), int(shifted)), _described(path)


def _wasserstein_caffe() -> tuple[Measure, str]:
    """The Wasserstein distortion of LPIPS-squeeze's first features."""
    import torch

    from sedic.lab.bench import texture
    from sedic.lab.bench.lpips import LPIPS, weights_path
    from sedic.lab.train.photos import shared_folder

    path = weights_path(shared_folder())
    network = LPIPS(path)
    tensor = _tensors(network)

    def measure(decoded: Picture, original: Picture, _: str) -> float:
        with torch.inference_mode():
            maps = (network.maps(tensor(picture)) for picture in (decoded, original))
            return float(texture.wasserstein(network, *maps))

    return measure, _described(path)


def _texture(name: str) -> tuple[Measure, str]:
    from sedic.lab.bench import texture

    return _formula(getattr(texture, name))


def _lpips_measure(network: LPIPS, shift: int = 0) -> Measure:
    """A measure that keeps the feature maps of the last original."""
    tensor = _tensors(network)
    last: tuple[Picture, list[Tensor]] | None = None

    def measure(decoded: Picture, original: Picture, _: str) -> float:
        import torch

        nonlocal last
        current = last
        with torch.inference_mode():
            if current is None or current[0] is not original:
                current = last = original, network.maps(tensor(original[shift:, shift:]))
            return float(
                network.distance(network.maps(tensor(decoded[shift:, shift:])), current[1])
            )

    return measure


def _dists() -> tuple[Measure, str]:
    import torch

    from sedic.lab.bench.dists import DISTS

    folder = require("dists")
    paths = folder / "vgg16-397923af.pth", folder / "dists.pt"
    network = DISTS(*paths)
    tensor = _tensors(network)

    def measure(decoded: Picture, original: Picture, _: str) -> float:
        with torch.inference_mode():
            return float(network(tensor(decoded), tensor(original)))

    return measure, _described(*paths)


@cache  # image and text similarity share one model
def _clip() -> tuple[Clip, str]:
    from sedic.lab.bench.clip import Clip

    folder = require("clip-vit-base-patch16")
    return Clip(folder), _described(folder / "model.safetensors")


def _clip_image() -> tuple[Measure, str]:
    model, weights = _clip()
    return (lambda decoded, original, _: model.image_similarity(decoded, original)), weights


def _clip_text() -> tuple[Measure, str]:
    model, weights = _clip()
    return (lambda decoded, _, text: model.text_similarity(decoded, text)), weights


def _tensors(network: nn.Module) -> Callable[[Picture], Tensor]:
    """Moves ``network`` to the fastest device; returns what makes its inputs, (1, 3, h, w) in
    [0, 1], of pictures."""
    import numpy as np
    import torch

    from sedic.models.precision import placement

    device = placement().device
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def tensor(picture: Picture) -> Tensor:
        pixels = torch.from_numpy(np.require(picture, requirements=("C", "W"))).to(device)
        return pixels.permute(2, 0, 1)[None].float() / 255

    return tensor


def _described(*paths: Path) -> str:
    return ", ".join(f"{path.name} sha256:{sha256_of(path, _silent)[:16]}" for path in paths)


def _silent(*_: object) -> None:
    """Ignores progress: the files are hashed within two seconds."""


_KINDS: dict[str, tuple[str, Callable[[], tuple[Measure, str]]]] = {
    "PSNR": ("higher", lambda: _formula(fidelity.psnr)),
    "MS-SSIM": ("higher", lambda: _torchmetrics(fidelity.ms_ssim)),
    "VIF": ("higher", lambda: _torchmetrics(fidelity.vif)),
    "GMSD": ("lower", lambda: _formula(fidelity.gmsd)),
    "HaarPSI": ("higher", lambda: _formula(fidelity.haarpsi)),
    "LPIPS-squeeze (Caffe)": ("lower", _lpips_caffe),
    "LPIPS-squeeze (Caffe) moved": ("lower", lambda: _lpips_caffe(shifted=True)),
    "Wasserstein-squeeze (Caffe)": ("lower", _wasserstein_caffe),
    "Spectral peaks": ("lower", lambda: _texture("spectral_peaks")),
    "Spectral peaks alone": ("lower", lambda: _texture("spectral_peaks_alone")),
    "Repetition": ("lower", lambda: _texture("repetition")),
    "Texture strength": ("nearer 1", lambda: _texture("texture_strength")),
    "Texture error": ("lower", lambda: _texture("texture_error")),
    "LPIPS-alex": ("lower", lambda: _lpips("alex")),
    "LPIPS-vgg": ("lower", lambda: _lpips("vgg")),
    "LPIPS-squeeze": ("lower", lambda: _lpips("squeeze")),
    "DISTS": ("lower", _dists),
    "CLIP image": ("higher", _clip_image),
    "CLIP text": ("higher", _clip_text),
    "same class": ("higher", lambda: consistency.measures("same")),
    "top five": ("higher", lambda: consistency.measures("overlap")),
    "class distance": ("lower", lambda: consistency.measures("distance")),
}
NAMES = tuple(_KINDS)
