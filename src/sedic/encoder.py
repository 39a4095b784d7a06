"""The encoder: a picture becomes a ``SemanticImage``, and that becomes the bytes of a file.

picture --describe--> SemanticImage --coding--> bytes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sedic import extras, methods
from sedic.coding.container import Container, pack
from sedic.coding.scale import SCALES, coded_size
from sedic.describe.description import Described, Description, shorten
from sedic.errors import SedicError
from sedic.picture import is_grey, load_picture, resized
from sedic.profile import Profile
from sedic.rate import Choice, Layers, choose
from sedic.reference_picture import show_reference
from sedic.semantics import Rate, ReferenceImage, SemanticImage, check_size, grid_size
from sedic.settings import Settings

if TYPE_CHECKING:
    from sedic.picture import Picture, Source
    from sedic.reference import Prepared, ReferenceCodec

_LEAST_BPP = 0.001  # less than any photograph needs at the lowest level: not worth trying


@dataclass(frozen=True)
class Compressed:
    """A finished file.

    ``data``: its bytes; ``image``: what they mean; ``choice``: how rate control spent the bytes;
    ``notes``: lines for people; ``show``: gives ``preview``.
    """

    data: bytes
    image: SemanticImage
    choice: Choice
    notes: tuple[str, ...]
    show: Callable[[], Picture] = field(repr=False, compare=False)

    @cached_property
    def preview(self) -> Picture:
        """The decoded reference image, (height, width, 3) uint8: what ``Decoder.preview`` gives."""
        return self.show()


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
        bare: bool = False,
    ) -> Compressed:
        """Code a picture in at most ``rate.max_bytes`` bytes.

        ``picture`` is whatever ``load_picture`` takes. ``description`` stands in for the profile's
        describer. ``settings`` are settings of the decoder, by name, that differ from the
        profile's defaults and travel in the file, or a ``preset`` of the profile. ``text_coder``
        and ``mask_coder`` stand in for those of the method. ``seed`` is that of the decoder's
        noise. ``bare`` leaves out what the receiver must know otherwise: that it is such a file,
        profile and weights; method, coders, settings and seed are then the usual ones.

        What does not fit at full size is coded smaller, and the decoder enlarges it.

        The bytes are decoded before they are returned: words, masks, settings and the symbols of
        the reference image must come back as they were. ``preview`` is decoded when it is asked
        for. The networks of Algorithm 1 do not run, and need not be here.

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
            described = self.describe(pixels, rate, method=method)
            description, notes = described.description, described.notes
        description = system.compose(description)
        defaults = profile.settings(method)
        decoder = profile.settings_with(method, settings or {})
        reference = profile.reference_codec()
        coding = _Coding(
            profile=profile,
            method=method,
            seed=seed,
            mark=profile.mark(reference.fingerprint),
            text_coder=text_coder or self._text_coder(method, system.text_coder),
            mask_coder=mask_coder or system.mask_coder,
            settings=decoder.to_bytes(defaults),
            bare=bare,
            grey=method == "sedic" and not bare and is_grey(pixels),
        )
        # Masks of blocks depend on the grid, so they cannot be taken to another one.
        floors = getattr(reference, "scale_floors", ()) if coding.mask_coder != "blocks" else ()
        attempts = [
            _AtScale(pixels, description, scale, coding, reference, rate.max_bytes)
            for scale in _scales(width, height, rate.max_bytes if floors else None)
        ]

        from sedic.models.precision import own_torch_state

        with own_torch_state():
            choice = choose(rate, attempts, reference.levels, floors)
            best = next(one for one in attempts if one.scale == choice.scale)
            image = best.image(choice.layers, choice.reference)
            data = best.container(choice.layers, choice.reference).to_bytes()
            if bare:
                parsed = Container.parse_bare(data, profile.name, reference.name)
            else:
                parsed = Container.parse(data)
            back = Settings.from_bytes(parsed.settings, defaults)
            if not (
                parsed.unpack(profile) == image and back == decoder and best.comes_back(choice)
            ):
                raise SedicError("internal error: the file does not decode to what was encoded")
        if choice.ceiling and rate.max_bytes - len(data) > rate.max_bytes // 50:
            notes += (
                f"the file ends at {len(data)} of {rate.max_bytes} bytes: the reference codec has"
                " no higher level",
            )

        def show() -> Picture:
            with own_torch_state():
                return resized(show_reference(reference, image, decoder), width, height)

        return Compressed(data, image, choice, notes, show)

    def describe(
        self,
        picture: Source,
        rate: Rate,
        *,
        method: str = "sedic",
        describer: str | None = None,
        model: str = "",
        source: Path | None = None,
    ) -> Described:
        """The words and masks of a picture, and notes about how they came about.

        ``describer`` is a name of ``parts.DESCRIBERS``, by default the profile's own; ``model``
        names the language model of ``api`` and ``local``, ``source`` the file of ``sidecar``.
        """
        from sedic.models.precision import own_torch_state

        maker = self.profile.describer(describer, model=model, source=source)
        with extras.named(), own_torch_state():
            return maker.describe(load_picture(picture), rate, method)

    def _text_coder(self, method: str, usual: str) -> str:
        """Image-Text Coding codes its caption with a language model, where there is one."""
        return "model" if method == "image-text" and self.profile.has_language else usual


class _Coding(NamedTuple):
    """What is the same at every scale."""

    profile: Profile
    method: str
    seed: int
    mark: bytes
    text_coder: str
    mask_coder: str
    settings: bytes
    bare: bool
    grey: bool


class _AtScale:
    """A picture and its description at one scale; what is computed is kept."""

    def __init__(
        self,
        pixels: Picture,
        description: Description,
        scale: int,
        coding: _Coding,
        reference: ReferenceCodec,
        max_bytes: int,
    ) -> None:
        self.scale = scale
        self._pixels = pixels
        self._original = pixels.shape[1], pixels.shape[0]
        self._size = coded_size(*self._original, scale)
        self._description = description
        self._coding = coding
        self._codec = reference
        self._room = bytes(min(max_bytes, 1 << 15))  # as long as a reference image may get
        self._encoded: dict[int, bytes] = {}
        self._containers: dict[Layers, Container] = {}

    @property
    def pixels(self) -> int:
        return self._size[0] * self._size[1]

    @cached_property
    def _encode(self) -> Prepared:
        return self._codec.prepare(resized(self._pixels, *self._size))

    @cached_property
    def _at_size(self) -> Description:
        grid = grid_size(*self._size)
        objects = [
            replace(layer, mask=layer.mask.resized(*grid)) for layer in self._description.objects
        ]
        return Description(self._description.overall, tuple(objects))

    def reference(self, level: int) -> bytes:
        if level not in self._encoded:
            self._encoded[level] = self._encode(level)
        return self._encoded[level]

    def expected_sizes(self, lowest: int) -> Sequence[float] | None:
        expect = getattr(self._encode, "expected_sizes", None)
        return None if expect is None else expect(lowest)

    def comes_back(self, choice: Choice) -> bool:
        """Whether the chosen reference image decodes to what was encoded, if the codec can tell,
        or at all."""
        check = getattr(self._encode, "comes_back", None)
        if check is not None:
            return bool(check(choice.reference))
        return self._codec.decode(choice.reference, *self._size).shape[1::-1] == self._size

    def semantic_bytes(self, layers: Layers) -> int:
        return len(self._packed(layers).to_bytes()) - len(self._room)

    def container(self, layers: Layers, reference: bytes) -> Container:
        """The file with these words and this reference image."""
        return replace(self._packed(layers), reference=reference)

    def image(self, layers: Layers, reference: bytes) -> SemanticImage:
        """What that file means."""
        short = shorten(self._at_size, layers.objects, layers.detail_words, layers.overall_words)
        return SemanticImage(
            *self._size,
            ReferenceImage(self._codec.name, reference),
            short.overall,
            short.objects,
            method=self._coding.method,
            seed=self._coding.seed,
            grey=self._coding.grey,
        )

    def _packed(self, layers: Layers) -> Container:
        if layers not in self._containers:
            coding = self._coding
            self._containers[layers] = pack(
                self.image(layers, self._room),
                coding.profile,
                profile=coding.profile.name,
                mark=coding.mark,
                text_coder=coding.text_coder,
                mask_coder=coding.mask_coder,
                settings=coding.settings,
                size=self._original,
                scale=self.scale,
                bare=coding.bare,
            )
        return self._containers[layers]


def _scales(width: int, height: int, max_bytes: int | None) -> Iterator[int]:
    """The scales to try, the largest first: all that differ and are not hopelessly expensive.

    None for ``max_bytes``: the full size alone.
    """
    sizes = [coded_size(width, height, scale) for scale in range(SCALES)]
    for scale, (columns, rows) in enumerate(sizes):
        if max_bytes is None:
            yield scale
            return
        if scale and sizes[scale] == sizes[scale - 1]:
            return
        if 8 * max_bytes >= _LEAST_BPP * columns * rows:
            yield scale
