"""The sidecar: a caller's own description of a picture as a JSON file, read and written.

    {"overall": str, "objects": [{"name": str, "detail": str, "mask": MASK}]}

MASK is the path of a PNG file (relative to the JSON file and inside its folder; brighter than half
is inside) or a COCO run-length code {"size": [height, width], "counts": [...] or its compressed
string}. It covers the whole picture, at any resolution with the picture's proportions.

A sidecar is hostile input: everything is checked before anything is allocated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sedic.describe.description import Described, Description, begin, one_line
from sedic.errors import SedicError, UnsuitableInputError
from sedic.files import read_bounded, write_atomically
from sedic.semantics import (
    MAX_NAME_WORDS,
    MAX_OBJECTS,
    MAX_PIXELS,
    MAX_SIDE,
    Mask,
    ObjectLayer,
    Rate,
    check_size,
    grid_size,
    leading_words,
)

if TYPE_CHECKING:
    from sedic.picture import Picture

MAX_FILE_BYTES = 1 << 24

Cells = npt.NDArray[np.bool_]


class SidecarDescriber:
    """The describer ``sidecar``: the words and masks of the file ``source``."""

    def __init__(self, profile: object, model: str = "", source: Path | None = None) -> None:
        if source is None:
            raise UnsuitableInputError("the describer 'sidecar' needs a file: --semantics FILE")
        self._source = source

    def describe(self, picture: Picture, rate: Rate, method: str = "sedic") -> Described:
        """See ``description.Describer``; all that the file says, whatever ``rate`` asks for."""
        height, width = picture.shape[:2]
        return Described(load(self._source, width, height))


def load(path: Path, width: int, height: int) -> Description:
    """The description in the JSON file at ``path``, for a ``width`` x ``height`` picture.

    Texts come out as ``ObjectLayer`` wants them: one line, within the limits, the detail beginning
    with the name. Masks come out on the picture's 1/8 grid, where a cell is set when at least half
    of its area is; a mask too small for that keeps its fullest cell. Raises ``SedicError`` naming
    the part of the file that is wrong.
    """
    check_size(width, height)
    data = read_bounded(path, MAX_FILE_BYTES)
    try:
        scene = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SedicError(f"{path}: not a JSON file") from error
    objects = _get(scene, "objects", list, "the scene")
    if len(objects) > MAX_OBJECTS:
        raise SedicError(f"{path}: {len(objects)} objects; at most {MAX_OBJECTS}")
    found = []
    for number, item in enumerate(objects, start=1):
        where = f"object {number}"
        name = leading_words(one_line(_get(item, "name", str, where)), MAX_NAME_WORDS)
        if not name:
            raise SedicError(f"{path}: {where} has no name")
        name, detail = begin(name, one_line(_get(item, "detail", str, where)))
        mask = _mask(_get(item, "mask", (str, dict), where), path.parent, where)
        cells = _on_grid(mask, width, height, where)
        found.append(ObjectLayer(name, detail, Mask.of(cells)))
    return Description(one_line(_get(scene, "overall", str, "the scene")), tuple(found))


def save(description: Description, path: Path, *, force: bool = False) -> None:
    """Write ``description`` to ``path``. Raises ``OutputError`` as ``write_atomically`` does."""
    write_atomically(path, to_json(description).encode(), force=force)


def to_json(description: Description) -> str:
    """``description`` as the text of a file, self-contained: the masks as COCO run lengths.

    ``load`` gives it back as it was.
    """
    objects = [
        {"name": found.name, "detail": found.detail, "mask": _run_lengths(found.mask.array)}
        for found in description.objects
    ]
    scene = {"overall": description.overall, "objects": objects}
    return json.dumps(scene, ensure_ascii=False) + "\n"


def _get(parent: object, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    if not isinstance(parent, dict) or not isinstance(parent.get(key), kind):
        raise SedicError(f'semantics file: {where} needs a valid "{key}"')
    return parent[key]


def _mask(mask: str | dict[str, Any], folder: Path, where: str) -> Cells:
    if isinstance(mask, str):
        return _read_png(mask, folder, where)
    size = _get(mask, "size", list, f"the mask of {where}")
    if len(size) != 2 or any(type(n) is not int or not 1 <= n <= MAX_SIDE for n in size):
        raise SedicError(f"the mask of {where}: size must be [height, width]")
    height, width = size
    if height * width > MAX_PIXELS:
        raise SedicError(f"the mask of {where}: more than {MAX_PIXELS} pixels")
    counts = _get(mask, "counts", (list, str), f"the mask of {where}")
    if isinstance(counts, str):
        counts = _decompress(counts, where)
    if any(type(n) is not int or n < 0 for n in counts) or sum(counts) != height * width:
        raise SedicError(f"the mask of {where}: the runs do not add up to {height * width} pixels")
    runs = np.array(counts, np.int64)
    cells = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return cells.reshape(width, height).T  # COCO counts down the columns


def _read_png(name: str, folder: Path, where: str) -> Cells:
    from PIL import Image

    try:
        inside = folder.resolve()
        path = (inside / name).resolve()
        if not path.is_relative_to(inside):
            raise SedicError(f"the mask of {where} must lie in the folder of the semantics file")
        with Image.open(path, formats=["PNG"]) as image:
            check_size(*image.size)
            return np.asarray(image.convert("L")) > 127
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SedicError(f"the mask of {where} is not a readable PNG file") from error


def _decompress(text: str, where: str) -> list[int]:
    """The counts in COCO's string: five bits a character, low ones first, bit 5 for "goes on";
    from the fourth on, differences from the count two before."""
    counts: list[int] = []
    value = shift = 0
    for code in (ord(c) - 48 for c in text):
        if not 0 <= code < 64 or shift > 30:
            raise SedicError(f"the mask of {where}: not a COCO run-length string")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise SedicError(f"the mask of {where}: the run-length string is cut off")
    return counts


def _run_lengths(mask: Cells) -> dict[str, list[int]]:
    cells = mask.T.ravel()
    turns = np.flatnonzero(np.diff(cells)) + 1
    borders = [0, *([0] if cells[0] else []), *turns.tolist(), len(cells)]
    return {"size": list(mask.shape), "counts": np.diff(borders).tolist()}


def _on_grid(mask: Cells, width: int, height: int, where: str) -> Cells:
    if not mask.any():
        raise SedicError(f"the mask of {where} is empty")
    rows, columns = mask.shape
    if (columns, rows) == grid_size(width, height):
        return mask
    if abs(columns * height / width - rows) > 1 and abs(rows * width / height - columns) > 1:
        raise SedicError(
            f"the mask of {where} is {columns}x{rows}: not the proportions of {width}x{height}"
        )
    from sedic.describe.salience import on_grid

    return on_grid(mask, width, height)
