"""The file format: round trips, golden files, and every way to damage one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sedic.coding.container import Coders, Container, checksum, pack
from sedic.coding.masks import MaskCoder
from sedic.coding.scale import coded_size
from sedic.coding.text import TextCoder
from sedic.errors import SedicError
from sedic.parts import MASK_CODERS, TEXT_CODERS
from sedic.profile import Profile
from sedic.semantics import (
    Mask,
    ObjectLayer,
    ReferenceImage,
    SemanticImage,
    grid_size,
)
from sedic.settings import Settings

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
PROFILE = Profile.load("mini")
MARK = b"\xab\xcd"


def ellipse(size: tuple[int, int], x: float, y: float, radius: float) -> Mask:
    columns, rows = grid_size(*size)
    down, across = np.mgrid[:rows, :columns]
    return Mask.of(np.hypot(across / columns - x, down / rows - y) < radius)


def scene(size: tuple[int, int] = (384, 256), objects: int = 3) -> SemanticImage:
    layers = (
        ObjectLayer("red car", "red car, smooth and shiny", ellipse(size, 0.3, 0.6, 0.2)),
        ObjectLayer("tree", "tree with fine irregular leaves", ellipse(size, 0.8, 0.4, 0.15)),
        ObjectLayer("a stone wall", "a stone wall, coarse, grey", ellipse(size, 0.6, 0.9, 0.2)),
    )
    reference = ReferenceImage("pixel", bytes(range(0, 250, 7)))
    return SemanticImage(*size, reference, "A red car under a tree.", layers[:objects])


def blocky() -> SemanticImage:
    """The scene with masks of 8 x 8 blocks."""
    image = scene()
    cells = [layer.mask.array[::4, ::6].repeat(4, 0).repeat(6, 1) for layer in image.objects]
    objects = [replace(o, mask=Mask.of(c)) for o, c in zip(image.objects, cells, strict=True)]
    return replace(image, objects=tuple(objects))


# One file per feature. To regenerate on purpose: python tests/coding/test_container.py
FEATURES = {
    "plain": (replace(scene(objects=0), overall=""), {}),
    "overall": (scene(objects=0), {}),
    "one-object": (scene(objects=1), {}),
    "three-objects": (scene(), {}),
    "wide": (scene((4000, 130)), {}),
    "one-pixel": (SemanticImage(1, 1, ReferenceImage("compact", b"\x01")), {}),
    "seed": (replace(scene(objects=1), seed=123_456_789), {}),
    "huffman-runlength": (scene(), {"text_coder": "huffman", "mask_coder": "runlength"}),
    "huffman-jbig2": (scene(), {"text_coder": "huffman", "mask_coder": "jbig2"}),
    "misc": (replace(scene(), method="misc"), {}),
    "unicode": (replace(scene(objects=0), overall="Ein Fähnchen, 旗 🚩"), {}),
    "settings": (scene(objects=1), {"settings": bytes([1, 9, 5, 20])}),
    "settings-seed": (replace(scene(objects=0), seed=7), {"settings": bytes([11, 1])}),
    "misc-blocks": (replace(blocky(), method="misc"), {"mask_coder": "blocks"}),
    "scaled": (scene((192, 128), 1), {"size": (383, 255), "scale": 2}),
    "large": (replace(scene((300, 8)), objects=()), {"size": (4800, 128), "scale": 8}),
    "grey": (replace(scene(objects=1), grey=True), {}),
    "external": (replace(scene(objects=0), reference=ReferenceImage("external", b"RIFF")), {}),
}


def file_of(name: str) -> bytes:
    image, coders = FEATURES[name]
    return pack(image, PROFILE, profile="mini", mark=MARK, **coders).to_bytes()


@pytest.mark.parametrize("name", FEATURES)
def test_files_come_back(name: str) -> None:
    data = file_of(name)
    container = Container.parse(data)
    assert container.unpack(PROFILE) == FEATURES[name][0]
    assert container.to_bytes() == data
    assert sum(container.parts().values()) == len(data)
    assert container.mark == MARK


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("version_*/*.sedic")), ids=lambda p: p.stem)
def test_golden_files_stay_readable(path: Path) -> None:
    """Written formats are for ever: these bytes were written once and must mean the same."""
    container = Container.parse(path.read_bytes())
    expected = json.loads((path.parent / "meaning.json").read_text())[path.stem]
    assert meaning(container, Tables(path.parent)) == expected


def test_golden_settings_mean_what_they_meant() -> None:
    """Numbers and units of settings are part of the format, too."""
    said = Container.parse((GOLDEN / "version_1" / "settings.sedic").read_bytes()).settings
    assert Settings.from_bytes(said, Settings()) == Settings(last_steps=9, object_cfg=2.0)


def test_settings_that_are_too_long_or_needless_are_refused() -> None:
    data = file_of("settings")
    at = data.index(bytes([4, 1, 9, 5, 20]))
    for field in (b"\x00", b"\xff\x02" + bytes(383)):
        with pytest.raises(SedicError, match="damaged"):
            Container.parse(resealed(data[:at] + field + data[at + 5 :]))


@dataclass(frozen=True)
class Tables:
    """The tables that golden files were coded with, which may not be those of today's profile."""

    folder: Path

    def text_coder(self, name: str) -> TextCoder:
        table = (self.folder / "text.safetensors.xz").read_bytes()
        coder: TextCoder = TEXT_CODERS[name].make(table=table, language=None)
        return coder

    def mask_coder(self, name: str) -> MaskCoder:
        table = (self.folder / "masks.safetensors").read_bytes()
        coder: MaskCoder = MASK_CODERS[name].make(table=table)
        return coder


def meaning(container: Container, coders: Coders = PROFILE) -> dict[str, object]:
    image = container.unpack(coders)
    special: dict[str, object] = {}
    if container.settings:
        special["settings"] = container.settings.hex()
    if container.scale:
        special["original"] = [container.width, container.height]
    if image.grey:
        special["grey"] = True
    return special | {
        "size": [image.width, image.height],
        "method": image.method,
        "seed": image.seed,
        "reference": [image.reference.codec, image.reference.data.hex()],
        "overall": image.overall,
        "objects": [[o.name, o.detail, o.mask.bits.hex()] for o in image.objects],
    }


def test_header_lengths_and_checksum_take_ten_bytes_and_five_in_a_bare_file() -> None:
    image = replace(scene((768, 512), 0), reference=ReferenceImage("compact", bytes(700)))
    for bare, most in ((False, 10), (True, 5)):
        made = pack(image, PROFILE, profile="mini", mark=MARK, bare=bare)
        assert made.parts()["header"] <= most
    objects = replace(scene((768, 512)), reference=ReferenceImage("compact", bytes(700)))
    assert pack(objects, PROFILE, profile="mini", mark=MARK).parts()["header"] <= 12
    for name in FEATURES:
        assert Container.parse(file_of(name)).parts()["header"] <= 17


BARE = {
    name: replace(image, reference=ReferenceImage("compact", image.reference.data))
    for name, (image, coders) in FEATURES.items()
    if not coders and image.method == "sedic" and not image.seed and not image.grey
}


@pytest.mark.parametrize("name", BARE)
def test_bare_files_come_back(name: str) -> None:
    made = pack(BARE[name], PROFILE, profile="mini", mark=MARK, bare=True)
    data = made.to_bytes()
    container = Container.parse_bare(data, "mini", "compact")
    assert container.unpack(PROFILE) == BARE[name]
    assert container == made
    assert container.to_bytes() == data
    assert sum(container.parts().values()) == len(data)


def test_what_a_bare_file_has_no_place_for_is_refused() -> None:
    for name in ("seed", "misc", "settings", "huffman-jbig2"):
        image, coders = FEATURES[name]
        made = pack(image, PROFILE, profile="mini", mark=MARK, bare=True, **coders)
        with pytest.raises(SedicError, match="bare"):
            made.to_bytes()


@examples(max_examples=300, deadline=None)
@given(st.binary(max_size=120))
def test_garbage_taken_for_a_bare_file_gives_a_scene_or_an_error(data: bytes) -> None:
    try:
        container = Container.parse_bare(data, "mini", "compact")
        if container.width * container.height <= 1 << 18:
            container.unpack(PROFILE)
    except SedicError:
        return
    assert container.to_bytes() == data


@given(st.integers(1, 16_383), st.integers(1, 4_096), st.integers(0, 15), st.booleans())
def test_a_scaled_file_knows_both_sizes(width: int, height: int, scale: int, bare: bool) -> None:
    small = coded_size(width, height, scale)
    if scale and small == coded_size(width, height, scale - 1):
        return  # a needless scale; a reader refuses it
    image = SemanticImage(*small, ReferenceImage("compact", b"\x40"))
    made = pack(
        image,
        PROFILE,
        profile="mini",
        mark=MARK,
        size=(width, height),
        scale=scale,
        bare=bare,
    )
    data = made.to_bytes()
    back = Container.parse_bare(data, "mini", "compact") if bare else Container.parse(data)
    assert (back.width, back.height) == (width, height)
    assert back.unpack(PROFILE) == image


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("name", BARE)
def test_a_prefix_holds_the_words_and_the_first_bytes_of_the_reference(
    name: str, bare: bool
) -> None:
    image = BARE[name]
    data = pack(image, PROFILE, profile="mini", mark=MARK, bare=bare).to_bytes()
    known = 0
    for size in range(len(data) + 1):
        try:
            part = Container.parse_prefix(data[:size], "mini", "compact", bare=bare)
        except SedicError:
            assert not known
            continue
        assert image.reference.data.startswith(part.reference)
        assert len(part.reference) >= known
        known = len(part.reference)
        assert part.words(PROFILE)[0] == image.overall
    assert known >= len(image.reference.data) - (0 if bare else 2)


@pytest.mark.parametrize("name", FEATURES)
def test_every_truncation_is_noticed(name: str) -> None:
    data = file_of(name)
    for length in range(len(data)):
        with pytest.raises(SedicError):
            Container.parse(data[:length])
    with pytest.raises(SedicError):
        Container.parse(data + b"\0")


@pytest.mark.parametrize("name", FEATURES)
def test_every_bit_flip_is_noticed(name: str) -> None:
    data = file_of(name)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 128 >> bit % 8
        with pytest.raises(SedicError):
            Container.parse(bytes(damaged))


def resealed(data: bytes) -> bytes:
    """``data`` with a checksum that is right again, as an attacker would write it."""
    return data[:-2] + checksum(data[:-2])


@pytest.mark.parametrize(
    "name", ["one-object", "huffman-runlength", "huffman-jbig2", "seed", "settings", "misc-blocks"]
)
def test_bit_flips_behind_a_right_checksum_give_a_scene_or_an_error(name: str) -> None:
    data = file_of(name)
    for bit in range(0, 8 * len(data) - 16, 7):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 128 >> bit % 8
        try:
            container = Container.parse(resealed(bytes(damaged)))
            if container.width * container.height <= 1 << 20:
                container.unpack(PROFILE)
        except SedicError:
            continue


@examples(max_examples=300, deadline=None)
@given(st.binary(min_size=4, max_size=120))
def test_garbage_behind_a_right_checksum_gives_a_scene_or_an_error(tail: bytes) -> None:
    try:
        container = Container.parse(resealed(b"\xd1\x00" + tail))
        if container.width * container.height <= 1 << 18:
            container.unpack(PROFILE)
    except SedicError:
        return
    assert container.to_bytes() == resealed(b"\xd1\x00" + tail)


def test_other_files_are_told_apart() -> None:
    with pytest.raises(SedicError, match="empty"):
        Container.parse(b"")
    with pytest.raises(SedicError, match=r"not a \.sedic file"):
        Container.parse(b"this is a text file called .sedic\n")
    newer = bytearray((GOLDEN / "version_1" / "plain.sedic").read_bytes())
    newer[2] = 2 << 5
    with pytest.raises(SedicError, match="versions 1 and 2"):
        Container.parse(resealed(bytes(newer)))


def test_sizes_that_lie_are_refused_before_anything_is_allocated() -> None:
    data = file_of("plain")
    large = bytes([data[0], data[1] | 0x20])
    huge = large + data[2:4] + b"\xff\xff\x03" * 2 + data[7:]
    with pytest.raises(SedicError, match="each side"):
        Container.parse(resealed(huge))


if __name__ == "__main__":
    newest = GOLDEN / "version_2"
    newest.mkdir(exist_ok=True)
    for part in ("text", "masks"):
        table = PROFILE.store.pins[part].path
        (newest / table.name).write_bytes(table.read_bytes())
    for feature in FEATURES:
        (newest / f"{feature}.sedic").write_bytes(file_of(feature))
    meanings = {name: meaning(Container.parse(file_of(name))) for name in FEATURES}
    (newest / "meaning.json").write_text(json.dumps(meanings, indent=1) + "\n")
