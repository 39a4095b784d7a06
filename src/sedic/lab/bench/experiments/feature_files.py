"""Features for FID and KID, kept picture by picture, and the distances once all are there.

A file holds the (1 + patches, 2048) features of one picture: of the whole, then of its patches.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from sedic.errors import SedicError
from sedic.files import make_folder, read_bounded, write_atomically
from sedic.lab.bench.distributions import fid, kid, patches
from sedic.lab.bench.experiments import ORIGINAL, Cell, kept_picture_path

if TYPE_CHECKING:
    from sedic.picture import Picture

SETS = {"FID": fid, "KID": kid}
NAMES = tuple(f"{name} ({of})" for of in ("256-patches", "pictures") for name in SETS)
_MAX_BYTES = 1 << 28


class Network(Protocol):
    """What makes features: ``Inception``, or a stand-in for it."""

    def features(self, picture: Picture) -> npt.NDArray[np.float32]:
        """One vector of a (height, width, 3) uint8 picture."""


@dataclass(frozen=True)
class Features:
    """The features of a run, in ``folder``."""

    folder: Path
    network: Network

    def keep(self, picture: Picture, name: str, cell: Cell) -> None:
        """Write the features of a picture and its patches, unless the file is there."""
        path = _path(self.folder, name, cell)
        if path.is_file():
            return
        make_folder(self.folder)
        features = [self.network.features(part) for part in (picture, *patches(picture))]
        file = io.BytesIO()
        np.save(file, np.stack(features), allow_pickle=False)
        write_atomically(path, file.getvalue())


def distances(folder: Path, pictures: Sequence[str], cell: Cell) -> tuple[dict[str, float], str]:
    """FID and KID of a cell's decoded pictures, and why some of them cannot be computed."""
    try:
        decoded, originals = (
            [_read(_path(folder, name, which)) for name in pictures]
            for which in (cell, (ORIGINAL, ""))
        )
    except SedicError as error:
        return {}, str(error)
    values, reasons = {}, []
    for of, part in (("256-patches", slice(1, None)), ("pictures", slice(0, 1))):
        for name, distance in SETS.items():
            try:
                values[f"{name} ({of})"] = distance(
                    [block[part] for block in decoded], [block[part] for block in originals]
                )
            except SedicError as error:
                reasons.append(f"{name} ({of}): {error}")
    return values, "; ".join(reasons)


def _path(folder: Path, name: str, cell: Cell) -> Path:
    return kept_picture_path(folder, name, cell).with_suffix(".npy")


def _read(path: Path) -> npt.NDArray[np.float32]:
    data = io.BytesIO(read_bounded(path, _MAX_BYTES))
    try:
        return np.asarray(np.load(data, allow_pickle=False), np.float32)
    except (ValueError, EOFError) as error:
        raise SedicError(f"{path.name} holds no features") from error
