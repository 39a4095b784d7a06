"""Statistics of texture: where it is, how strong it is, which frequencies it has.

No function compares pixels. Planes are float tensors (b, 1, h, w), pictures (b, 3, h, w); their
values are in a range of width 1, unless a docstring gives another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from sedic.errors import SedicError
from sedic.lab.bench.fidelity import LUMA

if TYPE_CHECKING:
    from sedic.lab.bench.lpips import LPIPS
    from sedic.picture import Picture

SIDE = 32  # pixels of a window of the power spectrum
WINDOWS = (12, 6, 3)  # cells at SqueezeNet's first three taps: about 24 pixels
BLOCK = 96  # pixels: 25 windows of the spectrum, half overlapping
_PLAIN = 0.25  # a block whose mean structure is below has no edges to speak of
_PEAKS = 4
_FLOOR = 40.0  # of power, of luma in 0 to 255: what is below is rounding
_SLOWEST = 3.5  # cycles in a window: below, every spectrum is steep
_SLOW = 25  # pixels: what repeats is looked for in what is faster
_REGION = 64  # pixels: where one pattern is looked for
# How far away blocks of 16 pixels are that may look the same, in pixels down and right: the next
# ones, the next of the same colour on a checkerboard, and the next at the same place below a
# hyper-latent, which has one position for 64 x 64 pixels.
MOVES = ((0, 16), (16, 0), (16, 16), (16, -16), (0, 32), (32, 0), (0, 64), (64, 0))


def mixed(x: Tensor, weights: tuple[float, ...]) -> Tensor:
    """The weighted sum of a picture's three planes."""
    return (x * x.new_tensor(weights).view(1, 3, 1, 1)).sum(1, keepdim=True)


def luma(x: Tensor) -> Tensor:
    """The luma plane of a picture, BT.601."""
    return mixed(x, LUMA)


def high_pass(plane: Tensor) -> Tensor:
    """A plane's Laplacian, two pixels less wide and high; the centre counts 1."""
    kernel = plane.new_tensor([[0.0, -0.25, 0.0], [-0.25, 1.0, -0.25], [0.0, -0.25, 0.0]])
    return F.conv2d(plane, kernel[None, None])


def windowed(x: Tensor, window: int) -> Tensor:
    """Means over windows of ``window`` cells that overlap by half, or by two thirds if odd."""
    step = window // 2 if window % 2 == 0 else window // 3
    return F.avg_pool2d(F.avg_pool2d(x, step), window // step, 1)


def moments(x: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of every channel over such windows, float32."""
    x = x.float()
    mean, square = (windowed(values, window) for values in (x, x.square()))
    return mean, ((square - mean.square()).clamp(min=0) + 1e-6).sqrt()


def power(plane: Tensor) -> Tensor:
    """|FFT|² (b, rows, columns, 32, 17) under Hann windows of 32 pixels every 16."""
    windows = plane[:, 0].unfold(1, SIDE, SIDE // 2).unfold(2, SIDE, SIDE // 2)
    hann = torch.hann_window(SIDE, periodic=True, device=plane.device)
    transform = torch.fft.rfft2(windows * (hann[:, None] * hann))
    return torch.view_as_real(transform).square().sum(-1)


def structure(x: Tensor) -> Tensor:
    """Where a picture has edges and no texture: 1 there, 0 in texture, (b, 1, h/8, w/8).

    A strong gradient counts as an edge if its neighbours have its direction, or if they are
    smooth. In texture there are gradients everywhere, in all directions.
    """
    half = F.avg_pool2d(luma(x), 2)
    padded = F.pad(half, (1, 1, 1, 1), mode="replicate")
    prewitt = x.new_tensor([[1.0, 0.0, -1.0]] * 3) / 3
    across = F.conv2d(padded, prewitt[None, None])
    down = F.conv2d(padded, prewitt.T[None, None])

    def pooled(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, 8, 4, 2, count_include_pad=False)

    xx, yy, xy = pooled(across.square()), pooled(down.square()), pooled(across * down)
    strength = xx + yy + 1e-8
    directed = ((xx - yy).square() + 4 * xy.square()) / strength.square()
    usual = pooled((across.square() + down.square()).sqrt()).square()
    alone = ((strength / (usual + 1e-8) - 1.4) / 1.6).clamp(0, 1)
    strong = strength / (strength + 0.04**2)
    edges = strong * (1 - (1 - directed) * (1 - alone))
    return F.avg_pool2d(F.max_pool2d(edges, 3, 1, 1), 3, 1, 1, count_include_pad=False)


def covariances(x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For each of the ``MOVES`` that a picture has room for: the covariance of its detail with
    itself there, and its variance, both (b, 1, rows, columns): means over all planes and over
    regions of 64 pixels that overlap by half. Detail is what is faster than 25 pixels."""
    if min(x.shape[-2:]) < _REGION:
        return []
    half = _SLOW // 2
    padded = F.pad(x, (half, half, half, half), mode="reflect")
    x = x - F.avg_pool2d(F.avg_pool2d(padded, (_SLOW, 1), 1), (1, _SLOW), 1)

    def regional(values: Tensor) -> Tensor:
        return windowed(values.mean(1, keepdim=True), _REGION)

    result = []
    for down, right in MOVES:
        height, width = x.shape[-2] - down, x.shape[-1] - abs(right)
        if min(height, width) >= _REGION:
            to_left = max(0, -right)
            here = x[..., :height, to_left : to_left + width]
            there = x[..., down:, to_left + right :][..., :width]
            variance = regional((here.square() + there.square()) / 2)
            result.append((regional(here * there), variance))
    return result


def repetition(decoded: Picture, original: Picture) -> float:
    """How much more a picture repeats from block to block than the original does: 0 for equal
    pictures, 1 if all detail is the same in each block and the original's never is.

    In regions of 64 pixels: the correlation of luma's detail with itself, moved by one, two or four
    blocks (``MOVES``), less the original's; the mean over regions, at the move where it is largest.
    A pattern with a period of 16 or 32 pixels has many weak frequencies, so ``spectral_peaks`` does
    not see it. ``SedicError`` for pictures of less than 64 x 80 pixels.
    """
    ours, theirs = (
        [
            covariance / (variance + 1)  # rounding to 8 bits alone is no detail
            for covariance, variance in covariances(_luma_of(picture))
        ]
        for picture in (decoded, original)
    )
    if not ours:
        raise SedicError("the picture has less than 64 x 80 pixels")
    return max(float((a - b).mean()) for a, b in zip(ours, theirs, strict=True))


def spectral_peaks(decoded: Picture, original: Picture) -> float:
    """How much more of a regular pattern there is than in the original, 0 for equal pictures.

    In each block of 96 pixels that has no edges in the original, the power spectrum of luma is
    averaged over 25 windows. The block's number is the mean, over the four strongest frequencies,
    of their logarithm less a 7x7 median around them; a regular pattern has few, strong frequencies.
    The result is the mean over blocks, less that of the original. ``SedicError`` where there is no
    such block.
    """
    ours, theirs = (spectral_peaks_alone(picture, original) for picture in (decoded, original))
    return ours - theirs


def spectral_peaks_alone(picture: Picture, original: Picture) -> float:
    """The number of ``picture`` itself, without that of the original subtracted.

    ``original`` only determines which blocks have no edges. ``SedicError`` where there is none.
    """
    return float(np.mean([_peaks(_cut(picture, block)) for block in _plain_blocks(original)]))


def texture_strength(decoded: Picture, original: Picture) -> float:
    """How strong texture is compared with the original's: 1 is best, below 1 it is too smooth.

    The ratio of the two mean local deviations (windows of 8 pixels) of luma's high-pass, in blocks
    without edges. A part that is too rough hides one that is too smooth; ``texture_error`` shows
    both. ``SedicError`` where there is no such block.
    """
    blocks = _plain_blocks(original)
    means = [sum(_deviations(_cut(p, b)).mean() for b in blocks) for p in (decoded, original)]
    return float(means[0] / means[1])


def texture_error(decoded: Picture, original: Picture) -> float:
    """The mean of |log| of the same ratio, window by window, half a grey level added to both: 0 is
    best. ``SedicError`` where there is no such block."""
    ratios = []
    for block in _plain_blocks(original):
        ours, theirs = (_deviations(_cut(p, block)) + 0.5 for p in (decoded, original))
        ratios.append(np.abs(np.log(ours / theirs)))
    return float(np.mean(ratios))


def wasserstein(network: LPIPS, a: list[Tensor], b: list[Tensor]) -> Tensor:
    """A Wasserstein distortion of pictures whose LPIPS ``maps`` are known, (b,): squared
    differences of the local means and deviations of the first three taps, weighted by its heads.

    Each channel as if it were Gaussian (Qiu et al. 2024), windows of about 24 pixels everywhere.
    """
    total = torch.zeros(a[0].shape[0], device=a[0].device)
    for tap, window in enumerate(WINDOWS):
        (mean, spread), (mean_b, spread_b) = (moments(x[tap], window) for x in (a, b))
        difference = (mean - mean_b).square() + (spread - spread_b).square()
        head = network.get_buffer(f"head{tap}").float().view(1, -1, 1, 1)
        total = total + (difference * head).sum(1).mean((1, 2))
    return total


def _plain_blocks(original: Picture) -> list[tuple[int, int]]:
    """Top left corners, pixels."""
    pixels = torch.from_numpy(np.ascontiguousarray(original)).permute(2, 0, 1)[None].float() / 255
    height, width = (side // 8 * 8 for side in original.shape[:2])
    edges = structure(pixels[..., :height, :width])[0, 0].numpy()
    side = BLOCK // 8
    corners = [
        (8 * row, 8 * column)
        for row in range(0, edges.shape[0] - side + 1, side)
        for column in range(0, edges.shape[1] - side + 1, side)
        if edges[row : row + side, column : column + side].mean() < _PLAIN
    ]
    if not corners:
        raise SedicError("the original has no texture without edges")
    return corners


def _cut(picture: Picture, corner: tuple[int, int]) -> Tensor:
    """Luma of a block, 0 to 255, (1, 1, 96, 96)."""
    top, left = corner
    return _luma_of(picture[top : top + BLOCK, left : left + BLOCK])


def _luma_of(picture: Picture) -> Tensor:
    """0 to 255, (1, 1, h, w)."""
    return luma(torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None])


def _peaks(block: Tensor) -> float:
    spectrum = power(block - block.mean())[0].mean((0, 1)).numpy()  # (32, 17)
    rows = np.fft.fftfreq(SIDE, 1 / SIDE)[:, None]
    columns = np.arange(spectrum.shape[1])
    whole = np.concatenate([spectrum, spectrum[-np.arange(SIDE), ::-1][:, 1:-1]], 1)  # (32, 32)
    height = np.log(whole + _FLOOR)
    above = (height - ndimage.median_filter(height, 7, mode="wrap"))[:, : len(columns)]
    once = (columns > 0) & (columns < SIDE // 2)  # of the others each frequency is there twice
    above = above[(rows**2 + columns**2 >= _SLOWEST**2) & once]
    return float(np.sort(above)[-_PEAKS:].mean())


def _deviations(block: Tensor) -> npt.NDArray[np.float32]:
    deviation = (windowed(high_pass(block).square(), 8) + 1e-6).sqrt()
    return np.asarray(deviation.numpy(), np.float32)
