"""The ``.sedic`` file. ``docs/FORMAT.md`` is its description, byte by byte.

``pack`` makes a file of a semantic image. Reading has two steps, so that a file can be inspected
without the profile's weights: ``Container.parse`` checks and splits the bytes, ``unpack`` decodes
text and masks. Version 1 can only be read; version 2 and bare files can be read and written.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from sedic.coding import carried, header
from sedic.coding.fields import EndsTooEarlyError, Reader
from sedic.coding.header import (
    FIRST,
    MAGIC_1,
    MAX_CARRIED,
    MAX_SECTION,
    MAX_SETTINGS_BYTES,
    Header,
    Layout,
)
from sedic.coding.masks import MaskCoder
from sedic.coding.scale import coded_size
from sedic.coding.text import TextCoder
from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError
from sedic.semantics import (
    MAX_REFERENCE_BYTES,
    MAX_TEXT_BYTES,
    Mask,
    ObjectLayer,
    ReferenceImage,
    SemanticImage,
    grid_size,
    leading_words,
)

CRC_BYTES = 2
_MAX_BYTES = MAX_REFERENCE_BYTES + 2 * MAX_SECTION + MAX_CARRIED + MAX_SETTINGS_BYTES + 64


class Coders(Protocol):
    """The owner of the coders of text and masks: a ``Profile``."""

    def text_coder(self, name: str) -> TextCoder: ...
    def mask_coder(self, name: str) -> MaskCoder: ...


@dataclass(frozen=True)
class Container(Header):
    """A file, split into its parts; nothing is decoded yet.

    ``settings`` are the decoder's settings that differ from the profile's defaults, in the bytes of
    ``Settings.to_bytes``. ``carried`` is the section of what travels with the picture
    (``coding.carried``). ``file_bytes`` is the length of the file that was parsed; 0 for one that
    was not.
    """

    text: bytes = field(default=b"", repr=False)
    masks: bytes = field(default=b"", repr=False)
    reference: bytes = field(default=b"", repr=False)
    carried: bytes = field(default=b"", repr=False)
    bare: bool = False
    file_bytes: int = field(default=0, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the original picture."""
        return self.width, self.height

    @property
    def coded_size(self) -> tuple[int, int]:
        """Width and height at which the picture is coded."""
        return coded_size(self.width, self.height, self.scale)

    def parts(self) -> dict[str, int]:
        """Bytes of every part; they add up to the file.

        Those of ``coding.carried`` are there only in files that have them. Raises
        ``DamagedFileError`` where these are damaged.
        """
        sections = {
            "settings": self.settings,
            "reference": self.reference,
            "text": self.text,
            "masks": self.masks,
        }
        sizes = {name: len(data) for name, data in sections.items()}
        sizes |= carried.sizes(self.carried)
        whole = self.file_bytes or len(self.to_bytes())
        return {"header": whole - sum(sizes.values()), **sizes}

    def to_bytes(self) -> bytes:
        """The file: a bare one, or one of version 2."""
        carries = bool(self.carried)
        body = self.bare_start(carries=carries) if self.bare else self.start(carries=carries)
        sections = self.text, self.reference, self.masks, self.carried
        text, reference, _, last = map(len, sections)
        body += header.lengths(text, reference, self.object_count, last) + b"".join(sections)
        return body if self.bare else body + checksum(body)

    @classmethod
    def parse(cls, data: bytes) -> Container:
        """Split a file of version 1 or 2; allocates nothing large.

        Raises ``DamagedFileError`` for bytes that are no such file and ``MissingWeightsError`` for
        features and parts that are not here.
        """
        if not data:
            raise DamagedFileError("the file is empty")
        if not begins(data):
            raise DamagedFileError("not a .sedic file")
        old = data[: len(MAGIC_1)] == MAGIC_1
        _check_length(data)
        if old and len(data) > 2 and data[2] >> 5 != 1:
            raise MissingWeightsError(
                f"file format version {data[2] >> 5}; this sedic reads versions 1 and 2"
            )
        body = data[:-CRC_BYTES]
        if checksum(body) != data[-CRC_BYTES:]:
            raise DamagedFileError("the file is damaged or cut short (checksum)")
        reader = Reader(body)
        parsed_header, layout = header.read_version_1(reader) if old else header.read(reader)
        return _split(reader, parsed_header, layout, len(data))

    @classmethod
    def parse_bare(cls, data: bytes, profile: str, reference_codec: str) -> Container:
        """Split a bare file, made with this profile and its reference codec.

        A bare file has no checksum: damage is noticed only where the result makes no sense.
        """
        _check_length(data)
        reader = Reader(data)
        parsed_header, layout = header.read_bare(reader, profile, reference_codec)
        return replace(_split(reader, parsed_header, layout, len(data)), bare=True)

    @classmethod
    def parse_prefix(
        cls, data: bytes, profile: str, reference_codec: str, *, bare: bool = False
    ) -> Container:
        """What the first bytes of a file hold: all of its words, and some of its reference image.

        Objects need what comes last, so there are none. Raises ``DamagedFileError`` where not even
        the words have arrived. A prefix has no checksum; damage goes unnoticed.
        """
        _check_length(data)
        if not bare and data[:1] and data[0] & ~7 != FIRST:
            raise DamagedFileError("not the beginning of a .sedic file of version 2")
        reader = Reader(data)
        try:
            if bare:
                parsed_header, layout = header.read_bare(reader, profile, reference_codec)
            else:
                parsed_header, layout = header.read(reader)
            text = reader.take(layout.text)
        except EndsTooEarlyError as error:
            raise DamagedFileError("too little has arrived: the words are not complete") from error
        if layout.reference is None:
            # The last two bytes may be the file's checksum.
            available = max(0, reader.left - (0 if bare else CRC_BYTES))
        else:
            available = min(reader.left, layout.reference)
        reference = reader.take(available)
        return cls(
            **vars(parsed_header), text=text, reference=reference, bare=bare, file_bytes=len(data)
        )

    def unpack(self, coders: Coders) -> SemanticImage:
        """Decode text and masks with the coders of a profile.

        Sizes are those at which the picture is coded. Raises ``DamagedFileError`` where text or
        masks are damaged. ``Profile.check`` says whether the profile has the file's tables.
        """
        width, height = self.coded_size
        overall, details = self.words(coders)
        masks: tuple[Mask, ...] = ()
        if details:
            coder = coders.mask_coder(self.mask_coder)
            masks = coder.decode(self.masks, *grid_size(width, height), self.object_count)
        layers = [
            ObjectLayer(name, detail, mask)
            for (name, detail), mask in zip(details, masks, strict=True)
        ]
        return SemanticImage(
            width,
            height,
            ReferenceImage(self.reference_codec, self.reference),
            overall,
            tuple(layers),
            self.method,
            self.seed,
            self.grey,
            carried.decode(self.carried, coders, grid_size(width, height)),
        )

    def words(self, coders: Coders) -> tuple[str, list[tuple[str, str]]]:
        """The overall text, and each object's name and detail; no mask is decoded.

        Raises ``DamagedFileError`` where the text is damaged.
        """
        count = self.object_count
        names_bytes = -(-2 * count // 8)
        counts = int.from_bytes(self.text[:names_bytes], "big")
        limit = (MAX_TEXT_BYTES + 1) * (count + 1)
        coded = self.text[names_bytes:]
        whole = coders.text_coder(self.text_coder).decode(coded, limit) if coded else ""
        overall, *details = whole.split("\n")
        if len(details) != count:
            raise DamagedFileError(f"damaged text: {len(details)} details for {count} objects")
        lengths = [counts >> 2 * (count - 1 - i) & 3 for i in range(count)]
        named = [leading_words(d, n) for d, n in zip(details, lengths, strict=True)]
        return overall, list(zip(named, details, strict=True))


def _check_length(data: bytes) -> None:
    if len(data) > _MAX_BYTES:
        raise DamagedFileError(f"a .sedic file has at most {_MAX_BYTES} bytes")


def _split(reader: Reader, parsed_header: Header, layout: Layout, file_bytes: int) -> Container:
    text = reader.take(layout.text)
    if layout.reference_last:
        masks = reader.take(layout.masks or 0)
        reference = reader.take(reader.left)
    else:
        reference = reader.take(reader.left if layout.reference is None else layout.reference)
        if layout.carried > reader.left:
            raise DamagedFileError("the file is damaged: it ends too early")
        masks = reader.take(reader.left - layout.carried)
        if len(masks) > (MAX_SECTION if layout.masks is None else layout.masks):
            raise DamagedFileError("the file is damaged: a number is out of range")
    return Container(
        **vars(parsed_header),
        text=text,
        masks=masks,
        reference=reference,
        carried=reader.take(layout.carried),
        file_bytes=file_bytes,
    )


def begins(data: bytes) -> bool:
    """Whether these bytes begin as a file of version 1 or 2 does; one byte is enough to ask."""
    return data[: len(MAGIC_1)] == MAGIC_1 or (data[:1] != b"" and data[0] & ~7 == FIRST)


def checksum(body: bytes) -> bytes:
    """CRC-16/GENIBUS: polynomial 1021, start and final inversion FFFF, big-endian.

    Without the final inversion a file with a zero byte appended would pass.
    """
    return (binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF).to_bytes(CRC_BYTES, "big")


def pack(
    image: SemanticImage,
    coders: Coders,
    *,
    profile: str,
    mark: bytes,
    text_coder: str = "primed",
    mask_coder: str = "context",
    settings: bytes = b"",
    size: tuple[int, int] | None = None,
    scale: int = 0,
    bare: bool = False,
) -> Container:
    """Code ``image`` with the coders of these names.

    ``profile`` names the profile that owns ``coders``; ``mark`` (two bytes) is its
    ``Profile.mark``; ``settings`` are the bytes of ``Settings.to_bytes``. ``size`` is the width and
    height of the original where ``image`` is coded at ``scale``.
    """
    count = len(image.objects)
    counts = 0
    for layer in image.objects:
        counts = counts << 2 | len(layer.name.split(" "))
    text = "\n".join([image.overall, *(layer.detail for layer in image.objects)])
    coded = coders.text_coder(text_coder).encode(text) if text else b""
    masks = b""
    if count:
        masks = coders.mask_coder(mask_coder).encode([layer.mask for layer in image.objects])
    width, height = size or (image.width, image.height)
    if coded_size(width, height, scale) != (image.width, image.height):
        raise UnsuitableInputError(f"a {width}x{height} picture at scale {scale} has another size")
    return Container(
        width,
        height,
        image.method,
        profile,
        b"" if bare else mark,
        image.reference.codec,
        count,
        text_coder,
        mask_coder,
        image.seed,
        settings,
        scale,
        image.grey,
        text=counts.to_bytes(-(-2 * count // 8), "big") + coded,
        masks=masks,
        reference=image.reference.data,
        carried=carried.encode(image.carried, coders),
        bare=bare,
    )


def repack(container: Container, image: SemanticImage, coders: Coders, **changes: Any) -> Container:
    """A file of ``image`` that is in everything else like ``container``.

    ``changes`` are other arguments of ``pack``. ``image`` has the coded size of ``container``.
    """
    alike: dict[str, Any] = {
        "profile": container.profile,
        "mark": container.mark,
        "text_coder": container.text_coder,
        "mask_coder": container.mask_coder,
        "settings": container.settings,
        "size": (container.width, container.height),
        "scale": container.scale,
        "bare": container.bare,
    }
    return pack(image, coders, **(alike | changes))
