"""The encoder: a picture becomes a ``SemanticImage``, and that becomes the bytes of a file.

picture --describe--> SemanticImage --coding--> bytes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sedic import extras, methods
from sedic.coding.container import Container, pack
from sedic.describe.description import Description, shorten
from sedic.errors import SedicError
from sedic.picture import load_picture
from sedic.preview import show_reference
from sedic.profile import Profile
from sedic.rate import Choice, Layers, choose
from sedic.semantics import Rate, ReferenceImage, SemanticImage, check_size
from sedic.settings import Settings

if TYPE_CHECKING:
    from sedic.picture import Picture, Source


@dataclass(frozen=True)
class Compressed:
    """A finished file.

    ``data``: its bytes; ``image``: what they mean; ``preview``: the decoded reference image,
    (height, width, 3) uint8; ``choice``: how rate control spent the bytes; ``notes``: lines of the
    describer, for people.
    """

    data: bytes
    image: SemanticImage
    preview: Picture
    choice: Choice
    notes: tuple[str, ...] = ()


class Encoder:
    """Makes files with one profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    def compress(
        self,
        picture: Source,
        rate: Rate,
        description: Description | None = None,
        *,
        method: str = "sedic",
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        text_coder: str | None = None,
        mask_coder: str | None = None,
    ) -> Compressed:
        """Code a picture in at most ``rate.max_bytes`` bytes.

        ``picture`` is whatever ``load_picture`` takes. ``description`` stands in for the profile's
        describer. ``settings`` are settings of the decoder, by name, that differ from the
        profile's defaults and travel in the file, or a ``preset`` of the profile. ``text_coder``
        and ``mask_coder`` stand in for those of the method. ``seed`` is that of the decoder's
        noise.

        The bytes are decoded before they are returned: words, masks and settings must come back as
        they were, and ``preview`` is the reference image that the bytes decode to. The networks of
        Algorithm 1 do not run, and need not be here.

        Raises ``UnsuitableInputError`` for a picture or option that cannot be used, ``LimitError``
        where the picture is too large or cannot become that small.
        """
        pixels = load_picture(picture)
        height, width = pixels.shape[:2]
        check_size(width, height)
        system = methods.load(method)
        profile = self.profile
        notes: tuple[str, ...] = ()
        if description is None:
            with extras.named():
                described = profile.describer().describe(pixels, rate, method)
            description, notes = described.description, described.notes
        description = system.compose(description)
        defaults = profile.settings(method)
        decoder = profile.settings_with(method, settings or {})
        reference = profile.reference_codec()

        def semantic_image(layers: Layers) -> SemanticImage:
            short = shorten(description, layers.objects, layers.detail_words, layers.overall_words)
            empty = ReferenceImage(reference.name, b"")
            return SemanticImage(
                width, height, empty, short.overall, short.objects, method=method, seed=seed
            )

        def container(image: SemanticImage) -> Container:
            return pack(
                image,
                profile,
                profile=profile.name,
                mark=profile.mark(reference.fingerprint),
                text_coder=text_coder or system.text_coder,
                mask_coder=mask_coder or system.mask_coder,
                settings=decoder.to_bytes(defaults),
            )

        from sedic.models.precision import own_torch_state

        with own_torch_state():
            choice = choose(
                rate,
                lambda layers: len(container(semantic_image(layers)).to_bytes()),
                reference.prepare(pixels),
                reference.levels,
            )
            image = replace(
                semantic_image(choice.layers),
                reference=ReferenceImage(reference.name, choice.reference),
            )
            data = container(image).to_bytes()
            parsed = Container.parse(data)
            back = Settings.from_bytes(parsed.settings, defaults)
            if parsed.unpack(profile) != image or back != decoder:
                raise SedicError("internal error: the file does not decode to what was encoded")
            preview = show_reference(reference, image, decoder)
        return Compressed(data, image, preview, choice, notes)
