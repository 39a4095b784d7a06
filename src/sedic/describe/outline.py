"""From evidence to an outline: what of a picture belongs to the thing that a map points at.

A map of class activation is highest where a class is told most easily, on a face or a beak; it is
blurred, and it covers some of what is around. So every look (a cluster of colour and texture) is
given the mean evidence of all the cells that look so: sky around a lighthouse looks like much other
sky and gets little, a cat's back looks like its head and gets much. Every cell then goes to the
side of its look unless its neighbours differ: random walks with prior models (Grady 2005), a few
rounds, as in GrabCut (Rother, Kolmogorov and Blake 2004).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.cluster.vq import kmeans2
from scipy.sparse.linalg import spsolve

Floats = npt.NDArray[np.float64]
Region = npt.NDArray[np.bool_]

ROUNDS = 3
_LOOKS = 28  # clusters of colour and texture
_SMOOTH = 10.0  # how much neighbours count against a cell's own look
_EDGE = 8.0  # difference between neighbours, in units of L*, that divides them
_TRUST = 1.0  # of the evidence at a cell against that of its look
_NEUTRAL = 0.3  # evidence that speaks for neither side
_LEAST, _MOST = 0.004, 0.9  # share of the picture that a thing may fill
_SURE = 3.0  # log odds, at most


def outline(look: Floats, heat: npt.NDArray[np.floating]) -> Region | None:
    """The cells (rows, columns) of the thing that ``heat`` (rows, columns), 0 to 1, points at.

    ``look`` (rows, columns, channels): colour and texture in units of L*. The region is in one
    piece, without holes. None where it is too small or nearly everything.
    """
    rows, columns = heat.shape
    flat = look.reshape(-1, look.shape[2])
    evidence = np.clip(np.asarray(heat, np.float64).ravel(), 0, 1)
    laplacian = _laplacian(look)
    centres, _ = kmeans2(flat, min(_LOOKS, len(flat)), iter=10, minit="++", seed=0)
    away = np.square(flat[:, None] - centres[None]).sum(axis=2)
    near = np.exp(-(away - away.min(axis=1, keepdims=True)) / (2 * _EDGE**2))
    near /= near.sum(axis=1, keepdims=True)  # how much of each look a cell has
    own = np.clip((evidence - _NEUTRAL) / _NEUTRAL, -1.5, 2.0)
    share, neutral = evidence, _NEUTRAL
    for _ in range(ROUNDS):
        mean = (near.T @ share) / (near.sum(axis=0) + 1e-9)  # of each look
        odds = near @ (_logit(mean) - _logit(neutral))
        prior = 1 / (1 + np.exp(-np.clip(odds + _TRUST * own, -_SURE, _SURE)))
        weight = np.abs(2 * prior - 1) + 0.05
        system = (_SMOOTH * laplacian + sparse.diags(weight)).tocsc()
        share, neutral = spsolve(system, weight * prior), 0.5
        share = np.clip(share, 0, 1)
    region = _one_piece((share > 0.5).reshape(rows, columns), np.asarray(heat, np.float64))
    return region if _LEAST <= region.mean() <= _MOST else None


def _logit(share: float | Floats) -> Floats:
    bounded = np.clip(share, 0.02, 0.98)
    return np.asarray(np.log(bounded / (1 - bounded)))


def _laplacian(look: Floats) -> sparse.csr_matrix:
    """The graph of neighbouring cells, each pair weighted by how alike they look."""
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
        weights.append((np.exp(-step / (2 * _EDGE**2)) + 0.01) / np.hypot(down, right))
    i, j = np.concatenate(pairs, axis=1)
    weight = np.concatenate(weights)
    graph = sparse.coo_matrix((weight, (i, j)), shape=(number.size, number.size))
    found: sparse.csr_matrix = sparse.csgraph.laplacian((graph + graph.T).tocsr()).tocsr()
    return found


def _one_piece(region: Region, heat: Floats) -> Region:
    """The piece of ``region`` with most evidence, smoothed, its holes filled."""
    region = ndimage.gaussian_filter(region.astype(np.float64), 0.8) > 0.5
    labels, count = ndimage.label(region)
    if count > 1:
        region = labels == 1 + np.argmax(ndimage.sum_labels(heat, labels, range(1, count + 1)))
    return np.asarray(ndimage.binary_fill_holes(region), np.bool_)
