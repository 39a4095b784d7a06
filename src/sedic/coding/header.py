"""The header of a file: version 2, bare files, and version 1, which is only read.

``docs/FORMAT.md`` describes them byte by byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from sedic.coding.fields import Reader, varint
from sedic.coding.scale import SCALES, coded_size
from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError
from sedic.parts import FIRST_PRIVATE, MASK_CODERS, PROFILES, REFERENCE_CODECS, TEXT_CODERS
from sedic.semantics import MAX_OBJECTS, MAX_REFERENCE_BYTES, METHODS, check_size

FIRST = 0b11010 << 3  # version 2: the five high bits of the first byte
MAGIC_1 = b"\x5e\xdc"  # version 1
MAX_SETTINGS_BYTES = 255
MAX_SECTION = 1 << 20  # bytes of text or masks
MAX_CARRIED = 1 << 17  # bytes of what travels with a picture
_MARK_BYTES = 2
_GREY = 3  # in the place of a method: sedic, and the picture is grey
_SHORT = 1 << 12  # sides up to here fit in twelve bits


@dataclass(frozen=True)
class Header:
    """The fields of a header. ``width`` and ``height`` are the original picture's, in pixels."""

    width: int
    height: int
    method: str
    profile: str
    mark: bytes  # of the weights, two bytes (``Profile.mark``); none in a bare file
    reference_codec: str
    object_count: int
    text_coder: str = "primed"
    mask_coder: str = "context"
    seed: int = 0
    settings: bytes = b""
    scale: int = 0
    grey: bool = False  # the picture has no colour; only files of the method sedic say so

    def start(self, *, carries: bool = False) -> bytes:
        """Version 2, without the lengths of sections. ``carries``: a section of carried parts
        follows."""
        numbers = self._numbers()
        special = _special(numbers, self.seed, self.settings, carries)
        unusual = numbers[:2] != _USUAL[:2] or special != b"\0"
        large = max(self.width, self.height) > _SHORT
        method = _GREY if self.grey else METHODS.index(self.method)
        if self.grey and self.method != METHODS[0]:
            raise UnsuitableInputError(f"only the method {METHODS[0]} has grey files")
        second = method << 6 | large << 5 | unusual << 4 | self.scale
        data = bytes([FIRST | self.object_count, second]) + self.mark
        data += _size(self.width, self.height)
        if unusual:
            private = max(numbers) >= FIRST_PRIVATE
            profile, codec = (0, 0) if private else numbers[:2]
            data += bytes([profile << 4 | private << 3 | codec])
            data += bytes(numbers) if private else b""
            data += special
        return data

    def bare_start(self, *, carries: bool = False) -> bytes:
        """Bare, without the lengths of sections.

        Raises ``UnsuitableInputError`` where a field has a value that bare files cannot have.
        """
        numbers = self._numbers()
        unusual = self.method != METHODS[0] or numbers[2:] != _USUAL[2:]
        if unusual or self.seed or self.settings or self.grey:
            raise UnsuitableInputError(
                "a bare file has the usual method and coders, its profile's settings, no seed and"
                " no mark of grey"
            )
        large = max(self.width, self.height) > _SHORT
        first = bytes([self.scale << 4 | (large or carries) << 3 | self.object_count])
        if carries:
            return first + _CARRIES + varint(self.width) + varint(self.height)
        return first + _size(self.width, self.height)

    def _numbers(self) -> tuple[int, int, int, int]:
        return (
            PROFILES.number_of(self.profile),
            REFERENCE_CODECS.number_of(self.reference_codec),
            TEXT_CODERS.number_of(self.text_coder),
            MASK_CODERS.number_of(self.mask_coder),
        )


_USUAL = (1, 0, 0, 0)  # mini, compact, primed, context
_CARRIES = b"\0"  # in the place of a width: a bare file with a section of carried parts


class Layout(NamedTuple):
    """How many bytes each section has, in the order of the file.

    None: what the file has left before what is carried. ``reference_last`` is the order of
    version 1.
    """

    text: int
    reference: int | None
    masks: int | None
    carried: int = 0
    reference_last: bool = False


def lengths(text: int, reference: int, objects: int, carried: int) -> bytes:
    """The lengths of sections that version 2 and bare files have after the header."""
    data = varint(text) + (varint(reference) if objects or carried else b"")
    return data + (varint(carried) if carried else b"")


def read(reader: Reader) -> tuple[Header, Layout]:
    """Header and lengths of a file of version 2, without its checksum."""
    first, second = reader.take(2)
    count, method, scale = first & MAX_OBJECTS, second >> 6, second & SCALES - 1
    grey = method == _GREY
    mark = reader.take(_MARK_BYTES)
    width, height = _read_size(reader, bool(second >> 5 & 1), scale)
    numbers, seed, settings, carries = bytes(_USUAL), 0, b"", False
    if second >> 4 & 1:
        third = reader.take(1)[0]
        if third & 4:
            raise MissingWeightsError("the file uses a feature that this sedic does not know")
        numbers, seed, settings, carries = _read_parts(
            reader, third >> 4, third >> 3 & 1, third & 3, True
        )
        if tuple(numbers) == _USUAL and not (seed or settings or carries):
            raise DamagedFileError("the file is damaged: needless fields")
    name = METHODS[0] if grey else METHODS[method]
    header = _header(width, height, name, mark, numbers, count, seed, settings, scale)
    return replace(header, grey=grey), _read_layout(reader, count, carries)


def read_bare(reader: Reader, profile: str, reference_codec: str) -> tuple[Header, Layout]:
    """Header and lengths of a bare file of this profile and reference codec."""
    first = reader.take(1)[0]
    scale, count = first >> 4, first & MAX_OBJECTS
    large = bool(first >> 3 & 1)
    carries = large and reader.next(1) == _CARRIES
    if carries:
        reader.take(1)
    width, height = _read_size(reader, large, scale, needless=carries)
    header = Header(width, height, METHODS[0], profile, b"", reference_codec, count, scale=scale)
    return header, _read_layout(reader, count, carries)


def read_version_1(reader: Reader) -> tuple[Header, Layout]:
    """Header and lengths of a file of version 1, without its checksum."""
    reader.take(len(MAGIC_1))
    first, second = reader.take(2)
    method, count = first >> 3 & 3, first & MAX_OBJECTS
    if method >= len(METHODS):
        raise MissingWeightsError("the file uses a method that this sedic does not know")
    mark = reader.take(_MARK_BYTES)
    private, special = second >> 3 & 1, bool(second >> 2 & 1)
    parts = reader.take(4) if private else b""
    width, height = reader.varint(1 << 20), reader.varint(1 << 20)
    check_size(width, height)
    numbers, seed, settings, carries = _read_parts(
        reader, second >> 4, private, second & 3, special, parts, strict=special
    )
    if carries:
        raise MissingWeightsError("the file uses a feature that this sedic does not know")
    header = _header(width, height, METHODS[method], mark, numbers, count, seed, settings, 0)
    text = reader.varint(MAX_SECTION)
    masks = reader.varint(MAX_SECTION) if count else 0
    return header, Layout(text, None, masks, reference_last=True)


def _size(width: int, height: int) -> bytes:
    if max(width, height) > _SHORT:
        return varint(width) + varint(height)
    return ((width - 1) << 12 | height - 1).to_bytes(3, "big")


def _read_size(
    reader: Reader, large: bool, scale: int, *, needless: bool = False
) -> tuple[int, int]:
    """Width and height. ``needless``: both may be numbers where twelve bits would do."""
    if large:
        width, height = reader.varint(1 << 20), reader.varint(1 << 20)
    else:
        byte_count = int.from_bytes(reader.take(3), "big")
        width, height = (byte_count >> 12) + 1, (byte_count & _SHORT - 1) + 1
    check_size(width, height)
    if large and not needless and max(width, height) <= _SHORT:
        raise DamagedFileError("the file is damaged: needless fields")
    if scale and coded_size(width, height, scale) == coded_size(width, height, scale - 1):
        raise DamagedFileError("the file is damaged: a needless scale")
    return width, height


def _special(
    numbers: tuple[int, int, int, int], seed: int, settings: bytes, carries: bool
) -> bytes:
    text_coder, mask_coder = (0, 0) if max(numbers) >= FIRST_PRIVATE else numbers[2:]
    coders = text_coder | mask_coder << 2 | (seed != 0) << 4 | (settings != b"") << 5
    coders |= carries << 6
    data = bytes([coders]) + (varint(seed) if seed else b"")
    return data + (varint(len(settings)) + settings if settings else b"")


def _read_parts(
    reader: Reader,
    profile: int,
    private: int,
    codec: int,
    special: bool,
    parts: bytes = b"",
    strict: bool = False,
) -> tuple[bytes, int, bytes, bool]:
    """The numbers of profile, reference codec and coders; the seed; the settings; whether there is
    a section of carried parts."""
    if private and not parts:
        parts = reader.take(4)
    coders, seed, settings = 0, 0, b""
    if special:
        coders = reader.take(1)[0]
        if coders >> 7:
            raise MissingWeightsError("the file uses a feature that this sedic does not know")
        has_seed, has_settings = coders >> 4 & 1, coders >> 5 & 1
        seed = reader.varint((1 << 32) - 1) if has_seed else 0
        settings = reader.take(reader.varint(MAX_SETTINGS_BYTES)) if has_settings else b""
        needless = has_seed > (seed != 0) or has_settings > (settings != b"")
        if needless or (strict and not coders):
            raise DamagedFileError("the file is damaged: needless fields")
    numbers = parts or bytes([profile, codec, coders & 3, coders >> 2 & 3])
    if private and (any([profile, codec, coders & 15]) or max(numbers) < FIRST_PRIVATE):
        raise DamagedFileError("the file is damaged: needless fields")
    return numbers, seed, settings, bool(coders >> 6)


def _header(
    width: int,
    height: int,
    method: str,
    mark: bytes,
    numbers: bytes,
    count: int,
    seed: int,
    settings: bytes,
    scale: int,
) -> Header:
    tables = PROFILES, REFERENCE_CODECS, TEXT_CODERS, MASK_CODERS
    names = [table.name_of(n) for table, n in zip(tables, numbers, strict=True)]
    profile, codec, text_coder, mask_coder = names
    return Header(
        width,
        height,
        method,
        profile,
        mark,
        codec,
        count,
        text_coder,
        mask_coder,
        seed,
        settings,
        scale,
    )


def _read_layout(reader: Reader, count: int, carries: bool) -> Layout:
    text = reader.varint(MAX_SECTION)
    if not (count or carries):
        return Layout(text, None, 0)
    reference = reader.varint(MAX_REFERENCE_BYTES)
    carried = reader.varint(MAX_CARRIED) if carries else 0
    if carries and not carried:
        raise DamagedFileError("the file is damaged: needless fields")
    return Layout(text, reference, None if count else 0, carried)
