"""The section of what travels with a picture."""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from sedic import exif
from sedic.coding import carried
from sedic.coding.container import Container, pack, repack
from sedic.coding.fields import varint
from sedic.errors import DamagedFileError, MissingWeightsError, SedicError, UnsuitableInputError
from sedic.profile import Profile
from sedic.semantics import Carried, Ground, Mask, ObjectLayer, ReferenceImage, SemanticImage

PROFILE = Profile.load("mini")
GRID = (12, 8)
SIZE = (96, 64)


def round_mask() -> Mask:
    down, across = np.mgrid[: GRID[1], : GRID[0]]
    return Mask.of(np.hypot(across - 6, down - 4) < 3)


def some_exif() -> bytes:
    written = Image.Exif()
    written[0x010F], written[0x0132] = "Maker", "2024:05:01 10:11:12"
    written.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.5)})
    return exif.write(exif.read(written.tobytes()))


EVERYTHING = Carried(round_mask(), some_exif(), bytes(range(200)), Ground((255, 250, 1), 48))
SECTION = carried.encode(EVERYTHING, PROFILE)


def image(what: Carried, objects: int = 1) -> SemanticImage:
    layers = (ObjectLayer("red car", "red car, shiny", round_mask()),)
    reference = ReferenceImage("compact", bytes(range(40)))
    return SemanticImage(*SIZE, reference, "A street.", layers[:objects], carried=what)


@pytest.mark.parametrize("objects", [0, 1])
@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    "what",
    [
        EVERYTHING,
        Carried(opaque=round_mask()),
        Carried(exif=some_exif()),
        Carried(icc=b"any bytes at all"),
        Carried(ground=Ground((0, 0, 0), 255)),
        Carried(),
    ],
    ids=["all", "alpha", "exif", "icc", "ground", "nothing"],
)
def test_files_carry_it_whole_and_bare(what: Carried, bare: bool, objects: int) -> None:
    meant = image(what, objects)
    made = pack(meant, PROFILE, profile="mini", mark=b"ab", bare=bare)
    data = made.to_bytes()
    back = Container.parse_bare(data, "mini", "compact") if bare else Container.parse(data)
    assert back == made and back.unpack(PROFILE) == meant
    assert back.to_bytes() == data
    assert sum(back.parts().values()) == len(data)
    assert set(back.parts()) & {"alpha", "exif", "icc", "ground"} == set(
        carried.split(made.carried)
    )
    plain = pack(image(Carried(), objects), PROFILE, profile="mini", mark=b"ab", bare=bare)
    assert len(data) - len(plain.to_bytes()) <= len(made.carried) + 6


def test_it_comes_last_so_that_a_beginning_is_as_useful_as_ever() -> None:
    made = pack(image(EVERYTHING, 0), PROFILE, profile="mini", mark=b"ab")
    data = made.to_bytes()
    assert data[:-2].endswith(made.carried)
    cut = data[: len(data) - len(made.carried) - 2 - 10]
    begun = Container.parse_prefix(cut, "mini", "compact")
    assert begun.reference == made.reference[:-10] and begun.words(PROFILE)[0] == "A street."
    assert Container.parse_prefix(data, "mini", "compact").reference == made.reference


def test_every_cut_of_a_file_is_refused() -> None:
    data = pack(image(EVERYTHING), PROFILE, profile="mini", mark=b"ab", bare=True).to_bytes()
    for end in range(len(data) - len(SECTION) - 3, len(data)):
        with pytest.raises(SedicError):
            Container.parse_bare(data[:end], "mini", "compact").unpack(PROFILE)


def test_other_words_keep_it() -> None:
    made = pack(image(EVERYTHING), PROFILE, profile="mini", mark=b"ab")
    changed = repack(made, image(EVERYTHING, 0), PROFILE)
    assert changed.carried == made.carried and changed.object_count == 0


@given(st.data())
@examples(max_examples=150, deadline=None)
def test_any_bytes_are_carried_things_or_one_error(data: st.DataObject) -> None:
    damaged = bytearray(SECTION)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(SECTION) - 1))] = data.draw(st.integers(0, 255))
    deflated = carried._deflated(data.draw(st.binary(min_size=1, max_size=60)), "it")
    forged = b"\2" + varint(len(deflated)) + deflated
    for hostile in (bytes(damaged), data.draw(st.binary(max_size=60)), forged):
        try:
            found = carried.decode(hostile, PROFILE, GRID)
        except SedicError:
            continue
        again = carried.encode(found, PROFILE)
        assert carried.decode(again, PROFILE, GRID) == found


def part(key: int, data: bytes) -> bytes:
    return bytes([key]) + varint(len(data)) + data


def deflate(data: bytes) -> bytes:
    return zlib.compressobj(9, zlib.DEFLATED, -15).compress(data)


def test_what_inflates_to_too_much_is_refused() -> None:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = coder.compress(bytes(1 << 24)) + coder.flush()
    with pytest.raises(DamagedFileError, match="wrong length"):
        carried.decode_metadata(part(3, bomb))


@pytest.mark.parametrize(
    ("section", "error"),
    [
        (part(5, b"x"), MissingWeightsError),
        (part(4, b"abc"), DamagedFileError),
        (part(4, b"abc\0"), DamagedFileError),
        (part(3, carried._deflated(b"a", "it")) + part(2, b""), DamagedFileError),
        (part(3, carried._deflated(b"a", "it") + b"\0"), DamagedFileError),
        (part(3, b""), DamagedFileError),
        (part(2, carried._deflated(b"\xf2\1\1\1a", "it")), DamagedFileError),
        (part(2, carried._deflated(b"\2\1\x0f\2abc", "it")), DamagedFileError),
        (b"\3\5ab", DamagedFileError),
        (b"\3", DamagedFileError),
    ],
)
def test_what_nobody_writes_is_refused(section: bytes, error: type[SedicError]) -> None:
    with pytest.raises(error):
        carried.decode(section, PROFILE, GRID)


def test_too_much_is_not_written() -> None:
    with pytest.raises(UnsuitableInputError, match="colour profile of 70000 bytes"):
        carried.encode(Carried(icc=bytes(70_000)), PROFILE)
    with pytest.raises(UnsuitableInputError, match="mask of opacity is 12x8"):
        SemanticImage(200, 64, ReferenceImage("compact", b"a"), carried=EVERYTHING)


def test_the_preset_dictionary_is_part_of_the_format() -> None:
    digest = hashlib.sha256(carried.DICTIONARY).hexdigest()
    assert (len(carried.DICTIONARY), digest[:16]) == (1450, "d0e14417347634f2")
