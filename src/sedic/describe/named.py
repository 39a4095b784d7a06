"""The named description: what the classifier sees twice, where it is, and how it looks.

Names come from ``activation``, masks from ``outline``; colours, texture and light are measured.
Where the classifier is not installed, the description is the measured one and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from sedic.describe import measured
from sedic.describe import words as v
from sedic.describe.description import Described, Description, shorten
from sedic.errors import MissingWeightsError, UnsuitableInputError
from sedic.semantics import Mask, ObjectLayer

if TYPE_CHECKING:
    from sedic.describe.activation import Looked, Sighting
    from sedic.describe.names import Names
    from sedic.describe.region_features import Floats, Maps, Region
    from sedic.models.classifier import Classifier
    from sedic.picture import Picture
    from sedic.semantics import Rate

_LEAST_SIDE = 32  # pixels of the picture, below which nothing is named
_HIDDEN = 0.5  # share of a region that other objects may have, at most
_SIMILAR = 0.25  # size of a second instance by the first
_INSTANCE_PEAK = 0.5  # evidence that a second instance has somewhere
_TEXTURE = 1.5  # units of L* that a unit of texture counts for in an outline
_INSIDE = frozenset(["valley", "library", "restaurant", "home cinema", "flower field", "room"])


@dataclass(frozen=True)
class _Thing:
    """Something named: ``region`` on the raster of evidence."""

    node: int
    chance: float
    region: Region


class NamedDescriber:
    """The describer ``named``. It loads the classifier when it first describes, and keeps it."""

    def __init__(self, profile: object = None, model: str = "", source: object = None) -> None:
        self._classifier: Classifier | None = None
        self._missing = ""

    def describe(self, picture: Picture, rate: Rate, method: str = "sedic") -> Described:
        """See ``description.Describer``. Objects are what was named, the surest first.

        The notes are the names that a second look did not confirm. Without the classifier's
        package, and for pictures too small to name anything in, the description is the measured
        one; the first has a note. Raises ``UnsuitableInputError`` for an array that is no picture.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise UnsuitableInputError("the picture must be a (height, width, 3) array of uint8")
        if not picture.size:
            raise UnsuitableInputError("the picture has no pixels")
        budget = rate.max_objects, rate.detail_words, rate.overall_words
        classifier = self._loaded()
        if classifier is None or min(picture.shape[:2]) < _LEAST_SIDE:
            notes = (f"nothing is named, only measured: {self._missing}",) if self._missing else ()
            return Described(measured.describe(picture, *budget), notes)
        description, rejected = _describe(picture, classifier)
        return Described(shorten(description, *budget), tuple(rejected))

    def _loaded(self) -> Classifier | None:
        from sedic.models import classifier

        if self._classifier is None and not self._missing:
            try:
                self._classifier = classifier.load()
            except MissingWeightsError as error:
                self._missing = str(error)
        return self._classifier


def _describe(picture: Picture, classifier: Classifier) -> tuple[Description, list[str]]:
    """All that can be said of a picture, and a line for each name that was not confirmed."""
    from sedic.describe import names as table
    from sedic.describe.activation import look
    from sedic.describe.region_features import area_mean, edges, measure_maps
    from sedic.describe.salience import on_grid

    names = table.load()
    height, width = picture.shape[:2]
    looked = look(picture, classifier, names)
    maps = measure_maps(picture)
    things = _things(picture, looked, maps, names, classifier)
    scenes = [found.node for found in looked.found if found.node in names.scenes]
    regions = []
    for thing in things:
        rows, columns = (
            edges(size, cells) for size, cells in zip(thing.region.shape, maps.shape, strict=True)
        )
        regions.append((thing.node, area_mean(thing.region, rows, columns) > 0.5))
    overall, details = compose(maps, regions, scenes[:1], names)
    layers = tuple(
        ObjectLayer(names.words[thing.node], detail, Mask.of(on_grid(thing.region, width, height)))
        for thing, detail in zip(things, details, strict=True)
    )
    return Description(overall, layers), _notes(looked, names)


def compose(
    maps: Maps, regions: Sequence[tuple[int, Region]], scenes: Sequence[int], names: Names
) -> tuple[str, list[str]]:
    """The overall text, and a detail for each region: what is named and how it looks.

    ``regions``: names and where they are (``maps.shape``); ``scenes``: at most one name of a place.
    """
    said, details = [], []
    taken = np.zeros(maps.shape, np.bool_)
    for node, region in regions:
        taken |= region
        if not region.any():  # smaller than a pixel of the maps
            said.append(names.with_article(node))
            details.append(names.words[node])
            continue
        colour, detail = _detail(maps, region, names.words[node])
        said.append(names.with_article(node, colour))
        details.append(detail)
    return ", ".join(_overall(maps, taken, said, scenes, names)), details


def _things(
    picture: Picture, looked: Looked, maps: Maps, names: Names, classifier: Classifier
) -> list[_Thing]:
    """What was sighted, each thing once, the surest first, in regions that share no cell.

    One name stands for one thing, shown by its surest sighting, unless its region has further
    pieces, about as large, that the classifier gives the same name when it sees them alone.
    """
    from sedic.describe.activation import confirms
    from sedic.describe.outline import outline

    if not looked.found:
        return []
    shape = looked.found[0].heat.shape
    look = _look(maps, shape)
    things: list[_Thing] = []
    for sighting in _surest(looked, names):
        pieces = outline(look, sighting.heat)
        for number, piece in enumerate(pieces):
            free = piece & ~np.any([t.region for t in things], axis=0) if things else piece
            if free.sum() < (1 - _HIDDEN) * piece.sum():
                continue
            if number and not (
                piece.sum() >= _SIMILAR * pieces[0].sum()
                and sighting.heat[piece].max() >= _INSTANCE_PEAK
                and confirms(picture, piece, sighting.node, classifier, names)
            ):
                continue
            things.append(_Thing(sighting.node, sighting.chance, free))
    return things


def _surest(looked: Looked, names: Names) -> Iterator[Sighting]:
    """Sightings of objects, one for each name: of the whole picture before windows, and a kind
    only where no narrower name of it was seen."""
    order = sorted(
        (found for found in looked.found if found.node not in names.scenes),
        key=lambda found: (names.depth[found.node], -found.chance - found.whole),
    )
    kept: list[Sighting] = []
    for found in order:
        line = names.line(found.node)
        kinds = {names.line(other.node)[min(1, len(names.line(other.node)) - 1)] for other in kept}
        if any(found.node in names.line(other.node) or other.node in line for other in kept):
            continue
        if kinds & set(line):  # two names of one kind: views disagree, or the thing is seen twice
            continue
        kept.append(found)
    return iter(sorted(kept, key=lambda found: -found.chance - found.whole))


def _look(maps: Maps, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Colour and texture (rows, columns, 6) on a raster, in units of L*."""
    from sedic.describe.region_features import area_mean, edges

    borders = edges(maps.shape[0], shape[0]), edges(maps.shape[1], shape[1])
    texture: Floats = np.sqrt(maps.bands[..., :3])
    both = np.concatenate([maps.lab, _TEXTURE * texture], axis=-1)
    return area_mean(both, *borders).astype(np.float64)


def _detail(maps: Maps, region: Region, name: str) -> tuple[str, str]:
    """The colour of what is in ``region``, and its detail, which begins with ``name``."""
    from sedic.describe.region_features import measure_region

    look = measure_region(maps, measured.inner(region))
    colour, second = measured.two_colours(look)
    phrases = [
        f"{name} in {colour} and {second}" if second else f"{name} in {colour}",
        measured.texture_of(look),
        "" if look.blur is None else v.say(v.SHARPNESS, look.blur),
        measured.lines_of(look),
    ]
    return colour, ", ".join(filter(None, phrases))


def _overall(
    maps: Maps, taken: Region, said: Sequence[str], scenes: Sequence[int], names: Names
) -> Iterator[str]:
    """The phrases on the whole: who is where, in front of what, then what measurement says.

    Where something is named, measurement adds only light and sharpness: the names say more.
    """
    phrases = measured.overall_phrases(maps)
    kind = next(phrases)
    place = [
        f"{'in' if _INSIDE & {names.words[n] for n in names.line(scene)} else 'at'} "
        + names.with_article(scene)
        for scene in scenes
    ]
    if not said and not scenes:
        yield kind
        yield from phrases
        return
    things = " and ".join(filter(None, [", ".join(said[:-1]), *said[-1:]]))
    if not things:
        yield names.with_article(scenes[0])
    elif place:
        yield f"{things} {place[0]}"
    elif (~taken).mean() > v.BACKDROP:
        yield f"{things} in front of {_background(maps, ~taken)}"
    else:
        yield things
    yield kind
    yield from islice(phrases, 1 if said else None)


def _background(maps: Maps, rest: Region) -> str:
    """As in "a blurred dark green background"."""
    from sedic.describe.region_features import measure_region

    look = measure_region(maps, rest)
    blurred = look.blur is not None and v.say(v.SHARPNESS, look.blur) in v.OUT_OF_FOCUS
    plain = "plain" if look.strength < v.TEXTURED else ""
    first = measured.two_colours(look)[0]
    said = " ".join(filter(None, ["blurred" if blurred else plain, first, "background"]))
    return f"an {said}" if said[0] in "aeiou" else f"a {said}"


def _notes(looked: Looked, names: Names) -> list[str]:
    """A line for each name that the second look did not confirm."""
    known = {node for found in looked.found for node in names.line(found.node)}
    return [
        f"{names.words[node]}: dropped as hallucination"
        f" (first look {first:.2f}, second look {second:.2f})"
        for node, first, second in looked.rejected
        if not known & set(names.line(node))
    ]
