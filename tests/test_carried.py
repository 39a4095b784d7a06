"""EXIF, place, colour profile and transparency from a picture through a file to a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw
from skimage import data as samples

import sedic
import sedic.pillow  # registers the format
from sedic import exif
from sedic.coding.container import Container
from sedic.colour_profiles import in_profile, usable
from sedic.decoder import Decoder
from sedic.describe.description import Description
from sedic.editing import edit
from sedic.encoder import Encoder
from sedic.errors import LimitError, UnsuitableInputError
from sedic.picture import Source, load_picture, read_picture, save_picture
from sedic.profile import Profile
from sedic.reference.pixel import Pixel
from sedic.semantics import Mask, Rate
from sedic.transparency import fill_below, opaque_mask, with_alpha

PROFILE = Profile.load("mini", reference=Pixel())
SIZE = (64, 40)
EVERYTHING = ("exif", "gps", "icc")


@cache
def other_profile() -> bytes:
    """sRGB with the primaries of red and green swapped: what it changes is seen at once."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = {srgb[at : at + 4]: at for at in range(132, 132 + 12 * srgb[131], 12)}
    swapped = bytearray(srgb)
    swapped[tags[b"rXYZ"] : tags[b"rXYZ"] + 4] = b"gXYZ"
    swapped[tags[b"gXYZ"] : tags[b"gXYZ"] + 4] = b"rXYZ"
    return bytes(swapped)


def photo(format_name: str = "JPEG", **settings: object) -> bytes:
    """A picture with a sideways camera's EXIF, a place and a colour profile."""
    across = np.linspace(0, 255, SIZE[0], dtype=np.uint8)
    pixels = np.broadcast_to(across[None, :, None], (SIZE[1], SIZE[0], 3)).copy()
    pixels[..., 0] //= 2
    said = Image.Exif()
    said[0x010F], said[0x0110], said[0x0112] = "Maker", "Model 1", 6
    said.get_ifd(0x8769).update({0x8827: 400, 0x927C: b"private" * 9})
    said.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.5), 3: "E", 4: (13.0, 24.0, 36.0)})
    buffer = io.BytesIO()
    options = {"exif": said.tobytes(), "icc_profile": other_profile()} | settings
    Image.fromarray(pixels).save(buffer, format_name, **options)
    return buffer.getvalue()


def cut_out(opaque: bool = False) -> Image.Image:
    """A disc on nothing."""
    image = Image.new("RGBA", SIZE, (0, 0, 0, 255 if opaque else 0))
    ImageDraw.Draw(image).ellipse((10, 4, 54, 36), fill=(200, 30, 90, 255))
    return image


def coded(picture: Source, limit: int = 700, keep: Sequence[str] = ()) -> bytes:
    loaded = read_picture(picture, keep=keep)
    words = Description("A picture.")
    return Encoder(PROFILE).compress(loaded, Rate(limit), words).data


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_what_is_kept_is_in_the_file_and_counted(format_name: str) -> None:
    data = coded(photo(format_name), keep=EVERYTHING)
    assert len(data) <= 700
    parts = Container.parse(data).parts()
    assert sum(parts.values()) == len(data)
    assert 0 < parts["exif"] < 120 and 0 < parts["icc"] < 420
    carried = Decoder(PROFILE).carried(data)
    found = Image.Exif()
    found.load(carried.exif)
    assert (found[0x010F], found[0x0112]) == ("Maker", 1)
    assert found.get_ifd(0x8769) == {0x8827: 400}
    assert found.get_ifd(0x8825)[4] == (13.0, 24.0, 36.0)
    assert carried.icc == other_profile()


def test_nothing_is_kept_that_was_not_named() -> None:
    plain = coded(photo())
    assert Container.parse(plain).carried == b""
    assert plain == coded(load_picture(photo()))
    said = Decoder(PROFILE).carried(coded(photo(), keep=["exif"]))
    assert said.icc == b"" and exif.read(said.exif, camera=False) == ()
    place = Decoder(PROFILE).carried(coded(photo(), keep=["gps"]))
    assert {entry.directory for entry in exif.read(place.exif)} == {exif.PLACE}
    with pytest.raises(UnsuitableInputError, match="cannot keep 'name'"):
        read_picture(photo(), keep=["name"])


def test_srgb_is_nothing_to_keep_and_what_cannot_be_kept_is_said() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    loaded = read_picture(photo(icc_profile=srgb), keep=["icc"])
    assert (loaded.icc, loaded.notes) == (b"", ())
    for hostile in (b"", b"x", bytes(200), srgb[:300], srgb[:16] + b"CMYK" + srgb[20:]):
        kept = read_picture(photo("PNG", icc_profile=hostile), keep=["icc"])
        assert kept.icc == b""
        assert not hostile or "colour profile is not kept" in kept.notes[0]
    without = read_picture(photo("PNG", exif=b"no EXIF at all"), keep=["exif"])
    assert "no exif to keep" in without.notes[0]


@given(st.data())
@examples(max_examples=60, deadline=None)
def test_a_damaged_profile_converts_a_picture_or_is_not_used(data: st.DataObject) -> None:
    profile = bytearray(other_profile())
    for _ in range(data.draw(st.integers(1, 8))):
        profile[data.draw(st.integers(0, len(profile) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(profile[: data.draw(st.integers(0, len(profile)))])
    picture = np.zeros((2, 3, 4), np.uint8)
    for hostile in (damaged, bytes(profile)):
        converted = in_profile(picture, hostile)
        assert usable(hostile) or converted is None
        assert converted is None or converted.shape == (2, 3, 4)


def test_a_limit_that_it_does_not_leave_room_for_is_named() -> None:
    with pytest.raises(LimitError, match=r"of them of what travels with it"):
        coded(photo(), 90, keep=EVERYTHING)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_decoded_picture_has_it_again(suffix: str, tmp_path: Path) -> None:
    data = coded(photo(), keep=EVERYTHING)
    decoder = Decoder(PROFILE)
    picture, carried = decoder.preview(data), decoder.carried(data)
    path = tmp_path / f"decoded{suffix}"
    save_picture(picture, path, xmp=b"<x:xmpmeta/>", exif=carried.exif, icc=carried.icc)
    with Image.open(path) as image:
        assert image.getexif()[0x0110] == "Model 1"
        assert image.getexif().get_ifd(0x8825)[3] == "E"
        assert image.info["icc_profile"] == carried.icc
        assert b"xmpmeta" in (image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode())
    shown = load_picture(path)  # converted to sRGB again
    assert np.abs(shown.astype(int) - picture).mean() < 4
    save_picture(picture, tmp_path / "plain.bmp", exif=carried.exif, icc=carried.icc)
    assert (load_picture(tmp_path / "plain.bmp") == picture).all()


def test_transparency_is_carried_only_if_asked_for_and_there() -> None:
    white = read_picture(cut_out())
    assert white.alpha is None and "--alpha" in white.notes[0]
    assert (white.pixels[0, 0] == 255).all()
    assert read_picture(cut_out(opaque=True)).notes == ()
    assert read_picture(cut_out(opaque=True), keep=["alpha"]).alpha is None
    data = coded(cut_out(), keep=["alpha"])
    assert Container.parse(data).parts()["alpha"] < 30
    picture = Decoder(PROFILE).preview(data)
    assert picture.shape == (SIZE[1], SIZE[0], 4)
    assert picture[20, 32, 3] == 255 and picture[0, 0, 3] == 0
    assert np.abs(picture[20, 14:50, :3].astype(int) - (200, 30, 90)).max() < 40  # no white edge


def test_alpha_of_a_mask_has_a_smooth_edge_where_the_original_has_one() -> None:
    down, across = np.mgrid[:300, :317]
    disc = np.clip((np.hypot(across - 160, down - 150) - 110) * -255, 0, 255).astype(np.uint8)
    mask = opaque_mask(disc, (238, 225))  # coded at three quarters
    assert mask is not None
    alpha = with_alpha(np.zeros((300, 317, 3), np.uint8), mask, (238, 225))[..., 3]
    assert np.abs(alpha.astype(int) - disc).mean() < 5
    steps = np.abs(np.diff(alpha[150].astype(int)))
    assert 20 < steps.max() < 130  # neither hard nor blurred


def test_alpha_in_formats_with_and_without_it(tmp_path: Path) -> None:
    picture = np.dstack([np.full((8, 9, 3), 40, np.uint8), np.zeros((8, 9), np.uint8)])
    for suffix, alpha in ((".png", True), (".webp", True), (".jpg", False), (".ppm", False)):
        save_picture(picture, tmp_path / f"o{suffix}")
        with Image.open(tmp_path / f"o{suffix}") as image:
            assert (image.mode == "RGBA") is alpha
        assert (load_picture(tmp_path / f"o{suffix}") >= 254).all()


def test_a_picture_without_anything_opaque_or_of_odd_sides() -> None:
    nothing = np.zeros((17, 3, 4), np.uint8)
    assert read_picture(nothing, keep=["alpha"]).pixels.shape == (17, 3, 3)
    assert Decoder(PROFILE).preview(coded(nothing, keep=["alpha"]))[..., 3].max() == 0
    one = np.zeros((1, 1), np.uint8)
    mask = opaque_mask(one, (1, 1))
    assert mask == Mask.of(np.array([[False]]))
    assert with_alpha(np.zeros((1, 1, 3), np.uint8), mask, (1, 1))[0, 0, 3] == 0


def test_what_is_below_transparency_continues_what_is_seen() -> None:
    colour = np.zeros((33, 50, 3), np.uint8)
    colour[:, :20] = (250, 10, 90)
    alpha = np.zeros((33, 50), np.uint8)
    alpha[:, :20] = 255
    filled = fill_below(colour, alpha)
    assert (filled == (250, 10, 90)).all()


def test_editing_keeps_it_and_the_size() -> None:
    loaded = read_picture(photo(), keep=EVERYTHING)
    words = Description("A picture.")
    profile = Profile.load("mini")
    data = Encoder(profile).compress(loaded, Rate(400), words).data
    small = Encoder(profile).compress(samples.coffee(), Rate(70), words).data
    assert Container.parse(small).scale > 0
    for before in (data, small):
        after = edit(before, profile, overall="Another.")
        old, new = Container.parse(before), Container.parse(after)
        assert (new.width, new.height, new.scale) == (old.width, old.height, old.scale)
        assert new.carried == old.carried
        assert new.unpack(profile).overall == "Another."


def test_pillow_saves_and_opens_it(tmp_path: Path) -> None:
    with Image.open(io.BytesIO(photo())) as image:
        given = {"exif": image.getexif(), "icc_profile": image.info["icc_profile"]}
        image.save(
            tmp_path / "all.sedic", max_bytes=600, description=Description("It."), gps=True, **given
        )
        image.save(
            tmp_path / "some.sedic",
            max_bytes=600,
            description=Description("It."),
            exif=image.getexif(),
        )
        image.save(tmp_path / "none.sedic", max_bytes=600, description=Description("It."))
    with Image.open(tmp_path / "all.sedic") as opened:
        assert opened.size == (SIZE[1], SIZE[0])  # upright
        assert opened.getexif()[0x0112] == 1
        assert opened.getexif().get_ifd(0x8825)[1] == "N"
        assert opened.info["icc_profile"] == other_profile()
        shown = load_picture(opened)
    plain = sedic.decompress((tmp_path / "all.sedic").read_bytes())
    assert np.abs(shown.astype(int) - plain).mean() < 4
    with Image.open(tmp_path / "some.sedic") as opened:
        assert opened.getexif()[0x010F] == "Maker" and not opened.getexif().get_ifd(0x8825)
        assert "icc_profile" not in opened.info
    assert Container.parse((tmp_path / "none.sedic").read_bytes()).carried == b""


def test_pillow_opens_transparency(tmp_path: Path) -> None:
    cut_out().save(
        tmp_path / "disc.sedic", max_bytes=300, description=Description("It."), alpha=True
    )
    with Image.open(tmp_path / "disc.sedic") as opened:
        assert opened.mode == "RGBA"
        assert opened.getchannel("A").getextrema() == (0, 255)
    cut_out().save(tmp_path / "white.sedic", max_bytes=300, description=Description("It."))
    with Image.open(tmp_path / "white.sedic") as opened:
        assert opened.mode == "RGB"
