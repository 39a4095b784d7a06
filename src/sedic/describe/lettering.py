"""Words and numbers in a picture, read by RapidOCR where it is installed (``sedic[ocr]``).

No decoder can guess what is written in a picture, so it is quoted: ``sail reading "14255"``. The
reader's result is untrusted text; it is reduced to letters, digits and common signs before it is
used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sedic.picture import Picture

MIN_CONFIDENCE = 0.95  # of the reader, for a line that is used
LONGEST = 32  # characters of a line that is quoted
_LONG_SIDE = 1536  # pixels, to which larger pictures are reduced before reading
_MIN_CHARACTERS = 2  # letters and digits of a line that is quoted
_MIN_AREA = 0.0004  # share of the picture, of lettering that becomes an object
_UNUSUAL = re.compile(r"[^\w .:&/#+'’!?%$€£@-]+")  # commas would end a phrase

Region = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """A line of lettering: what it says, and its four corners (4, 2), x and y as shares of width
    and height."""

    text: str
    corners: npt.NDArray[np.float64]

    @property
    def area(self) -> float:
        """The share of the picture between the corners."""
        x, y = self.corners.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


Reader = Callable[["Picture"], Sequence[Line]]


def nothing(picture: Picture) -> Sequence[Line]:
    """Reads nothing."""
    return ()


def reader() -> Reader:
    """RapidOCR as a ``Reader``, loaded when it first reads; ``nothing`` where it is not
    installed."""
    if find_spec("rapidocr") is None:
        return nothing
    engine: Any = None

    def read(picture: Picture) -> Sequence[Line]:
        nonlocal engine
        if engine is None:
            from rapidocr import RapidOCR

            threads = int(os.environ.get("OMP_NUM_THREADS") or -1)
            engine = RapidOCR(
                params={
                    "Global.log_level": "critical",
                    "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                }
            )
        return list(_lines(picture, engine))

    return read


def _lines(picture: Picture, engine: Any) -> Iterator[Line]:
    from sedic.describe.region_features import reduce

    small = reduce(picture, _LONG_SIDE)
    result = engine(np.ascontiguousarray(small[..., ::-1]))  # it wants blue first
    if result.txts is None:
        return
    size = np.array([small.shape[1], small.shape[0]], np.float64)
    for text, confidence, corners in zip(result.txts, result.scores, result.boxes, strict=True):
        if confidence >= MIN_CONFIDENCE and (words := plain(text)):
            yield Line(words, np.clip(np.asarray(corners, np.float64).reshape(4, 2) / size, 0, 1))


def plain(text: str) -> str:
    """A line of lettering as it may be quoted; "" where it is too short or too long."""
    line = " ".join(_UNUSUAL.sub(" ", text).split())
    enough = sum(char.isalnum() for char in line) >= _MIN_CHARACTERS
    return line if enough and len(line) <= LONGEST else ""


def region_of(line: Line, shape: tuple[int, int]) -> Region:
    """The cells (rows, columns) whose centre lies in the line's corners; the nearest one at
    least."""
    rows, columns = shape
    y, x = (np.indices(shape) + 0.5) / np.array([rows, columns]).reshape(2, 1, 1)
    turns = []
    for (ax, ay), (bx, by) in zip(line.corners, np.roll(line.corners, -1, axis=0), strict=True):
        turns.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
    inside = np.all(np.array(turns) >= 0, axis=0) | np.all(np.array(turns) <= 0, axis=0)
    if not inside.any():
        middle = line.corners.mean(axis=0)
        inside[min(int(middle[1] * rows), rows - 1), min(int(middle[0] * columns), columns - 1)] = 1
    return np.asarray(inside, np.bool_)


def worth_an_object(line: Line) -> bool:
    """Whether the line is large enough to be an object of its own."""
    return line.area >= _MIN_AREA


def quoting(name: str, text: str) -> tuple[str, str]:
    """The name of an object with the lettering on it, and the phrase that begins its detail.

    ``sail`` and ``14255`` give ``sail reading "14255"`` for both: a name of three words, which is
    never cut. If that name would be too long, the name stays ``sail``.
    """
    phrase = f'{name} reading "{text}"'
    return (phrase if len(phrase.split()) <= 3 else name), phrase
