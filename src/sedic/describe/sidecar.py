"""The sidecar: a caller's own description of a picture as a JSON file, read and written.

    {"overall": str, "objects": [{"name": str, "detail": str, "mask": MASK}]}

MASK is the path of a picture file (relative to the JSON file and inside its folder; read by
``picture.load_mask``: brighter than half is inside, or what is opaque in a cut-out) or a COCO
run-length code {"size": [height, width], "counts": [...] or its compressed string}. It covers the
whole picture, at any resolution with the picture's proportions.

A sidecar is hostile input: everything is checked before anything is allocated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sedic.describe.description import DescriberResult, Description, begin, one_line
from sedic.errors import LimitError, SedicError, UnsuitableInputError
from sedic.files import printable, read_bounded, write_atomically
from sedic.picture import load_mask
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

    def describe(self, picture: Picture, rate: Rate, method: str = "sedic") -> DescriberResult:
        """See ``description.Describer``. The result is all of the file, whatever ``rate`` is."""
        height, width = picture.shape[:2]
        return DescriberResult(load_description(self._source, width, height))


def load_description(path: Path, width: int, height: int) -> Description:
    """The description in the JSON file at ``path``, for a ``width`` x ``height`` picture.

    Texts come out as ``ObjectLayer`` wants them: one line, within the limits, the detail beginning
    with the name. Masks come out on the picture's 1/8 grid, where a cell is set when at least half
    of its area is; a mask too small for that keeps its fullest cell. Raises ``SedicError`` naming
    the part of the file that is wrong.
    """
    check_size(width, height)
    scene, file = _read_json(path), printable(path)
    objects = _get(scene, "objects", list, file)
    if len(objects) > MAX_OBJECTS:
        raise LimitError(f"{file}: {len(objects)} objects; at most {MAX_OBJECTS}")
    layers = []
    for number, item in enumerate(objects, start=1):
        where = f"{file}: object {number}"
        name = leading_words(one_line(_get(item, "name", str, where)), MAX_NAME_WORDS)
        if not name:
            raise UnsuitableInputError(f'{where}: "name" must not be empty')
        name, detail = begin(name, one_line(_get(item, "detail", str, where)))
        mask = _mask(_get(item, "mask", (str, dict), where), path.parent, f"{where}: mask")
        cells = _on_grid(mask, width, height, f"{where}: mask")
        layers.append(ObjectLayer(name, detail, Mask.of(cells)))
    return Description(one_line(_get(scene, "overall", str, file)), tuple(layers))


def to_json(description: Description) -> bytes:
    """The sidecar of ``description``, self-contained: the masks as COCO run lengths."""
    objects = [
        {"name": layer.name, "detail": layer.detail, "mask": _run_lengths(layer.mask.array)}
        for layer in description.objects
    ]
    scene = {"overall": description.overall, "objects": objects}
    return (json.dumps(scene, ensure_ascii=False) + "\n").encode()


def save_description(description: Description, path: Path, *, force: bool = False) -> None:
    """Write ``to_json(description)`` to ``path``; ``load_description`` reads it back.

    Raises ``OutputError`` where ``write_atomically`` does.
    """
    write_atomically(path, to_json(description), force=force)


_FORM = '{"overall": text, "objects": [{"name": text, "detail": text, "mask": mask}]}'
_KINDS = {
    str: "a text",
    list: "a list",
    dict: "an object",
    (str, dict): 'a file name or {"size": [height, width], "counts": [...]}',
    (list, str): "a list of numbers or a text",
}
_JSON_NAMES = {bool: "true or false", int: "a number", float: "a number", type(None): "null"}


def _read_json(path: Path) -> object:
    data = read_bounded(path, MAX_FILE_BYTES)
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise UnsuitableInputError(f"{printable(path)}: not valid JSON ({place})") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, a huge number, too deep
        raise UnsuitableInputError(f"{printable(path)}: not a JSON file of {_FORM}") from error


def _get(parent: object, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    if not isinstance(parent, dict):
        form = _FORM if key in ("objects", "overall") else f'an object with "{key}"'
        raise UnsuitableInputError(f"{where} must be {form}, not {_kind_of(parent)}")
    if key not in parent:
        raise UnsuitableInputError(f'{where} must have "{key}", {_KINDS[kind]}')
    if not isinstance(parent[key], kind):
        kind_found = _kind_of(parent[key])
        raise UnsuitableInputError(f'{where}: "{key}" must be {_KINDS[kind]}, not {kind_found}')
    return parent[key]


def _kind_of(value: object) -> str:
    return _JSON_NAMES.get(type(value)) or _KINDS[type(value)]


def _mask(mask: str | dict[str, Any], folder: Path, where: str) -> Cells:
    if isinstance(mask, str):
        return _read_picture(mask, folder, where)
    size = _get(mask, "size", list, where)
    if len(size) != 2 or any(type(n) is not int or not 1 <= n <= MAX_SIDE for n in size):
        raise UnsuitableInputError(f'{where}: "size" must be [height, width]')
    height, width = size
    if height * width > MAX_PIXELS:
        raise LimitError(f"{where}: more than {MAX_PIXELS} pixels")
    counts = _get(mask, "counts", (list, str), where)
    if isinstance(counts, str):
        counts = _decompress(counts, where)
    if any(type(n) is not int or n < 0 for n in counts) or sum(counts) != height * width:
        raise UnsuitableInputError(f"{where}: the runs do not add up to {height * width} pixels")
    runs = np.array(counts, np.int64)
    cells = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return cells.reshape(width, height).T  # COCO counts down the columns


def _read_picture(name: str, folder: Path, where: str) -> Cells:
    try:
        inside = folder.resolve()
        path = (inside / name).resolve()
        if not path.is_relative_to(inside):
            raise UnsuitableInputError(f"{where} must lie in the folder of the semantics file")
        if path.exists() and not path.is_file():  # a pipe would never end
            raise UnsuitableInputError(f"{where}: {printable(path)} is not a file")
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a loop of links
        if isinstance(error, SedicError):
            raise
        raise UnsuitableInputError(f"{where}: {printable(name)} is no file name") from error
    try:
        return load_mask(path)
    except SedicError as error:
        raise type(error)(f"{where}: {error}") from error


def _decompress(text: str, where: str) -> list[int]:
    """The counts in COCO's string: five bits a character, low ones first, bit 5 for "goes on";
    from the fourth on, differences from the count two before."""
    counts: list[int] = []
    value = shift = 0
    for code in (ord(c) - 48 for c in text):
        if not 0 <= code < 64 or shift > 30:
            raise UnsuitableInputError(f"{where}: not a COCO run-length string")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise UnsuitableInputError(f"{where}: the run-length string is cut off")
    return counts


def _run_lengths(mask: Cells) -> dict[str, list[int]]:
    cells = mask.T.ravel()
    turns = np.flatnonzero(np.diff(cells)) + 1
    borders = [0, *([0] if cells[0] else []), *turns.tolist(), len(cells)]
    return {"size": list(mask.shape), "counts": np.diff(borders).tolist()}


def _on_grid(mask: Cells, width: int, height: int, where: str) -> Cells:
    if not mask.any():
        raise UnsuitableInputError(f"{where}: no pixel is inside (brighter than half, or opaque)")
    rows, columns = mask.shape
    if (columns, rows) == grid_size(width, height):
        return mask
    if abs(columns * height / width - rows) > 1 and abs(rows * width / height - columns) > 1:
        raise UnsuitableInputError(
            f"{where} is {columns}x{rows}: not the proportions of {width}x{height}"
        )
    from sedic.describe.salience import on_grid

    return on_grid(mask, width, height)
