"""The last section of a file: alpha, EXIF, a colour profile and the ground of the picture.

The section is a list of parts in rising order of their numbers: a number (one byte), a length
(``fields.varint``), and as many bytes. Alpha is a mask in the mask coder ``context``; the ground is
red, green, blue and tolerance; the others are raw deflate (RFC 1951) with the preset dictionary
``DICTIONARY``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from sedic import exif
from sedic.coding.fields import Reader, varint
from sedic.coding.header import MAX_CARRIED
from sedic.coding.masks import MaskCoder
from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError
from sedic.semantics import Carried, Ground

MAX_INFLATED = 1 << 16  # bytes of one part
PARTS = {1: "alpha", 2: "exif", 3: "icc", 4: "ground"}
_ALPHA, _EXIF, _ICC, _GROUND = PARTS


class MaskCoders(Protocol):
    """The owner of the mask coders: a ``Profile``."""

    def mask_coder(self, name: str) -> MaskCoder: ...


def encode(carried: Carried, coders: MaskCoders) -> bytes:
    """The section; no bytes where nothing is carried.

    Raises ``UnsuitableInputError`` for more than the section may hold.
    """
    parts: dict[int, bytes] = {}
    if carried.opaque is not None:
        parts[_ALPHA] = coders.mask_coder("context").encode([carried.opaque])
    if carried.exif:
        parts[_EXIF] = _deflated(_records(exif.read(carried.exif)), "EXIF")
    if carried.icc:
        parts[_ICC] = _deflated(carried.icc, "the colour profile")
    if carried.ground:
        parts[_GROUND] = bytes([*carried.ground.colour, carried.ground.tolerance])
    section = b"".join(bytes([key]) + varint(len(data)) + data for key, data in parts.items())
    if len(section) > MAX_CARRIED:
        raise UnsuitableInputError(f"more than {MAX_CARRIED} bytes would travel with the picture")
    return section


def split(section: bytes) -> dict[str, bytes]:
    """The parts of a section by name, still coded; nothing is decoded.

    Raises ``DamagedFileError`` for a section that ``encode`` does not write, and
    ``MissingWeightsError`` for parts that this sedic does not know.
    """
    reader, parts, last = Reader(section), {}, 0
    while reader.left:
        key = reader.take(1)[0]
        if key not in PARTS:
            raise MissingWeightsError("the file carries a part that this sedic does not know")
        if key <= last:
            raise DamagedFileError("the file is damaged: parts are not in order")
        parts[PARTS[key]], last = reader.take(reader.varint(MAX_CARRIED)), key
    return parts


def sizes(section: bytes) -> dict[str, int]:
    """Bytes of every part, its number and length included."""
    return {name: 1 + len(varint(len(data))) + len(data) for name, data in split(section).items()}


def decode_metadata(section: bytes) -> Carried:
    """All of a section but alpha, which needs a profile's coder."""
    parts = split(section)
    return Carried(
        ground=_ground(parts["ground"]) if "ground" in parts else None,
        exif=_entries(_inflated(parts["exif"])) if "exif" in parts else b"",
        icc=_inflated(parts["icc"]) if "icc" in parts else b"",
    )


def decode(section: bytes, coders: MaskCoders, grid: tuple[int, int]) -> Carried:
    """What ``encode`` was given. ``grid``: columns and rows of masks.

    Raises ``DamagedFileError`` and ``MissingWeightsError`` as ``split`` does.
    """
    if not section:
        return Carried()
    parts, rest = split(section), decode_metadata(section)
    opaque = None
    if "alpha" in parts:
        (opaque,) = coders.mask_coder("context").decode(parts["alpha"], *grid, 1)
    return replace(rest, opaque=opaque)


def _ground(data: bytes) -> Ground:
    if len(data) != 4 or not data[3]:
        raise DamagedFileError("the file is damaged: its ground is no colour with a tolerance")
    return Ground((data[0], data[1], data[2]), data[3])


def _deflated(data: bytes, what: str) -> bytes:
    if len(data) > MAX_INFLATED:
        raise UnsuitableInputError(f"{what} of {len(data)} bytes: at most {MAX_INFLATED}")
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=DICTIONARY)
    return coder.compress(data) + coder.flush()


def _inflated(data: bytes) -> bytes:
    coder = zlib.decompressobj(-15, zdict=DICTIONARY)
    try:
        inflated = coder.decompress(data, MAX_INFLATED + 1)
    except zlib.error as error:
        raise DamagedFileError("the file is damaged: a carried part is not deflated") from error
    if not inflated or len(inflated) > MAX_INFLATED or not coder.eof or coder.unused_data:
        raise DamagedFileError("the file is damaged: a carried part has a wrong length")
    return inflated


def _records(entries: Iterable[exif.Entry]) -> bytes:
    """Entries of EXIF one after another: directory * 16 + type, the tag in two bytes (high one
    first), how many values, and the values, numbers with the low byte first."""
    return b"".join(
        struct.pack(">BH", entry.directory << 4 | entry.kind, entry.tag)
        + varint(len(entry.values) // exif.SIZES[entry.kind])
        + entry.values
        for entry in entries
    )


def _entries(records: bytes) -> bytes:
    """EXIF of records."""
    reader, entries = Reader(records), []
    while reader.left:
        first, tag = struct.unpack(">BH", reader.take(3))
        size = exif.SIZES.get(first & 15, 0)
        values = reader.take(size * reader.varint(exif.MAX_VALUE))
        entries.append(exif.Entry(first >> 4, tag, first & 15, values))
    if not exif.valid(entries):
        raise DamagedFileError("the file is damaged: its EXIF is not in the form that sedic writes")
    return exif.write(entries)


def _rational(above: int, below: int) -> bytes:
    return struct.pack("<II", above, below)


# Usual entries of photographs, the most usual last, for deflate's dictionary. Part of the format.
_USUAL = (
    (0, 0x010E, 2, b"OLYMPUS DIGITAL CAMERA\0"),
    (
        0,
        0x010F,
        2,
        b"Panasonic\0FUJIFILM\0SONY\0NIKON CORPORATION\0Canon\0samsung\0Google\0Apple\0",
    ),
    (0, 0x0110, 2, b"Canon EOS \0NIKON D\0Pixel \0SM-G\0iPhone \0iPhone 13 Pro\0"),
    (0, 0x011A, 5, _rational(300, 1) + _rational(72, 1)),
    (0, 0x011B, 5, _rational(72, 1)),
    (0, 0x0128, 3, b"\2\0"),
    (0, 0x0131, 2, b"GIMP 2.10\0Adobe Photoshop Lightroom Classic (Windows)\0 (Macintosh)\0"),
    (0, 0x0132, 2, b"2020:01:01 12:00:00\0"),
    (0, 0x013B, 2, b"Copyright (c) \0"),
    (0, 0x8298, 2, b"All rights reserved\0"),
    (2, 0x0000, 1, b"\2\3\0\0"),
    (2, 0x0001, 2, b"N\0"),
    (2, 0x0002, 5, _rational(45, 1) + _rational(30, 1) + _rational(0, 100)),
    (2, 0x0003, 2, b"E\0"),
    (2, 0x0004, 5, _rational(9, 1) + _rational(30, 1) + _rational(0, 100)),
    (2, 0x0005, 1, b"\0"),
    (2, 0x0006, 5, _rational(0, 1)),
    (2, 0x0007, 5, _rational(12, 1) + _rational(0, 1) + _rational(0, 1)),
    (2, 0x0012, 2, b"WGS-84\0"),
    (2, 0x001D, 2, b"2020:01:01\0"),
    (1, 0x829A, 5, _rational(1, 100)),
    (1, 0x829D, 5, _rational(28, 10)),
    (1, 0x8822, 3, b"\2\0"),
    (1, 0x8827, 3, b"\x64\0"),
    (1, 0x9000, 7, b"0232"),
    (1, 0x9003, 2, b"2020:01:01 12:00:00\0"),
    (1, 0x9004, 2, b"2020:01:01 12:00:00\0"),
    (1, 0x9010, 2, b"+01:00\0"),
    (1, 0x9011, 2, b"+01:00\0"),
    (1, 0x9012, 2, b"+01:00\0"),
    (1, 0x9101, 7, b"\1\2\3\0"),
    (1, 0x9201, 10, _rational(0, 1000)),
    (1, 0x9202, 5, _rational(0, 100)),
    (1, 0x9203, 10, _rational(0, 100)),
    (1, 0x9204, 10, _rational(0, 1)),
    (1, 0x9205, 5, _rational(0, 100)),
    (1, 0x9207, 3, b"\5\0"),
    (1, 0x9208, 3, b"\0\0"),
    (1, 0x9209, 3, b"\x10\0"),
    (1, 0x920A, 5, _rational(50, 1)),
    (1, 0x9286, 7, b"ASCII\0\0\0"),
    (1, 0x9290, 2, b"000\0"),
    (1, 0x9291, 2, b"000\0"),
    (1, 0x9292, 2, b"000\0"),
    (1, 0xA000, 7, b"0100"),
    (1, 0xA001, 3, b"\1\0"),
    (1, 0xA20E, 5, _rational(0, 1)),
    (1, 0xA20F, 5, _rational(0, 1)),
    (1, 0xA210, 3, b"\3\0"),
    (1, 0xA217, 3, b"\2\0"),
    (1, 0xA300, 7, b"\3"),
    (1, 0xA301, 7, b"\1"),
    (1, 0xA401, 3, b"\0\0"),
    (1, 0xA402, 3, b"\0\0"),
    (1, 0xA403, 3, b"\0\0"),
    (1, 0xA404, 5, _rational(1, 1)),
    (1, 0xA405, 3, b"\x1a\0"),
    (1, 0xA406, 3, b"\0\0"),
    (1, 0xA432, 5, _rational(24, 1) + _rational(70, 1) + _rational(28, 10) + _rational(28, 10)),
    (1, 0xA433, 2, b"Apple\0"),
    (1, 0xA434, 2, b"EF24-70mm f/2.8L II USM\0iPhone 13 Pro back triple camera 5.7mm f/1.5\0"),
)
# A colour profile of version 4: header, tags, and the values of the primaries P3.
_PROFILE = (
    b"mntrRGB XYZ \7\xe0\0\1\0\1\0\0\0\0\0\0acspAPPL\0\0\0\0"
    b"\0\0\0\0\0\0\xf6\xd6\0\1\0\0\0\0\xd3-lcmsADBEappl"
    b'desc\0\0\0\xfc\0\0\0$cprt\0\0\1 \0\0\0"wtpt\0\0\1D\0\0\0\x14chad\0\0\1X\0\0\0,'
    b"rXYZ\0\0\0\0\0\0\0\x14gXYZ\0\0\0\0\0\0\0\x14bXYZ\0\0\0\0\0\0\0\x14"
    b"rTRC\0\0\0\0\0\0\0 gTRC\0\0\0\0\0\0\0 bTRC\0\0\0\0\0\0\0 "
    b"curv\0\0\0\0\0\0\0\1\2\x33\0\0desc\0\0\0\0text\0\0\0\0"
    b"mluc\0\0\0\0\0\0\0\1\0\0\0\x0cenUS\0\0\0\x1a\0\0\0\x1c"
    b"\0C\0o\0p\0y\0r\0i\0g\0h\0t\0 \0A\0p\0p\0l\0e\0 \0I\0n\0c\0.\0,\0 \0002\0000\0002\0002"
    b"\0A\0d\0o\0b\0e\0 \0R\0G\0B\0D\0i\0s\0p\0l\0a\0y\0 \0P\0003"
    b"XYZ \0\0\0\0\0\0\xf6\xd6\0\1\0\0\0\0\xd3-"
    b"XYZ \0\0\0\0\0\0\x83\xdf\0\0=\xbf\xff\xff\xff\xbb"
    b"XYZ \0\0\0\0\0\0J\xbf\0\0\xb17\0\0\n\xb9"
    b"XYZ \0\0\0\0\0\0(8\0\0\x11\x0b\0\0\xc8\xb9"
    b"para\0\0\0\0\0\3\0\0\0\2ff\0\0\xf2\xa7\0\0\rY\0\0\x13\xd0\0\0\n["
    b"sf32\0\0\0\0\0\1\x0cB\0\0\5\xde\xff\xff\xf3&\0\0\7\x93\0\0\xfd\x90"
    b"\xff\xff\xfb\xa2\xff\xff\xfd\xa3\0\0\3\xdc\0\0\xc0n"
)
DICTIONARY = _PROFILE + _records(exif.Entry(*entry) for entry in _USUAL)
