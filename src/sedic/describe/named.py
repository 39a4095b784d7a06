"""The named description: objects that the classifier confirms in two views, with their masks.

Names come from ``activation``, objects and masks from ``things``; colours, texture and light are
measured. Where the classifier is not installed, the description is the measured one and a note says
so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from sedic.describe import measured
from sedic.describe import words as v
from sedic.describe.description import DescriberResult, Description, shorten
from sedic.errors import MissingWeightsError, UnsuitableInputError
from sedic.semantics import MAX_OBJECTS, Mask, ObjectLayer

if TYPE_CHECKING:
    from sedic.describe.activation import Sightings
    from sedic.describe.lettering import Line, Reader
    from sedic.describe.names import Names
    from sedic.describe.people import Finder, Person
    from sedic.describe.region_features import Maps, Region
    from sedic.describe.things import Thing
    from sedic.models.classifier import Classifier
    from sedic.picture import Picture
    from sedic.semantics import Rate

_LEAST_SIDE = 32  # pixels: in smaller pictures nothing is named
LETTERING = "lettering"  # the name of lettering that is on no named object
_INSIDE = frozenset(["valley", "library", "restaurant", "home cinema", "flower field", "room"])


class NamedDescriber:
    """The describer ``named``. It loads the classifier when it first describes, and keeps it.

    ``read`` reads lettering and ``find_people`` finds people; by default RapidOCR and CenterFace,
    where they are installed.
    """

    def __init__(
        self,
        profile: object = None,
        model: str = "",
        source: object = None,
        read: Reader | None = None,
        find_people: Finder | None = None,
    ) -> None:
        self._classifier: Classifier | None = None
        self._missing = ""
        self._read = read
        self._find_people = find_people

    def describe(self, picture: Picture, rate: Rate, method: str = "sedic") -> DescriberResult:
        """See ``description.Describer``. Objects are in the order of their chances.

        The notes list the names that the second view did not confirm. Without the classifier's
        package (a note says so) and for very small pictures, the description is the measured one.
        Raises ``UnsuitableInputError`` for an array that is no picture.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise UnsuitableInputError("the picture must be a (height, width, 3) array of uint8")
        if not picture.size:
            raise UnsuitableInputError("the picture has no pixels")
        budget = rate.max_objects, rate.detail_words, rate.overall_words
        classifier = self._loaded()
        if classifier is None or min(picture.shape[:2]) < _LEAST_SIDE:
            notes = (f"nothing is named, only measured: {self._missing}",) if self._missing else ()
            return DescriberResult(measured.describe(picture, *budget), notes)
        if self._read is None:
            from sedic.describe.lettering import reader

            self._read = reader()
        if self._find_people is None:
            from sedic.describe.people import finder

            self._find_people = finder()
        description, rejected = _describe(
            picture, classifier, self._find_people(picture), self._read(picture)
        )
        return DescriberResult(shorten(description, *budget), tuple(rejected))

    def misled(self, original: Picture, decoded: Picture) -> str | None:
        """A warning if the decoded picture shows an object of another kind than the original; None
        if it does not, or where the classifier is not installed."""
        from sedic.describe.consistency import compare

        classifier = self._loaded()
        return compare(original, decoded, classifier).warning() if classifier else None

    def _loaded(self) -> Classifier | None:
        from sedic.models import classifier

        if self._classifier is None and not self._missing:
            try:
                self._classifier = classifier.load_classifier()
            except MissingWeightsError as error:
                self._missing = str(error)
        return self._classifier


def _describe(
    picture: Picture, classifier: Classifier, people: Sequence[Person], lines: Sequence[Line]
) -> tuple[Description, list[str]]:
    """The full description of a picture, and a line for each name that was not confirmed."""
    from sedic.describe import names as table
    from sedic.describe.activation import find_sightings
    from sedic.describe.region_features import area_mean, edges, measure_maps
    from sedic.describe.salience import on_grid
    from sedic.describe.things import lettered, sighted, with_people

    names = table.load_names()
    height, width = picture.shape[:2]
    sightings = find_sightings(picture, classifier, names)
    maps = measure_maps(picture)
    things = sighted(picture, sightings, maps, names, classifier)
    things = with_people(things, people, picture, maps, names, sightings.raster)
    things = lettered(things, lines, sightings.raster)[:MAX_OBJECTS]
    scenes = [sighting.node for sighting in sightings.confirmed if sighting.node in names.scenes]
    on_maps = []
    for thing in things:
        rows, columns = (
            edges(size, cells) for size, cells in zip(thing.region.shape, maps.shape, strict=True)
        )
        on_maps.append(replace(thing, region=area_mean(thing.region, rows, columns) > 0.5))
    overall, details = compose(maps, on_maps, scenes[:1], names)
    layers = tuple(
        ObjectLayer(name, detail, Mask.of(on_grid(thing.region, width, height)))
        for thing, (name, detail) in zip(things, details, strict=True)
    )
    return Description(overall, layers), _notes(sightings, names)


def compose(
    maps: Maps, things: Sequence[Thing], scenes: Sequence[int], names: Names
) -> tuple[str, list[tuple[str, str]]]:
    """The overall description, and the name and the detail of each of ``things``.

    Their regions have the shape ``maps.shape``; ``scenes`` holds at most one name of a place.
    """
    from sedic.describe.lettering import quoting

    phrases, details = [], []
    covered = np.zeros(maps.shape, np.bool_)
    for thing in things:
        covered |= thing.region
        word = LETTERING if thing.node is None else names.words[thing.node]
        name, phrase = quoting(word, thing.reads) if thing.reads else (word, word)
        colour, looks = _looks(maps, thing.region) if thing.region.any() else ("", "")
        details.append((name, phrase + looks))
        if thing.node == names.person:
            phrase = names.with_article(thing.node) + phrase[len(word) :]
            phrase += f" in {colour}" if colour else ""
        elif thing.node is not None:
            phrase = names.with_article(thing.node, colour) + phrase[len(word) :]
        phrases.append(phrase)
    return ", ".join(_overall(maps, covered, phrases, scenes, names)), details


def _looks(maps: Maps, region: Region) -> tuple[str, str]:
    """The colour of ``region``, and the part of a detail that follows the name."""
    from sedic.describe.region_features import measure_region

    look = measure_region(maps, measured.inner(region))
    colour, second = measured.two_colours(look)
    phrases = [
        f" in {colour} and {second}" if second else f" in {colour}",
        measured.texture_of(look),
        "" if look.blur is None else v.say(v.SHARPNESS, look.blur),
        measured.lines_of(look),
    ]
    return colour, ", ".join(filter(None, phrases))


def _overall(
    maps: Maps,
    covered: Region,
    thing_phrases: Sequence[str],
    scenes: Sequence[int],
    names: Names,
) -> Iterator[str]:
    """The phrases of the overall description: the objects and their place or background, then light
    and sharpness; without named objects, all that is measured.

    ``thing_phrases``: one for each object; ``covered``: the union of their regions.
    """
    phrases = measured.overall_phrases(maps)
    kind = next(phrases)
    place = [
        f"{'in' if _INSIDE & {names.words[n] for n in names.line(scene)} else 'at'} "
        + names.with_article(scene)
        for scene in scenes
    ]
    if not thing_phrases and not scenes:
        yield kind
        yield from phrases
        return
    things = " and ".join(filter(None, [", ".join(thing_phrases[:-1]), *thing_phrases[-1:]]))
    if not things:
        yield names.with_article(scenes[0])
    elif place:
        yield f"{things} {place[0]}"
    elif (~covered).mean() > v.BACKDROP:
        yield f"{things} in front of {_background(maps, ~covered)}"
    else:
        yield things
    yield kind
    yield from islice(phrases, 1 if thing_phrases else None)


def _background(maps: Maps, rest: Region) -> str:
    """A phrase such as "a blurred dark green background"."""
    from sedic.describe.region_features import measure_region

    look = measure_region(maps, rest)
    blurred = look.blur is not None and v.say(v.SHARPNESS, look.blur) in v.OUT_OF_FOCUS
    plain = "plain" if look.strength < v.TEXTURED else ""
    first = measured.two_colours(look)[0]
    background = " ".join(filter(None, ["blurred" if blurred else plain, first, "background"]))
    return f"an {background}" if background[0] in "aeiou" else f"a {background}"


def _notes(sightings: Sightings, names: Names) -> list[str]:
    """A line for each name that the second view did not confirm."""
    confirmed = {node for sighting in sightings.confirmed for node in names.line(sighting.node)}
    return [
        f"{names.words[node]}: dropped as hallucination"
        f" (first look {first:.2f}, second look {second:.2f})"
        for node, first, second in sightings.unconfirmed
        if not confirmed & set(names.line(node))
    ]
