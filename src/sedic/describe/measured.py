"""The measured description: statements about a picture that follow from measurements alone.

``describe`` makes the longest one and cuts it to its budget; phrases come in the order in which a
decoder misses them when it only has a heavily blurred reference image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from sedic.describe import words as v
from sedic.describe.description import DescriberResult, Description, shorten
from sedic.errors import SedicError
from sedic.semantics import (
    Mask,
    ObjectLayer,
)

if TYPE_CHECKING:
    from sedic.describe.region_features import Look, Maps, Region
    from sedic.picture import Picture
    from sedic.semantics import Rate


class MeasuredDescriber:
    """The describer ``measured``; it needs no model."""

    def __init__(self, profile: object = None, model: str = "", source: object = None) -> None:
        pass

    def describe(self, picture: Picture, rate: Rate, method: str = "sedic") -> DescriberResult:
        """See ``description.Describer``."""
        budget = rate.max_objects, rate.detail_words, rate.overall_words
        return DescriberResult(describe(picture, *budget))


def describe(
    picture: Picture, max_objects: int = 3, detail_words: int = 30, overall_words: int = 50
) -> Description:
    """Describe a (height, width, 3) uint8 sRGB picture of any size from 1x1.

    Deterministic. ``description.shorten`` cuts a description to smaller limits without measuring
    again. Raises ``SedicError`` for an array that is no picture.
    """
    from sedic.describe.region_features import area_mean, edges, measure_maps
    from sedic.describe.salience import find_objects

    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise SedicError("describe: the picture must be a (height, width, 3) array of uint8")
    height, width = picture.shape[:2]
    maps = measure_maps(picture)
    rows, columns = maps.shape
    layers = []
    for mask in find_objects(maps, width, height, max_objects):
        # A pixel of the maps belongs to the object if at least half of it does.
        region = area_mean(mask, edges(mask.shape[0], rows), edges(mask.shape[1], columns)) > 0.5
        if not region.any():
            continue
        name, detail = _object(maps, region)
        layers.append(ObjectLayer(name, detail, Mask.of(mask)))
    overall = ", ".join(overall_phrases(maps))
    return shorten(Description(overall, tuple(layers)), max_objects, detail_words, overall_words)


def inner(region: Region) -> Region:
    """``region`` without its border, whose edge would be taken for texture; ``region`` itself if
    too little would be left."""
    from scipy import ndimage

    inside = np.asarray(ndimage.binary_erosion(region, iterations=2, border_value=1))
    return inside if inside.sum() > 0.3 * region.sum() else region


def surroundings(region: Region) -> Region:
    """A band around ``region``, about a third as wide as the region."""
    from scipy import ndimage

    steps = max(3, round(float(np.sqrt(region.sum())) / 3))
    return np.asarray(ndimage.binary_dilation(region, iterations=steps) & ~region)


def _object(maps: Maps, region: Region) -> tuple[str, str]:
    """The name and the detail of what is in ``region``."""
    from sedic.describe.region_features import measure_region

    inside = inner(region)
    look, around = measure_region(maps, inside), measure_region(maps, surroundings(region))
    colour, second = two_colours(look)
    form, thin = _form(region)
    share = float(region.mean())
    kind = v.STRIP if thin else v.AREA if _rim_share(region) > v.CUT_OFF else v.OBJECT
    name = f"{colour} {kind}"
    phrases = [
        f"{name} with {texture_of(look)}",
        f"partly {second}" if second else "",
        "" if look.blur is None else v.say(v.SHARPNESS, look.blur),
        lines_of(look),
        _pattern(maps, look, inside),
        _grain(look),
        _evenness(look),
        against(look, around),
        v.say(v.CONTRAST, look.contrast),
        shading_of(look),
        f"{v.say(v.SIZE, share)} and {form}",
        _place(region),
    ]
    return name, ", ".join(filter(None, phrases))


def overall_phrases(maps: Maps) -> Iterator[str]:
    """The phrases on the picture as a whole."""
    from sedic.describe.region_features import measure_region

    everything = np.ones(maps.shape, np.bool_)
    look = measure_region(maps, everything)
    yield f"a {v.say(v.LIGHT, look.lightness)} {v.say(v.COLOURFULNESS, look.chroma)} picture"
    detail = _fill(v.say(v.DETAIL, look.strength), v.say(v.COARSENESS, look.coarseness))
    yield detail if look.blur is None else f"{v.say(v.SHARPNESS, look.blur)} with {detail}"
    colour, second = two_colours(look)
    yield f"mostly {colour} and {second}" if second else f"mostly {colour}"
    yield from _layout(maps)
    optional = [
        lines_of(look),
        _pattern(maps, look, everything),
        _grain(look),
        v.say(v.CONTRAST, look.contrast),
        _middle(maps),
        shading_of(look),
    ]
    yield from filter(None, optional)


def _layout(maps: Maps) -> Iterator[str]:
    """Phrases on two opposite thirds of the picture, on the axis on which they differ more; none
    if they hardly differ."""
    from sedic.describe.region_features import measure_region

    rows, columns = maps.shape
    if min(rows, columns) < 3:
        return
    parts = {side: np.zeros(maps.shape, np.bool_) for side in v.SIDES}
    parts["left"][:, : columns // 3] = parts["right"][:, -(columns // 3) :] = True
    parts["top"][: rows // 3] = parts["bottom"][-(rows // 3) :] = True
    looks = {side: measure_region(maps, part) for side, part in parts.items()}

    def apart(a: str, b: str) -> float:
        colours = [maps.lab[parts[side]].mean(axis=0) for side in (a, b)]
        texture = abs(looks[a].strength - looks[b].strength)
        return float(np.linalg.norm(colours[0] - colours[1])) + 3 * texture

    pair = max((("top", "bottom"), ("left", "right")), key=lambda sides: apart(*sides))
    if apart(*pair) < v.LAYOUT:
        return
    for side in pair:
        yield f"{two_colours(looks[side])[0]} with {texture_of(looks[side])} at the {side}"


def _middle(maps: Maps) -> str:
    """A phrase on whether most detail is in the middle of the picture or around it; maybe ""."""
    rows, columns = maps.shape
    if min(rows, columns) < 4:
        return ""
    middle = np.zeros(maps.shape, np.bool_)
    middle[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4] = True
    strength = np.sqrt(maps.bands.sum(axis=2))
    inside, outside = strength[middle].mean(), strength[~middle].mean()
    if max(inside, outside) < v.TEXTURED:
        return ""
    if inside > v.GATHERS * outside:
        return "most detail in the middle"
    return "least detail in the middle" if outside > v.GATHERS * inside else ""


def two_colours(look: Look) -> tuple[str, str]:
    """The most frequent colour of a region and the second one, "" if that is too rare.

    The shades of one basic colour, which is the last word of their names, are counted together; the
    name of the most frequent shade stands for the colour.
    """
    families: dict[str, float] = {}
    for name, share in look.colours:
        families[name.split()[-1]] = families.get(name.split()[-1], 0.0) + share
    order = sorted(families, key=lambda family: -families[family])
    shades = [next(n for n, _ in look.colours if n.split()[-1] == f) for f in order[:2]]
    if len(shades) == 2 and families[order[1]] >= v.SECOND_COLOUR:
        return shades[0], shades[1]
    return shades[0], ""


def texture_of(look: Look) -> str:
    return _fill(v.say(v.STRENGTH, look.strength), v.say(v.COARSENESS, look.coarseness))


def lines_of(look: Look) -> str:
    one_way = _fill(v.say(v.DIRECTION, look.coherence), v.LINES[look.direction])
    return one_way or v.say(v.CROSSED, look.crossed)


def _fill(phrase: str, word: str) -> str:
    """``phrase`` with ``word``, which may be "", in its gap."""
    return phrase.replace("{}", word).replace("  ", " ")


def _pattern(maps: Maps, look: Look, region: Region) -> str:
    from sedic.describe.region_features import measure_regularity

    if look.strength < v.TEXTURED:
        return ""
    return v.say(v.REGULARITY, measure_regularity(maps, region))


def _grain(look: Look) -> str:
    """The word for noise, "" where texture hides it."""
    return v.say(v.GRAIN, look.grain) if look.strength < v.HIDES_GRAIN else ""


def _evenness(look: Look) -> str:
    return v.say(v.EVENNESS, look.evenness) if look.strength > v.TEXTURED else ""


def against(look: Look, around: Look) -> str:
    """How the region differs from its surroundings in light, else in texture."""
    if abs(look.lightness - around.lightness) > v.STANDS_OUT:
        side = "lighter" if look.lightness > around.lightness else "darker"
        return f"{side} than its surroundings"
    if look.strength > 1.6 * around.strength + 1:
        return "rougher than its surroundings"
    if around.strength > 1.6 * look.strength + 1:
        return "smoother than its surroundings"
    return ""


def shading_of(look: Look) -> str:
    right, down = look.shading
    if max(abs(right), abs(down)) < v.SHADING:
        return ""
    if abs(right) > abs(down):
        return f"lighter at the {'right' if right > 0 else 'left'}"
    return f"lighter at the {'bottom' if down > 0 else 'top'}"


def _form(region: Region) -> tuple[str, bool]:
    """The word for the outline of a region, and whether the region is a thin strip."""
    y, x = (axis - axis.mean() for axis in np.nonzero(region))
    xx, yy, xy = ((a @ b) / len(x) + 1 / 12 * (a is b) for a, b in ((x, x), (y, y), (x, y)))
    root = np.hypot((xx - yy) / 2, xy)
    long, short = (np.sqrt((xx + yy) / 2 + sign * root) for sign in (1, -1))
    # The area against that of the ellipse with the same moments: 1 for an ellipse.
    fullness = len(x) / (4 * np.pi * long * short)
    if fullness < v.FULL:
        return "irregular", False
    if long < v.OBLONG * short:
        return "round" if fullness > v.ROUND else "compact", False
    angle = abs(np.arctan2(2 * xy, xx - yy) / 2)  # of the long axis: 0 lies, pi/2 stands
    word = "wide" if angle < np.pi / 6 else "tall" if angle > np.pi / 3 else "slanting"
    return word, bool(long > v.THIN * short)


def _rim_share(region: Region) -> float:
    """The share of the region's outline, roughly, that is the picture's own border."""
    from scipy import ndimage

    rim = sum(int(line.sum()) for line in (region[0], region[-1], region[:, 0], region[:, -1]))
    inner = int((region & ~ndimage.binary_erosion(region, border_value=1)).sum())
    return rim / max(rim + inner, 1)


def _place(region: Region) -> str:
    y, x = (float(axis.mean() + 0.5) for axis in np.nonzero(region))
    row, column = v.say(v.ROWS, y / region.shape[0]), v.say(v.COLUMNS, x / region.shape[1])
    return f"at the {' '.join(filter(None, (row, column)))}" if row or column else "in the middle"
