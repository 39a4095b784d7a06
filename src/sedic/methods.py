"""The three systems, SEDIC, MISC and Image-Text Coding: which words and masks each of them sends.

Their decoders differ only in settings, which a profile has (``[settings.METHOD]`` in its TOML
file).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sedic.describe.description import Description
from sedic.errors import SedicError
from sedic.semantics import (
    METHODS,
    Rate,
)


@dataclass(frozen=True)
class Method:
    """One system: its budget of objects and words, its kind of masks, its coders.

    A number that is None is the rate's own (``Rate.of_bpp``, SEDIC section 4.1).
    """

    objects: int | None = None
    detail_words: int | None = None
    overall_words: int | None = None
    blocks: bool = False  # masks of 8 x 8 blocks (MISC) instead of the latent grid
    text_coder: str = "primed"
    mask_coder: str = "context"

    def budget(self, rate: Rate) -> Rate:
        """``rate`` with this system's objects and words; the limit of bytes stays."""
        fields = {
            "max_objects": self.objects,
            "detail_words": self.detail_words,
            "overall_words": self.overall_words,
        }
        return replace(rate, **{name: value for name, value in fields.items() if value is not None})

    def compose(self, description: Description) -> Description:
        """The part of a description that this system sends."""
        objects = description.objects if self.objects != 0 else ()
        if self.blocks:
            from sedic.describe.clip_maps import coarse

            objects = tuple(replace(layer, mask=coarse(layer.mask)) for layer in objects)
        return Description(description.overall, objects)


_SYSTEMS = {
    "sedic": Method(),
    "misc": Method(3, 10, 50, blocks=True, mask_coder="blocks"),
    "image-text": Method(objects=0, overall_words=50),
}
assert tuple(_SYSTEMS) == METHODS


def method_named(name: str) -> Method:
    """The system of this name; ``SedicError`` lists the known ones."""
    if name not in _SYSTEMS:
        raise SedicError(f"unknown method {name!r}; one of {', '.join(METHODS)}")
    return _SYSTEMS[name]
