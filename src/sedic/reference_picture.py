"""The reference image of a file as people see it: the picture without any restoring network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sedic.picture import without_colour
from sedic.semantics import SemanticImage
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
