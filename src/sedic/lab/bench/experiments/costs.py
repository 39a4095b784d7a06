"""The cost of coding one small file with each program: whole commands, and installed sizes."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sedic.errors import SedicError
from sedic.lab.bench.experiments.processes import Process, run
from sedic.lab.bench.rivals import ffmpeg
from sedic.picture import Picture, save_picture

# The packages that must be installed for each, besides Python.
INSTALLS = {
    "sedic": "sedic",
    "WebP, AVIF (Pillow)": "pillow",
    "VVC, JPEG XL (ffmpeg)": "imageio-ffmpeg",
    "BlurHash": "blurhash",
    "ThumbHash": "fast-thumbhash",
}
_PILLOW = "from PIL import Image; i = Image.open({source!r}); "


def commands(
    picture: Picture, limit: int, rounds: int, progress: Callable[[int, int, str], None]
) -> list[Process]:
    """Encode and decode at about ``limit`` bytes, a process each; what is not here is left out."""
    with tempfile.TemporaryDirectory(prefix="sedic-") as name:
        source = str(Path(name) / "in.png")
        save_picture(picture, Path(source))
        processes = []
        lines = list(_lines(Path(name), source, limit))
        for number, (title, arguments) in enumerate(lines):
            progress(number, len(lines), title)
            try:
                processes.append(run(title, arguments, rounds))
            except SedicError:  # a library or an encoder that is not here
                continue
        return processes


def _lines(folder: Path, source: str, limit: int) -> Iterator[tuple[str, list[str]]]:
    python, file, target = sys.executable, str(folder / "f"), str(folder / "out.png")
    sedic = [python, "-m", "sedic"]
    size_limit = ["--max-bytes", str(limit), "--force"]
    yield "sedic compress", [*sedic, "compress", source, file, *size_limit]
    yield "sedic decompress --preview", [*sedic, "decompress", file, target, "--preview", "--force"]
    yield "sedic decompress", [*sedic, "decompress", file, target, "--force"]
    for kind in ("WEBP", "AVIF"):
        code = f"i.resize((64, 43)).save({file + kind!r}, {kind!r}, quality=10)"
        yield f"{kind} thumbnail, encode", [python, "-c", _PILLOW.format(source=source) + code]
        code = f"i.resize((768, 512)).save({target!r})"
        yield f"{kind} thumbnail, decode", [python, "-c", _PILLOW.format(source=file + kind) + code]
    small = _PILLOW.format(source=source) + "i = i.resize((96, 64)); "
    code = "import blurhash as b, numpy as n; h = b.encode(n.asarray(i.convert('RGB')), 4, 3); "
    code += f"open({file!r}, 'w').write(h)"
    yield "BlurHash, encode", [python, "-c", small + code]
    code = f"import blurhash; blurhash.decode(open({file!r}).read(), 96, 64)"
    yield "BlurHash, decode", [python, "-c", code]
    code = "import fast_thumbhash as t; t.rgba_to_thumb_hash(96, 64, i.convert('RGBA').tobytes())"
    yield "ThumbHash, encode", [python, "-c", small + code]
    try:
        program = ffmpeg("libvvenc")
    except SedicError:
        return
    quiet = [program, "-hide_banner", "-loglevel", "error", "-y"]
    coder = ["-c:v", "libvvenc", "-qp", "50", "-frames:v", "1", "-f", "vvc"]
    scaled = ["-vf", "scale=96:64", "-pix_fmt", "yuv420p10le"]
    yield "VVC thumbnail, encode", [*quiet, "-i", source, *scaled, *coder, file]
    yield "VVC thumbnail, decode", [*quiet, "-f", "vvc", "-i", file, target]


def install_sizes() -> dict[str, float]:
    """Megabytes of each of ``INSTALLS`` and of what it needs, without extras; what is not
    installed is left out."""
    megabytes = {}
    for name, package in INSTALLS.items():
        names: set[str] = set()
        _needs(package, names)
        if names:
            megabytes[name] = sum(map(_megabytes, names))
    return megabytes


def _needs(package: str, known: set[str]) -> None:
    """Add an installed package, and what it requires without extras, to ``known``."""
    try:
        requires = distribution(package).requires or []
    except PackageNotFoundError:
        return
    known.add(package)
    for line in requires:
        match = re.match(r"[A-Za-z0-9._-]+", line)
        name = match[0].lower().replace("_", "-") if match else ""
        if name and "extra ==" not in line and name not in known:
            _needs(name, known)


def _megabytes(package: str) -> float:
    files = distribution(package).files or []
    places = (Path(str(file.locate())) for file in files)
    return sum(place.stat().st_size for place in places if place.is_file()) / 1e6
