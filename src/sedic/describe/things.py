"""The objects of a picture, called things: sightings, people and lettering, each of them once.

The regions of things share no cell. The list begins with the nearest or most certain ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sedic.describe.activation import Sighting, Sightings
    from sedic.describe.lettering import Line
    from sedic.describe.names import Names
    from sedic.describe.people import Person
    from sedic.describe.region_features import Floats, Maps, Region
    from sedic.models.classifier import Classifier
    from sedic.picture import Picture

Appearance = npt.NDArray[np.float64]  # (rows, columns, 6) colour and texture in units of L*

_HIDDEN = 0.5  # share of a region that other objects may cover, at most
# ``occlusion.remains`` from which an object is still there without a region, and below which not.
_SURVIVES, _GONE = 0.6, 0.4
_SIMILAR = 0.25  # size of a second instance over that of the first, at least
_INSTANCE_PEAK = 0.5  # highest evidence in a second instance, at least
_TEXTURE = 1.5  # weight of texture over that of lightness in an outline


@dataclass(frozen=True)
class Thing:
    """A named object, or, where ``node`` is None, lettering on no object.

    ``node``: the index of its name in ``Names``; ``region``: (rows, columns) over the picture;
    ``reads``: the lettering on it.
    """

    node: int | None
    chance: float
    region: Region
    reads: str = ""


def sighted(
    picture: Picture, sightings: Sightings, maps: Maps, names: Names, classifier: Classifier
) -> list[Thing]:
    """The objects of sightings, the most certain first.

    Each name gives one object, from its most certain sighting. Further pieces of its outline are
    objects of their own if they are about as large and the classifier gives them the same name when
    it sees them alone.
    """
    from sedic.describe.activation import confirms

    appearance = appearance_of(maps, sightings.raster)
    things: list[Thing] = []
    for sighting in _surest(sightings, names):
        pieces = _pieces(picture, appearance, sighting, classifier, names)
        for number, piece in enumerate(pieces):
            free = _free(piece, things)
            if free.sum() < (1 - _HIDDEN) * piece.sum():
                continue
            if number and not (
                piece.sum() >= _SIMILAR * pieces[0].sum()
                and sighting.heat[piece].max() >= _INSTANCE_PEAK
                and confirms(picture, piece, sighting.node, classifier, names)
            ):
                continue
            things.append(Thing(sighting.node, sighting.chance, free))
    return things


def with_people(
    things: list[Thing],
    people: Sequence[Person],
    picture: Picture,
    maps: Maps,
    names: Names,
    shape: tuple[int, int],
) -> list[Thing]:
    """``things`` and the people whose faces are on none of them: people in the foreground come
    first, the others last. Objects that a person wears or holds keep their cells."""
    from sedic.describe.outline import outline
    from sedic.describe.people import face_region, in_foreground, likely

    in_front: list[Thing] = []
    behind: list[Thing] = []
    for person in people:
        others = [*things, *in_front, *behind]
        face = face_region(person, shape)
        if _free(face, others).sum() < (1 - _HIDDEN) * face.sum():
            continue
        heat = likely(person, shape, picture.shape[0] / picture.shape[1])
        pieces = outline(appearance_of(maps, shape), heat)
        region = next((piece for piece in pieces if (piece & face).any()), face) | face
        thing = Thing(names.person, person.chance, _free(region, others))
        (in_front if in_foreground(person, picture) else behind).append(thing)
    return [*in_front, *things, *behind]


def lettered(things: list[Thing], lines: Sequence[Line], shape: tuple[int, int]) -> list[Thing]:
    """``things`` with the lettering on them, the largest line on each; lettering on none of them
    becomes a thing of its own, after the first thing."""
    from sedic.describe.lettering import region_of, worth_an_object

    lettering_things = []
    for line in sorted(lines, key=lambda line: -line.area):
        region = region_of(line, shape)
        holds = [(thing.region & region).sum() > region.sum() / 2 for thing in things]
        if not any(holds):
            if worth_an_object(line):
                lettering_things.append(Thing(None, 1.0, region, line.text))
            continue
        index = holds.index(True)
        if not things[index].reads:
            things[index] = replace(things[index], reads=line.text)
    return [*things[:1], *lettering_things, *things[1:]]


def appearance_of(maps: Maps, shape: tuple[int, int]) -> Appearance:
    """Colour and texture on a raster (rows, columns)."""
    from sedic.describe.region_features import area_mean, edges

    borders = edges(maps.shape[0], shape[0]), edges(maps.shape[1], shape[1])
    texture: Floats = np.sqrt(maps.bands[..., :3])
    both = np.concatenate([maps.lab, _TEXTURE * texture], axis=-1)
    return area_mean(both, *borders).astype(np.float64)


def _free(region: Region, things: Sequence[Thing]) -> Region:
    """The cells of ``region`` that none of ``things`` has."""
    if not things:
        return region
    return np.asarray(region & ~np.any([thing.region for thing in things], axis=0))


def _pieces(
    picture: Picture,
    appearance: Appearance,
    sighting: Sighting,
    classifier: Classifier,
    names: Names,
) -> list[Region]:
    """The outlines of a sighting: the wide ones if the classifier still gives the name without the
    narrow ones but no longer without the wide ones; else the narrow ones."""
    from sedic.describe.occlusion import remains
    from sedic.describe.outline import WIDE, outline

    def left(pieces: list[Region]) -> float:
        return remains(picture, np.any(pieces, axis=0), sighting, classifier, names)

    narrow = outline(appearance, sighting.heat)
    if left(narrow) < _SURVIVES:
        return narrow
    wide = outline(appearance, sighting.heat, WIDE)
    return wide if left(wide) < _GONE else narrow


def _surest(sightings: Sightings, names: Names) -> Iterator[Sighting]:
    """One sighting for each name: those of the whole picture before those of windows. A kind is
    left out if one of its narrower names has a sighting."""
    order = sorted(
        (sighting for sighting in sightings.confirmed if sighting.node not in names.scenes),
        key=lambda sighting: (names.depth[sighting.node], -sighting.chance - sighting.whole),
    )
    distinct: list[Sighting] = []
    for sighting in order:
        line = names.line(sighting.node)
        kinds = {
            names.line(other.node)[min(1, len(names.line(other.node)) - 1)] for other in distinct
        }
        if any(sighting.node in names.line(other.node) or other.node in line for other in distinct):
            continue
        if kinds & set(line):  # two names of one kind: views disagree, or the thing is seen twice
            continue
        distinct.append(sighting)
    return iter(sorted(distinct, key=lambda sighting: -sighting.chance - sighting.whole))
