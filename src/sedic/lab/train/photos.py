"""Training photographs: decoded once into memory, cropped at random, some held out.

Which photographs are held out depends on their names alone, so it is the same in every run. One
that cannot be read is named in the log (``logging``, level WARNING) and left out.
"""

from __future__ import annotations

import logging
import os
import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sedic.errors import SedicError
from sedic.failures import translated
from sedic.files import printable
from sedic.picture import Picture, load_picture

_SUFFIXES = {".webp", ".jpg", ".jpeg", ".png"}
_HELD_OUT = 40  # one photograph in so many

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PhotoRecipe:
    """The fields that the recipes of all runs on crops of photographs have.

    ``crop``: side in pixels; ``batch``: crops in a step; ``decay``: share of the run over which the
    learning rate falls; ``folders``: of the shared photographs, by name; ``measure_every`` and
    ``save_every``: steps.
    """

    steps: int
    learning_rate: float
    batch: int = 8
    crop: int = 192
    decay: float = 0.7
    seed: int = 0
    folders: tuple[str, ...] = ("wallpaper", "urban", "imagenet", "bsds", "coco", "camvid")
    measure_every: int = 1_000
    save_every: int = 250


@dataclass(frozen=True)
class Photograph:
    """A photograph in memory: (height, width, 3) uint8 pixels, and the file they are from."""

    path: Path
    pixels: Picture

    @property
    def name(self) -> str:
        """Folder and file name, as in ``coco/1.webp``."""
        return f"{self.path.parent.name}/{self.path.name}"


def shared_folder() -> Path:
    """The folder of ``SEDIC_SHARED`` (default ``../shared``); ``SedicError`` if absent."""
    folder = Path(os.environ.get("SEDIC_SHARED", "../shared"))
    if not folder.is_dir():
        raise SedicError(f"no shared data at {printable(folder)}: set SEDIC_SHARED to its folder")
    return folder


def photo_folders() -> list[Path]:
    """The folders of photographs in the shared data, by name; ``SedicError`` if there are none."""
    photos = shared_folder() / "data" / "photos"
    folders = sorted(path for path in photos.glob("*") if path.is_dir())
    if not folders:
        raise SedicError(f"no photographs in {printable(photos)}: set SEDIC_SHARED to its folder")
    return folders


def is_held_out(path: Path) -> bool:
    """Whether a photograph is kept from training, decided by its folder and name."""
    return zlib.crc32(f"{path.parent.name}/{path.name}".encode()) % _HELD_OUT == 0


def find_photographs(folders: Iterable[Path], *, held_out: bool) -> list[Path]:
    """All photographs of these folders (recursively, sorted) on one side of the split.

    ``SedicError`` if there are none.
    """
    folders = list(folders)
    paths = sorted(
        path
        for folder in folders
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in _SUFFIXES and is_held_out(path) == held_out
    )
    if not paths:
        kind = "held-out photographs (one in 40 is, by its name)" if held_out else "photographs"
        places = ", ".join(printable(folder) for folder in folders)
        raise SedicError(f"no {kind} in {places or 'no folder'}")
    return paths


def draw(folders: Iterable[Path], count: int) -> list[Path]:
    """At most ``count`` training photographs, always the same ones."""
    paths = find_photographs(folders, held_out=False)
    random.Random(0).shuffle(paths)
    return paths[:count]


@contextmanager
def leaving_out(path: Path) -> Iterator[None]:
    """Catch ``SedicError`` in the work on a photograph; the log gets a line with its name."""
    try:
        with translated(printable(path)):
            yield
    except SedicError as error:
        _log.warning("left out: %s", error)


def read_photographs(paths: Sequence[Path], progress: Callable[[int], None]) -> list[Photograph]:
    """The photographs that can be read, in order; ``progress`` is told how many were tried.

    ``SedicError`` if none can be read.
    """
    photographs = []
    with ThreadPoolExecutor() as readers:
        for count, photograph in enumerate(readers.map(_read, paths), 1):
            photographs += [photograph] if photograph else []
            progress(count)
    if not photographs:
        raise SedicError(f"none of {len(paths)} photographs can be read")
    return photographs


def _read(path: Path) -> Photograph | None:
    read: list[Photograph] = []
    with leaving_out(path):
        read.append(Photograph(path, load_picture(path)))
    return read[0] if read else None


def large_enough(photos: Sequence[Picture], side: int) -> list[int]:
    """Which of ``photos`` have ``side`` pixels both ways; ``SedicError`` if none has."""
    indices = [index for index, photo in enumerate(photos) if min(photo.shape[:2]) >= side]
    if not indices:
        raise SedicError(f"no photograph has {side} pixels a side")
    return indices
