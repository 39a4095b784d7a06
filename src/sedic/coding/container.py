"""The ``.sedic`` file, version 1. ``docs/FORMAT.md`` is its description, byte by byte.

``pack`` makes a file of a semantic image. Reading has two steps, so that a file can be looked at
without the profile's weights: ``Container.parse`` checks and splits the bytes, ``unpack`` decodes
text and masks.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field

from sedic.coding.masks import MASK_CODERS, decode_masks, encode_masks
from sedic.coding.text import TEXT_CODERS, decode_text, encode_text
from sedic.coding.token_text import TokenModel
from sedic.errors import SedicError
from sedic.semantics import (
    MAX_OBJECTS,
    MAX_REFERENCE_BYTES,
    MAX_TEXT_BYTES,
    METHODS,
    REFERENCE_CODECS,
    ObjectLayer,
    ReferenceImage,
    SemanticImage,
    check_size,
    grid_size,
    leading_words,
)

MAGIC = b"\x5e\xdc"
VERSION = 1
PROFILES = ("none", "mini", "sd21", "sd15", "sd21-tcd", "sd21-turbo", "sd15-lcm")
CRC_BYTES = 2
MAX_SETTINGS_BYTES = 255
_MAX_SECTION = 1 << 20  # text or masks
_MAX_BYTES = MAX_REFERENCE_BYTES + 2 * _MAX_SECTION + MAX_SETTINGS_BYTES + 64


@dataclass(frozen=True)
class Container:
    """A file, split into its parts; nothing is decoded yet.

    ``settings`` are the decoder's settings that differ from the profile's defaults, as
    ``synthesis.settings`` writes them: bytes that only the profile gives a meaning.
    """

    width: int
    height: int
    method: str
    profile: str
    fingerprint: bytes  # two bytes, made by the profile
    reference_codec: str
    object_count: int
    text_coder: str = "primed"
    mask_coder: str = "context"
    seed: int = 0
    settings: bytes = b""
    text: bytes = field(default=b"", repr=False)
    masks: bytes = field(default=b"", repr=False)
    reference: bytes = field(default=b"", repr=False)

    def parts(self) -> dict[str, int]:
        """Bytes of every part; they add up to the file."""
        sections = {
            "settings": self.settings,
            "reference": self.reference,
            "text": self.text,
            "masks": self.masks,
        }
        sizes = {name: len(data) for name, data in sections.items()}
        return {"header": len(self.to_bytes()) - sum(sizes.values()), **sizes}

    def to_bytes(self) -> bytes:
        """The file."""
        usual = ("primed", "context", 0, b"")
        special = (self.text_coder, self.mask_coder, self.seed, self.settings) != usual
        first = VERSION << 5 | METHODS.index(self.method) << 3 | self.object_count
        second = PROFILES.index(self.profile) << 4 | REFERENCE_CODECS.index(self.reference_codec)
        header = MAGIC + bytes([first, second | special << 2]) + self.fingerprint
        header += _number(self.width) + _number(self.height)
        if special:
            coders = TEXT_CODERS.index(self.text_coder) | MASK_CODERS.index(self.mask_coder) << 2
            header += bytes([coders | (self.seed != 0) << 4 | (self.settings != b"") << 5])
            header += _number(self.seed) if self.seed else b""
            header += _number(len(self.settings)) + self.settings if self.settings else b""
        header += _number(len(self.text))
        if self.object_count:
            header += _number(len(self.masks))
        body = header + self.text + self.masks + self.reference
        return body + checksum(body)

    @classmethod
    def parse(cls, data: bytes) -> Container:
        """Split a file; ``SedicError`` says what is wrong with it. Allocates nothing large."""
        if not data:
            raise SedicError("the file is empty")
        if data[: len(MAGIC)] != MAGIC:
            raise SedicError("not a .sedic file")
        if len(data) > _MAX_BYTES:
            raise SedicError(f"a .sedic file has at most {_MAX_BYTES} bytes")
        if len(data) > 2 and data[2] >> 5 != VERSION:
            raise SedicError(
                f"file format version {data[2] >> 5}; this sedic reads version {VERSION}"
            )
        body = data[:-CRC_BYTES]
        if checksum(body) != data[-CRC_BYTES:]:
            raise SedicError("the file is damaged or cut short (checksum)")
        return _Reader(body).container()

    def unpack(self, language: TokenModel | None = None) -> SemanticImage:
        """Decode text and masks; ``SedicError`` where they are damaged.

        ``language``: the language model of a text that was coded with one.
        """
        grid = grid_size(self.width, self.height)
        count = self.object_count
        names_bytes = -(-2 * count // 8)
        counts = int.from_bytes(self.text[:names_bytes], "big")
        limit = (MAX_TEXT_BYTES + 1) * (count + 1)
        coded = self.text[names_bytes:]
        whole = decode_text(coded, self.text_coder, limit, language) if coded else ""
        overall, *details = whole.split("\n")
        if len(details) != count:
            raise SedicError(f"damaged text: {len(details)} details for {count} objects")
        masks = decode_masks(self.masks, *grid, count, self.mask_coder) if count else ()
        layers = []
        for i, (detail, mask) in enumerate(zip(details, masks, strict=True)):
            words = counts >> 2 * (count - 1 - i) & 3
            layers.append(ObjectLayer(leading_words(detail, words), detail, mask))
        return SemanticImage(
            self.width,
            self.height,
            ReferenceImage(self.reference_codec, self.reference),
            overall,
            tuple(layers),
            self.method,
            self.seed,
        )


def checksum(body: bytes) -> bytes:
    """CRC-16/GENIBUS: polynomial 1021, start and final inversion FFFF, big-endian.

    Without the final inversion a file with a zero byte appended would pass.
    """
    return (binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF).to_bytes(CRC_BYTES, "big")


def pack(
    image: SemanticImage,
    profile: str,
    fingerprint: bytes,
    text_coder: str = "primed",
    mask_coder: str = "context",
    settings: bytes = b"",
    language: TokenModel | None = None,
) -> Container:
    """Code ``image``; ``fingerprint`` (two bytes) and ``settings`` are the profile's affair.

    ``language`` is the language model of the text coder ``model``.
    """
    count = len(image.objects)
    counts = 0
    for layer in image.objects:
        counts = counts << 2 | len(layer.name.split(" "))
    text = "\n".join([image.overall, *(layer.detail for layer in image.objects)])
    coded = encode_text(text, text_coder, language) if text else b""
    masks = encode_masks([layer.mask for layer in image.objects], mask_coder) if count else b""
    return Container(
        image.width,
        image.height,
        image.method,
        profile,
        fingerprint,
        image.reference.codec,
        count,
        text_coder,
        mask_coder,
        image.seed,
        settings,
        counts.to_bytes(-(-2 * count // 8), "big") + coded,
        masks,
        image.reference.data,
    )


def _number(value: int) -> bytes:
    """A non-negative integer, seven bits to a byte, low bits first; the last byte is below 128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class _Reader:
    """Reads a header field by field; running out of bytes is an error."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise SedicError("the file is damaged: it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, limit: int) -> int:
        value = 0
        for place in range(5):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if value > limit or (place and not byte):
                    break
                return value
        raise SedicError("the file is damaged: a number is out of range")

    def container(self) -> Container:
        self.take(len(MAGIC))
        first, second = self.take(2)
        method, count = first >> 3 & 3, first & MAX_OBJECTS
        profile, special, codec = second >> 4, second >> 2 & 1, second & 3
        if method >= len(METHODS) or profile >= len(PROFILES) or second >> 3 & 1:
            raise SedicError("the file uses a feature that this sedic does not know")
        fingerprint = self.take(2)
        width, height = self.number(1 << 20), self.number(1 << 20)
        check_size(width, height)
        coders, seed, settings = 0, 0, b""
        if special:
            coders = self.take(1)[0]
            if coders >> 6 or coders & 3 >= len(TEXT_CODERS) or coders >> 2 & 3 >= len(MASK_CODERS):
                raise SedicError("the file uses a feature that this sedic does not know")
            has_seed, has_settings = coders >> 4 & 1, coders >> 5 & 1
            seed = self.number((1 << 32) - 1) if has_seed else 0
            settings = self.take(self.number(MAX_SETTINGS_BYTES)) if has_settings else b""
            if not coders or has_seed > (seed != 0) or has_settings > (settings != b""):
                raise SedicError("the file is damaged: needless fields")
        text_bytes = self.number(_MAX_SECTION)
        mask_bytes = self.number(_MAX_SECTION) if count else 0
        text, masks = self.take(text_bytes), self.take(mask_bytes)
        return Container(
            width,
            height,
            METHODS[method],
            PROFILES[profile],
            fingerprint,
            REFERENCE_CODECS[codec],
            count,
            TEXT_CODERS[coders & 3],
            MASK_CODERS[coders >> 2 & 3],
            seed,
            settings,
            text,
            masks,
            self.take(len(self._data) - self._at),
        )
