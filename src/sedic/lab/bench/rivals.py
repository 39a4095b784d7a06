"""Rival codecs, run on this machine at the sizes of our files.

    for coder in find(("VVC", "WebP")):            # Coder | Missing, in this order
        for rival in sizes(coder):                 # full, half and quarter size
            coded = rival.code(picture, (983, 1474))   # the best within so many bytes, each

A file's bytes are those of the bare stream where a codec has one (VVC, HEVC, AV1, JPEG XL, JPEG
2000): a container would cost it hundreds of bytes of a thousand. At these rates coding a smaller
picture and enlarging it often wins, so every codec gets the chance: Lanczos down, bicubic up.
"""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from sedic.errors import SedicError
from sedic.failures import reason, translated
from sedic.lab.bench.commands import CommandCoder
from sedic.picture import Picture, load_picture

FACTORS = (1, 2, 4)


class Coder(Protocol):
    """A codec with a quality setting."""

    @property
    def name(self) -> str: ...

    @property
    def how(self) -> str:
        """The command or the call, as the report names it."""

    @property
    def qualities(self) -> Sequence[int]:
        """The values of the quality setting, the coarsest first."""

    def encode(self, picture: Picture, quality: int) -> bytes:
        """The bytes of a file; ``SedicError`` if it cannot be coded."""

    def decode(self, data: bytes, width: int, height: int) -> Picture:
        """The picture, (height, width, 3) uint8."""


@dataclass(frozen=True)
class Missing:
    """A codec that is not on this machine."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: missing: {self.reason}"


@dataclass(frozen=True)
class Coded:
    """One picture coded by a rival."""

    data: bytes
    picture: Picture
    quality: int


@dataclass(frozen=True)
class Rival:
    """A codec on pictures of 1 / ``factor`` of their size."""

    coder: Coder
    factor: int = 1

    @property
    def name(self) -> str:
        return self.coder.name if self.factor == 1 else f"{self.coder.name} 1/{self.factor}"

    def code(self, picture: Picture, limits: Iterable[int]) -> list[Coded | None]:
        """For each limit in bytes the finest file that is not above it; None where there is none.

        ``SedicError`` if the codec fails on this picture.
        """
        small = self._shrunk(picture)
        files: dict[int, bytes] = {}

        def size(index: int) -> int:
            if index not in files:
                files[index] = self.coder.encode(small, self.coder.qualities[index])
            return len(files[index])

        results: list[Coded | None] = []
        for limit in limits:
            index = finest_within(size, len(self.coder.qualities), limit)
            if index is None:
                results.append(None)
            else:
                quality = self.coder.qualities[index]
                results.append(self._decoded(files[index], quality, picture))
        return results

    def at(self, picture: Picture, quality: int) -> Coded:
        """The picture coded at one quality, as ``code`` does it."""
        data = self.coder.encode(self._shrunk(picture), quality)
        return self._decoded(data, quality, picture)

    def _size(self, picture: Picture) -> tuple[int, int]:
        height, width = picture.shape[:2]
        return math.ceil(width / self.factor), math.ceil(height / self.factor)

    def _shrunk(self, picture: Picture) -> Picture:
        return _resized(picture, *self._size(picture), Image.Resampling.LANCZOS)

    def _decoded(self, data: bytes, quality: int, picture: Picture) -> Coded:
        decoded = self.coder.decode(data, *self._size(picture))
        height, width = picture.shape[:2]
        return Coded(data, _resized(decoded, width, height, Image.Resampling.BICUBIC), quality)


def finest_within(size: Callable[[int], int], count: int, limit: int) -> int | None:
    """The last index below ``count`` whose ``size`` is not above ``limit``, by bisection.

    If sizes do not rise throughout, it is an index that fits and whose successor does not.
    """
    fits, exceeds = -1, count
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if size(middle) <= limit:
            fits = middle
        else:
            exceeds = middle
    return fits if fits >= 0 else None


def sizes(coder: Coder) -> list[Rival]:
    """The codec at full, half and quarter size."""
    return [Rival(coder, factor) for factor in FACTORS]


def rivals_of(coders: Iterable[Coder]) -> list[Rival]:
    """Every codec at every size."""
    return [rival for coder in coders for rival in sizes(coder)]


def find_rivals(names: Iterable[str]) -> list[Coder | Missing]:
    """The codecs of these names (of ``NAMES``); ``SedicError`` for an unknown one."""
    coders: list[Coder | Missing] = []
    for name in names:
        if name not in _MAKERS:
            raise SedicError(f"unknown codec {name!r}; one of {', '.join(NAMES)}")
        try:
            with translated("cannot be used"):
                coders.append(_MAKERS[name]())
        except SedicError as error:
            coders.append(Missing(name, str(error)))
    return coders


@dataclass(frozen=True)
class PillowCoder:
    """A codec that Pillow has; ``options`` makes its settings from a quality."""

    name: str
    kind: str
    qualities: Sequence[int]
    options: Callable[[int], dict[str, Any]] = field(repr=False)

    @property
    def how(self) -> str:
        """Pillow's settings at the coarsest quality."""
        settings = self.options(self.qualities[0])
        return f"Pillow: {self.kind} " + ", ".join(f"{k}={v}" for k, v in settings.items())

    def encode(self, picture: Picture, quality: int) -> bytes:
        buffer = io.BytesIO()
        try:
            Image.fromarray(picture).save(buffer, self.kind, **self.options(quality))
        except Exception as error:  # the encoders of Pillow raise whatever they like
            raise SedicError(f"{self.name} cannot code this picture: {reason(error)}") from error
        return buffer.getvalue()

    def decode(self, data: bytes, width: int, height: int) -> Picture:
        picture = load_picture(data)
        if picture.shape != (height, width, 3):
            raise SedicError(f"{self.name} gave back a picture of another size")
        return picture


def _webp() -> Coder:
    return PillowCoder("WebP", "WEBP", range(101), lambda q: {"quality": q, "method": 6})


def avif() -> Coder:
    """AVIF as Pillow writes it. Its container alone has some 300 bytes, so it is no rival at the
    sizes of ``sizes``, but it is what people send as thumbnails."""
    return PillowCoder("AVIF", "AVIF", range(0, 101, 4), lambda q: {"quality": q, "speed": 6})


def _jpeg2000() -> Coder:
    # OpenJPEG is told a compression ratio: 20000 / 1.06^q, in steps of 6 %.
    return PillowCoder(
        "JPEG 2000",
        "JPEG2000",
        range(160),
        lambda q: {
            "quality_mode": "rates",
            "quality_layers": [20_000 / 1.06**q],
            "irreversible": True,
            "no_jp2": True,
        },
    )


def _ffmpeg_coder(
    name: str,
    library: str,
    options: str,
    qualities: Sequence[int],
    suffix: str,
    demuxer: str = "",
    multiple: int = 1,
) -> Callable[[], Coder]:
    def make() -> Coder:
        program = ffmpeg(library)
        quiet = ["-hide_banner", "-loglevel", "error", "-y"]
        encode = ["-i", "{input}", "-frames:v", "1", "-c:v", library, *options.split(), "{output}"]
        decode = [*(("-f", demuxer) if demuxer else ()), "-i", "{input}"]
        return CommandCoder(
            name,
            ((program, *quiet, *encode),),
            ((program, *quiet, *decode, "-frames:v", "1", "-update", "1", "{output}"),),
            qualities,
            suffix,
            multiple,
        )

    return make


def ffmpeg(library: str) -> str:
    """An ffmpeg with the encoder ``library``: ``$SEDIC_FFMPEG``, imageio-ffmpeg's or the system's.

    ``SedicError`` if there is none.
    """
    programs = [os.environ.get("SEDIC_FFMPEG"), _bundled_ffmpeg(), shutil.which("ffmpeg")]
    for program in filter(None, programs):
        if library in encoders(program):
            return program
    if not any(programs):
        raise SedicError("no ffmpeg: pip install 'sedic[bench]', or name one in SEDIC_FFMPEG")
    raise SedicError(f"no ffmpeg here has the encoder {library}: pip install 'sedic[bench]'")


def _bundled_ffmpeg() -> str | None:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # RuntimeError: no binary for this platform
        return None


def _bpg() -> Coder:
    for program in ("bpgenc", "bpgdec"):
        if shutil.which(program) is None:
            raise SedicError(f"no {program} on the PATH (https://bellard.org/bpg)")
    encode = ("bpgenc", "-m", "9", "-q", "{quality}", "-o", "{output}", "{input}")
    decode = ("bpgdec", "-o", "{output}", "{input}")
    return CommandCoder("BPG", (encode,), (decode,), range(51, -1, -1), ".bpg")


def _vtm() -> Coder:
    """The reference software of VVC, all intra; ffmpeg turns pictures into YUV 4:2:0 and back."""
    folder = os.environ.get("SEDIC_VTM")
    if not folder:
        raise SedicError("SEDIC_VTM does not name the folder of a built VTM (bin/ and cfg/)")
    encoder, decoder = (
        Path(folder) / "bin" / f"{name}AppStatic" for name in ("Encoder", "Decoder")
    )
    setup = Path(folder) / "cfg" / "encoder_intra_vtm.cfg"
    for path in (encoder, decoder, setup):
        if not path.is_file():
            raise SedicError(f"SEDIC_VTM: there is no {path}")
    program = ffmpeg("rawvideo")
    quiet = (program, "-hide_banner", "-loglevel", "error", "-y")
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p10le")
    size = ("-s", "{width}x{height}")
    encode = (
        *(str(encoder), "-c", str(setup), "-i", "in.yuv", "-b", "{output}", "-o", "rec.yuv"),
        *("-q", "{quality}", "-wdt", "{width}", "-hgt", "{height}", "-f", "1", "-fr", "1"),
        *("--InputBitDepth=10", "--InputChromaFormat=420", "--ConformanceWindowMode=1"),
    )
    return CommandCoder(
        "VTM",
        ((*quiet, "-i", "{input}", *raw, "in.yuv"), encode),
        (
            (str(decoder), "-b", "{input}", "-o", "out.yuv", "-d", "10"),
            (*quiet, *raw, *size, "-i", "out.yuv", "-update", "1", "{output}"),
        ),
        range(63, -1, -1),
        ".vvc",
        8,
    )


def encoders(program: str) -> set[str]:
    """The names of the encoders that an ffmpeg was built with; empty if it does not run."""
    import subprocess

    try:
        process = subprocess.run(
            [program, "-hide_banner", "-encoders"], capture_output=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return set()
    words = (line.split() for line in process.stdout.decode(errors="replace").splitlines())
    return {line[1] for line in words if len(line) > 1}


def _resized(picture: Picture, width: int, height: int, how: Image.Resampling) -> Picture:
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


_TEN_BITS = "-pix_fmt yuv420p10le"
_MAKERS: dict[str, Callable[[], Coder]] = {
    "VVC": _ffmpeg_coder(
        "VVC",
        "libvvenc",
        f"{_TEN_BITS} -preset medium -qp {{quality}} -f vvc",
        range(63, 0, -1),
        ".vvc",
        "vvc",
        8,
    ),
    "HEVC": _ffmpeg_coder(
        "HEVC",
        "libx265",
        "-pix_fmt yuv420p -preset placebo -x265-params qp={quality}:info=0:log-level=none -f hevc",
        range(51, 0, -1),
        ".hevc",
        "hevc",
        8,
    ),
    "AV1 (aom)": _ffmpeg_coder(
        "AV1 (aom)",
        "libaom-av1",
        f"{_TEN_BITS} -still-picture 1 -cpu-used 1 -crf {{quality}} -b:v 0 -f obu",
        range(63, 0, -1),
        ".obu",
        "obu",
    ),
    "AV1 (SVT)": _ffmpeg_coder(
        "AV1 (SVT)",
        "libsvtav1",
        f"{_TEN_BITS} -preset 2 -crf {{quality}} -f obu",
        range(63, 0, -1),
        ".obu",
        "obu",
        8,
    ),
    "JPEG XL": _ffmpeg_coder(
        "JPEG XL",
        "libjxl",
        "-effort 9 -distance {quality}e-1 -f image2",
        range(150, 4, -1),
        ".jxl",
    ),
    "WebP": _webp,
    "JPEG 2000": _jpeg2000,
    "BPG": _bpg,
    "VTM": _vtm,
}
NAMES = tuple(_MAKERS)
