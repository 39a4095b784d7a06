"""One table of rules for every mode, depth, transparency and orientation, for pictures and masks.

The PNG files are made here byte by byte, so that what is expected does not rest on Pillow.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sedic.picture import load_mask, load_picture

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6  # PNG colour types
CHANNELS = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    COLOUR: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    COLOUR_ALPHA: (8, 16),
}
STORED = {  # from upright to how a camera with this EXIF orientation stores it
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


@dataclass(frozen=True)
class Case:
    """An upright picture as samples, and how its file says it."""

    kind: int
    depth: int
    samples: np.ndarray  # (height, width, channels)
    palette: np.ndarray  # (entries, 4) uint8
    key: tuple[int, ...] | None
    orientation: int

    @property
    def png(self) -> bytes:
        stored = np.ascontiguousarray(STORED[self.orientation](self.samples))
        chunks = []
        if self.kind == PALETTE:
            chunks.append((b"PLTE", self.palette[:, :3].tobytes()))
            if self.key is not None:
                chunks.append((b"tRNS", self.palette[:, 3].tobytes()))
        elif self.key is not None:
            chunks.append((b"tRNS", struct.pack(f">{len(self.key)}H", *self.key)))
        entry = struct.pack("<HHII", 0x0112, 3, 1, self.orientation)
        chunks.append((b"eXIf", b"II*\0\x08\0\0\0\x01\0" + entry + bytes(4)))
        return png(stored, self.depth, self.kind, *chunks)

    @property
    def colour_and_alpha(self) -> tuple[np.ndarray, np.ndarray]:
        """What the table of rules says: (height, width, 3) and (height, width, 1), 0 to 255."""
        top = (1 << self.depth) - 1
        if self.kind == PALETTE:
            entries = self.palette[self.samples[..., 0]].astype(int)
            solid = np.full_like(entries[..., 3:], 255)
            return entries[..., :3], entries[..., 3:] if self.key is not None else solid
        eight = np.rint(self.samples * (255 / top)).astype(int)
        if self.kind in (GREY_ALPHA, COLOUR_ALPHA):
            colour, alpha = eight[..., :-1], eight[..., -1:]
        else:
            colour = eight
            alpha = np.full((*eight.shape[:2], 1), 255)
            if self.key is not None:
                alpha[(self.samples == np.array(self.key)).all(-1)] = 0
        return np.broadcast_to(colour, (*eight.shape[:2], 3)), alpha


def png(samples: np.ndarray, depth: int, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        check = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)

    height, width = samples.shape[:2]
    if depth < 8:
        bits = (samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        rows = samples.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[int, ...] = tuple(DEPTHS)) -> Case:
    kind = draw(st.sampled_from(kinds))
    depth = draw(st.sampled_from(DEPTHS[kind]))
    height, width = draw(st.integers(1, 5)), draw(st.sampled_from([1, 2, 5, 9, 131]))
    if draw(st.booleans()):
        height, width = width, height  # more than one strip of rows
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    top = (1 << depth) - 1
    # Few different values, so that some are the transparent one or differ from it by little.
    levels = np.unique(rng.integers(0, top + 1, 4))
    levels = np.unique(np.clip(np.concatenate([levels, levels + 1, levels ^ 0x80]), 0, top))
    samples = rng.choice(levels, (height, width, CHANNELS[kind]))
    key = None
    if kind in (GREY, COLOUR, PALETTE) and draw(st.booleans()):
        key = tuple(map(int, samples[0, 0]))
    palette = rng.integers(0, 256, (top + 1 if depth < 16 else 0, 4)).astype(np.uint8)
    palette[:, 3] = rng.choice([0, 100, 127, 128, 255], len(palette))
    return Case(kind, depth, samples, palette, key, draw(st.integers(1, 8)))


@given(cases())
@settings(max_examples=300, deadline=None)
def test_every_png_is_read_by_the_rules(case: Case) -> None:
    colour, alpha = case.colour_and_alpha
    expected = np.rint((colour * alpha + 255 * (255.0 - alpha)) / 255)
    loaded = load_picture(case.png)
    assert loaded.dtype == np.uint8 and loaded.flags.c_contiguous and loaded.flags.writeable
    np.testing.assert_array_equal(loaded, expected)


@given(cases())
@settings(max_examples=300, deadline=None)
def test_every_png_is_a_mask_by_the_same_rules(case: Case) -> None:
    colour, alpha = case.colour_and_alpha
    luma = colour @ np.array([0.299, 0.587, 0.114])
    cut_out = (alpha < 128).any()
    mask = load_mask(case.png)
    assert mask.dtype == np.bool_ and mask.shape == luma.shape
    if cut_out:
        np.testing.assert_array_equal(mask, alpha[..., 0] > 127)
    else:
        sure = np.abs(luma - 127.5) > 1  # of the rounding of the luma
        np.testing.assert_array_equal(mask[sure], luma[sure] > 127.5)


@given(cases())
@settings(max_examples=80, deadline=None)
def test_an_opened_pillow_image_is_read_like_its_file(case: Case) -> None:
    with Image.open(io.BytesIO(case.png)) as image:
        before = dict(image.info)
        loaded = load_picture(image)
        assert image.info == before
    with Image.open(io.BytesIO(case.png)) as image:
        mask = load_mask(image)
    if case.depth < 16 or case.kind == GREY:
        np.testing.assert_array_equal(loaded, load_picture(case.png))
        np.testing.assert_array_equal(mask, load_mask(case.png))
    elif case.key is None:  # of 16-bit colour Pillow keeps the high byte
        assert np.abs(loaded - load_picture(case.png).astype(int)).max() <= 2


@given(cases((GREY, COLOUR, COLOUR_ALPHA)), st.sampled_from(["raw", "tiff_deflate", "tiff_lzw"]))
@settings(max_examples=60, deadline=None)
def test_tiff_files_of_eight_bits_are_read_by_the_same_rules(case: Case, coded: str) -> None:
    if case.depth != 8 or case.key is not None:
        return
    array = case.samples.astype(np.uint8)
    image = Image.fromarray(array[..., 0] if case.kind == GREY else array)
    file = io.BytesIO()
    image.save(file, "TIFF", compression=coded)
    colour, alpha = case.colour_and_alpha
    expected = np.rint((colour * alpha + 255 * (255.0 - alpha)) / 255)
    np.testing.assert_array_equal(load_picture(file.getvalue()), expected)


def tiff16(samples: np.ndarray, order: str) -> bytes:
    """An uncompressed TIFF of (height, width, 3 or 4) 16-bit samples; ``order`` is < or >."""
    height, width, channels = samples.shape
    data = samples.astype(f"{order}u2").tobytes()
    entries = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 0), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 1, 0), (277, 3, 1, channels), (278, 4, 1, height)),
        (279, 4, 1, len(data)),
        *([(338, 3, 1, 2)] if channels == 4 else []),
    ]
    start = 8 + 2 + 12 * len(entries) + 4
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    body = b""
    for tag, kind, count, value in entries:
        value = {258: start, 273: start + len(bits)}.get(tag, value)
        packed = struct.pack(f"{order}I", value)
        if kind == 3 and count == 1:
            packed = struct.pack(f"{order}HH", value, 0)
        body += struct.pack(f"{order}HHI", tag, kind, count) + packed
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return head + struct.pack(f"{order}H", len(entries)) + body + bytes(4) + bits + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_in_tiff_is_divided_by_257(order: str, channels: int) -> None:
    samples = np.random.default_rng(channels).integers(0, 65_536, (7, 5, channels))
    eight = np.rint(samples / 257)
    alpha = eight[..., 3:] if channels == 4 else 255.0
    expected = np.rint((eight[..., :3] * alpha + 255 * (255 - alpha)) / 255)
    np.testing.assert_array_equal(load_picture(tiff16(samples, order)), expected)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_in_compressed_tiff(byteorder: str, channels: int) -> None:
    tifffile = pytest.importorskip("tifffile")  # comes with scikit-image
    samples = np.random.default_rng(1).integers(0, 65_536, (40, 30, channels)).astype(np.uint16)
    file = io.BytesIO()
    more = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(
        file,
        samples,
        photometric="rgb",
        compression="zlib",
        rowsperstrip=8,
        byteorder=byteorder,
        **more,
    )
    eight = np.rint(samples / 257)
    alpha = eight[..., 3:] if channels == 4 else 255.0
    expected = np.rint((eight[..., :3] * alpha + 255 * (255 - alpha)) / 255)
    np.testing.assert_array_equal(load_picture(file.getvalue()), expected)


def test_a_transparent_colour_differs_from_its_neighbours_in_the_low_byte() -> None:
    """At 8 bits all three pixels are alike; the key is that of the middle one."""
    samples = np.array([[[0x1200, 0x5600, 0x9A00], [0x1201, 0x5600, 0x9A00], [0x1202, 0x5600, 1]]])
    chunk = (b"tRNS", struct.pack(">3H", 0x1201, 0x5600, 0x9A00))
    loaded = load_picture(png(samples, 16, COLOUR, chunk))
    assert (loaded == 255).all(-1).tolist() == [[False, True, False]]
    grey = np.array([[[0x8000], [0x8001], [0x80FF]]])
    loaded = load_picture(png(grey, 16, GREY, (b"tRNS", struct.pack(">H", 0x8001))))
    assert loaded[0, :, 0].tolist() == [128, 255, 128]


def test_a_mask_of_sixteen_bits_is_inside_above_half() -> None:
    values = np.array([[[0], [1000], [32_767], [32_768], [65_535]]])
    assert load_mask(png(values, 16, GREY)).tolist() == [[False, False, False, True, True]]
    file = io.BytesIO()
    Image.fromarray(values[..., 0].astype(np.int32)).save(file, "TIFF")
    assert load_mask(file.getvalue()).tolist() == [[False, False, False, True, True]]


def test_a_dark_cut_out_is_inside_where_it_is_opaque() -> None:
    cut_out = np.zeros((4, 6, 4), np.uint8)
    cut_out[1:3, 2:4, 3] = 255
    expected = cut_out[..., 3] > 127
    np.testing.assert_array_equal(load_mask(cut_out), expected)
    image = Image.fromarray(cut_out)
    for format_name in ("PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        image.save(file, format_name, **({"lossless": True} if format_name == "WEBP" else {}))
        np.testing.assert_array_equal(load_mask(file.getvalue()), expected)
    for mode in ("La", "RGBa", "LA"):
        image_of_mode = image.convert("LA").convert(mode) if mode != "RGBa" else image.convert(mode)
        np.testing.assert_array_equal(load_mask(image_of_mode), expected)


def test_an_opaque_mask_with_an_alpha_channel_counts_by_brightness() -> None:
    mask = np.full((2, 3, 4), 255, np.uint8)
    mask[:, 0, :3] = 0
    assert load_mask(mask).tolist() == [[False, True, True]] * 2


@pytest.mark.parametrize("mode", [m for m in Image.MODES if not m.startswith("I;16")])
def test_a_pillow_image_of_any_mode_is_a_picture_and_a_mask(mode: str) -> None:
    image = Image.new(mode, (3, 2))
    assert load_picture(image).shape == (2, 3, 3)
    assert load_mask(image).shape == (2, 3)
