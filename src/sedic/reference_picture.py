"""Decodes the reference image of a file to a picture, which no restoring network has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sedic.picture import resized, without_colour
from sedic.semantics import Ground, SemanticImage
from sedic.settings import Settings
from sedic.synthesis.touch import strengths

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.reference import ReferenceCodec


def show_reference(reference: ReferenceCodec, image: SemanticImage, settings: Settings) -> Picture:
    """The decoded reference image, (height, width, 3) uint8.

    ``settings.realism`` and the objects' words determine the strength of its textures.
    """
    realism = strengths(image.objects, image.width, image.height, settings.realism)
    picture = reference.decode(image.reference.data, image.width, image.height, realism)
    return without_colour(picture) if image.grey else picture


def enlarge(picture: Picture, size: tuple[int, int], ground: Ground | None) -> Picture:
    """A picture of the coded size resized to the original ``size`` (width, height), with its ground
    painted."""
    picture = resized(picture, *size)
    if ground is None:
        return picture
    from sedic.ground import paint

    return paint(picture, ground)
