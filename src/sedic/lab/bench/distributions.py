"""FID and KID: distances of the features of decoded pictures from those of the originals.

Both compare two sets of feature vectors, of whole pictures or of 256 x 256 patches (HiFiC's, which
MS-ILLM reports too). Features are kept by the caller, picture by picture, so that a stopped run
resumes; here they are only read, a block at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sedic.errors import SedicError
from sedic.picture import Picture

Features = Sequence[npt.NDArray[np.float32]]  # blocks of (vectors, dimensions)

PATCH = 256
FEWEST_KID = 100  # vectors; below, the estimate's own spread is larger than what it measures


def patches(picture: Picture) -> Iterator[Picture]:
    """256 x 256 tiles from the corner, and those from (128, 128) on; the rest is left out.

    A picture of h x w gives h'w' + (h'' w''), e.g. 8 for 768 x 512.
    """
    height, width = picture.shape[:2]
    for start in (0, PATCH // 2):
        for top in range(start, height - PATCH + 1, PATCH):
            for left in range(start, width - PATCH + 1, PATCH):
                yield picture[top : top + PATCH, left : left + PATCH]


def fid(decoded: Features, originals: Features) -> float:
    """Fréchet distance of two Gaussians fitted to the features (Heusel et al. 2017).

    ``SedicError`` unless both sets have more vectors than dimensions: a covariance matrix of fewer
    has no full rank, and the distance would be mostly bias.
    """
    count, dimensions = _size(decoded, originals)
    if count <= dimensions:
        raise SedicError(
            f"{count} vectors are too few for FID: it needs more than {dimensions}; use KID,"
            " patches or a larger dataset"
        )
    (mean_a, spread_a), (mean_b, spread_b) = (_moments(blocks) for blocks in (decoded, originals))
    values, vectors = np.linalg.eigh(spread_a)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    # The trace of sqrt(A B) is that of sqrt(sqrt(A) B sqrt(A)), which is symmetric.
    shared = np.sqrt(np.linalg.eigvalsh(root @ spread_b @ root).clip(min=0)).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(spread_a) + np.trace(spread_b)
    return float(distance - 2 * shared)


def kid(decoded: Features, originals: Features) -> float:
    """Squared maximum mean discrepancy (Bińkowski et al. 2018), unbiased; may be below 0.

    Kernel (x y / d + 1)^3 over all pairs, which has the mean of the usual random subsets and less
    spread. ``SedicError`` with fewer than ``FEWEST_KID`` vectors on a side.
    """
    count, _ = _size(decoded, originals)
    if count < FEWEST_KID:
        raise SedicError(f"{count} vectors are too few for KID: it needs {FEWEST_KID}")
    within = _mean_kernel(decoded, decoded) + _mean_kernel(originals, originals)
    return within - 2 * _mean_kernel(decoded, originals)


def _size(decoded: Features, originals: Features) -> tuple[int, int]:
    """The number of vectors in the smaller set, and their dimensions."""
    if not decoded or not originals:
        raise SedicError("no features: FID and KID need pictures on both sides")
    count = min(sum(len(block) for block in blocks) for blocks in (decoded, originals))
    return count, decoded[0].shape[1]


def _moments(blocks: Features) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean (d,) and unbiased covariance (d, d) of the vectors."""
    count = sum(len(block) for block in blocks)
    mean = np.sum([block.sum(0, dtype=np.float64) for block in blocks], 0) / count
    spread = np.zeros((len(mean), len(mean)))
    for block in blocks:
        centred = block - mean
        spread += centred.T @ centred
    return mean, spread / (count - 1)


def _mean_kernel(first: Features, second: Features) -> float:
    """The kernel's mean over all pairs of different vectors."""
    same = first is second
    total = pairs = 0.0
    for i, x in enumerate(first):
        for j, y in enumerate(second):
            kernel = (x.astype(np.float64) @ y.T / x.shape[1] + 1) ** 3
            total += kernel.sum()
            pairs += kernel.size
            if same and i == j:
                total -= np.trace(kernel)
                pairs -= len(x)
    return total / pairs
