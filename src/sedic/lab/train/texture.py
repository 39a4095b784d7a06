"""A loss that compares statistics where the original has texture, and values where it has edges.

After "Wasserstein distortion" (Qiu et al. 2024; Ballé et al. 2024, "Good, cheap, and fast:
overfitted image compression with Wasserstein distortion"): over a window, the means and deviations
of features are compared instead of the features. Deviations alone are not enough, because a regular
weave has the right ones; the local power spectrum differs. ``lab.bench.texture.structure`` says
where windows must be small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sedic.lab.bench import texture
from sedic.lab.train.perception import Perception, cut_anywhere, edges, mesh
from sedic.models.classifier import Classifier

_FLOOR = 0.002  # of power: rounding to 8 bits is below
_PEAKS = 4  # frequencies
_LOWEST = 4  # cycles in such a window: what is slower is the mean square error's
_RANDOM = 0.8  # of the deviation of texture: the rest may be what is left of the original's
_GRID = 4  # pixels: the decoder's last layer spreads 4x4 of them at once
_CHROMA = ((0.5, 0.0, -0.5), (0.25, -0.5, 0.25))


@dataclass(frozen=True)
class TextureWeights:
    """How much each part of the loss counts."""

    mse: float = 20.0  # of pictures at half size
    lpips: float = 1.5  # all of it where structure is
    lpips_in_texture: float = 0.5  # and this much of it where there is none
    statistics: float = 3.0  # squared differences of features' local means and deviations
    deviation: float = 3.0  # absolute differences of the high-pass' local deviation
    spectrum: float = 0.35  # of the logarithm of local power
    chroma: float = 0.15  # the same of two colour differences
    edges: float = 0.8  # of their strengths, where structure is
    peaks: float = 0.3  # how far a few frequencies stand out more than in the original
    classifier: float = 0.2  # one minus the cosine of a classifier's features, at two sizes
    classes: float = 0.3  # divergence of its chances of the classes, at two sizes
    face: float = 3.0  # added to a weight of 1 of pixels, LPIPS and edges, in faces
    mesh: float = 20.0  # what repeats from block to block
    lattice: float = 0.5  # power that is not the same on all 4x4 places
    chance: float = 0.4  # texture that is the same again with other noise


class Texture:
    """The loss; ``__call__`` gives it for each picture, and its parts."""

    def __init__(
        self, perceived: Perception, classifier: Classifier, weights: TextureWeights
    ) -> None:
        self._perceived = perceived
        self._classifier = classifier
        self._weights = weights

    def __call__(
        self,
        decoded: Tensor,
        x: Tensor,
        other: Tensor | None = None,
        faces: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Of pictures (b, 3, h, w) in [-0.5, 0.5], sides multiples of 16: (b,) each.

        ``other``: the same latents decoded with other noise, which needs no gradient. ``faces``:
        where faces are, (b, 1, h/8, w/8) in [0, 1]; nowhere by default.
        """
        w = self._weights
        decoded = decoded.float()
        if faces is None:
            faces = x.new_zeros(x.shape[0], 1, x.shape[-2] // 8, x.shape[-1] // 8)
        parts = {"mesh": mesh(decoded, x)}
        low = (F.avg_pool2d(decoded, 2) - F.avg_pool2d(x, 2)).square()
        parts["mse"] = (low * (1 + w.face * F.interpolate(faces, scale_factor=4))).mean((1, 2, 3))
        if other is not None:
            parts["chance"] = sameness(decoded, other.float(), x)
        a, b, faces = cut_anywhere(decoded, x, faces)
        with torch.no_grad():
            where = torch.maximum(texture.structure(b), faces)
            original_maps = self._perceived.maps(b)
            classified = [class_maps(self._classifier, y + 0.5) for y in (b, F.avg_pool2d(b, 2))]
        maps = self._perceived.maps(a)
        care = 1 + w.face * faces
        share = (w.lpips_in_texture + (1 - w.lpips_in_texture) * where) * care
        parts["lpips"] = self._lpips(maps, original_maps, share)
        parts["statistics"] = self._statistics(maps, original_maps, 1 - where)
        parts["edges"] = edges(a, b, where * care)
        own = [class_maps(self._classifier, y + 0.5) for y in (a, F.avg_pool2d(a, 2))]
        difference = [class_distance(*pair) for pair in zip(own, classified, strict=True)]
        parts["classifier"] = torch.stack(difference).mean(0)
        chances = [
            divergence(*(class_chances(self._classifier, taps[-1]) for taps in pair))
            for pair in zip(own, classified, strict=True)
        ]
        parts["classes"] = torch.stack(chances).mean(0)
        luma, luma_b = texture.luma(a), texture.luma(b)
        parts["deviation"] = deviation(luma, luma_b, 1 - where)
        parts["spectrum"] = spectrum(luma, luma_b, 1 - where)
        parts["peaks"] = peaks(luma, luma_b, 1 - where)
        parts["chroma"] = torch.stack(
            [spectrum(texture.mixed(a, c), texture.mixed(b, c), 1 - where) for c in _CHROMA]
        ).mean(0)
        parts["lattice"] = (lattice(luma) - lattice(luma_b)).clamp(min=0)
        total = sum(getattr(w, name) * part for name, part in parts.items())
        assert isinstance(total, Tensor)
        return total, parts

    def _lpips(self, a: list[Tensor], b: list[Tensor], share: Tensor) -> Tensor:
        total = share.new_zeros(share.shape[0])
        for tap, (one, other) in enumerate(zip(a, b, strict=True)):
            head = self._perceived.head(tap).to(one.dtype)
            difference = ((one - other).square() * head).sum(1, keepdim=True).float()
            at = F.interpolate(share, one.shape[-2:], mode="bilinear", antialias=True)
            total = total + (difference * at).mean((1, 2, 3))
        return total

    def _statistics(self, a: list[Tensor], b: list[Tensor], share: Tensor) -> Tensor:
        total = share.new_zeros(share.shape[0])
        for tap, window in enumerate(texture.WINDOWS):
            (mean, spread), (mean_b, spread_b) = (
                texture.moments(x, window) for x in (a[tap], b[tap])
            )
            difference = (mean - mean_b).square() + (spread - spread_b).square()
            difference = (difference * self._perceived.head(tap)).sum(1, keepdim=True)
            at = F.interpolate(share, difference.shape[-2:], mode="bilinear", antialias=True)
            total = total + (difference * at).mean((1, 2, 3))
        return total


def deviation(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """How unlike the local deviations of two high-passed lumas are, windows of 8 and 16 pixels."""
    total = share.new_zeros(share.shape[0])
    for window in (8, 16):
        one, other = (
            (texture.windowed(texture.high_pass(x).square(), window) + 1e-6).sqrt() for x in (a, b)
        )
        at = F.interpolate(share, one.shape[-2:], mode="bilinear", antialias=True)
        total = total + ((one - other).abs() * (0.3 + 0.7 * at)).mean((1, 2, 3))
    return total


def sameness(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """How much of the texture of a and b, two decodings of x with different noise, is the same,
    (b,): 0 where the high-pass of their difference has, where there is texture without edges, the
    deviation that of two independent textures as strong as the original's would have.

    Without this term a decoder soon stops using noise, because a fixed pattern gives smaller
    distances of features than a random one.
    """
    difference, original = (
        (texture.windowed(texture.high_pass(texture.luma(y)).square(), 16) + 1e-6).sqrt()
        for y in (a - b, x)
    )
    random = difference / (math.sqrt(2) * original + 2e-3)
    rough = original / (original + 0.008)
    plain = 1 - F.interpolate(
        texture.structure(x), original.shape[-2:], mode="bilinear", antialias=True
    )
    return ((_RANDOM - random).clamp(min=0) * rough * plain).mean((1, 2, 3))


def local_power(plane: Tensor, windows: int = 3) -> Tensor:
    """Power spectra averaged over so many neighbouring windows each way, or as many as there are,
    (b, rows, columns, 32, 17), of what is faster than 17 pixels."""
    padded = F.pad(plane, (8, 8, 8, 8), mode="reflect")
    mean = F.avg_pool2d(F.avg_pool2d(padded, (17, 1), 1), (1, 17), 1)
    spectrum = texture.power(plane - mean)
    flat = spectrum.flatten(3).permute(0, 3, 1, 2)
    rows, columns = (min(windows, count) for count in flat.shape[2:])
    flat = F.avg_pool2d(F.avg_pool2d(flat, (rows, 1), 1), (1, columns), 1)
    averaged = flat.permute(0, 2, 3, 1)
    return averaged.reshape(*averaged.shape[:3], *spectrum.shape[3:])


def spectrum(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Mean absolute difference of the logarithms of local power, (b,)."""
    fast = _fast(a.device)
    difference = (local_power(a) + _FLOOR).log() - (local_power(b) + _FLOOR).log()
    difference = (difference.abs() * fast).sum((-2, -1)) / fast.sum()
    at = F.interpolate(share, difference.shape[1:], mode="bilinear", antialias=True)[:, 0]
    return (difference * (0.2 + 0.8 * at)).mean((1, 2))


def peaks(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """How much further the strongest frequencies of a stand out from those around them than b's
    do, (b,), in regions of 96 pixels; 0 where they stand out less. A regular pattern has few,
    strong frequencies."""
    outstanding: list[Tensor] = []
    for plane in (a, b):
        height = (local_power(plane, 5) + _FLOOR).log()
        flat = height.flatten(0, 2)[:, None]
        # The spectrum of a real plane: rows go round, and the other half is this one's mirror.
        flat = torch.cat([flat[:, :, -3:], flat, flat[:, :, :3]], 2)
        flat = F.pad(flat, (3, 3, 0, 0), mode="replicate")
        around = F.avg_pool2d(F.avg_pool2d(flat, (7, 1), 1), (1, 7), 1)
        above = (height - around[:, 0].view_as(height)).masked_fill(~_fast(a.device), -math.inf)
        outstanding.append(above.flatten(3).topk(_PEAKS, -1).values.mean(-1))
    more = (outstanding[0] - outstanding[1]).clamp(min=0)
    at = F.interpolate(share, more.shape[1:], mode="bilinear", antialias=True)[:, 0]
    return (more * at).mean((1, 2))


def _fast(device: torch.device) -> Tensor:
    """(32, 17) booleans: the frequencies from ``_LOWEST`` on."""
    rows = torch.fft.fftfreq(texture.SIDE, 1 / texture.SIDE, device=device)[:, None]
    columns = torch.arange(texture.SIDE // 2 + 1, device=device)
    fast: Tensor = rows.square() + columns.square() >= _LOWEST**2
    return fast


def lattice(luma: Tensor) -> Tensor:
    """How unevenly the high-pass' power is spread over the 4x4 places of the decoder's grid, (b,):
    the variance, over places, of the logarithm of power in regions of 64 pixels."""
    luma = F.pad(luma, (1, 1, 1, 1), mode="reflect")
    places = F.pixel_unshuffle(texture.high_pass(luma).square(), _GRID)
    local = (texture.windowed(places, 16) + 1e-5).log()
    return local.var(1).mean((1, 2))


TAPS = (4, 10, 15)  # blocks of the classifier whose maps are compared: 1/8, 1/16 and 1/32


def class_maps(classifier: Classifier, x: Tensor) -> list[Tensor]:
    """The classifier's maps of pictures (b, 3, h, w) in [0, 1], after the blocks of ``TAPS``."""
    x = ((x * 255 - 127) / 128).to(classifier.stem.inner.weight.dtype)
    x = F.relu6(classifier.stem(x.contiguous(memory_format=torch.channels_last)))
    maps = []
    for number, block in enumerate(classifier.blocks):
        x = block(x)
        if number in TAPS:
            maps.append(x)
    return maps


def class_chances(classifier: Classifier, last: Tensor) -> Tensor:
    """Logarithms of the chances of the classes, (b, 1000) float32, from the last of the
    ``class_maps``."""
    features = F.relu6(classifier.head(last)).float().mean((2, 3))
    return F.log_softmax(classifier.linear(features), 1)


def divergence(a: Tensor, b: Tensor) -> Tensor:
    """The Jensen-Shannon divergence of two sets of chances, given as logarithms, (b,) in nats."""
    middle = torch.logaddexp(a, b) - math.log(2)
    return ((a.exp() * (a - middle)).sum(1) + (b.exp() * (b - middle)).sum(1)) / 2


def class_distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """One minus the cosine similarity of ``class_maps``, (b,) float32, mean over taps."""
    distances = [
        1 - F.cosine_similarity(one.float(), other.float(), 1).mean((1, 2))
        for one, other in zip(a, b, strict=True)
    ]
    return torch.stack(distances).mean(0)
