"""The codec: the one place where analysis, coding and synthesis meet.

    picture --analysis--> SemanticImage --coding--> bytes --coding--> SemanticImage --> picture

In this version the decoder shows the reference image; descriptions and masks are made, coded and
decoded, and wait for the diffusion stages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from sedic import profiles
from sedic.analysis import Description, shorten
from sedic.coding.container import Container, pack
from sedic.rate import Choice, Layers, choose
from sedic.reference import ReferenceCodec
from sedic.reference import load as load_reference
from sedic.semantics import (
    Rate,
    ReferenceImage,
    SedicError,
    SemanticImage,
    check_size,
)

if TYPE_CHECKING:
    from sedic.picture import Picture


@dataclass(frozen=True)
class Compressed:
    """A finished file: its bytes, what they mean, the reference image, and why it is so."""

    data: bytes
    image: SemanticImage
    preview: Picture
    choice: Choice


class Codec:
    """Pictures to files and back, with one profile and one reference codec.

    ``reference`` overrides the profile's reference codec. Weights are loaded when first needed.
    """

    def __init__(
        self,
        profile: str = "mini",
        reference: ReferenceCodec | None = None,
        text_coder: str = "primed",
        mask_coder: str = "context",
    ) -> None:
        self._profile = profiles.load(profile)
        self._given = reference
        self._coders = text_coder, mask_coder

    def compress(
        self,
        picture: Picture,
        rate: Rate,
        description: Description | None = None,
        seed: int = 0,
    ) -> Compressed:
        """Code a (height, width, 3) uint8 picture in at most ``rate.max_bytes`` bytes.

        ``description`` replaces the measured one. Raises ``SedicError`` where the picture is
        too large or cannot be made that small.
        """
        height, width = picture.shape[:2]
        check_size(width, height)
        if description is None:
            from sedic.analysis.measure import describe

            description = describe(picture, rate.max_objects, rate.detail_words, rate.overall_words)
        reference = self._given or _profile_reference(self._profile.name, self._profile.reference)
        fingerprint = self._profile.fingerprint(reference.fingerprint)

        def semantic(layers: Layers) -> SemanticImage:
            said = shorten(description, layers.objects, layers.detail_words, layers.overall_words)
            empty = ReferenceImage(reference.name, b"")
            return SemanticImage(width, height, empty, said.overall, said.objects, seed=seed)

        def packed(image: SemanticImage) -> Container:
            return pack(image, self._profile.name, fingerprint, *self._coders)

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
        if Container.parse(data).unpack() != image:
            raise SedicError("internal error: the file does not decode to what was encoded")
        return Compressed(data, image, self.decompress(data), choice)

    def decompress(self, data: bytes) -> Picture:
        """The picture of a file's bytes, (height, width, 3) uint8.

        Raises ``SedicError`` where the bytes are no such file or need other weights.
        """
        container = Container.parse(data)
        reference = self._reference_of(container)
        container.unpack()  # a file whose words are damaged is a damaged file
        return reference.decode(container.reference, container.width, container.height)

    def _reference_of(self, container: Container) -> ReferenceCodec:
        profile = profiles.load(container.profile)
        if self._given is not None and self._given.name == container.reference_codec:
            reference = self._given
        else:
            reference = _profile_reference(container.profile, container.reference_codec)
        ours = profile.fingerprint(reference.fingerprint)[:2]
        if container.fingerprint != ours:
            raise SedicError(
                f"the file was made with other weights of profile {profile.name} and reference "
                f"codec {reference.name} (fingerprint {container.fingerprint.hex()}; "
                f"here: {ours.hex()})"
            )
        return reference


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
) -> bytes:
    """A file's bytes for a (height, width, 3) uint8 picture, at ``bpp`` or in ``max_bytes``.

    Without either, the paper's lower operating point: 0.03 bits per pixel.
    """
    height, width = picture.shape[:2]
    if bpp is not None and max_bytes is not None:
        raise SedicError("give bpp or max_bytes, not both")
    rate = rate_for(width, height, bpp=bpp, max_bytes=max_bytes)
    return Codec(profile).compress(picture, rate, description).data


def rate_for(
    width: int, height: int, *, bpp: float | None = None, max_bytes: int | None = None
) -> Rate:
    """The rate of a size limit or of bits per pixel (0.03 if neither is given)."""
    if max_bytes is None:
        return Rate.of_bpp(0.03 if bpp is None else bpp, width, height)
    at = Rate.of_bpp(min(64.0, max(1e-9, 8 * max_bytes / (width * height))), width, height)
    return replace(at, max_bytes=max_bytes)


def decompress(data: bytes) -> Picture:
    """The picture of a file's bytes, (height, width, 3) uint8."""
    return Codec().decompress(data)


def inspect(data: bytes) -> Container:
    """The parts of a file; ``.parts()`` are their bytes, ``.unpack()`` the semantic image."""
    return Container.parse(data)
