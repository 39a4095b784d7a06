"""Datasets: the pictures on which codecs are compared, one at a time.

    for sample in open_dataset("kodak"):
        picture = sample.load()      # SedicError if this picture cannot be used

``kodak``, ``div2k`` and ``clic2020`` lie in folders of these names in ``$SEDIC_DATASETS``, or in
the ``data`` folder of ``$SEDIC_SHARED``; ``samples`` are three photographs that come with
scikit-image, and ``folder:PATH`` is any folder of pictures. What is known of a set, and where to
get it, is in ``datasets.toml``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sedic.errors import SedicError
from sedic.files import printable
from sedic.lab.bench import data_file
from sedic.picture import Picture, load_picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm"}
LEAST_SIDE = 64  # pixels; most metrics need more than this


@dataclass(frozen=True)
class Sample:
    """One picture of a dataset; it is read by ``load``."""

    path: Path
    square: int = 0  # short side to this, then the centre square of it; 0: as it is
    sha256: str = ""  # of its pixels, if known

    @property
    def name(self) -> str:
        """The file's name without its suffix, for tables."""
        return printable(self.path.stem)

    def load(self) -> Picture:
        """The (height, width, 3) uint8 picture.

        ``SedicError`` if it cannot be read, is grey or tiny, or has other pixels than it should.
        """
        picture = load_picture(self.path)
        name = printable(self.path)
        height, width = picture.shape[:2]
        if min(height, width) < LEAST_SIDE:
            raise SedicError(f"{name}: {width}x{height} is too small to measure anything on")
        if self.sha256 and pixels_sha256(picture) != self.sha256:
            raise SedicError(f"{name}: its pixels are not the known ones; get the set anew")
        if (np.ptp(picture, 2) == 0).all():
            raise SedicError(f"{name}: is grey; the codecs are compared on pictures in colour")
        return _centre_square(picture, self.square) if self.square else picture


@dataclass(frozen=True)
class Dataset:
    """A named list of samples; iterating over it reads no picture."""

    name: str
    samples: tuple[Sample, ...] = field(repr=False)
    checked: str  # what was verified: hashes or numbers, for the report

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def open_dataset(name: str) -> Dataset:
    """``kodak``, ``div2k``, ``clic2020``, ``samples`` or ``folder:PATH``.

    Pictures of a folder are in the order of their names. ``SedicError``, saying where to get it,
    if it is not here or not whole.
    """
    kind, _, place = name.partition(":")
    if kind == "folder" and place:
        paths = _pictures(Path(place))
        if not paths:
            raise SedicError(f"{printable(place)}: there are no pictures in this folder")
        return Dataset(name, tuple(map(Sample, paths)), f"{len(paths)} pictures, none known")
    if name == "samples":
        return Dataset(name, tuple(map(Sample, _samples())), "come with scikit-image")
    datasets = _known()
    if name not in datasets:
        raise SedicError(
            f"unknown dataset {printable(name)!r}; one of {', '.join(datasets)}, samples,"
            " folder:PATH"
        )
    facts = datasets[name]
    folder = _find(name, facts["get"])
    paths = _pictures(folder)
    if len(paths) != facts["count"]:
        raise SedicError(
            f"{name}: {len(paths)} pictures in {printable(folder)}, not {facts['count']};"
            f" get it: {facts['get']}"
        )
    hashes: dict[str, str] = facts.get("pixels", {})
    if hashes and {path.stem for path in paths} != set(hashes):
        raise SedicError(f"{name}: the pictures in {printable(folder)} have other names")
    square = facts.get("square", 0)
    samples = tuple(Sample(path, square, hashes.get(path.stem, "")) for path in paths)
    checked = "sha256 of all pixels" if hashes else "the number of pictures; no hashes are known"
    return Dataset(name, samples, checked)


def pixels_sha256(picture: Picture) -> str:
    """The sha256 of the pixels, row by row, RGB. Recompressing a file losslessly keeps it."""
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()


def _samples() -> list[Path]:
    from skimage import data

    folder = Path(data.__file__).parent
    return [folder / name for name in ("coffee.png", "astronaut.png", "chelsea.png")]


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SedicError(f"{printable(folder)}: there is no such folder")
    paths = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in paths if not path.name.startswith("."))


def _find(name: str, get: str) -> Path:
    shared = Path(os.environ.get("SEDIC_SHARED", "../shared")) / "data"
    setting = os.environ.get("SEDIC_DATASETS")
    folders = [Path(setting), shared] if setting else [shared]
    for folder in folders:
        if (folder / name).is_dir():
            return folder / name
    raise SedicError(
        f"{name} is not in {printable(folders[0])}; put its pictures in a folder {name} there"
        f" (SEDIC_DATASETS names another place). Get it: {get}"
    )


def _centre_square(picture: Picture, side: int) -> Picture:
    """Short side to ``side`` pixels (Lanczos), then the centre square."""
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    size = max(side, round(width * scale)), max(side, round(height * scale))
    left, top = ((length - side) // 2 for length in size)
    scaled = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(scaled.crop((left, top, left + side, top + side)))


@cache
def _known() -> dict[str, Any]:
    return data_file("datasets.toml")
