"""Pictures of every kind in, one kind out; damaged ones refused in one line."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sedic.errors import (
    DamagedFileError,
    LimitError,
    OutOfMemoryError,
    OutputError,
    SedicError,
    UnsuitableInputError,
)
from sedic.files import check_output
from sedic.picture import (
    check_picture_output,
    load_mask,
    load_picture,
    pad_to_multiple,
    read_picture,
    save_picture,
)


def stored(image: Image.Image, format_name: str = "PNG", **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **settings)
    return buffer.getvalue()


@pytest.fixture
def picture() -> np.ndarray:
    """Smooth enough for JPEG, tall enough for more than one strip, no two corners alike."""
    rows, columns = np.mgrid[0:150, 0:40]
    return np.stack([rows, columns * 6, 255 - rows], -1).astype(np.uint8)


def test_a_saved_picture_loads_as_it_was(tmp_path: Path, picture: np.ndarray) -> None:
    for name in ("a.png", "b.webp", "c.TIFF", "d.bmp", "e.ppm", "no_suffix"):
        save_picture(picture, tmp_path / name)
        np.testing.assert_array_equal(load_picture(tmp_path / name), picture)
        np.testing.assert_array_equal(load_picture(str(tmp_path / name)), picture)
    save_picture(picture, tmp_path / "f.jpg")
    assert np.abs(load_picture(tmp_path / "f.jpg").astype(int) - picture).mean() < 2
    stream = io.BytesIO()
    save_picture(picture, stream)
    np.testing.assert_array_equal(load_picture(stream.getvalue()), picture)
    stream.seek(0)
    np.testing.assert_array_equal(load_picture(stream), picture)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(
    picture: np.ndarray, orientation: int, format_name: str
) -> None:
    turn = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }[orientation]  # from upright to how the camera stored it
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98}}.get(format_name, {})
    image = Image.fromarray(np.ascontiguousarray(turn(picture)))
    loaded = load_picture(stored(image, format_name, exif=exif, **settings))
    assert loaded.shape == picture.shape
    assert loaded.flags.c_contiguous
    assert np.abs(loaded.astype(int) - picture).mean() < 2


def test_damaged_metadata_do_not_spoil_a_picture(picture: np.ndarray) -> None:
    data = stored(Image.fromarray(picture), exif=b"Exif\0\0II*\0\xff\xff\xff\xff", icc_profile=b"?")
    np.testing.assert_array_equal(load_picture(data), picture)


def test_grey_palette_and_one_bit_pictures_keep_their_values(picture: np.ndarray) -> None:
    grey = Image.fromarray(picture[:, :, 0])
    for data in (stored(grey), stored(grey.convert("LA")), stored(grey.convert("P"))):
        np.testing.assert_array_equal(load_picture(data), np.repeat(picture[:, :, :1], 3, 2))
    black_white = picture[:, :, 0] > 70
    loaded = load_picture(stored(Image.fromarray(black_white)))
    np.testing.assert_array_equal(loaded[:, :, 1], 255 * black_white)


def test_sixteen_bits_are_divided_by_257(picture: np.ndarray) -> None:
    deep = np.arange(0, 65_536, 16, np.uint16).reshape(64, 64)
    expected = np.rint(deep / 257)
    for values, format_name in ((deep, "PNG"), (deep, "TIFF"), (deep.astype(np.int32), "TIFF")):
        loaded = load_picture(stored(Image.fromarray(values), format_name))
        np.testing.assert_array_equal(loaded, np.stack([expected] * 3, -1))
    wild = np.array([[-5, 65_535, 1 << 30]], np.int32)
    loaded = load_picture(stored(Image.fromarray(wild), "TIFF"))
    assert loaded[0, :, 0].tolist() == [0, 255, 255]


def test_floats_span_one_or_255() -> None:
    for top in (1.0, 255.0):
        values = np.array([[0, 0.5 * top, top, np.nan, -3, 0.25 * top]], np.float32)
        loaded = load_picture(stored(Image.fromarray(values), "TIFF"))
        assert loaded[0, :, 0].tolist() == [0, 128, 255, 0, 0, 64]


def test_transparency_is_laid_over_white(picture: np.ndarray) -> None:
    alpha = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (150, 1))
    rgba = np.dstack([picture, alpha])
    share = alpha[:, :, None] / 255
    expected = picture * share + 255 * (1 - share)
    loaded = load_picture(stored(Image.fromarray(rgba)))
    assert np.abs(loaded - expected).max() <= 0.51
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    loaded = load_picture(stored(palette, transparency=1))
    assert loaded.tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_cmyk_is_converted() -> None:
    ink = Image.new("CMYK", (20, 10), (0, 255, 255, 0))
    for format_name in ("JPEG", "TIFF"):
        assert np.abs(load_picture(stored(ink, format_name)) - np.array([255, 0, 0])).max() <= 4


def test_a_colour_profile_is_converted_to_srgb(picture: np.ndarray) -> None:
    """A profile whose red and green are swapped shows whether it is applied."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(
        load_picture(stored(Image.fromarray(picture), icc_profile=srgb)), picture
    )
    tags = {srgb[at : at + 4]: at for at in range(132, 132 + 12 * srgb[131], 12)}
    swapped = bytearray(srgb)
    swapped[tags[b"rXYZ"] : tags[b"rXYZ"] + 4] = b"gXYZ"
    swapped[tags[b"gXYZ"] : tags[b"gXYZ"] + 4] = b"rXYZ"
    for mode in ("RGB", "RGBA"):
        image = Image.fromarray(picture).convert(mode)
        loaded = load_picture(stored(image, icc_profile=bytes(swapped)))
        assert np.abs(loaded.astype(int) - picture[:, :, [1, 0, 2]]).max() <= 2
    grey = Image.fromarray(picture[:, :, 0])  # a colour profile cannot fit a grey picture
    loaded = load_picture(stored(grey, icc_profile=bytes(swapped)))
    np.testing.assert_array_equal(loaded[:, :, 0], picture[:, :, 0])


def test_lab_is_converted() -> None:
    lab = stored(Image.new("LAB", (3, 2), (255, 128, 128)), "TIFF")
    assert load_picture(lab).min() >= 253


def test_of_an_animation_the_first_frame_with_a_note(picture: np.ndarray) -> None:
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    for format_name, settings in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = stored(frames[0], format_name, save_all=True, append_images=frames[1:], **settings)
        loaded = read_picture(data)
        np.testing.assert_array_equal(loaded.pixels, picture)
        assert "only the first" in loaded.notes[0]
        assert read_picture(stored(frames[0], format_name)).notes == ()
    gif = stored(frames[0].convert("L"), "GIF", save_all=True, append_images=[frames[1]])
    assert len(read_picture(gif).notes) == 1
    phone = stored(frames[0], "MPO", save_all=True, append_images=[frames[1]])
    assert read_picture(phone).notes == ()  # the second picture is its depth or its preview
    cut = read_picture(gif[: len(gif) * 3 // 4])  # within the second frame
    assert cut.pixels.shape == picture.shape


def test_of_a_pillow_image_the_frame_it_is_at(picture: np.ndarray) -> None:
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    data = stored(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        np.testing.assert_array_equal(load_picture(image), 255 - picture)
        assert image.tell() == 1


def layouts(array: np.ndarray) -> list[np.ndarray]:
    """The same array in every way that it can lie in memory."""
    read_only = array.copy()
    read_only.flags.writeable = False
    wide = np.zeros((array.shape[0] * 2, array.shape[1] * 3, *array.shape[2:]), array.dtype)
    wide[::2, ::3] = array
    flipped = array[::-1, ::-1].copy()
    return [array, read_only, np.asfortranarray(array), wide[::2, ::3], flipped[::-1, ::-1]]


def test_arrays_of_any_strides(picture: np.ndarray) -> None:
    for array in layouts(picture):
        loaded = load_picture(array)
        np.testing.assert_array_equal(loaded, picture)
        assert loaded.flags.c_contiguous and loaded.flags.writeable and type(loaded) is np.ndarray
    blue_first = picture[:, :, ::-1].copy()
    np.testing.assert_array_equal(load_picture(blue_first[:, :, ::-1]), picture)
    np.testing.assert_array_equal(
        load_picture(np.broadcast_to(picture[:1], picture.shape))[5], picture[0]
    )
    assert load_picture(picture) is picture
    grey = picture[:, :, 0]
    for shaped in (grey, grey[..., None]):
        for array in layouts(shaped):
            loaded = load_picture(array)
            np.testing.assert_array_equal(loaded, np.repeat(grey[..., None], 3, 2))
            assert loaded.flags.c_contiguous and loaded.flags.writeable


def test_an_array_with_alpha_is_read_like_the_file_of_it(picture: np.ndarray) -> None:
    alpha = np.tile(np.arange(0, 240, 6, np.uint8), (150, 1))
    rgba = np.dstack([picture, alpha])
    for array in layouts(rgba):
        np.testing.assert_array_equal(
            load_picture(array), load_picture(stored(Image.fromarray(rgba)))
        )
        np.testing.assert_array_equal(load_mask(array), alpha > 127)


def test_boolean_arrays_are_masks_and_no_pictures(picture: np.ndarray) -> None:
    mask = picture[:, :, 0] > 70
    for array in layouts(mask):
        np.testing.assert_array_equal(load_mask(array), mask)
    np.testing.assert_array_equal(load_mask((255 * mask).astype(np.uint8)), mask)
    np.testing.assert_array_equal(load_mask(stored(Image.fromarray(mask))), mask)
    np.testing.assert_array_equal(load_mask(Image.fromarray(mask).convert("P")), mask)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (np.zeros((4, 5, 3), np.float32), "uint8, not float32"),
        (np.ones((4, 5, 3)) / 2, "uint8, not float64; scale"),
        (np.full((4, 5, 3), 300, np.int32), "uint8, not int32"),
        (np.zeros((4, 5), np.uint16), "uint8, not uint16"),
        (np.zeros((4, 5, 3), np.int8), "uint8, not int8"),
        (np.zeros((4, 5), np.bool_), "uint8, not bool"),
        (np.zeros((4, 5, 3), object), "uint8, not object"),
        (np.zeros((3, 4, 5), np.uint8), r"this one is \(3, 4, 5\)"),
        (np.zeros((4, 5, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((1, 4, 5, 3), np.uint8), "this one is"),
        (np.zeros(4, np.uint8), "this one is"),
        (np.zeros((), np.uint8), "this one is"),
        (np.zeros((0, 5, 3), np.uint8), "must not be empty"),
        (np.zeros((4, 0), np.uint8), "must not be empty"),
        (np.zeros((4, 5, 0), np.uint8), "channels"),
        (None, "not a NoneType"),
        ([[0, 1], [2, 3]], "not a list"),
        (3, "not a int"),
        (io.StringIO("text"), "binary mode"),
    ],
)
def test_what_is_no_picture_is_refused_by_what_is_wrong(source: object, problem: str) -> None:
    with pytest.raises(UnsuitableInputError, match=problem) as caught:
        load_picture(source)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError) and str(caught.value).isprintable()


def test_an_array_that_is_too_large_is_refused_without_a_copy() -> None:
    for shape in ((16_384, 1, 3), (8_193, 8_192), (1, 20_000, 4)):
        with pytest.raises(LimitError, match="size"):
            load_picture(np.broadcast_to(np.uint8(0), shape))


def test_every_kind_of_source_is_the_same_picture(tmp_path: Path, picture: np.ndarray) -> None:
    data = stored(Image.fromarray(picture))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    with path.open("rb") as stream, Image.open(path) as image:
        sources = (path, str(path), pipe, data, bytearray(data), memoryview(data), stream, image)
        for source in sources:
            np.testing.assert_array_equal(load_picture(source), picture)
    writer.join()


def test_errors_have_their_kinds(tmp_path: Path, picture: np.ndarray) -> None:
    data = stored(Image.fromarray(picture))
    path = tmp_path / "cut.png"
    path.write_bytes(data[: len(data) // 2])
    for source, kind in (
        (tmp_path / "missing.png", UnsuitableInputError),
        (tmp_path, UnsuitableInputError),
        (path, DamagedFileError),
        (b"", DamagedFileError),
        (b"no picture", DamagedFileError),
        (png_header(16_384, 10), LimitError),
        (png_header(60_000, 60_000), LimitError),
    ):
        for load in (load_picture, load_mask):
            with pytest.raises(SedicError) as caught:
                load(source)  # type: ignore[operator]
            assert type(caught.value) is kind
    with pytest.raises(DamagedFileError, match=r"cut\.png"):
        load_picture(path)


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("out of memory error when reading image file")]
)
def test_too_little_memory_is_said_so(
    picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    data = stored(Image.fromarray(picture))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(OutOfMemoryError, match="not enough memory") as caught:
        load_picture(data)
    assert isinstance(caught.value, MemoryError)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_the_size_is_refused_before_pixels_are_decoded() -> None:
    for size in ((16_384, 10), (8_193, 8_192), (12_000, 12_000), (60_000, 60_000)):
        with pytest.raises(SedicError, match=r"size \d+x\d+|too many pixels"):
            load_picture(png_header(*size))


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_a_picture_cut_short_is_refused(picture: np.ndarray, format_name: str) -> None:
    data = stored(Image.fromarray(picture), format_name)
    for size in (1, 5, 30, len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(SedicError, match=r"^the picture: [^\n]*$"):
            load_picture(data[:size])


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture\n" * 100)
    (tmp_path / "empty\n.png").write_bytes(b"")
    (tmp_path / "print.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" * 9)
    cases = {
        "text.jpg": "not a picture",
        "print.eps": "not a picture",
        "empty\n.png": "empty",
        "missing.png": "no such file",
        ".": "folder",
        "nul\0": "cannot be read",
    }
    for name, reason in cases.items():
        with pytest.raises(SedicError, match=reason) as caught:
            load_picture(tmp_path / name)
        message = str(caught.value)
        assert message.isprintable()
        assert message.startswith(str(tmp_path))


@given(
    st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "TGA", "ICO"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_any_damage_gives_a_picture_or_one_line(
    format_name: str, damage: list[tuple[float, int]]
) -> None:
    data = bytearray(stored(Image.linear_gradient("L").resize((32, 20)), format_name))
    for place, value in damage:
        data[int(place * len(data))] = value
    try:
        loaded = load_picture(bytes(data))
    except SedicError as error:
        assert str(error).isprintable()
    else:
        assert loaded.dtype == np.uint8
        assert loaded.shape[2] == 3


def test_saving_refuses_what_it_cannot_do(tmp_path: Path, picture: np.ndarray) -> None:
    with pytest.raises(SedicError, match="format"):
        save_picture(picture, tmp_path / "a.docx")
    save_picture(picture, tmp_path / "a.png")
    with pytest.raises(SedicError, match="--force"):
        save_picture(255 - picture, tmp_path / "a.png")
    save_picture(255 - picture, tmp_path / "a.png", force=True)
    np.testing.assert_array_equal(load_picture(tmp_path / "a.png"), 255 - picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_picture_is_saved_under_a_name_of_any_type(tmp_path: Path, picture: np.ndarray) -> None:
    save_picture(picture[:, ::-1], str(tmp_path / "o.png"))
    np.testing.assert_array_equal(load_picture(tmp_path / "o.png"), picture[:, ::-1])
    for wrong in (picture / 255, picture[:, :, 0], picture[:0], picture.astype(np.int16)):
        with pytest.raises(UnsuitableInputError, match="array of uint8"):
            save_picture(wrong, tmp_path / "p.png")


def test_a_bad_output_is_found_before_any_work(tmp_path: Path, picture: np.ndarray) -> None:
    there = tmp_path / "there.png"
    save_picture(picture, there)
    for name, problem in (
        ("a.gif", "unknown picture format"),
        ("missing/a.png", "no folder"),
        ("there.png/a.png", "no folder"),
        ("there.png", "--force"),
        (".", "folder"),
    ):
        with pytest.raises(OutputError, match=problem):
            check_picture_output(tmp_path / name)
    check_picture_output(str(tmp_path / "new.png"))
    check_picture_output(there, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]


def test_an_input_is_no_output_under_any_name(tmp_path: Path) -> None:
    photo, other = tmp_path / "photo.png", tmp_path / "other.png"
    photo.write_bytes(b"x")
    other.symlink_to(photo)
    for name in (photo, str(photo), tmp_path / "." / "photo.png", other):
        with pytest.raises(OutputError, match="its own input"):
            check_output(name, force=True, inputs=[tmp_path / "absent", photo])
    check_output(tmp_path / "new", inputs=[photo])


def test_a_read_only_folder_is_found_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root
    with pytest.raises(OutputError, match="read-only"):
        check_output(tmp_path / "a")


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 64))
def test_padding_mirrors_and_crops_back(height: int, width: int, multiple: int) -> None:
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    padded = pad_to_multiple(picture, multiple)
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    assert padded.shape[0] - height < multiple
    assert padded.shape[1] - width < multiple
    rows, columns = np.mgrid[0 : padded.shape[0], 0 : padded.shape[1]]

    def mirrored(index: np.ndarray, size: int) -> np.ndarray:
        return np.where(index // size % 2, size - 1 - index % size, index % size)

    np.testing.assert_array_equal(padded, picture[mirrored(rows, height), mirrored(columns, width)])
