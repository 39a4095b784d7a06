"""The codec: the one place where analysis, coding and synthesis meet.

picture --analysis--> SemanticImage --coding--> bytes
bytes --coding--> SemanticImage --synthesis--> picture, stage by stage
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sedic import methods, profiles
from sedic.coding.container import Container, pack
from sedic.coding.token_text import TokenModel
from sedic.describe.description import Description, shorten
from sedic.errors import SedicError
from sedic.rate import Choice, Layers, choose, rate_for
from sedic.reference import ReferenceCodec
from sedic.reference import load as load_reference
from sedic.semantics import (
    Rate,
    ReferenceImage,
    SemanticImage,
    check_size,
)
from sedic.synthesis.settings import Settings

if TYPE_CHECKING:
    from sedic.models.networks import Networks
    from sedic.picture import Picture
    from sedic.synthesis.stages import Stage


@dataclass(frozen=True)
class Compressed:
    """A finished file: its bytes, what they mean, the reference image, and why it is so."""

    data: bytes
    image: SemanticImage
    preview: Picture
    choice: Choice


class Codec:
    """Pictures to files and back, with one profile and one reference codec.

    ``reference`` and ``networks`` override the profile's reference codec and its restorer;
    ``text_coder`` and ``mask_coder`` those of the method; ``language`` is the language model of the
    text coder ``model``. Weights are loaded when first needed.
    """

    def __init__(
        self,
        profile: str = "mini",
        reference: ReferenceCodec | None = None,
        text_coder: str | None = None,
        mask_coder: str | None = None,
        networks: Networks | None = None,
        language: TokenModel | None = None,
    ) -> None:
        self._profile = profiles.load(profile)
        self._given = reference
        self._text_coder = text_coder
        self._mask_coder = mask_coder
        self._networks = networks
        self.language = language

    def compress(
        self,
        picture: Picture,
        rate: Rate,
        description: Description | None = None,
        seed: int = 0,
        method: str = "sedic",
        settings: Mapping[str, Any] | None = None,
    ) -> Compressed:
        """Code a (height, width, 3) uint8 picture in at most ``rate.max_bytes`` bytes.

        ``description`` replaces the measured one; ``settings`` are settings of the decoder, by
        name, that shall differ from the profile's defaults (``synthesis.settings``), or a
        ``preset`` of the profile.

        The bytes are decoded before they are returned: words, masks and settings must come back
        as they were, and ``preview`` is the reference image out of the file. The restorer does not
        run: it reads nothing that was not checked, costs seconds, and need not even be here.
        Raises ``SedicError`` where the picture is too large or cannot be made that small.
        """
        height, width = picture.shape[:2]
        check_size(width, height)
        system = methods.load(method)
        if description is None:
            from sedic.describe.measured import describe

            description = describe(picture, rate.max_objects, rate.detail_words, rate.overall_words)
        description = system.compose(description)
        reference = self._given or _profile_reference(self._profile.name, self._profile.reference)
        defaults = self._profile.settings(method)
        wanted = self._profile.wanted(method, settings or {})

        def semantic(layers: Layers) -> SemanticImage:
            said = shorten(description, layers.objects, layers.detail_words, layers.overall_words)
            empty = ReferenceImage(reference.name, b"")
            return SemanticImage(
                width, height, empty, said.overall, said.objects, method=method, seed=seed
            )

        text_coder = self._text_coder or system.text_coder
        if self._text_coder is None and method == "image-text" and self._language_here:
            text_coder = "model"
        language = self._language_for(text_coder)

        def packed(image: SemanticImage) -> Container:
            return pack(
                image,
                self._profile.name,
                self._profile.mark(reference.fingerprint, restored=self._networks is None),
                text_coder,
                self._mask_coder or system.mask_coder,
                wanted.to_bytes(defaults),
                language,
            )

        choice = choose(
            rate,
            lambda layers: len(packed(semantic(layers)).to_bytes()),
            reference.prepare(picture),
            reference.levels,
        )
        image = replace(
            semantic(choice.layers), reference=ReferenceImage(reference.name, choice.reference)
        )
        data = packed(image).to_bytes()
        container = Container.parse(data)
        if container.unpack(language) != image or settings_of(container) != wanted:
            raise SedicError("internal error: the file does not decode to what was encoded")
        return Compressed(data, image, self.preview(data), choice)

    def decompress(self, data: bytes, tile: int | None = None) -> Picture:
        """The picture of a file's bytes, (height, width, 3) uint8: the last of ``stages``."""
        *_, last = self.stages(data, tile)
        return last.picture

    def stages(self, data: bytes, tile: int | None = None) -> Iterator[Stage]:
        """The picture as it gets restored: stage 0 is the reference image, the last the result.

        Pictures of more than ``tile``**2 pixels are restored in overlapping tiles of that side.
        The restorer is loaded after stage 0; a profile that has none has stage 0 alone. Raises
        ``SedicError`` where the bytes are no such file, ask for more than the limits allow, or need
        weights that are not here.
        """
        from sedic.models import networks_of
        from sedic.synthesis.stages import Stage, restore

        container = Container.parse(data)
        settings = settings_of(container)
        reference = self._reference_of(container, restored=self._networks is None)
        image = container.unpack(self._language_for(container.text_coder))  # a file whose words are damaged is a damaged file
        restores = self._networks is not None or profiles.load(container.profile).restores
        visible = sum(layer.mask.area > 0 for layer in image.objects)
        picture = reference.decode(container.reference, image.width, image.height)
        yield Stage(0, visible + 1 if restores else 0, "reference", picture)
        if restores:
            networks = self._networks or networks_of(container.profile)
            negative = profiles.load(container.profile).negative(image.method)
            yield from restore(picture, image, networks, settings, tile, negative)

    def preview(self, data: bytes) -> Picture:
        """A file's reference image, (height, width, 3) uint8: no restorer is needed or loaded.

        Raises ``SedicError`` where the bytes are no such file or need other weights.
        """
        container = Container.parse(data)
        reference = self._reference_of(container, restored=False)
        container.unpack(self._language_for(container.text_coder))
        return reference.decode(container.reference, container.width, container.height)

    @property
    def _language_here(self) -> bool:
        from sedic.models.language import is_here

        return self.language is not None or is_here()

    def _language_for(self, text_coder: str) -> TokenModel | None:
        """The language model of a text: the given one, else the usual one where it is here."""
        if text_coder != "model" or self.language is not None:
            return self.language
        from sedic.models import language

        return language.find() if language.is_here() else None

    def _reference_of(self, container: Container, *, restored: bool) -> ReferenceCodec:
        if self._given is not None and self._given.name == container.reference_codec:
            reference = self._given
        else:
            reference = _profile_reference(container.profile, container.reference_codec)
        profile = profiles.load(container.profile)
        profile.check(container.fingerprint, reference.fingerprint, restored=restored)
        return reference


def settings_of(container: Container) -> Settings:
    """How a file wants to be restored; ``SedicError`` where that exceeds the limits."""
    defaults = profiles.load(container.profile).settings(container.method)
    return Settings.from_bytes(container.settings, defaults)


@cache
def _profile_reference(profile: str, codec: str) -> ReferenceCodec:
    weights = profiles.load(profile).weights.get(codec)
    return load_reference(codec, weights.path() if weights else None)


def compress(
    picture: Picture,
    *,
    bpp: float | None = None,
    max_bytes: int | None = None,
    description: Description | None = None,
    profile: str = "mini",
    method: str = "sedic",
) -> bytes:
    """A file's bytes for a (height, width, 3) uint8 picture, at ``bpp`` or in ``max_bytes``.

    Without either, the paper's lower operating point: 0.03 bits per pixel. A ``description`` is
    sent whole, as far as it fits; a measured one, as far as it pays.
    """
    height, width = picture.shape[:2]
    if bpp is not None and max_bytes is not None:
        raise SedicError("give bpp or max_bytes, not both")
    rate = rate_for(width, height, bpp=bpp, max_bytes=max_bytes, method=method, profile=profile)
    if description is not None:
        rate = rate.for_own_words()
    return Codec(profile).compress(picture, rate, description, method=method).data


def decompress(data: bytes) -> Picture:
    """The picture of a file's bytes, (height, width, 3) uint8."""
    return Codec().decompress(data)


def stages(data: bytes) -> Iterator[Stage]:
    """The picture of a file's bytes after every stage of the decoder (``Codec.stages``)."""
    return Codec().stages(data)


def preview(data: bytes) -> Picture:
    """The reference image of a file's bytes, (height, width, 3) uint8, without any restorer."""
    return Codec().preview(data)


def inspect(data: bytes) -> Container:
    """The parts of a file; ``.parts()`` are their bytes, ``.unpack()`` the semantic image."""
    return Container.parse(data)
