"""The faces of training photographs: found once, kept in a file, and drawn as maps for crops.

A face counts if it is found in two views, as when encoding (``sedic.describe.people``), but the
views are larger, so that smaller faces are found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sedic.describe.people import found_twice
from sedic.errors import DamagedFileError
from sedic.files import check_output, make_folder, printable, read_bounded, write_atomically
from sedic.lab.train.photos import Photograph
from sedic.models.faces import Face, load_face_finder
from sedic.picture import Picture
from sedic.semantics import MAX_SIDE

Boxes = npt.NDArray[np.float32]  # (n, 4): top, left, bottom, right in pixels
Map = npt.NDArray[np.float32]  # (rows, columns), 0 to 1
Finder = Callable[[Picture, float], Sequence[Face]]  # like ``FaceFinder.find``

MIN_CHANCE = 0.4  # of a face, in both views
MIN_SIZE = 12, 6  # height and width in pixels of the photograph
CELL = 8  # pixels of a crop, as it is shown, for one position of its map
_ENLARGED = 1.75  # the first view's side over the photograph's,
_LONGEST = 1280  # and its most pixels
_SECOND = 0.75  # the second view's side over the first's
_GROWN = 1.15  # the ellipse's axes over the sides of the box
_POINTS = 4  # of a cell, each way, that are tested for being in a face
_SAVE_EVERY = 100  # photographs
_MAX_FILE_BYTES = 1 << 24


def find_faces(
    photographs: Sequence[Photograph],
    file: Path,
    progress: Callable[[int], None],
    find: Finder | None = None,
) -> list[Boxes]:
    """The boxes of the faces of each photograph, (n, 4) float32: top, left, bottom, right in
    pixels, the surest face first. ``progress`` is told how many photographs are done.

    They are kept in the JSON file ``file`` by ``Photograph.name``; photographs that are in there
    already are only read. ``find`` is a function like ``FaceFinder.find``; the trained detector by
    default, which is loaded only if a photograph is not in the file yet. ``MissingWeightsError``
    without its package; ``DamagedFileError`` if the file is none of these.
    """
    kept = _load(file) if file.exists() else {}
    missing = []
    for photograph in photographs:
        boxes = kept.get(photograph.name)
        if boxes is None:
            missing.append(photograph)
        elif (boxes[:, 2:] > photograph.pixels.shape[:2]).any():
            name = printable(photograph.name)
            raise DamagedFileError(f"{printable(file)}: a face outside of {name}; delete the file")
    if missing:
        make_folder(file.parent)
        check_output(file, force=True)
        find = find or load_face_finder().find
        for done, photograph in enumerate(missing, 1):
            kept[photograph.name] = _find(photograph.pixels, find)
            if done % _SAVE_EVERY == 0 or done == len(missing):
                _save(kept, file)
            progress(len(photographs) - len(missing) + done)
    return [kept[photograph.name] for photograph in photographs]


def face_mask(boxes: Boxes, top: int, left: int, side: int, size: int) -> Map:
    """How much of each cell of a crop is in a face, 0 to 1: (size // 8, size // 8) float32.

    The crop is the square of ``side`` pixels of the photograph at row ``top`` and column ``left``,
    shown with ``size`` pixels a side. A face is the ellipse in its box, which is grown by 15 %.
    """
    cells = size // CELL
    points = (np.arange(cells * _POINTS) + 0.5) * (CELL / _POINTS * side / size)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 - (top, left)
    radius = (boxes[:, 2:] - boxes[:, :2]) / 2 * _GROWN
    down, across = np.square((points - middle[..., None]) / radius[..., None]).swapaxes(0, 1)
    inside = (down[:, :, None] + across[:, None, :] <= 1).any(0)
    seen: Map = inside.reshape(cells, _POINTS, cells, _POINTS).mean((1, 3), dtype=np.float32)
    return seen


def _find(pixels: Picture, find: Finder) -> Boxes:
    """The boxes of the faces of a photograph, in tenths of a pixel."""
    first = min(_LONGEST, round(_ENLARGED * max(pixels.shape[:2])))
    people = found_twice(pixels, find, (first, round(_SECOND * first)), MIN_CHANCE)
    boxes = np.array([person.face for person in people]).reshape(-1, 4)
    boxes = (boxes * np.tile(pixels.shape[:2], 2)).round(1)
    large = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIZE).all(1)
    found: Boxes = boxes[large].astype(np.float32)
    return found


def _save(kept: dict[str, Boxes], file: Path) -> None:
    rows = {name: boxes.astype(np.float64).round(1).tolist() for name, boxes in kept.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    write_atomically(file, f"{{\n{lines}\n}}\n".encode(), force=True)


def _load(file: Path) -> dict[str, Boxes]:
    data = read_bounded(file, _MAX_FILE_BYTES)
    try:
        names = json.loads(data)
        return {name: _checked(rows) for name, rows in names.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedFileError(
            f"{printable(file)}: no file of faces of photographs; delete it"
        ) from error


def _checked(rows: list[list[float]]) -> Boxes:
    """The boxes of one photograph; ``ValueError`` or ``TypeError`` if they are none."""
    for top, left, bottom, right in rows:
        if not (0 <= top <= bottom - 1 < MAX_SIDE and 0 <= left <= right - 1 < MAX_SIDE):
            raise ValueError("no box, or less than a pixel")
    return np.array(rows, np.float32).reshape(-1, 4)
