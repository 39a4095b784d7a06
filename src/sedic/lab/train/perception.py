"""Terms of the losses: LPIPS in half precision, repetition from block to block, edges."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sedic.lab.bench import texture
from sedic.lab.bench.fidelity import EQUAL_EDGES, LUMA
from sedic.lab.bench.lpips import LPIPS, weights_path
from sedic.models.precision import Placement, placement

_WORTH_COMPILING = 1_000  # steps: it takes a minute
_EQUAL = EQUAL_EDGES / 255**2  # of pictures whose range is 1
_SIZES = 3  # full, half and quarter
_PERIOD = 16  # pixels: the network's stride
_UNSEEN = 0.1  # of a variance: how much may repeat without being seen
_FAINT = 0.004  # of a deviation: one grey level
_SEEN_BY = 4  # moves: a pattern repeats at about so many of them


class Perception:
    """The distance of pictures (b, 3, h, w) in [-0.5, 0.5], as (b,) float32; differentiable."""

    def __init__(self, shared: Path, steps: int = 0, place: Placement | None = None) -> None:
        """``steps``: how often it will be called; from a thousand on the network is compiled.
        ``place``: where pictures are, the CPU by default."""
        place = place or placement("cpu")
        self._dtype = place.dtype
        self._lpips = LPIPS(weights_path(shared)).to(place.device, self._dtype)
        self._lpips.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if steps >= _WORTH_COMPILING and shutil.which("g++"):  # half the time
            self._lpips.maps = torch.compile(self._lpips.maps)  # type: ignore[method-assign]

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        return self._lpips(self._lpips_input(a), self._lpips_input(b)).float()  # type: ignore[no-any-return]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Unit-length feature maps of pictures at LPIPS' taps."""
        return self._lpips.maps(self._lpips_input(x))

    def _lpips_input(self, x: Tensor) -> Tensor:
        return (x + 0.5).to(self._dtype, memory_format=torch.channels_last)

    def head(self, tap: int) -> Tensor:
        """LPIPS' weights of the channels of a tap: (1, channels, 1, 1) float32."""
        return self._lpips.get_buffer(f"head{tap}").float().view(1, -1, 1, 1)

    def moved(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance of both pictures without their first row and column, as ``bench`` has it."""
        return self(a[..., 1:, 1:], b[..., 1:, 1:])

    def anywhere(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance after cutting both at a random place, 16 pixels less wide and high.

        This is the loss. With a fixed place, a decoder that works on a grid learns where the
        network samples, and draws a mesh there; moved by one pixel, its distance rises by 0.03.
        """
        return self(*cut_anywhere(a, b))


def cut_anywhere(a: Tensor, b: Tensor, *eighths: Tensor) -> tuple[Tensor, ...]:
    """Two batches of pictures, both cut at the same random place, 16 pixels less wide and high, and
    maps of theirs at 1/8, cut at about the same place."""
    top, left = torch.randint(_PERIOD, (2,)).tolist()
    height, width = a.shape[-2] - _PERIOD, a.shape[-1] - _PERIOD
    cut = [x[..., top : top + height, left : left + width] for x in (a, b)]
    row, column = round(top / 8), round(left / 8)
    cut += [x[..., row : row + height // 8, column : column + width // 8] for x in eighths]
    return tuple(cut)


def mesh(a: Tensor, b: Tensor) -> Tensor:
    """How strong the part of a is that repeats from block to block more than b does, (b,) float32
    in a's units.

    ``a`` and ``b``: (b, 3, h, w), sides at least 128 for all moves. LPIPS does not distinguish a
    regular mesh from texture; people do. In regions of 64 pixels: the covariance of a's detail with
    itself, moved by one, two and four blocks of 16 pixels, less b's where that is positive and a
    tenth of a's variance, over the deviation of a. One block is not enough: a decoder that knows
    which blocks of the checkerboard were coded first draws two patterns in turn.
    """
    with torch.no_grad():
        expected = texture.covariances(b.float())
    total = a.new_zeros(a.shape[0], dtype=torch.float32)
    for (found, variance), (right, _) in zip(texture.covariances(a.float()), expected, strict=True):
        variance = variance.detach()
        more = (found - right.clamp(min=0) - _UNSEEN * variance).clamp(min=0)
        total = total + (more / (variance.sqrt() + _FAINT)).mean((1, 2, 3))
    return total / _SEEN_BY


def edges(a: Tensor, b: Tensor, share: Tensor | None = None) -> Tensor:
    """The difference of the strengths of a's and b's edges, 0 to 1, (b,) float32. ``a`` and ``b``:
    (b, 3, h, w) in [-0.5, 0.5]. ``share``: how much each place counts, (b, 1, any, any); 1 without.

    One minus the gradient-magnitude similarity of luma (Xue et al. 2014, eq. 4), its mean instead
    of GMSD's deviation, at full, half and quarter size. Blur costs, and so does texture where the
    original has none; wrong texture costs less than missing texture.
    """
    luma = torch.tensor(LUMA, device=a.device).view(1, 3, 1, 1)
    prewitt = torch.tensor([[1.0, 0.0, -1.0]] * 3, device=a.device) / 3
    kernels = torch.stack([prewitt, prewitt.T])[:, None]
    a, b = ((x.float() * luma).sum(1, keepdim=True) for x in (a, b))
    differences = []
    for size in range(_SIZES):
        if size:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        # The root of zero has no gradient.
        one, other = ((F.conv2d(x, kernels).square().sum(1) + 1e-8).sqrt() for x in (a, b))
        same = (2 * one * other + _EQUAL) / (one.square() + other.square() + _EQUAL)
        if share is None:
            differences.append(1 - same.mean((1, 2)))
        else:
            at = F.interpolate(share, same.shape[-2:], mode="bilinear", antialias=True)[:, 0]
            differences.append(((1 - same) * at).mean((1, 2)))
    return torch.stack(differences).mean(0)
