"""The codec in single calls, for those who need no ``Profile`` of their own.

A profile that is named here is loaded once per process and kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sedic import editing
from sedic.coding.container import Container
from sedic.decoder import Bytes, Decoder
from sedic.encoder import Encoder
from sedic.errors import UnsuitableInputError
from sedic.picture import load_picture, read_picture
from sedic.profile import Profile
from sedic.rate import rate_for

if TYPE_CHECKING:
    from sedic.describe.description import Description
    from sedic.picture import Picture, Source
    from sedic.semantics import Carried
    from sedic.synthesis.stages import Stage


@cache
def cached_profile(name: str) -> Profile:
    """The profile of this name, loaded once per process."""
    return Profile.load(name)


def _profile(given: str | Profile) -> Profile:
    return cached_profile(given) if isinstance(given, str) else given


def _profile_of(data: Bytes, given: Profile | None) -> Profile:
    """The profile to read a file with: the given one, or the one that the file names."""
    return given or cached_profile(Container.parse(bytes(data)).profile)


def compress(
    picture: Source,
    *,
    bpp: float | None = None,
    max_bytes: int | None = None,
    objects: int | None = None,
    description: Description | None = None,
    profile: str | Profile = "mini",
    method: str = "sedic",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    keep: Collection[str] = (),
) -> bytes:
    """A file's bytes for a picture, at most ``bpp`` bits per pixel or ``max_bytes`` bytes.

    ``picture`` is whatever ``load_picture`` takes: a path, bytes, a Pillow image or an array.
    Without a limit it is 0.03 bits per pixel, the paper's lower operating point. A ``description``
    is sent whole, as far as it fits; one that the profile makes, as far as it is worth its bytes;
    ``objects`` is another limit than the profile's for the number of objects. ``seed`` and
    ``settings`` are those of ``Encoder.compress``. ``keep`` names what shall travel with the
    picture: ``exif`` (without place), ``gps``, ``icc``, ``alpha`` (transparency). Their bytes are
    counted first.

    Raises ``SedicError``: see ``Encoder.compress``.
    """
    if bpp is not None and max_bytes is not None:
        raise UnsuitableInputError("give bpp or max_bytes, not both")
    loaded = read_picture(picture, keep=keep)
    height, width = loaded.pixels.shape[:2]
    owner = _profile(profile)
    rate = rate_for(width, height, bpp=bpp, max_bytes=max_bytes, method=method, profile=owner)
    if description is not None:
        rate = rate.for_own_words()
    if objects is not None:
        rate = replace(rate, max_objects=objects)
    compressed = Encoder(owner).compress(
        loaded, rate, description, method=method, seed=seed, settings=settings
    )
    return compressed.data


def decompress(data: Bytes, *, profile: Profile | None = None, tile: int | None = None) -> Picture:
    """The picture of a file's bytes, (height, width, 3) uint8, or (height, width, 4) where the file
    carries alpha (``Decoder.decompress``)."""
    return Decoder(_profile_of(data, profile)).decompress(data, tile)


def stages(
    data: Bytes, *, profile: Profile | None = None, tile: int | None = None
) -> Iterator[Stage]:
    """The picture of a file's bytes after every stage of the decoder (``Decoder.stages``)."""
    return Decoder(_profile_of(data, profile)).stages(data, tile)


def preview(data: Bytes, *, profile: Profile | None = None) -> Picture:
    """The reference image of a file's bytes, (height, width, 3) uint8 (``Decoder.preview``)."""
    return Decoder(_profile_of(data, profile)).preview(data)


def carried(data: Bytes, *, profile: Profile | None = None) -> Carried:
    """What a file carries with its picture: EXIF, a colour profile, a mask of what is opaque
    (``Decoder.carried``)."""
    return Decoder(_profile_of(data, profile)).carried(data)


def inspect(data: Bytes) -> Container:
    """The parts of a file; ``.parts()`` says how many bytes each one has."""
    return Container.parse(bytes(data))


def read(data: Bytes, *, profile: Profile | None = None) -> Description:
    """The words and masks of a file; no network runs (``Decoder.semantic_image``)."""
    from sedic.describe.description import Description

    image = Decoder(_profile_of(data, profile)).semantic_image(data)
    return Description(image.overall, image.objects)


def describe_picture(
    picture: Source,
    *,
    describer: str | None = None,
    model: str = "",
    objects: int = 3,
    detail_words: int = 30,
    overall_words: int = 50,
    method: str = "sedic",
    profile: str | Profile = "mini",
) -> Description:
    """The words and masks of a picture, by a describer of ``parts.DESCRIBERS``.

    By default the profile's own; ``model`` names the language model of ``api`` and ``local``.
    """
    from sedic.semantics import Rate

    budget = Rate(1 << 20, objects, detail_words, overall_words)
    encoder = Encoder(_profile(profile))
    described = encoder.describe(picture, budget, method=method, describer=describer, model=model)
    return described.description


def segment(picture: Source, objects: Mapping[str, str], *, method: str = "sedic") -> Description:
    """Masks for named objects (names and their details), by Grounding DINO and SAM.

    See ``describe.language_model.segment``.
    """
    from sedic.describe import language_model

    return language_model.segment(load_picture(picture), objects, method).description


def fit_words(text: str, *, profile: str | Profile = "mini") -> str:
    """The first words of a text that fit into the 77 tokens of the decoder's text encoder.

    Returns ``text`` itself if all of it fits. Where the tokenizer of the profile is not installed,
    the number of tokens is estimated, never too low.
    """
    from sedic.describe.answers import fit_clip

    return fit_clip(text, _profile(profile).tokenizer)


def edit(
    data: Bytes,
    *,
    overall: str | None = None,
    details: Mapping[int, str] | None = None,
    dropped: Sequence[int] = (),
    profile: Profile | None = None,
) -> bytes:
    """The bytes of a file with other words (``editing.edit``)."""
    owner = _profile_of(data, profile)
    return editing.edit(data, owner, overall=overall, details=details, dropped=dropped)
