"""People, by their faces, where a detector of faces is installed (``sedic[faces]``).

ImageNet has no class for people. A face counts if it is detected in two views, of which the second
is mirrored and of another size. The region of a person is estimated from the face: head, shoulders
and the body below it, as far as colour and texture there belong to one object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from sedic.errors import MissingWeightsError

if TYPE_CHECKING:
    from sedic.models.faces import Face

Picture = npt.NDArray[np.uint8]
Region = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]  # top, left, bottom, right, as shares of height and width

MIN_CHANCE = 0.6  # of a face in both views; set on held-out photographs (docs/DESCRIBERS.md)
MAX_PEOPLE = 3  # of one picture, the largest faces first
FOREGROUND = 0.08  # height of a face in the foreground, over the picture's shorter side
_SMALLEST = 0.03  # the same of the smallest face that counts
_SIDES = (640, 448)  # pixels of the long side of the two views
_MIN_OVERLAP = 0.3  # intersection over union of one face in both views
# The likely region of a body, in heights of the face's box, from the middle of that.
_HEAD_WIDTH, _BODY_WIDTH = 0.75, 1.5
_NECK, _FEET = 0.6, 7.0


@dataclass(frozen=True)
class Person:
    """A person: the smaller of the face's chances in the two views, and the box of the face."""

    chance: float
    face: Box


Finder = Callable[[Picture], Sequence[Person]]


def find_nobody(picture: Picture) -> Sequence[Person]:
    """Finds no people."""
    return ()


def finder() -> Finder:
    """The detector as a ``Finder``; ``find_nobody`` where its package is not installed."""
    from sedic.models import faces

    try:
        network = faces.load_face_finder()
    except MissingWeightsError:
        return find_nobody
    return lambda picture: confirmed(picture, network.find)


def confirmed(picture: Picture, find: Callable[[Picture, float], Sequence[Face]]) -> list[Person]:
    """The people whose faces are in both views of a (height, width, 3) uint8 picture, the largest
    first. ``find`` is a function like ``FaceFinder.find``."""
    found = found_twice(picture, find, _SIDES, MIN_CHANCE)
    people = [person for person in found if _height(person.face, picture) >= _SMALLEST]
    return sorted(people, key=lambda one: one.face[0] - one.face[2])[:MAX_PEOPLE]


def found_twice(
    picture: Picture,
    find: Callable[[Picture, float], Sequence[Face]],
    sides: tuple[int, int],
    min_chance: float,
) -> list[Person]:
    """All faces that have at least ``min_chance`` in both views of a picture, surest first.

    ``sides``: pixels of the long side of the view as it is and of the mirrored one.
    """
    from sedic.models.faces import overlap

    looks = []
    for side, mirrored in zip(sides, (False, True), strict=True):
        view = _view(picture, side)
        faces = find(np.ascontiguousarray(view[:, ::-1]) if mirrored else view, min_chance)
        looks.append([_share(face, view.shape, mirrored) for face in faces])
    people = []
    for chance, box in looks[0]:
        again = [other for other, there in looks[1] if overlap(box, there) >= _MIN_OVERLAP]
        if again:
            people.append(Person(min(chance, max(again)), box))
    return people


def in_foreground(person: Person, picture: Picture) -> bool:
    """Whether the face is large enough for the person to be the subject of the picture."""
    return _height(person.face, picture) >= FOREGROUND


def _height(box: Box, picture: Picture) -> float:
    """The height of a box over the picture's shorter side."""
    return float((box[2] - box[0]) * picture.shape[0] / min(picture.shape[:2]))


def _view(picture: Picture, side: int) -> Picture:
    """The picture with its long side at about ``side`` pixels, as a view may have."""
    from sedic.models.faces import MULTIPLE

    scale = side / max(picture.shape[:2])
    rows, columns = (MULTIPLE * max(1, round(n * scale / MULTIPLE)) for n in picture.shape[:2])
    resized = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _share(face: Face, shape: tuple[int, ...], mirrored: bool) -> tuple[float, Box]:
    """The chance of a face in a view of ``shape``, and its box as shares of the picture."""
    top, left, bottom, right = face.box
    if mirrored:
        left, right = shape[1] - right, shape[1] - left
    box = top / shape[0], left / shape[1], bottom / shape[0], right / shape[1]
    return face.chance, box


def likely(person: Person, shape: tuple[int, int], aspect: float) -> Floats:
    """Where the person may be, 0 to 1, on a raster (rows, columns).

    ``aspect``: the picture's height by its width.
    """
    rows, columns = shape
    y, x = (np.indices(shape) + 0.5) / np.array([rows, columns]).reshape(2, 1, 1)
    top, left, bottom, right = person.face
    high = max(bottom - top, 1e-3)
    down = (y - (top + bottom) / 2) / high  # all in heights of the face
    across = np.abs(x - (left + right) / 2) / aspect / high
    neck = np.clip((down - _NECK) / _NECK, 0, 1)
    width = _HEAD_WIDTH + (_BODY_WIDTH - _HEAD_WIDTH) * neck
    fades = np.exp(-np.square(across / width)) * np.where(down < 0, np.exp(-np.square(down)), 1)
    return np.asarray(fades * np.clip(1 - np.maximum(down, 0) / _FEET, 0, 1))


def face_region(person: Person, shape: tuple[int, int]) -> Region:
    """The cells (rows, columns) of the face; one at least."""
    region = np.zeros(shape, np.bool_)
    top, left, bottom, right = person.face
    rows, columns = (
        slice(int(low * size), max(int(np.ceil(high * size)), int(low * size) + 1))
        for low, high, size in ((top, bottom, shape[0]), (left, right, shape[1]))
    )
    region[rows, columns] = True
    return region
