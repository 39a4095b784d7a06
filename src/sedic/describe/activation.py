"""Finds named objects and where they are, with class activation maps and a second classification.

The classifier first sees the whole picture at two scales, which gives an activation map for every
class. The mean of a map over a window approximates the classifier's result for that part of the
picture. The most certain windows are then cut out of the picture and classified in two views. A
name is confirmed only where both views agree.

Two kinds of evidence say where the object is: how much each position of the maps adds to the class
(Zhou et al. 2016), and which class the values at that position alone would give, which is sharper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from sedic.describe.names import Names
from sedic.models.classifier import SIDE, STRIDE, Classifier, softmax

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]  # top, left, bottom, right, as shares of height and width

# Least chances that both views must give to a class' own name, to its kind, and to wider kinds. Set
# on photographs that nothing was trained on (docs/DESCRIBERS.md).
MIN_CHANCES = (0.5, 0.6, 0.9)
_EVERYTHING: Box = (0.0, 0.0, 1.0, 1.0)
RASTER = 96  # long side of a map of evidence
_MIN_PROPOSAL = 0.2  # chance in the first view of a window that is classified again
_SCALES = (1.0, 1.75)  # of the whole picture: its short side over a view's side
_PLACE_WEIGHTS = (0.5, 1.0)  # of the evidence of single positions, at each scale
_NEARBY = 0.8  # distance from a window, over its side, at which that evidence falls to 1/e
_FLOOR = 0.05  # quantile of evidence that counts as 0
_FULL = 0.995  # quantile of evidence that counts as 1
_LONGEST = 2.5  # long side by short, beyond which a view is squeezed
_WINDOWS = (0.3, 0.45, 0.65, 0.9)  # sides of windows, by the picture's short side
_MAX_WINDOWS = 4  # windows that are classified again
_WIDER = 1.3  # side of the second view of a window, over that of the first
_FADES = 1.5  # distance from a window, over its side, at which the whole picture's evidence falls
_AROUND = 1.6  # side of a view of a window and its surroundings, over the window's
_INNER = 0.8  # side of the second view of the whole picture, over the picture's
_SAME = 0.3  # overlap (``_overlap``) from which two windows may show one object


@dataclass(frozen=True)
class Sighting:
    """An object to which both views of a window give the same name.

    ``node``: the index of the name in ``Names``; ``chance``: the smaller of the chances in the two
    views; ``box``: the window; ``heat``: where the evidence for the object is, 0 to 1, (rows,
    columns) over the whole picture.
    """

    node: int
    chance: float
    box: Box
    heat: Floats

    @property
    def whole(self) -> bool:
        """Whether it is a sighting of the whole picture."""
        return self.box == _EVERYTHING


@dataclass(frozen=True)
class Sightings:
    """The result of ``find_sightings``.

    ``confirmed``: the sightings, the narrowest names first; ``unconfirmed``: names that the first
    view proposed and the second did not confirm, with the chances in both; ``whole``: the chances
    of all names for the whole picture, (n,); ``raster``: the shape (rows, columns) of every
    ``heat``.
    """

    confirmed: tuple[Sighting, ...]
    unconfirmed: tuple[tuple[int, float, float], ...]
    whole: Floats
    raster: tuple[int, int]


def find_sightings(picture: Picture, classifier: Classifier, names: Names) -> Sightings:
    """Find named objects in a (height, width, 3) uint8 picture.

    One object may have several sightings, in several windows.
    """
    height, width = picture.shape[:2]
    views = [_view(picture, _EVERYTHING, *_size(height, width, scale)) for scale in _SCALES]
    logits, maps = zip(*(_classify(classifier, view) for view in views), strict=True)
    whole = names.chances(softmax(logits[0]))
    bias = classifier.linear.bias.cpu().numpy()
    proposals = _proposals(maps[1], bias, names)
    proposals.insert(0, (_EVERYTHING, int(np.argmax(whole * _own(names)))))
    second_looks = _look_again(picture, [box for box, _ in proposals], classifier)
    confirmed, unconfirmed = [], []
    for (box, proposed), (chances, own_map) in zip(proposals, second_looks, strict=True):
        nodes = names.chances(chances)
        node = _agreed(nodes, names)
        if node is None:
            if nodes[0, proposed] > _MIN_PROPOSAL:
                unconfirmed.append((proposed, float(nodes[0, proposed]), float(nodes[1, proposed])))
            continue
        weights = chances.mean(axis=0) * names.members[node]
        raster = _raster(height, width)
        heat = _heat(maps, own_map, box, weights / weights.sum(), raster)
        heat = _full(heat + _named_alone(maps, bias, names, node, box, raster))
        confirmed.append(Sighting(node, float(nodes[:, node].min()), box, heat))
    confirmed.sort(key=lambda sighting: (names.depth[sighting.node], -sighting.chance))
    return Sightings(tuple(confirmed), tuple(unconfirmed), whole, _raster(height, width))


def whole_view(picture: Picture) -> Picture:
    """The whole picture as the classifier first sees it: its short side a view's."""
    height, width = picture.shape[:2]
    return _view(picture, _EVERYTHING, *_size(height, width, _SCALES[0]))


def whole_looks(picture: Picture, classifier: Classifier) -> Floats:
    """The chances of the classes in two views of the whole picture, (2, classes)."""
    return _look_again(picture, [_EVERYTHING], classifier)[0][0]


def confirms(
    picture: Picture, piece: npt.NDArray[np.bool_], node: int, classifier: Classifier, names: Names
) -> bool:
    """Whether the classifier gives the name ``node``, or its kind, to the part ``piece`` alone.

    ``piece``: (rows, columns) over the whole picture.
    """
    rows, columns = (np.flatnonzero(piece.any(axis=axis)) for axis in (1, 0))
    height, width = piece.shape
    box = rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width
    logits, _ = _classify(classifier, _view(picture, _scaled(box, _WIDER), SIDE, SIDE))
    return bool(names.chances(softmax(logits))[names.line(node)[:2]].max() >= MIN_CHANCES[1])


def around(picture: Picture, box: Box) -> Picture:
    """A square view of ``box`` and what is around it; of the whole picture as it is."""
    return _view(picture, box if box == _EVERYTHING else _scaled(box, _AROUND), SIDE, SIDE)


def _size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Rows and columns of a view of the whole picture, multiples of the stride."""
    short = SIDE * scale
    factor = short / min(height, width)
    rows, columns = (
        STRIDE * max(1, round(min(n * factor, _LONGEST * short) / STRIDE)) for n in (height, width)
    )
    return rows, columns


def _raster(height: int, width: int) -> tuple[int, int]:
    factor = RASTER / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def _view(picture: Picture, box: Box, rows: int, columns: int) -> Picture:
    """The part of ``picture`` in ``box``, resized."""
    height, width = picture.shape[:2]
    top, bottom = int(box[0] * height), max(int(np.ceil(box[2] * height)), int(box[0] * height) + 1)
    left, right = int(box[1] * width), max(int(np.ceil(box[3] * width)), int(box[1] * width) + 1)
    part = Image.fromarray(picture[top:bottom, left:right])
    return np.asarray(part.resize((columns, rows), Image.Resampling.BILINEAR))


def _classify(classifier: Classifier, view: Picture) -> tuple[Floats, Floats]:
    logits, maps = classifier.look(view[None])
    return logits[0], maps[0]


def _own(names: Names) -> Floats:
    """1 for the classes' own names, 0 for kinds (n,)."""
    return np.equal(names.depth, 0).astype(np.float32)


def _proposals(maps: Floats, bias: Floats, names: Names) -> list[tuple[Box, int]]:
    """Square windows, the most certain first, each with the name that its maps suggest."""
    _, rows, columns = maps.shape
    sums = np.pad(maps.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    windows: list[tuple[float, Box, int]] = []
    for share in _WINDOWS:
        side = max(2, round(share * min(rows, columns)))
        step = max(1, side // 3)
        tops = sorted({*range(0, rows - side + 1, step), rows - side})
        lefts = sorted({*range(0, columns - side + 1, step), columns - side})
        y, x = (axis.ravel() for axis in np.meshgrid(tops, lefts, indexing="ij"))
        total = sums[:, y + side, x + side] - sums[:, y, x + side]
        total += sums[:, y, x] - sums[:, y + side, x]
        chances = softmax((total / side**2).T + bias)
        name_chances = names.chances(chances) * _own(names)
        for index, node in enumerate(name_chances.argmax(axis=1)):
            box = (
                y[index] / rows,
                x[index] / columns,
                (y[index] + side) / rows,
                (x[index] + side) / columns,
            )
            windows.append((float(name_chances[index, node]), box, int(node)))
    windows.sort(key=lambda window: -window[0])
    distinct: list[tuple[Box, int]] = []
    for chance, box, node in windows:
        if len(distinct) == _MAX_WINDOWS or chance < _MIN_PROPOSAL:
            break
        if all(_overlap(box, other) < _SAME for other, _ in distinct):
            distinct.append((box, node))
    return distinct


def _overlap(a: Box, b: Box) -> float:
    """The intersection by the smaller of two boxes."""
    rows = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    columns = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return rows * columns / max(smaller, 1e-9)


def _scaled(box: Box, by: float) -> Box:
    """``box`` scaled about its centre, pushed back into the picture."""
    sides = []
    for low, high in ((box[0], box[2]), (box[1], box[3])):
        length = min((high - low) * by, 1.0)
        start = min(max((low + high - length) / 2, 0.0), 1.0 - length)
        sides.append((start, start + length))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _look_again(
    picture: Picture, boxes: Sequence[Box], classifier: Classifier
) -> list[tuple[Floats, Floats]]:
    """For each box the chances (2, classes) of two views of it, the second one mirrored and cut
    wider (of the whole picture: narrower), and the activation maps of the first."""
    if not boxes:
        return []
    views = []
    for box in boxes:
        other = _scaled(box, _INNER if box == _EVERYTHING else _WIDER)
        views += [_view(picture, box, SIDE, SIDE), _view(picture, other, SIDE, SIDE)[:, ::-1]]
    logits, maps = classifier.look(np.stack(views))
    chances = softmax(logits).reshape(len(boxes), 2, -1)
    return list(zip(chances, maps[::2], strict=True))


def _agreed(nodes: Floats, names: Names) -> int | None:
    """The narrowest name whose chance reaches ``MIN_CHANCES`` in both views, (2, n), or None."""
    least = nodes.min(axis=0)
    depth = np.minimum(names.depth, len(MIN_CHANCES) - 1)
    for level in range(len(MIN_CHANCES)):
        chances = np.where(depth == level, least, 0)
        best = int(chances.argmax())
        if chances[best] >= MIN_CHANCES[level]:
            return None if best in names.silent else best
    return None


def _heat(
    maps: Sequence[Floats], window_maps: Floats, box: Box, weights: Floats, raster: tuple[int, int]
) -> Floats:
    """The evidence of all maps for the classes of ``weights``, 0 to 1, on the ``raster``.

    ``maps`` are the whole picture's and ``window_maps`` those of the window ``box``. Outside the
    box the whole picture's evidence is weighted down with distance.
    """
    total = np.zeros(raster, np.float32)
    for whole in maps:
        total += _normal(_resized(np.tensordot(weights, whole, 1), raster))
    rows, columns = _cells(box, raster)
    window_heat = np.zeros(raster, np.float32)
    size = rows.stop - rows.start, columns.stop - columns.start
    window_heat[rows, columns] = _normal(_resized(np.tensordot(weights, window_maps, 1), size))
    if box != _EVERYTHING:
        total *= _nearby(box, raster, _FADES)
        window_heat = ndimage.gaussian_filter(window_heat, max(size) / 12)
    return _normal(total + window_heat)


def _named_alone(
    maps: Sequence[Floats], bias: Floats, names: Names, node: int, box: Box, raster: tuple[int, int]
) -> Floats:
    """The chance that each position of the maps, by itself, is classified as ``node`` or its kind.

    0 to 1 on the ``raster``, falling with the distance from the window ``box``. The logits of a
    position are its values in all maps, plus the bias. The log odds of name and kind are halved and
    averaged, so that values are not all near 0 or 1.
    """
    total = np.zeros(raster, np.float32)
    for logits, weight in zip(maps, _PLACE_WEIGHTS, strict=True):
        raised = np.exp(logits + bias[:, None, None] - logits.max(axis=0))
        odds = []
        for kind in names.line(node)[:2]:
            share = np.tensordot(names.members[kind], raised, 1)
            rest = np.tensordot(1 - names.members[kind], raised, 1)
            odds.append(np.log(share + 1e-9) - np.log(rest + 1e-9))
        half = np.clip(_resized(np.mean(odds, axis=0) / 2, raster), -6, 6)
        total += weight / (1 + np.exp(-half))
    if box != _EVERYTHING:
        total *= _nearby(box, raster, _NEARBY)
    # Every position has some evidence for a wide kind, such as dogs: subtract the lowest.
    return _full(np.maximum(total - float(np.quantile(total, _FLOOR)), 0))


def _nearby(box: Box, raster: tuple[int, int], reach: float) -> Floats:
    """1 in ``box``, and less outside: 1/e at ``reach`` times its longer side."""
    rows, columns = _cells(box, raster)
    window = np.zeros(raster, np.bool_)
    window[rows, columns] = True
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    distance = ndimage.distance_transform_edt(~window) / side
    return np.asarray(np.exp(-np.square(distance / reach)), np.float32)


def _cells(box: Box, raster: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a raster in ``box``; one each at least."""
    rows, columns = (
        slice(round(low * size), max(round(high * size), round(low * size) + 1))
        for low, high, size in ((box[0], box[2], raster[0]), (box[1], box[3], raster[1]))
    )
    return rows, columns


def _full(values: Floats) -> Floats:
    """``values`` divided by their quantile ``_FULL``, and clipped at 1."""
    full = max(float(np.quantile(values, _FULL)), 1e-6)
    return np.asarray(np.clip(values / full, 0, 1), np.float32)


def _resized(values: Floats, shape: tuple[int, int]) -> Floats:
    image = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BICUBIC), np.float32)


def _normal(values: Floats) -> Floats:
    positive = np.maximum(values, 0)
    return np.asarray(positive / max(float(positive.max()), 1e-6), np.float32)
