"""``.sedic`` files through Pillow and through what reads pictures with Pillow."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError
from skimage import data as samples
from skimage import io as skimage_io

import sedic
from sedic.coding.container import checksum
from sedic.coding.header import MAGIC_1 as MAGIC
from sedic.errors import SedicError
from sedic.pillow import register_sedic_opener

GOLDEN = Path(__file__).resolve().parent / "golden"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(samples.chelsea()[20:116, 100:228])


@pytest.fixture(scope="module")
def coded(photo: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pillow") / "cat.sedic"
    photo.save(path, max_bytes=500, objects=1)
    return path


def resealed(data: bytes) -> bytes:
    return data[:-2] + checksum(data[:-2])


def test_save_takes_the_options_of_the_encoder(photo: Image.Image, coded: Path) -> None:
    data = coded.read_bytes()
    assert len(data) <= 500
    assert sedic.inspect(data).object_count == 1
    assert data == sedic.compress(np.array(photo), max_bytes=500, objects=1)
    buffer = io.BytesIO()
    photo.save(buffer, "SEDIC", bpp=0.1, quality=3)  # an option of others is ignored
    assert buffer.getvalue() == sedic.compress(np.array(photo), bpp=0.1)


def test_open_tells_all_but_the_pixels(coded: Path) -> None:
    data = coded.read_bytes()
    image = sedic.read(data)
    with Image.open(coded) as opened:
        assert (opened.format, opened.mode, opened.size) == ("SEDIC", "RGB", (128, 96))
        assert opened.get_format_mimetype() == "image/x-sedic"
        assert opened.info["bytes"] == len(data)
        assert opened.info["bpp"] == 8 * len(data) / (128 * 96)
        assert (opened.info["profile"], opened.info["method"]) == ("mini", "sedic")
        assert opened.info["overall"] == image.overall
        assert opened.info["objects"] == tuple(layer.detail for layer in image.objects)


def test_open_loads_no_network(coded: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import sedic.pillow; from PIL import Image;"
        "print(Image.open(sys.argv[1]).info['overall'])"
    )
    done = subprocess.run([sys.executable, "-c", code, coded], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip() == sedic.read(coded.read_bytes()).overall


def test_pixels_are_those_of_the_decoder(coded: Path) -> None:
    expected = sedic.decompress(coded.read_bytes())
    with Image.open(coded) as opened:
        assert np.array_equal(np.asarray(opened), expected)
        assert opened.getpixel((3, 5)) == tuple(expected[5, 3])
        assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(opened))), expected)
    loaded = Image.open(io.BytesIO(coded.read_bytes())).convert("RGB")  # as data loaders do
    assert np.array_equal(np.asarray(loaded), expected)


def test_thumbnails_come_from_the_reference_image(
    coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sedic.shortcuts.decompress", None)
    reference = Image.fromarray(sedic.preview(coded.read_bytes()))
    expected = reference.resize((60, 45), Image.Resampling.BICUBIC, None, 2.0)
    with Image.open(coded) as opened:
        opened.thumbnail((60, 60))
        assert opened.size == (60, 45)
        assert np.array_equal(np.asarray(opened), np.asarray(expected))
    with Image.open(coded) as opened:
        assert opened.draft("RGB", (129, 97)) is None
        assert opened.draft("RGB", (128, 96)) == ("RGB", (0, 0, 128, 96))
        assert np.array_equal(np.asarray(opened), np.asarray(reference))


def test_imageio_and_scikit_image_read_them(coded: Path) -> None:
    expected = sedic.decompress(coded.read_bytes())
    assert np.array_equal(imageio.imread(coded), expected)
    assert np.array_equal(skimage_io.imread(coded), expected)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"]
)
def test_every_mode_is_converted_as_pictures_from_files_are(photo: Image.Image, mode: str) -> None:
    image = photo.resize((64, 48)).convert("L" if mode == "I;16" else "RGB")
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    elif mode == "PA":
        image = image.convert("P").convert("PA")
    else:
        image = image.convert(mode)
    file, buffer = io.BytesIO(), io.BytesIO()
    image.save(buffer, "SEDIC", max_bytes=300)
    in_file = image.convert({"PA": "RGBA", "YCbCr": "RGB"}.get(mode, mode))
    in_file.save(file, "TIFF" if mode in ("CMYK", "LAB") else "PNG")
    assert buffer.getvalue() == sedic.compress(file.getvalue(), max_bytes=300)


def test_modes_and_options_that_cannot_be_used(photo: Image.Image, tmp_path: Path) -> None:
    small, path = photo.resize((64, 48)), tmp_path / "out.sedic"
    with pytest.raises(OSError, match="cannot write mode HSV as SEDIC"):
        small.convert("HSV").save(path)
    with pytest.raises(ValueError, match="not both"):
        small.save(path, bpp=0.1, max_bytes=100)
    with pytest.raises(ValueError, match="unknown profile"):
        small.save(path, profile="none")
    with pytest.raises(OSError, match="smallest possible file"):
        small.save(path, max_bytes=9)
    assert not path.exists()


def test_exif_counts_only_if_it_is_given(photo: Image.Image) -> None:
    image = photo.resize((64, 48))
    turned = Image.Exif()
    turned[0x0112] = 6
    image.info["exif"] = turned.tobytes()
    sizes = []
    for options in ({}, {"exif": turned}, {"exif": turned.tobytes()}):
        buffer = io.BytesIO()
        image.save(buffer, "SEDIC", max_bytes=300, **options)
        sizes.append(Image.open(buffer).size)
    assert sizes == [(64, 48), (48, 64), (48, 64)]


def test_large_pictures_meet_pillow_s_limit(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 128 * 96 - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(coded)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 128 * 96 // 2 - 1)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(coded)


def test_verify_decodes_what_is_coded(coded: Path) -> None:
    Image.open(coded).verify()
    data = bytearray(coded.read_bytes())
    data[2] ^= 0xFF  # made with other weights
    opened = Image.open(io.BytesIO(resealed(bytes(data))))
    assert "overall" not in opened.info and opened.size == (128, 96)
    with pytest.raises(OSError, match="other weights"):
        opened.verify()
    with pytest.raises(OSError, match="other weights"):
        opened.load()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.sedic")), ids=lambda path: path.stem)
def test_golden_files_open(path: Path) -> None:
    with Image.open(path) as opened:
        assert opened.info["bytes"] == path.stat().st_size
        with pytest.raises(OSError):  # their mark is of no weights
            opened.load()


def test_damaged_files_are_not_identified(coded: Path) -> None:
    data = coded.read_bytes()
    for bad in (
        data[:-1],
        data + b"\0",
        data[:2],
        MAGIC + b"\xff" * 30,
        data[:60] + b"?" + data[61:],
    ):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(bad))
    for other in (b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(40)):
        with pytest.raises(UnidentifiedImageError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(other))


def opens_or_refuses(data: bytes) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data))
        if opened.width * opened.height <= 1 << 16:
            opened.draft(None, (1, 1))
            opened.load()
    except OSError as error:
        assert "\n" not in str(error) and not isinstance(error, SedicError)


def test_bit_flips_behind_a_right_checksum_give_a_picture_or_an_oserror(coded: Path) -> None:
    data = coded.read_bytes()
    for bit in range(0, 8 * len(data) - 16, 173):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 128 >> bit % 8
        opens_or_refuses(resealed(bytes(damaged)))


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=4, max_size=100))
def test_garbage_behind_a_right_checksum_gives_a_picture_or_an_oserror(tail: bytes) -> None:
    opens_or_refuses(resealed(MAGIC + b"\x21" + tail))


def test_a_profile_can_be_handed_in(coded: Path, mini: sedic.Profile) -> None:
    other = sedic.Profile.load("sd21")
    try:
        register_sedic_opener(other)
        with Image.open(coded) as opened:
            assert "overall" not in opened.info
            with pytest.raises(OSError, match="made with profile 'mini'"):
                opened.load()
        register_sedic_opener(mini)
        assert Image.open(coded).info["overall"]
        assert [name for name in Image.ID if name == "SEDIC"] == ["SEDIC"]
    finally:
        register_sedic_opener()
