"""Colour, texture and light of a picture, measured once and summed over any region.

Everything is additive: ``measure_maps`` makes maps on a small raster, ``measure_region`` only
averages them. Distances are in pixels of a picture of at most ``DETAIL_SIDE`` on its long side;
larger pictures are reduced to that first, so time and memory are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft, ndimage, sparse
from skimage.color import rgb2lab

from sedic.describe.words import PALETTE

DETAIL_SIDE = 768  # texture is measured at this size
REGION_SIDE = 256  # regions are found, and maps kept, at this one

Floats = npt.NDArray[np.float32]
Region = npt.NDArray[np.bool_]

_SCALES = (0.0, 1.0, 2.0, 4.0, 8.0)  # pixels; texture bands lie between two of them
_NARROW, _WIDE = 1.0, 2.5  # pixels; the two Gaussians that an edge's blur is read from
_EDGE = 1.5  # L* a pixel, from which a gradient counts as an edge
_FLAT = 0.8  # L* a pixel, up to which a place is flat enough to see noise in it


@dataclass(frozen=True)
class Maps:
    """Measurements of a picture: arrays (rows, columns, ...) of at most ``REGION_SIDE`` a side."""

    lab: Floats  # CIELAB
    colour: npt.NDArray[np.intp]  # index into the names of the palette
    bands: Floats  # (..., 4) mean square of each octave of detail, fine to coarse, L*^2
    tensor: Floats  # (..., 4) gradients: xx, yy, xy, and fourfold xx+yy times cos 4 phi
    edges: Floats  # (..., 3) gradient energy at edges at the two scales, share of edge pixels
    grain: Floats  # (..., 2) noise amplitude in flat places, share of flat places
    detail: Floats  # lightness without its slow part, at most DETAIL_SIDE long

    @property
    def shape(self) -> tuple[int, int]:
        return self.colour.shape[0], self.colour.shape[1]


@dataclass(frozen=True)
class Look:
    """The look of one region."""

    colours: tuple[tuple[str, float], ...]  # names with their share, largest first
    lightness: float  # mean L*
    contrast: float  # deviation of L*
    chroma: float
    strength: float  # mean local contrast, L*
    evenness: float  # deviation of the local contrast by its mean
    coarseness: float  # pixels
    coherence: float  # 0 no direction .. 1 all lines parallel
    direction: int  # of the lines: index into vocabulary.LINES
    crossed: float  # 1: every line is vertical or horizontal, 0: no preference
    blur: float | None  # pixels; None where there are no edges to read it from
    grain: float  # L*; 0 where nothing is flat
    shading: tuple[float, float]  # L* gained from left to right, from top to bottom


def measure_maps(picture: npt.NDArray[np.uint8]) -> Maps:
    """The maps of a (height, width, 3) sRGB picture of any size."""
    working = reduce(picture, DETAIL_SIDE)
    lab = rgb2lab(working).astype(np.float32)
    lightness = lab[..., 0]
    blurred = [lightness, *(ndimage.gaussian_filter(lightness, s) for s in _SCALES[1:])]
    bands = [np.square(a - b) for a, b in pairwise(blurred)]

    dx, dy = _gradient(lightness, _NARROW)
    narrow = dx * dx + dy * dy
    wide = np.sum(np.square(_gradient(lightness, _WIDE)), axis=0)
    cosine = (dx * dx - dy * dy) / np.maximum(narrow, 1e-12)
    tensor = [dx * dx, dy * dy, dx * dy, narrow * (2 * cosine * cosine - 1)]
    strong = narrow > _EDGE**2
    flat = wide < _FLAT**2
    # Immerkaer, "Fast noise variance estimation", 1996: a mask that ignores planes and edges.
    blind = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    noise = np.abs(ndimage.convolve(lightness, blind)) * np.float32(np.sqrt(np.pi / 2) / 6)

    rows, columns = fitted(lightness.shape, REGION_SIDE)

    def small(*layers: npt.NDArray[np.generic]) -> Floats:
        stack = np.stack(layers, axis=-1).astype(np.float32)
        return area_mean(stack, edges(stack.shape[0], rows), edges(stack.shape[1], columns))

    lab_small = small(*np.moveaxis(lab, -1, 0))
    return Maps(
        lab=lab_small,
        colour=name_colours(lab_small),
        bands=np.maximum(small(*bands), 0),  # the running sums leave -1e-11 where all is flat
        tensor=small(*tensor),
        edges=small(narrow * strong, wide * strong, strong),
        grain=small(noise * flat, flat),
        detail=lightness - blurred[3],
    )


def measure_region(maps: Maps, region: Region) -> Look:
    """The look of ``region``, a boolean array of ``maps.shape`` with at least one pixel set."""
    lab = maps.lab[region].astype(np.float64)
    xx, yy, xy, fourfold = maps.tensor[region].mean(axis=0, dtype=np.float64)
    energy = xx + yy + 1e-9
    # The lines run across the gradient; 0 is vertical lines, then counter-clockwise by 45 degrees.
    across = np.arctan2(2 * xy, xx - yy) / 2
    narrow, wide, edge_share = maps.edges[region].mean(axis=0, dtype=np.float64)
    noise, flat_share = maps.grain[region].mean(axis=0, dtype=np.float64)
    local = np.sqrt(maps.bands[region].sum(axis=1, dtype=np.float64))
    amplitude = np.sqrt(maps.bands[region]).mean(axis=0, dtype=np.float64)
    octaves = amplitude @ np.arange(len(amplitude)) / (amplitude.sum() + 1e-9)
    counts = np.bincount(maps.colour[region], minlength=len(colour_names()))
    order = np.argsort(-counts, kind="stable")
    return Look(
        colours=tuple((colour_names()[i], counts[i] / len(lab)) for i in order if counts[i]),
        lightness=float(lab[:, 0].mean()),
        contrast=float(lab[:, 0].std()),
        chroma=float(np.hypot(lab[:, 1], lab[:, 2]).mean()),
        strength=float(local.mean()),
        evenness=float(local.std() / (local.mean() + 0.1)),
        coarseness=float(2.0**octaves),
        coherence=float(np.hypot(xx - yy, 2 * xy) / energy) if energy > 0.02 else 0.0,
        direction=round(float(across) / (np.pi / 4)) % 4,
        crossed=float(fourfold / energy) if energy > 0.02 else 0.0,
        blur=_edge_blur(narrow / wide) if edge_share > 0.004 else None,
        grain=float(noise / flat_share) if flat_share > 0.2 else 0.0,
        shading=_shading(lab[:, 0], region),
    )


def _gradient(lightness: Floats, sigma: float) -> tuple[Floats, Floats]:
    """Derivatives to the right and down, of ``lightness`` blurred by ``sigma`` pixels."""
    return (
        ndimage.gaussian_filter(lightness, sigma, order=(0, 1)),
        ndimage.gaussian_filter(lightness, sigma, order=(1, 0)),
    )


def _edge_blur(ratio: float) -> float:
    """The blur of edges whose gradient energy falls by ``ratio`` from the narrow Gaussian to the
    wide one (Zhuo and Sim, "Defocus map estimation from a single image", 2011, eq. 5)."""
    square = (_WIDE**2 - ratio * _NARROW**2) / max(ratio - 1, 1e-3)
    return float(np.sqrt(max(0.0, square)))


def measure_regularity(maps: Maps, region: Region) -> float:
    """How regular a pattern ``region`` shows, 0 to 1: how high its detail's autocorrelation rises
    again away from the central peak."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    height, width = maps.detail.shape
    down, across = height / region.shape[0], width / region.shape[1]
    top, bottom = int(rows[0] * down), int((rows[-1] + 1) * down)
    left, right = int(columns[0] * across), int((columns[-1] + 1) * across)
    inside = region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    box = maps.detail[top:bottom, left:right]
    if min(box.shape) < 32:
        return 0.0
    weight = np.asarray(Image.fromarray(inside).resize(box.shape[::-1], Image.Resampling.NEAREST))
    signal = np.clip(box, -12, 12) * weight
    size = tuple(fft.next_fast_len(n + n // 3, real=True) for n in box.shape)
    product = _autocorrelation(signal, size)
    overlap = np.maximum(_autocorrelation(weight, size), 0.2 * weight.sum())
    reach = tuple(n // 3 for n in box.shape)
    half = (product / overlap)[: reach[0], :]
    half = np.concatenate([half[:, -reach[1] :], half[:, : reach[1]]], axis=1)
    half /= max(float(half[0, reach[1]]), 1e-6)
    y, x = np.nonzero(ndimage.maximum_filter(half, 7) == half)
    x -= reach[1]
    # A pattern repeats only if the correlation falls in between; along a line it stays high.
    heights, halfway = half[y, x + reach[1]], half[y // 2, x // 2 + reach[1]]
    repeats = (np.hypot(y, x) > 5) & (heights - halfway > 0.2)
    return float(heights[repeats].max(initial=0.0))


def _autocorrelation(signal: Floats, size: tuple[int, ...]) -> Floats:
    spectrum = fft.rfft2(signal, size)
    return np.asarray(fft.irfft2(np.square(np.abs(spectrum)), size), np.float32)


def _shading(lightness: npt.NDArray[np.float64], region: Region) -> tuple[float, float]:
    """The slope of lightness over the region's width and height, by least squares."""
    y, x = (v.astype(np.float64) for v in np.nonzero(region))
    axes = [(v - v.mean()) / max(np.ptp(v), 1.0) for v in (x, y)]
    slopes = [float(v @ (lightness - lightness.mean()) / max(v @ v, 1e-9)) for v in axes]
    return slopes[0], slopes[1]


@cache
def colour_names() -> tuple[str, ...]:
    """The names of the palette, in the order that ``Maps.colour`` counts."""
    return tuple(PALETTE)


@cache
def _palette() -> tuple[Floats, npt.NDArray[np.intp]]:
    points = [bytes.fromhex(point) for name in PALETTE for point in PALETTE[name]]
    owner = [i for i, name in enumerate(PALETTE) for _ in PALETTE[name]]
    lab = rgb2lab(np.frombuffer(b"".join(points), np.uint8).reshape(1, -1, 3))[0]
    return _named_space(lab), np.array(owner, np.intp)


def _named_space(lab: npt.NDArray[np.floating]) -> Floats:
    """CIELAB with a smaller weight of lightness, because people name a colour by its hue first."""
    return (lab * (0.7, 1, 1)).astype(np.float32)


def name_colours(lab: Floats) -> npt.NDArray[np.intp]:
    """The palette name nearest to each pixel of a (rows, columns, 3) CIELAB array."""
    points, owner = _palette()
    flat = _named_space(lab).reshape(-1, 3)
    distance = (points**2).sum(axis=1) - 2 * flat @ points.T
    nearest: npt.NDArray[np.intp] = owner[distance.argmin(axis=1)]
    return nearest.reshape(lab.shape[:2])


def fitted(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Rows and columns, in the proportion of ``shape``'s, of which the more is ``side`` at most."""
    rows, columns = shape[:2]
    scale = min(1.0, side / max(rows, columns))
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def reduce(picture: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The picture with its long side at most ``side`` pixels, by averaging."""
    rows, columns = fitted(picture.shape, side)
    if (rows, columns) == picture.shape[:2]:
        return picture
    resized = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(resized)


def edges(length: float, cells: int) -> npt.NDArray[np.float64]:
    """The borders of ``cells`` equal cells over ``length`` samples."""
    return np.linspace(0, length, cells + 1)


def area_mean(
    values: Floats | Region, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]
) -> Floats:
    """The mean of a (height, width, ...) array over a raster of cells, borders anywhere.

    ``rows`` and ``columns`` hold the increasing borders, in samples from the top left corner.
    """
    # Masks are exact in between: whether a cell is half full must not depend on rounding.
    mask = values.dtype == np.bool_
    across = _counts(values, rows) if mask else _sums(values, 0, rows, np.float32)
    height = np.diff(rows).reshape(-1, *[1] * (values.ndim - 1))
    part = np.asarray(across / height, np.float32)
    width = np.diff(columns).reshape(-1, *[1] * (values.ndim - 2))
    down = _sums(part, 1, columns, np.float64 if mask else np.float32)
    return np.asarray(down / width, np.float32)


def _counts(values: Floats | Region, borders: npt.NDArray[np.float64]) -> npt.NDArray[np.floating]:
    """Set samples between borders of rows, those that a border cuts in part."""
    low = np.minimum(borders.astype(np.intp), len(values) - 1)
    part = (borders - low).reshape(-1, *[1] * (values.ndim - 1))
    # Counts are exact in float32, and a large mask needs no more memory.
    total = np.cumsum(values, axis=0, dtype=np.float32)
    before = total.take(low - 1, 0) * (low > 0).reshape(part.shape)
    return np.diff(before * (1 - part) + total.take(low, 0) * part, axis=0)


def _sums(
    values: Floats | Region,
    axis: int,
    borders: npt.NDArray[np.float64],
    kind: type[np.float32 | np.float64],
) -> npt.NDArray[np.floating]:
    """Sums of samples between borders along one axis, added up as ``kind``."""
    length = values.shape[axis]
    samples = np.arange(length)
    shares = np.minimum(borders[1:, None], samples + 1) - np.maximum(borders[:-1, None], samples)
    matrix = sparse.csr_matrix(np.maximum(shares, 0).astype(kind))
    turned = np.moveaxis(np.asarray(values, kind), axis, 0)
    sums = np.asarray(matrix @ np.ascontiguousarray(turned).reshape(length, -1))
    return np.moveaxis(sums.reshape(-1, *turned.shape[1:]), 0, axis)
