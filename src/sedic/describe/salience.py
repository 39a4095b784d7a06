"""Salient objects by classical means: superpixels, robust background, a tree of merged regions.

The salience of superpixels follows Zhu, Liang, Wei and Sun, "Saliency optimization from robust
background detection", CVPR 2014 (equation numbers below are theirs). Neighbouring superpixels are
then merged, the most similar ones first; each region on the way is a candidate object, and the best
candidates that do not overlap are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from skimage.segmentation import slic

from sedic.describe.region_features import Maps, Region, area_mean
from sedic.semantics import GRID, grid_size

SUPERPIXELS = 220
SMALLEST, LARGEST = 0.012, 0.5  # share of the picture's area
LEAST_SIDE = 24  # pixels: in smaller pictures no objects are searched
LEAST_SCORE, LEAST_OF_BEST = 0.2, 0.4  # absolute, and as a share of the best score

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Superpixels:
    labels: npt.NDArray[np.intp]  # (rows, columns), 0 .. count - 1
    area: Floats  # pixels
    look: Floats  # (count, 4): L*, a*, b*, strength of texture in units of L*
    place: Floats  # (count, 2): centre, y and x by the long side
    rim: Floats  # pixels on the picture's border
    pairs: npt.NDArray[np.intp]  # (n, 2) neighbours
    border: Floats  # (n,) pixels of common border

    @property
    def distance(self) -> Floats:
        """The difference in look of neighbours (n,)."""
        left, right = self.look[self.pairs.T]
        return np.asarray(np.linalg.norm(left - right, axis=1))


def find_objects(maps: Maps, width: int, height: int, at_most: int) -> list[Region]:
    """Masks of the salient objects of a ``width`` x ``height`` picture, most important first.

    The masks are disjoint (rows, columns) boolean arrays on the 1/8 grid, each in one piece,
    smooth and without small holes; an empty list where nothing stands out.
    """
    if min(width, height) < LEAST_SIDE or min(maps.shape) < 8:
        return []
    parts = _superpixels(maps)
    if len(parts.area) < 4:
        return []
    salience = _salience(parts)
    members, scores = _candidates(parts, salience)
    objects: list[Region] = []
    lowest = max(LEAST_SCORE, LEAST_OF_BEST * scores.max())
    for index in np.argsort(-scores, kind="stable"):
        if len(objects) == at_most or scores[index] < lowest:
            break
        mask = _smooth(members[index][parts.labels], width, height)
        overlap = mask & np.any(objects, axis=0) if objects else np.zeros_like(mask)
        if overlap.sum() > 0.15 * mask.sum():
            continue
        mask = _one_piece(mask & ~overlap)
        if SMALLEST <= mask.mean() <= LARGEST:
            objects.append(mask)
    return objects


def to_grid(region: Region, width: int, height: int) -> npt.NDArray[np.float32]:
    """The share of each 1/8 cell of a ``width`` x ``height`` picture that is in ``region``, 0 to 1.

    ``region`` is a boolean array of any resolution that covers the picture.
    """
    borders = []
    for cells, pixels, samples in zip(
        grid_size(width, height), (width, height), region.shape[::-1], strict=True
    ):
        in_pixels = np.minimum(np.arange(cells + 1) * GRID, pixels)
        borders.append(in_pixels * (samples / pixels))
    return area_mean(region, borders[1], borders[0])


def on_grid(region: Region, width: int, height: int) -> Region:
    """``region`` on the 1/8 grid of a ``width`` x ``height`` picture: cells of which at least half
    is in it; of a smaller one, its fullest cells; of an empty one, none."""
    coverage = to_grid(region, width, height)
    return np.asarray((coverage >= min(0.5, float(coverage.max()))) & (coverage > 0))


def _superpixels(maps: Maps) -> _Superpixels:
    lab = maps.lab.astype(np.float64)
    labels = slic(
        lab / 100,
        n_segments=SUPERPIXELS,
        compactness=0.12,
        convert2lab=False,
        start_label=0,
        channel_axis=-1,
    )
    labels = np.unique(labels, return_inverse=True)[1].reshape(maps.shape)
    area = np.bincount(labels.ravel()).astype(np.float64)

    def mean(values: npt.NDArray[np.generic]) -> Floats:
        return np.bincount(labels.ravel(), values.ravel(), len(area)) / area

    texture = 2.0 * np.sqrt(maps.bands.sum(axis=-1))
    look = np.stack([mean(layer) for layer in (*np.moveaxis(lab, -1, 0), texture)], axis=1)
    place = np.stack([mean(axis) for axis in np.indices(maps.shape)], axis=1) / max(maps.shape)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    across = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()])
    down = np.stack([labels[:-1].ravel(), labels[1:].ravel()])
    touching = np.sort(np.concatenate([across, down], axis=1), axis=0)
    touching = touching[:, touching[0] != touching[1]]
    pairs, border = np.unique(touching, axis=1, return_counts=True)
    return _Superpixels(
        labels=labels,
        area=area,
        look=look,
        place=place,
        rim=np.bincount(rim, minlength=len(area)).astype(np.float64),
        pairs=pairs.T,
        border=border.astype(np.float64),
    )


def _salience(parts: _Superpixels) -> Floats:
    """How much each superpixel stands out, 0 to 1."""
    count = len(parts.area)
    colour_distance = np.linalg.norm(parts.look[:, None] - parts.look[None], axis=2)
    i, j = parts.pairs.T
    step = np.maximum(parts.distance - 3.0, 1e-3)  # small differences are ignored
    graph = sparse.csr_matrix((step, (i, j)), shape=(count, count))
    geodesic = sparse.csgraph.shortest_path(graph, directed=False)
    belongs = np.exp(-np.square(geodesic) / (2 * 10.0**2))  # eq. 3
    connectivity = (belongs @ parts.rim) / np.sqrt(belongs @ parts.area)  # eq. 5
    background = 1 - np.exp(-np.square(connectivity) / 2)  # eq. 7
    distance = np.linalg.norm(parts.place[:, None] - parts.place[None], axis=2)
    proximity = np.exp(-np.square(distance) / (2 * 0.4**2))
    weight = proximity * background * parts.area
    contrast = (colour_distance * weight).sum(axis=1) / parts.area.sum()  # eq. 6
    # Divided by at least 12, so that a faint contrast stays faint.
    foreground = contrast / max(float(contrast.max()), 12.0)
    similarity = np.exp(-np.square(parts.distance) / (2 * 10.0**2)) + 0.1
    smooth = sparse.csr_matrix((similarity, (i, j)), shape=(count, count))
    laplacian = sparse.csgraph.laplacian(smooth + smooth.T).toarray()
    system = np.diag(background + foreground) + laplacian
    return np.clip(np.linalg.solve(system, foreground), 0.0, 1.0)  # eq. 9


def _candidates(parts: _Superpixels, salience: Floats) -> tuple[list[Region], Floats]:
    """Every region of the merge tree, as a set of superpixels, with its score."""
    regions = _merge(parts, salience)
    total = parts.area.sum()
    centre = np.array(parts.labels.shape) / (2 * max(parts.labels.shape))
    central = np.exp(-np.square(parts.place - centre).sum(axis=1) / (2 * 0.3**2))
    i, j = parts.pairs.T
    distance = np.minimum(parts.distance, 40.0)
    scores = np.zeros(len(regions))
    for index, inside in enumerate(regions):
        area = parts.area[inside].sum()
        share = area / total
        if not 0.7 * SMALLEST <= share <= LARGEST:
            continue
        outline = parts.border * (inside[i] != inside[j])
        rim = parts.rim[inside].sum()
        length = outline.sum()
        mean = parts.area[inside] / area
        stands_out = mean @ salience[inside]
        edge = 1 - np.exp(-(outline @ distance) / max(length, 1.0) / 15.0)
        compact = min(1.0, 20.0 * area / (length + rim) ** 2)
        enclosed = length / (length + 1.5 * rim)
        size = (share / (share + 0.04)) * (1 - share / (2 * LARGEST)) * 1.5
        middle = 0.6 + 0.4 * (mean @ central[inside])
        scores[index] = stands_out * edge * np.sqrt(compact) * enclosed * size * middle * 2
    return regions, scores


def _merge(parts: _Superpixels, salience: Floats) -> list[Region]:
    """All regions that arise when the two most similar neighbours are merged, until one is left.

    Similarity is Ward's criterion (the growth of the variance), weighted by area, on colour,
    texture and salience.
    """
    count = len(parts.area)
    features = np.concatenate([parts.look, 40.0 * salience[:, None]], axis=1)
    area = parts.area.copy()
    members = np.eye(count, dtype=np.bool_)
    regions = list(members.copy())
    adjacent = np.zeros((count, count), np.bool_)
    adjacent[tuple(parts.pairs.T)] = True
    adjacent |= adjacent.T

    def costs(a: int) -> Floats:
        gap = np.square(features - features[a]).sum(axis=1)
        ward = gap * np.sqrt(area * area[a] / (area + area[a]))
        return np.where(adjacent[a], ward, np.inf)

    cost = np.stack([costs(a) for a in range(count)])
    for _ in range(count - 1):
        a, b = divmod(int(cost.argmin()), count)
        if not np.isfinite(cost[a, b]):
            break
        features[a] = (features[a] * area[a] + features[b] * area[b]) / (area[a] + area[b])
        area[a] += area[b]
        members[a] |= members[b]
        adjacent[a] |= adjacent[b]
        adjacent[:, a] = adjacent[a]
        adjacent[a, a] = False
        adjacent[b] = adjacent[:, b] = False
        cost[b] = cost[:, b] = np.inf
        cost[a] = cost[:, a] = costs(a)
        regions.append(members[a].copy())
    return regions


def _smooth(region: Region, width: int, height: int) -> Region:
    """The region on the 1/8 grid, its outline smoothed, without holes, in one piece."""
    coverage = to_grid(region, width, height)
    radius = max(coverage.shape) / 60
    return _one_piece(ndimage.gaussian_filter(coverage, radius, mode="nearest") > 0.5)


def _one_piece(mask: Region) -> Region:
    """The largest connected piece of ``mask``, its holes filled; empty if ``mask`` is."""
    labels, count = ndimage.label(mask)
    if count > 1:
        mask = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return np.asarray(ndimage.binary_fill_holes(mask), np.bool_)
