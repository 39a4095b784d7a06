"""Primes the ``context`` mask coder with the masks of training photographs.

The masks are those that the measured description finds, as they are and mirrored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from sedic.coding.bilevel import Cells, Weights, fresh_weights
from sedic.coding.masks import TEMPLATE, encode_planes
from sedic.coding.range_coder import RangeEncoder
from sedic.describe.measured import describe
from sedic.errors import SedicError
from sedic.files import write_atomically
from sedic.lab.train import photos
from sedic.lab.train.card import PHOTO_LICENCES
from sedic.picture import load_picture

_LIMIT = 2_000  # of the two weights of a context together, so that unlike masks soon prevail


def train(
    folders: Sequence[Path],
    out: Path,
    count: int = 400,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write the primed weights to ``out`` and a model card beside it.

    ``folders`` hold photographs, of which ``count``, drawn once for all, are described (about a
    second each); ``progress`` is told how many are done. The same photographs give the same file.
    A photograph that cannot be read is named in the log and left out. Raises ``SedicError`` if
    there are none, or no masks are found.
    """
    pictures_cells = []
    for done, path in enumerate(photos.draw(folders, count), 1):
        with photos.leaving_out(path):
            scene = describe(load_picture(path))
            pictures_cells.append([layer.mask.array for layer in scene.objects])
        progress(done)
    weights = prime(pictures_cells)
    data = save({"weights": weights})
    write_atomically(out, data, force=True)
    out.with_suffix(".md").write_text(_card(folders, pictures_cells, data), encoding="utf-8")


def prime(pictures: Sequence[Sequence[Cells]]) -> npt.NDArray[np.uint16]:
    """The (contexts, 2) weights after coding the masks of these pictures."""
    if not any(pictures):
        raise SedicError("no masks to prime the mask coder on")
    weights = fresh_weights(TEMPLATE)
    for masks in pictures:
        for flip in (1, -1):
            encode_planes(RangeEncoder(), [mask[:, ::flip] for mask in masks], weights)
    total = weights.sum(1, keepdims=True)
    scaled: Weights = np.maximum(weights * np.minimum(total, _LIMIT) // total, 1)
    return scaled.astype(np.uint16)


def _card(folders: Sequence[Path], pictures_cells: Sequence[Sequence[Cells]], data: bytes) -> str:
    rows = "\n".join(
        f"- `{folder.name}`: {PHOTO_LICENCES.get(folder.name, 'see its source')}"
        for folder in folders
    )
    masks = sum(map(len, pictures_cells))
    return f"""# The mask model

Starting weights of the `context` mask coder (`sedic/coding/masks.py`): for every context how much
speaks for a clear and for a set cell, {len(data)} bytes of safetensors with integers only, sha256
`{hashlib.sha256(data).hexdigest()}`.

Licence: Apache-2.0, like the project. Never trained or selected on Kodak.

Made by `sedic train masks` from the {masks} masks that the measured description finds in
{len(pictures_cells)} photographs of

{rows}
"""
