"""The contribution of each part of a file and of the decoder (SEDIC, Table 1).

Every variant of a picture has the same reference image, that of the whole file, as in the paper: so
the bytes fall with what is left out. The variants are files, too, and decoded as any other.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sedic.coding.container import Container
from sedic.describe.description import Description, shorten
from sedic.lab.bench.experiments import Cell, KnownRows, Outcome, UnreachableError
from sedic.lab.bench.experiments.subject import (
    DETAIL_WORDS,
    OVERALL_WORDS,
    VALUES,
    Subject,
    measures,
)
from sedic.reference.external import External
from sedic.semantics import (
    Mask,
    ObjectLayer,
    ReferenceImage,
    SemanticImage,
)

if TYPE_CHECKING:
    from sedic.picture import Picture

OBJECTS = 3
WHOLE = f"J = {OBJECTS}, {DETAIL_WORDS}/{OVERALL_WORDS} words"
REFERENCE = "reference image alone, not restored"

Change = Callable[[Description], Description]


@dataclass(frozen=True)
class Variant:
    """A variant of a file: limits of words (J, l_d and l_all of Table 1) and other changes."""

    name: str
    objects: int = OBJECTS
    detail: int = DETAIL_WORDS
    overall: int = OVERALL_WORDS
    settings: tuple[tuple[str, Any], ...] = ()
    change: Change | None = None  # of the description
    mask_coder: str | None = None
    reference: bool = True
    wrong: bool = False  # the words of another picture

    def words(self, description: Description) -> Description:
        """The description that this variant sends."""
        short = shorten(description, self.objects, self.detail, self.overall)
        return self.change(short) if self.change else short


def _whole_picture(description: Description) -> Description:
    def everywhere(layer: ObjectLayer) -> ObjectLayer:
        return replace(layer, mask=Mask.of(np.ones_like(layer.mask.array)))

    return Description(description.overall, tuple(map(everywhere, description.objects)))


def _blocks(description: Description) -> Description:
    from sedic.describe.clip_maps import coarse

    layers = (replace(layer, mask=coarse(layer.mask)) for layer in description.objects)
    return Description(description.overall, tuple(layers))


def _names(description: Description) -> Description:
    layers = (replace(layer, detail=layer.name) for layer in description.objects)
    return Description("", tuple(layers))


TABLE_1 = (
    Variant("J = 0, 30 words overall", 0, overall=30),
    Variant("J = 0, 50 words overall", 0),
    Variant("J = 1, 20/30 words", 1, 20, 30),
    Variant("J = 1, 30/50 words", 1),
    Variant("J = 3, 20/30 words", 3, 20, 30),
    Variant("J = 3, 20/50 words", 3, 20),
    Variant("J = 3, 30 words, none overall", overall=0),
    Variant("J = 3, 30/50 words, no reference image", reference=False),
    Variant(WHOLE),
)
OTHER_VARIANTS = (
    # Coded as MISC's 8x8 maps: whole masks cost little there.
    Variant("no masks (the whole picture each)", change=_whole_picture, mask_coder="blocks"),
    Variant("MISC's 8x8 maps instead of masks", change=_blocks, mask_coder="blocks"),
    Variant("no guidance (eq. 2, 3)", settings=(("iterations", 0),)),
    Variant("no blending (eq. 4)", settings=(("blending", "none"),)),
    Variant("another picture's words", wrong=True),
    Variant("names only", change=_names),
    Variant("no text at all", 0, overall=0),
)
# Rows of Table 1 whose numbers are known, as ``published.toml`` names them.
PUBLISHED = {
    "J = 0, 50 words overall": "SEDIC, J=0, 50 words overall",
    "J = 1, 30/50 words": "SEDIC, J=1, 30 words and 50 overall",
    "J = 3, 30/50 words, no reference image": "SEDIC without reference image",
    WHOLE: "SEDIC, J=3, 30 words and 50 overall",
}
VARIANTS = {variant.name: variant for variant in (*TABLE_1, *OTHER_VARIANTS)}


@dataclass(frozen=True)
class Ablation:
    """``limit``: bits per pixel of the whole file, whose reference image all variants have."""

    subject: Subject
    limit: float
    name: str = "ablation"
    values: tuple[str, ...] = VALUES

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple((name, f"{self.limit:g}") for name in (REFERENCE, *VARIANTS))

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        return self.cells

    def outcomes(self, index: int, picture: Picture, rows: KnownRows) -> Iterator[Outcome]:
        subject = self.subject
        try:
            own_words = subject.description(index)
            whole = subject.whole(index, picture, self.limit, OBJECTS)
        except Exception as error:  # of whatever library
            yield from (Outcome.of_error(cell, error) for cell in self.cells)
            return
        for cell in self.cells:
            if cell in rows:
                continue
            if cell[0] == REFERENCE:
                image = replace(whole.image, overall="", objects=())
                reference_only = self._file(whole.data, image, Variant(""))
                yield Outcome(cell, whole.preview, measures(Container.parse(reference_only)))
                continue
            variant = VARIANTS[cell[0]]
            try:
                words = self._wrong(index, own_words) if variant.wrong else own_words
                description = variant.words(words)
                image = replace(
                    whole.image, overall=description.overall, objects=description.objects
                )
                data = self._file(whole.data, image, variant)
            except Exception as error:  # of whatever library
                yield Outcome.of_error(cell, error)
                continue
            yield subject.decoded(data, cell)

    def _wrong(self, index: int, own: Description) -> Description:
        """The next picture's words, at the masks of this one's objects."""
        count = len(self.subject.dataset)
        if count < 2:
            raise UnreachableError("there is no other picture whose words could be taken")
        other = self.subject.description((index + 1) % count)
        if not other.objects:
            return Description(other.overall, own.objects)
        layers = (
            replace(other.objects[i % len(other.objects)], mask=layer.mask)
            for i, layer in enumerate(own.objects)
        )
        return Description(other.overall, tuple(layers))

    def _file(self, whole: bytes, image: SemanticImage, variant: Variant) -> bytes:
        """The file of ``image`` as ``variant`` has it, with the reference image of ``whole``."""
        subject, mark = self.subject, None
        if not variant.reference:
            image = replace(image, reference=ReferenceImage("external", _grey()))
            mark = subject.profile.mark(External().fingerprint)
        return subject.file(whole, image, variant.mask_coder, dict(variant.settings), mark)


def _grey() -> bytes:
    """The smallest file that a reference image may be: one grey pixel."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (1, 1), (128, 128, 128)).save(file, "WEBP", quality=0, method=6)
    return file.getvalue()
