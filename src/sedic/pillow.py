"""``.sedic`` files for Pillow, and so for every program that opens pictures with Pillow.

>>> import sedic.pillow                                     # doctest: +SKIP
>>> Image.open("photo.jpg").save("photo.sedic", bpp=0.03)   # doctest: +SKIP
>>> Image.open("photo.sedic").info["overall"]               # doctest: +SKIP

Importing this module registers the format with Pillow, which does not look for plugins itself.
``docs/pillow.md`` lists what ``open``, ``info`` and ``save`` take and give.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from sedic import shortcuts
from sedic.coding.carried import decode_metadata
from sedic.coding.container import Container, begins
from sedic.colour_profiles import in_profile
from sedic.errors import SedicError, UnsuitableInputError
from sedic.files import printable

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.profile import Profile

FORMAT = "SEDIC"
EXTENSION = ".sedic"
MIME = "image/x-sedic"
MAX_BYTES = 1 << 25  # of a file that is read at all

_PNG_MODES = ("1", "L", "LA", "I;16", "P", "PA", "RGB", "RGBA")
_TIFF_MODES = ("I", "F", "CMYK", "YCbCr", "LAB", "RGBX")
_OPTIONS = ("bpp", "max_bytes", "objects", "description", "method", "seed", "settings")
# What travels in the file, and the option of ``Image.save`` that asks for it. EXIF has no place
# unless ``gps=True`` says so.
_KEPT = {"exif": "exif", "icc": "icc_profile", "gps": "gps", "alpha": "alpha"}


class SedicImageFile(ImageFile.ImageFile):
    """An opened ``.sedic`` file. Size, mode and ``info`` are there at once; pixels when needed.

    ``info`` holds ``profile``, ``method``, ``bytes``, ``bpp``, where the file carries them ``exif``
    and ``icc_profile`` and, where this machine has the profile's tables, ``overall`` (str) and
    ``objects`` (a tuple of details). The mode is RGB, or RGBA where the file carries alpha.
    """

    format = FORMAT
    format_description = "Semantic picture (sedic)"

    def __init__(
        self, fp: Any, filename: str | bytes | None = None, profile: Profile | None = None
    ) -> None:
        self._profile = profile
        self._preview_is_enough = False
        super().__init__(fp, filename)

    def _open(self) -> None:
        assert self.fp is not None
        self._data = self.fp.read(MAX_BYTES + 1)
        try:
            container = Container.parse(self._data)
            carried = decode_metadata(container.carried)
        except SedicError as error:
            raise UnidentifiedImageError(f"{_name(self.filename)}: {error}") from error
        self._size = container.width, container.height
        self._mode = "RGBA" if "alpha" in container.parts() else "RGB"
        extra = {"exif": carried.exif, "icc_profile": carried.icc}
        self.info = {
            "profile": container.profile,
            "method": container.method,
            "bytes": len(self._data),
            "bpp": 8 * len(self._data) / (container.width * container.height),
            **_words(container, self._profile),
            **{name: value for name, value in extra.items() if value},
        }
        self.tile = [ImageFile._Tile("sedic", (0, 0, *self._size))]

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Take the reference image instead of the restored picture, unless it fits into ``size``.

        It has the picture's size, comes at once and needs no network of Algorithm 1.
        ``Image.thumbnail`` calls this.
        """
        if not self.tile or size is None or (size[0] > self.width and size[1] > self.height):
            return None
        self._preview_is_enough = True
        return self.mode, (0, 0, *self.size)

    def load(self) -> Any:
        """Decode the picture, if that has not been done; ``OSError`` where it cannot be."""
        if self.tile:
            decode = shortcuts.preview if self._preview_is_enough else shortcuts.decompress
            with _os_errors(self.filename):
                picture = decode(self._data, profile=self._profile)
            if profile := self.info.get("icc_profile"):
                picture = self._in_profile(picture, profile)
            self.tile = []
            self.load_prepare()
            self.frombytes(picture.tobytes())
            if self.fp and self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()

    def _in_profile(self, picture: Picture, profile: bytes) -> Picture:
        """The picture converted to its profile; where that is impossible, ``info`` loses it."""
        converted = in_profile(picture, profile)
        if converted is None:
            del self.info["icc_profile"]
        return picture if converted is None else converted

    def verify(self) -> None:
        """Raise ``OSError`` unless words, masks and reference image can be decoded here."""
        with _os_errors(self.filename):
            shortcuts.preview(self._data, profile=self._profile)
        super().verify()


def register_sedic_opener(profile: Profile | None = None) -> None:
    """Tell Pillow how to open and save ``.sedic`` files.

    Files are read with the profile that they name, loaded once per process, or with ``profile``.
    Calling this again changes the profile.
    """
    Image.register_open(FORMAT, partial(SedicImageFile, profile=profile), _accept)
    Image.register_save(FORMAT, partial(_save, default=profile))
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME)


def _accept(prefix: bytes) -> bool:
    return begins(prefix)


def _save(
    image: Image.Image, file: IO[bytes], filename: str | bytes, default: Profile | None
) -> None:
    """``Image.save`` with the options of ``shortcuts.compress``; others are ignored, as usual."""
    encoder_info = image.encoderinfo
    options = {name: encoder_info[name] for name in _OPTIONS if name in encoder_info}
    owner = encoder_info.get("profile", default or "mini")
    with _os_errors(filename):
        keep = [name for name, option in _KEPT.items() if encoder_info.get(option)]
        data = shortcuts.compress(_stored(image), profile=owner, keep=keep, **options)
    file.write(data)


def _stored(image: Image.Image) -> bytes:
    """The image as a file that ``load_picture`` reads: depth, colour profile, transparency, EXIF.

    As in Pillow's own writers a colour profile comes from ``icc_profile=`` or the image, EXIF from
    ``exif=`` alone; its orientation is applied.
    """
    if image.mode not in _PNG_MODES + _TIFF_MODES:
        raise OSError(f"cannot write mode {image.mode} as {FORMAT}")
    options = image.encoderinfo
    extra = {
        "icc_profile": options.get("icc_profile", image.info.get("icc_profile")),
        "exif": options.get("exif"),
    }
    # Pillow 12 does not read the YCbCr files that it writes.
    readable = {"PA": "RGBA", "YCbCr": "RGB"}.get(image.mode)
    plain = image.convert(readable) if readable else image.copy()
    buffer = io.BytesIO()
    plain.save(
        buffer,
        "PNG" if plain.mode in _PNG_MODES else "TIFF",
        compress_level=0,
        **{name: value for name, value in extra.items() if value},
    )
    return buffer.getvalue()


def _words(container: Container, profile: Profile | None) -> dict[str | tuple[int, int], Any]:
    """The words of a file for ``info``, without its masks; nothing where they cannot be read."""
    with suppress(SedicError):
        profile = profile or shortcuts.cached_profile(container.profile)
        if container.profile == profile.name:
            profile.check_tables(container.mark, container.reference_codec)
            overall, details = container.words(profile)
            return {
                "overall": printable(overall),
                "objects": tuple(printable(detail) for _, detail in details),
            }
    return {}


@contextmanager
def _os_errors(filename: str | bytes | None) -> Iterator[None]:
    """Raise ``SedicError`` as ``OSError``, which Pillow's callers expect; ``UnsuitableInputError``,
    which is a ``ValueError``, passes."""
    try:
        yield
    except UnsuitableInputError:  # is a ValueError
        raise
    except SedicError as error:
        raise OSError(f"{_name(filename)}: {error}") from error


def _name(filename: str | bytes | None) -> str:
    return printable(filename if isinstance(filename, str) and filename else "the picture")


register_sedic_opener()
