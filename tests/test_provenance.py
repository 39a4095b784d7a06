"""A decoded picture says that it was made up by a model, in every format that can."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sedic.errors import DamagedFileError
from sedic.picture import load_picture, save_picture
from sedic.provenance import SOURCE_TYPE, Provenance, read_provenance, with_caption

MADE = Provenance(157, "mini", "1a2b", ('an old "red" barn & <trees>', "barn, wooden, cr\u00e8me"))
GREY = np.full((40, 300, 3), 128, np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_what_is_written_is_read_again_and_the_pixels_stay(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    save_picture(GREY, path, xmp=MADE.to_xmp())
    assert read_provenance(path) == MADE
    assert np.abs(load_picture(path).astype(int) - GREY).max() <= 1


def test_a_stream_gets_it_too() -> None:
    stream = io.BytesIO()
    save_picture(GREY, stream, xmp=MADE.to_xmp())
    stream.seek(0)
    assert read_provenance(stream) == MADE


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_picture_that_says_nothing(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    save_picture(GREY, path)
    assert read_provenance(path) is None


def test_other_programs_find_the_source_type_where_iptc_puts_it() -> None:
    packet = MADE.to_xmp().decode()
    assert f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>" in packet
    assert 'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"' in packet
    assert packet.startswith("<?xpacket begin=")
    assert "<dc:description><rdf:Alt>" in packet


@given(st.lists(st.text(max_size=60), max_size=4), st.text(max_size=20))
def test_any_words_come_back_but_for_what_xml_cannot_hold(words: list[str], profile: str) -> None:
    made = Provenance(1, profile, "", tuple(words))
    found = Provenance.of_xmp(made.to_xmp())
    assert found is not None
    assert len(found.words) == len(words)
    for one, back in zip((profile, *words), (found.profile, *found.words), strict=True):
        printable = one.isprintable()
        assert back == one if printable else len(back) == len(one.replace("\r\n", "\n"))
    assert all(line.isprintable() for line in found.lines())


@given(st.binary(max_size=200))
def test_damaged_packets_give_nothing_or_one_error(data: bytes) -> None:
    for packet in (data, MADE.to_xmp()[: len(data) * 4] + data):
        with contextlib.suppress(DamagedFileError):
            assert Provenance.of_xmp(packet) in (None, MADE)


def test_hostile_packets_are_refused_without_work() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 999 + b'"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    for packet in (bomb, b" " * (1 << 18), b"<a>" * 40_000, b"\xff\xfe", b"<a>&b;</a>"):
        with pytest.raises(DamagedFileError):
            Provenance.of_xmp(packet)
    lying = MADE.to_xmp().replace(b">157<", b">-1<")
    with pytest.raises(DamagedFileError, match="bytes"):
        Provenance.of_xmp(lying)
    with pytest.raises(DamagedFileError):
        read_provenance(io.BytesIO(b"no picture"))


def test_a_caption_keeps_the_picture_and_grows_with_the_words() -> None:
    few = with_caption(GREY, Provenance(157, "mini", "1a2b"))
    many = with_caption(GREY, Provenance(157, "mini", "1a2b", ("very long words " * 20, "x" * 90)))
    for one in (few, many):
        assert one.shape[1:] == GREY.shape[1:]
        assert np.array_equal(one[:40], GREY)
        assert (one[40:] < 100).any()
    assert many.shape[0] > few.shape[0]
    tiny = with_caption(np.zeros((1, 1, 3), np.uint8), MADE)
    assert tiny.shape[1] == 1
    Image.fromarray(tiny)
