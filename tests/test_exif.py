"""EXIF, read and written within limits."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from sedic import exif

TIME = "2024:05:01 10:11:12"


def photograph(**main: object) -> Image.Exif:
    """EXIF as a telephone writes it, with a thumbnail, a maker's note and a place."""
    written = Image.Exif()
    for tag, value in {0x010F: "Maker", 0x0110: "Model 1", 0x0112: 6, 0x0132: TIME}.items():
        written[tag] = value
    written[0x0111] = 4711  # where the pixels of a TIFF file are
    written.get_ifd(0x8769).update({0x8827: 400, 0x9003: TIME, 0x927C: b"secret", 0xA002: 4000})
    written.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.5), 3: "E", 4: (13.0, 24.0, 36.0)})
    return written


def shown(data: bytes) -> Image.Exif:
    found = Image.Exif()
    found.load(data)
    return found


def test_pillow_reads_what_describes_the_picture_and_no_more() -> None:
    found = shown(exif.write(exif.read(photograph().tobytes())))
    assert found[0x010F] == "Maker" and found[0x0132] == TIME
    assert found[0x0112] == 1  # the picture is upright now
    assert found.get_ifd(0x8769) == {0x8827: 400, 0x9003: TIME}
    assert found.get_ifd(0x8825)[2] == (52.0, 31.0, 12.5)
    assert 0x0111 not in found


@pytest.mark.parametrize("order", [b"II*\0", b"MM\0*"])
def test_both_byte_orders_mean_the_same(order: bytes) -> None:
    pack = (
        (lambda f, *v: struct.pack("<" + f, *v))
        if order[:1] == b"I"
        else (lambda f, *v: struct.pack(">" + f, *v))
    )
    data = order + pack("I", 8) + pack("H", 2)
    data += pack("HHI", 0x0128, 3, 1) + pack("H", 2) + b"\0\0"
    data += pack("HHII", 0x011A, 5, 1, 38) + pack("I", 0) + pack("II", 300, 7)
    resolution, unit = exif.read(data)
    assert (resolution.tag, resolution.values) == (0x011A, struct.pack("<II", 300, 7))
    assert (unit.tag, unit.values) == (0x0128, b"\2\0")


def test_place_and_camera_are_read_apart() -> None:
    data = photograph().tobytes()
    assert {e.directory for e in exif.read(data, place=False)} == {exif.MAIN, exif.CAMERA}
    assert {e.directory for e in exif.read(data, camera=False)} == {exif.PLACE}
    assert exif.read(data, camera=False, place=False) == ()
    assert exif.write(()) == b""


@given(st.data())
@examples(max_examples=150, deadline=None)
def test_damage_gives_entries_or_none_and_never_an_exception(data: st.DataObject) -> None:
    whole = bytearray(photograph().tobytes())
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for hostile in (cut, data.draw(st.binary(max_size=200))):
        entries = exif.read(hostile)
        assert exif.valid(entries)
        assert exif.read(exif.write(entries)) == entries


def test_many_entries_that_share_one_long_value_cost_little() -> None:
    count = 65_535
    head = b"II*\0" + struct.pack("<IH", 8, count)
    body = b"".join(struct.pack("<HHII", tag, 2, 4000, 8) for tag in range(count))
    camera = struct.pack("<HHII", 0x8769, 4, 1, 8)
    began = time.perf_counter()
    entries = exif.read(head + camera + body + bytes(4096))
    assert sum(len(entry.values) for entry in entries) <= exif.MAX_BYTES
    assert time.perf_counter() - began < 2
