"""The encoder: a picture becomes a ``SemanticImage``, and that becomes the bytes of a file.

picture --describe--> SemanticImage --coding--> bytes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sedic import extras, methods
from sedic.coding.carried import encode as encode_carried
from sedic.coding.container import Container, pack
from sedic.coding.scale import SCALES, coded_size
from sedic.describe.description import DescriberResult, Description, shorten
from sedic.errors import LimitError, SedicError
from sedic.ground import choose as choose_ground
from sedic.ground import find_colour
from sedic.level_search import Estimates
from sedic.picture import LoadedPicture, is_grey, load_picture, read_picture, resized
from sedic.profile import Profile
from sedic.rate import NOTHING, Choice, Layers, choose
from sedic.reference.external import External
from sedic.reference.lossless import lossless_file
from sedic.reference_picture import enlarge, show_reference
from sedic.semantics import (
    Carried,
    Ground,
    Mask,
    Rate,
    ReferenceImage,
    SemanticImage,
    check_size,
    grid_size,
)
from sedic.settings import Settings
from sedic.transparency import opaque_mask

if TYPE_CHECKING:
    from sedic.picture import Picture, Source
    from sedic.reference import Prepared, ReferenceCodec

_GROUND_FROM = 128  # bytes: in smaller files the ten of a ground are worth more as detail
_ANY_TOLERANCE = 48  # of a ground whose bytes are counted
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
        picture: Source | LoadedPicture,
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

        ``picture`` is whatever ``load_picture`` takes, or what ``read_picture`` gives: then what
        that kept travels in the file, and its bytes are counted first. ``description`` stands in
        for the profile's describer. ``settings`` are settings of the decoder, by name, that differ
        from the profile's defaults and travel in the file, or a ``preset`` of the profile.
        ``text_coder`` and ``mask_coder`` stand in for those of the method. ``seed`` is that of the
        decoder's noise. ``bare`` leaves out what the receiver must know otherwise: that it is such
        a file, profile and weights; method, coders, settings and seed are then the usual ones.

        What does not fit at full size is coded smaller, and the decoder enlarges it. A picture of
        which a lossless file fits (a flat colour, a plain drawing) is coded without any loss.

        The bytes are decoded before they are returned: words, masks, settings and the symbols of
        the reference image must come back as they were. ``preview`` is decoded when it is asked
        for. The networks of Algorithm 1 do not run, and need not be here.

        Raises ``UnsuitableInputError`` for a picture or option that cannot be used, ``LimitError``
        where the picture is too large or cannot become that small.
        """
        loaded = picture if isinstance(picture, LoadedPicture) else read_picture(picture)
        pixels = loaded.pixels
        height, width = pixels.shape[:2]
        check_size(width, height)
        system = methods.method_named(method)
        profile = self.profile
        notes: tuple[str, ...] = ()
        if description is None:
            described = self.describe(pixels, rate, method=method)
            description, notes = described.description, described.notes
        description = system.compose(description)
        defaults = profile.settings(method)
        decoder = profile.settings_with(method, settings or {})
        coding = _Coding(
            profile=profile,
            method=method,
            seed=seed,
            text_coder=text_coder or self._text_coder(method, system.text_coder),
            mask_coder=mask_coder or system.mask_coder,
            bare=bare,
            grey=method == "sedic" and not bare and is_grey(pixels),
            ground_colour=_ground_colour(loaded, rate) if method == "sedic" and not bare else None,
        )
        plans = list(self._plans(loaded, description, coding, rate, decoder))

        from sedic.models.precision import own_torch_state

        with own_torch_state():
            plan, choice = _first_that_fits(plans, rate)
            reference, decoder = plan.codec, plan.decoder
            best = next(one for one in plan.attempts if one.scale == choice.scale)
            ground = best.choose_ground(choice)
            image = best.image(choice.layers, choice.reference, ground)
            data = best.container(choice, ground).to_bytes()
            if bare:
                parsed = Container.parse_bare(data, profile.name, reference.name)
            else:
                parsed = Container.parse(data)
            back = Settings.from_bytes(parsed.settings, defaults)
            if not (
                parsed.unpack(profile) == image and back == decoder and best.comes_back(choice)
            ):
                raise SedicError("internal error: the file does not decode to what was encoded")
        if plan.exact:
            notes += ("so simple a picture is coded without any loss",)
        elif choice.ceiling and rate.max_bytes - len(data) > rate.max_bytes // 50:
            notes += (
                f"the file ends at {len(data)} of {rate.max_bytes} bytes: the reference codec has"
                " no higher level",
            )

        def show() -> Picture:
            with own_torch_state():
                preview = show_reference(reference, image, decoder)
                return enlarge(preview, (width, height), image.carried.ground)

        return Compressed(data, image, choice, notes, show)

    def _plans(
        self,
        picture: LoadedPicture,
        description: Description,
        coding: _Coding,
        rate: Rate,
        decoder: Settings,
    ) -> Iterator[_Plan]:
        """Ways to code a picture, the best first.

        A simple picture may fit as a lossless file; it is then the reference image, of which the
        decoder changes nothing. Not for a reference codec that the caller chose, nor in bare files,
        which cannot say so. Then the profile's reference codec, at all scales where it has floors
        for them.
        """
        exact = self.profile.own_reference and not coding.bare
        file = lossless_file(picture.pixels, rate.max_bytes) if exact else None
        if file is not None:
            codec: ReferenceCodec = External(file=file)
            still = replace(decoder, result="added", amount=0.0)
            plain = coding._replace(ground_colour=None)
            attempt = _AtScale(picture, description, 0, plain, codec, still, rate.max_bytes)
            yield _Plan(codec, still, [attempt], (), exact=True)
        codec = self.profile.reference_codec()
        # Masks of blocks depend on the grid, so they cannot be taken to another one.
        floors = getattr(codec, "scale_floors", ()) if coding.mask_coder != "blocks" else ()
        height, width = picture.pixels.shape[:2]
        attempts = [
            _AtScale(picture, description, scale, coding, codec, decoder, rate.max_bytes)
            for scale in _scales(width, height, rate.max_bytes if floors else None)
        ]
        yield _Plan(codec, decoder, attempts, floors)

    def describe(
        self,
        picture: Source,
        rate: Rate,
        *,
        method: str = "sedic",
        describer: str | None = None,
        model: str = "",
        source: Path | None = None,
    ) -> DescriberResult:
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
    text_coder: str
    mask_coder: str
    bare: bool
    grey: bool
    ground_colour: tuple[int, int, int] | None  # of which the file may send a ground


class _Plan(NamedTuple):
    """A way to code a picture: with a reference codec, and settings of the decoder."""

    codec: ReferenceCodec
    decoder: Settings
    attempts: Sequence[_AtScale]  # the largest scale first
    floors: Sequence[int]
    exact: bool = False  # the decoder shows the very picture


def _first_that_fits(plans: Sequence[_Plan], rate: Rate) -> tuple[_Plan, Choice]:
    """The first plan with a file that is small enough; ``LimitError`` where no plan has one."""
    for plan in plans[:-1]:
        with suppress(LimitError):
            return plan, choose(rate, plan.attempts, plan.codec.levels, plan.floors)
    plan = plans[-1]
    return plan, choose(rate, plan.attempts, plan.codec.levels, plan.floors)


class _AtScale:
    """A picture and its description at one scale. Results are computed once."""

    def __init__(
        self,
        picture: LoadedPicture,
        description: Description,
        scale: int,
        coding: _Coding,
        reference: ReferenceCodec,
        decoder: Settings,
        max_bytes: int,
    ) -> None:
        self.scale = scale
        self._picture = picture
        self._original = picture.pixels.shape[1], picture.pixels.shape[0]
        self._size = coded_size(*self._original, scale)
        self._description = description
        self._coding = coding
        self._codec = reference
        self._settings = decoder
        self._room = bytes(min(max_bytes, 1 << 15))  # as long as a reference image may get
        self._encoded: dict[int, bytes] = {}
        self._containers: dict[Layers, Container] = {}

    @property
    def pixels(self) -> int:
        return self._size[0] * self._size[1]

    @cached_property
    def _encode(self) -> Prepared:
        return self._codec.prepare(resized(self._picture.pixels, *self._size))

    @cached_property
    def _opaque(self) -> Mask | None:
        alpha = self._picture.alpha
        return None if alpha is None else opaque_mask(alpha, self._size)

    @cached_property
    def carried_bytes(self) -> int:
        return len(self._packed(NOTHING).carried)

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

    @property
    def estimates(self) -> Estimates | None:
        return getattr(self._encode, "estimates", None)

    def comes_back(self, choice: Choice) -> bool:
        """Whether the chosen reference image decodes to what was encoded. For a codec that cannot
        compare them: whether it decodes to a picture of the right size."""
        check = getattr(self._encode, "comes_back", None)
        if check is not None:
            return bool(check(choice.reference))
        return self._codec.decode(choice.reference, *self._size).shape[1::-1] == self._size

    def choose_ground(self, choice: Choice) -> Ground | None:
        """The ground that brings the reference image closest to the original, if one does."""
        colour = self._coding.ground_colour
        if colour is None:
            return None
        image = self.image(choice.layers, choice.reference, None)
        preview = resized(show_reference(self._codec, image, self._settings), *self._original)
        return choose_ground(colour, preview, self._picture.pixels)

    def semantic_bytes(self, layers: Layers) -> int:
        return len(self._packed(layers).to_bytes()) - len(self._room) - self.carried_bytes

    def container(self, choice: Choice, ground: Ground | None) -> Container:
        """The file with the words and the reference image of ``choice``, and this ground."""
        carried = encode_carried(self._carried(ground), self._coding.profile)
        packed = self._packed(choice.layers)
        return replace(packed, reference=choice.reference, carried=carried)

    def image(self, layers: Layers, reference: bytes, ground: Ground | None) -> SemanticImage:
        """What the file with these words, this reference image and this ground means."""
        short = shorten(self._at_size, layers.objects, layers.detail_words, layers.overall_words)
        return SemanticImage(
            *self._size,
            ReferenceImage(self._codec.name, reference),
            short.overall,
            short.objects,
            method=self._coding.method,
            seed=self._coding.seed,
            grey=self._coding.grey,
            carried=self._carried(ground),
        )

    def _carried(self, ground: Ground | None) -> Carried:
        return Carried(self._opaque, self._picture.exif, self._picture.icc, ground)

    def _packed(self, layers: Layers) -> Container:
        """A file with these words that is as long as one with them may get.

        Its reference image is ``_room``. Its ground has some tolerance: each takes one byte.
        """
        if layers not in self._containers:
            coding = self._coding
            colour = coding.ground_colour
            ground = None if colour is None else Ground(colour, _ANY_TOLERANCE)
            self._containers[layers] = pack(
                self.image(layers, self._room, ground),
                coding.profile,
                profile=coding.profile.name,
                mark=coding.profile.mark(self._codec.fingerprint),
                text_coder=coding.text_coder,
                mask_coder=coding.mask_coder,
                settings=self._settings.to_bytes(coding.profile.settings(coding.method)),
                size=self._original,
                scale=self.scale,
                bare=coding.bare,
            )
        return self._containers[layers]


def _ground_colour(picture: LoadedPicture, rate: Rate) -> tuple[int, int, int] | None:
    """The colour that much of the picture has, if there is one and the file has bytes for it."""
    if rate.max_bytes < _GROUND_FROM or picture.alpha is not None:
        return None
    return find_colour(picture.pixels)


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
