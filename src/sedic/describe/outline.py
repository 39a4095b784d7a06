"""Finds the outline of the object that a map of evidence (0 to 1) marks.

A class activation map is highest at the most distinctive parts of an object, such as a face or a
beak; it is blurred, and it covers some of the surroundings. So the cells of the picture are
clustered by colour and texture, and each cluster gets the mean evidence of its cells: sky around a
lighthouse is in one cluster with all other sky and gets little; a cat's back is in one cluster with
its head and gets much. Each cell then belongs to the object if its cluster does, unless its
neighbours differ: random walks with prior models (Grady 2005), a few rounds, as in GrabCut (Rother,
Kolmogorov and Blake 2004).
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.cluster.vq import kmeans2
from scipy.sparse.linalg import spsolve
from skimage.segmentation import felzenszwalb

Floats = npt.NDArray[np.float64]
Region = npt.NDArray[np.bool_]

ROUNDS = 2
_CLUSTERS = 28  # clusters of colour and texture
_SMOOTH = 8.0  # weight of a cell's neighbours, over that of its own cluster
_EDGE = 8.0  # difference between neighbours, in units of L*, that separates them
_TRUST = 1.5  # weight of the evidence at a cell, over that of its cluster
_BALANCE = 0.4  # exponent of the size of the two sides in a cluster's odds: 0 ignores it
_REGIONS = (40.0, 120.0, 360.0)  # sizes of even regions (felzenszwalb's scale)
_BORDER = 0.4
NARROW, WIDE = 0.45, 0.3  # neutral evidence, over the highest, of a narrow and of a wide outline
_MIN_EVIDENCE = 0.4  # evidence inside the outline, where clusters give none
_FLAT = 0.05  # range of evidence below which it does not locate anything
_MIN_SHARE, _MAX_SHARE = 0.003, 0.9  # share of the picture that an object may fill
_ROUND = 1.7  # cells: the deviation of the blur that rounds an outline
_MAX_ODDS = 3.0  # bound of log odds


def outline(look: Floats, heat: npt.NDArray[np.floating], neutral: float = NARROW) -> list[Region]:
    """The regions (rows, columns) of the object whose evidence is ``heat`` (rows, columns), 0 to 1.

    ``look`` (rows, columns, channels): colour and texture in units of L*. ``neutral``: the level of
    evidence, over the highest, that is neither for the object nor against it. Each region is
    connected and has no holes; the one with most evidence comes first, and others may be further
    objects of the kind. Regions that are too small, or fill nearly the whole picture, are left out;
    if none is left, the result is where the evidence is at least ``_MIN_EVIDENCE``.
    """
    rows, columns = heat.shape
    if float(np.ptp(heat)) < _FLAT or float(np.ptp(look)) < 1:
        return [heat >= _MIN_EVIDENCE]
    flat = look.reshape(-1, look.shape[2])
    evidence = np.clip(np.asarray(heat, np.float64).ravel(), 0, 1)
    with warnings.catch_warnings():  # that a cluster is empty: then there are fewer clusters
        warnings.simplefilter("ignore")
        centres, _ = kmeans2(flat, min(_CLUSTERS, len(flat)), iter=10, minit="++", seed=0)
    distances = np.square(flat[:, None] - centres[None]).sum(axis=2)
    membership = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / (2 * _EDGE**2))
    membership /= membership.sum(axis=1, keepdims=True)
    support = _regional(look, evidence.reshape(rows, columns)).ravel()
    level = neutral * max(float(np.quantile(support, 0.98)), 1e-3)
    own = np.clip(_TRUST * (support - level) / level, -1.5, 2.0)
    share = _sides(own, membership, _laplacian(look)).reshape(rows, columns)
    return _pieces(share, heat) or [heat >= _MIN_EVIDENCE]


def _sides(own: Floats, membership: Floats, laplacian: sparse.csr_matrix) -> Floats:
    """How much each cell (n,) belongs to the object, 0 to 1.

    ``own``: the evidence at a cell, negative against the object. ``membership`` (n, clusters): how
    much of the cell belongs to each cluster of colour and texture; rows sum to 1.
    """
    inside, outside = np.clip(own, 0, 1), np.clip(-own, 0, 1)
    share = inside
    for _ in range(ROUNDS):
        odds = np.log((membership.T @ inside + 1) / (membership.T @ outside + 1))
        odds -= _BALANCE * np.log((inside.sum() + 1) / (outside.sum() + 1))
        prior = 1 / (1 + np.exp(-np.clip(membership @ odds + own, -_MAX_ODDS, _MAX_ODDS)))
        weight = np.abs(2 * prior - 1) + 0.05
        system = (_SMOOTH * laplacian + sparse.diags(weight)).tocsc()
        share = np.clip(spsolve(system, weight * prior), 0, 1)
        inside, outside = share, 1 - share
    return share


def _pieces(share: Floats, heat: npt.NDArray[np.floating]) -> list[Region]:
    """The connected regions of cells that belong to the object, those with most evidence first."""
    region = ndimage.gaussian_filter(share, _ROUND) > 0.5
    labels, count = ndimage.label(region)
    support = ndimage.sum_labels(heat, labels, range(1, count + 1))
    pieces = [ndimage.binary_fill_holes(labels == 1 + at) for at in np.argsort(-support)]
    return [piece for piece in pieces if _MIN_SHARE <= piece.mean() <= _MAX_SHARE]


def _regional(look: Floats, evidence: Floats) -> Floats:
    """The mean evidence of the even regions that a cell lies in, at several sizes of region.

    A region along much of the picture's border is background, and counts less.
    """
    total = np.zeros(evidence.shape)
    for scale in _REGIONS:
        with warnings.catch_warnings():  # that six channels may be an accident
            warnings.simplefilter("ignore", RuntimeWarning)
            labels = felzenszwalb(look / 100, scale=scale, sigma=0.6, min_size=12, channel_axis=-1)
        area = np.bincount(labels.ravel()).astype(np.float64)
        rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        along = np.bincount(rim, minlength=len(area)) / np.sqrt(area)
        mean = np.bincount(labels.ravel(), evidence.ravel()) / area
        total += (mean * (1 - _BORDER * np.minimum(along / 4, 1)))[labels]
    return (2 * total / len(_REGIONS) + evidence) / 3


def _laplacian(look: Floats) -> sparse.csr_matrix:
    """The Laplacian of the graph of neighbouring cells, weighted by the similarity of each pair."""
    rows, columns, _ = look.shape
    number = np.arange(rows * columns).reshape(rows, columns)
    pairs, weights = [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = number[: rows - down, max(0, -right) : columns - max(0, right)]
        b = number[down:, max(0, right) : columns + min(0, right)]
        step = np.square(
            look.reshape(-1, look.shape[2])[a.ravel()] - look.reshape(-1, look.shape[2])[b.ravel()]
        ).sum(axis=1)
        pairs.append(np.stack([a.ravel(), b.ravel()]))
        weights.append((np.exp(-step / (2 * _EDGE**2)) + 0.005) / np.hypot(down, right))
    i, j = np.concatenate(pairs, axis=1)
    weight = np.concatenate(weights)
    graph = sparse.coo_matrix((weight, (i, j)), shape=(number.size, number.size))
    laplacian: sparse.csr_matrix = sparse.csgraph.laplacian((graph + graph.T).tocsr()).tocsr()
    return laplacian
