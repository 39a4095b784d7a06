"""EXIF metadata (camera, time, place of a photograph), read and written within limits.

EXIF is a small TIFF file: directories of entries, each a tag, a type and values. ``read`` takes the
entries that describe a picture. It leaves out thumbnails (they show the original), maker's notes
(they cannot be moved, because their offsets are private), the layout of the pixels, and the
orientation, which is applied when a picture is read. ``write`` makes EXIF of entries, with the
orientation "upright".
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

MAIN, CAMERA, PLACE = 0, 1, 2  # directories: the picture, the exposure, GPS
MAX_ENTRIES = 256  # in a directory
MAX_VALUE = 4096  # bytes of one entry's values
MAX_BYTES = 1 << 15  # of the values of all entries
ORIENTATION = 0x0112

# Bytes of one value of each type: BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SLONG, SRATIONAL.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8}
_WORDS = {3: 2, 4: 4, 5: 4, 9: 4, 10: 4}  # bytes of one number, of types that have a byte order
_POINTERS = {0x8769: CAMERA, 0x8825: PLACE}  # tags that say where the other directories are
_MAIN_TAGS = frozenset(
    # description, make, model; resolution and its unit; software, time, artist, computer; the
    # author's rating; copyright; title, comment, author, keywords and subject of Windows
    (
        *(0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746),
        *(0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
    )
)
# The maker's note, width and height (turned by the orientation), and a further directory.
_NOT_OF_CAMERA = frozenset((0x927C, 0xA002, 0xA003, 0xA005))
_PREFIX = b"Exif\0\0"


class Entry(NamedTuple):
    """An entry: its directory, tag and type, and its values, numbers with the low byte first."""

    directory: int
    tag: int
    kind: int
    values: bytes


def valid(entries: Collection[Entry]) -> bool:
    """Whether these are entries as ``read`` gives them: in order, known, within the limits."""
    keys = [(entry.directory, entry.tag) for entry in entries]
    return (
        all(_is_kept(entry.directory, entry.tag) for entry in entries)
        and all(
            entry.kind in SIZES
            and 0 < len(entry.values) <= MAX_VALUE
            and len(entry.values) % SIZES[entry.kind] == 0
            for entry in entries
        )
        and keys == sorted(set(keys))
        and all(sum(key[0] == one for key in keys) <= MAX_ENTRIES for one in (MAIN, CAMERA, PLACE))
        and sum(len(entry.values) for entry in entries) <= MAX_BYTES
    )


def read(data: bytes, *, camera: bool = True, place: bool = True) -> tuple[Entry, ...]:
    """The entries of EXIF, in the order of directory and tag.

    ``camera``: what describes picture and exposure; ``place``: what GPS said. Bytes that are no
    EXIF have none, and an entry that cannot be read or is beyond the limits is left out.
    """
    data = _tiff(data)
    order = _order(data)
    if not order:
        return ()
    by_tag: dict[tuple[int, int], Entry] = {}
    pointers: dict[int, int] = {}
    for entry in _directory(data, order, _number(data, 4, order), MAIN):
        if entry.tag in _POINTERS and entry.kind == 4 and len(entry.values) == 4:
            pointers[_POINTERS[entry.tag]] = int.from_bytes(entry.values, "little")
        elif camera:
            by_tag[entry[:2]] = entry
    for directory, at in pointers.items():
        if camera if directory == CAMERA else place:
            by_tag |= {entry[:2]: entry for entry in _directory(data, order, at, directory)}
    entries, room = [], MAX_BYTES
    for _, entry in sorted(by_tag.items()):
        if _is_kept(entry.directory, entry.tag) and len(entry.values) <= room:
            entries.append(entry)
            room -= len(entry.values)
    return tuple(entries)


def write(entries: Iterable[Entry]) -> bytes:
    """EXIF with these entries and the orientation 1, as JPEG holds it; no bytes for no entries."""
    entries = tuple(entries)
    if not entries:
        return b""
    tables = [{e.tag: e for e in entries if e.directory == one} for one in (MAIN, CAMERA, PLACE)]
    tables[MAIN][ORIENTATION] = Entry(MAIN, ORIENTATION, 3, b"\1\0")
    pointers = {one: tag for tag, one in _POINTERS.items() if tables[one]}
    for tag in pointers.values():  # room for the offsets, which are known at the end
        tables[MAIN][tag] = Entry(MAIN, tag, 4, bytes(4))
    starts, at = [], 8
    for table in tables:
        starts.append(at)
        if table or table is tables[MAIN]:
            long = [entry.values for entry in table.values() if _is_outside(entry)]
            values = sum(len(data) + len(data) % 2 for data in long)
            at += 6 + 12 * len(table) + values
    for directory, tag in pointers.items():
        offset = struct.pack("<I", starts[directory])
        tables[MAIN][tag] = Entry(MAIN, tag, 4, offset)
    body = b"".join(
        _directory_bytes(table, start) for table, start in zip(tables, starts, strict=True) if table
    )
    return _PREFIX + b"II*\0" + struct.pack("<I", 8) + body


def _tiff(data: bytes) -> bytes:
    return data[len(_PREFIX) :] if data.startswith(_PREFIX) else data


def _order(data: bytes) -> str:
    """The byte order of a TIFF header, as ``struct`` and ``int`` write it; "" for no header."""
    return {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "") if len(data) >= 8 else ""


def _number(data: bytes, at: int, order: str) -> int:
    return int(struct.unpack_from(order + "I", data, at)[0])


def _directory(data: bytes, order: str, at: int, directory: int) -> Iterator[Entry]:
    """The entries of the directory at ``at``, without those that are not kept or not complete."""
    if at < 8 or at + 2 > len(data):
        return
    (count,) = struct.unpack_from(order + "H", data, at)
    for place in range(at + 2, at + 2 + 12 * min(count, MAX_ENTRIES), 12):
        if place + 12 > len(data):
            return
        tag, kind, number = struct.unpack_from(order + "HHI", data, place)
        size = SIZES.get(kind, 0) * number
        start = place + 8 if size <= 4 else _number(data, place + 8, order)
        if not 0 < size <= MAX_VALUE or start + size > len(data):
            continue
        if _is_kept(directory, tag) or (directory == MAIN and tag in _POINTERS):
            values = data[start : start + size]
            yield Entry(directory, tag, kind, _swapped(values, kind) if order == ">" else values)


def _is_kept(directory: int, tag: int) -> bool:
    if directory == MAIN:
        return tag in _MAIN_TAGS
    if directory == CAMERA:
        return tag not in _NOT_OF_CAMERA
    return directory == PLACE


def _swapped(values: bytes, kind: int) -> bytes:
    """The values in the other byte order."""
    size = _WORDS.get(kind, 1)
    return b"".join(values[i : i + size][::-1] for i in range(0, len(values), size))


def _is_outside(entry: Entry) -> bool:
    """Whether the values have more than four bytes, and so stand behind the directory."""
    return len(entry.values) > 4


def _directory_bytes(table: dict[int, Entry], start: int) -> bytes:
    """The bytes of a directory at the offset ``start``, and of the values behind it."""
    head, after = struct.pack("<H", len(table)), b""
    end = start + 6 + 12 * len(table)
    for _, entry in sorted(table.items()):
        count = len(entry.values) // SIZES[entry.kind]
        value = entry.values.ljust(4, b"\0")
        if _is_outside(entry):
            value = struct.pack("<I", end + len(after))
            after += entry.values + bytes(len(entry.values) % 2)
        head += struct.pack("<HHI", entry.tag, entry.kind, count) + value
    return head + bytes(4) + after
