"""Training photographs: decoded once into memory, cropped at random, some held out.

Which photographs are held out depends on their names alone, so it is the same in every run.
"""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sedic.semantics import SedicError

Photo = npt.NDArray[np.uint8]

_SUFFIXES = {".webp", ".jpg", ".jpeg", ".png"}
_HELD_OUT = 40  # one photograph in so many
_SHRINKABLE = 512  # photographs with a longer short side are also shown smaller


def shared_folder() -> Path:
    """The folder of ``SEDIC_SHARED`` (default ``../shared``); ``SedicError`` if absent."""
    folder = Path(os.environ.get("SEDIC_SHARED", "../shared"))
    if not folder.is_dir():
        raise SedicError(f"no shared data at {folder}: set SEDIC_SHARED to its folder")
    return folder


def is_held_out(path: Path) -> bool:
    """Whether a photograph is kept from training, decided by its folder and name."""
    return zlib.crc32(f"{path.parent.name}/{path.name}".encode()) % _HELD_OUT == 0


def find(folders: Iterable[Path], *, held_out: bool) -> list[Path]:
    """All photographs of these folders (recursively, sorted) on one side of the split."""
    paths = sorted(
        path
        for folder in folders
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in _SUFFIXES and is_held_out(path) == held_out
    )
    if not paths:
        raise SedicError(f"no photographs in {', '.join(map(str, folders))}")
    return paths


def draw(folders: Iterable[Path], count: int) -> list[Path]:
    """At most ``count`` training photographs, drawn once for all."""
    paths = find(folders, held_out=False)
    random.Random(0).shuffle(paths)
    return paths[:count]


def load(path: Path) -> Photo:
    """One photograph as (height, width, 3) uint8."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def load_all(paths: Sequence[Path], progress: Callable[[int], None]) -> list[Photo]:
    """All photographs, in order; ``progress`` is told how many are done."""
    photos = []
    for count, path in enumerate(paths, 1):
        photos.append(load(path))
        progress(count)
    return photos


@dataclass(frozen=True)
class Crops:
    """Random square crops: batch ``step`` of seed ``seed`` is always the same."""

    photos: list[Photo]
    size: int
    batch: int
    seed: int
    small: float = 0.0  # share of the crops from photographs shown at up to half their size

    def __call__(self, step: int) -> npt.NDArray[np.uint8]:
        """The (batch, size, size, 3) uint8 crops of one step."""
        return self.drawn(step)[0]

    def drawn(self, step: int) -> tuple[npt.NDArray[np.uint8], tuple[int, ...]]:
        """The crops of one step, and which of ``photos`` each one is from."""
        rng = np.random.default_rng((self.seed, step))
        crops, sources = zip(*(self._crop(rng) for _ in range(self.batch)), strict=True)
        return np.stack(crops), sources

    def _crop(self, rng: np.random.Generator) -> tuple[Photo, int]:
        while True:
            index = int(rng.integers(len(self.photos)))
            photo = self.photos[index]
            short = min(photo.shape[:2])
            if short >= self.size:
                break
        side = self.size
        if short > _SHRINKABLE or (self.small and rng.random() < self.small):
            side = min(short, round(self.size * rng.uniform(1.0, 2.0)))
        top = rng.integers(photo.shape[0] - side + 1)
        left = rng.integers(photo.shape[1] - side + 1)
        crop = photo[top : top + side, left : left + side]
        if side != self.size:
            image = Image.fromarray(crop).resize((self.size, self.size), Image.Resampling.LANCZOS)
            crop = np.asarray(image)
        return (crop[:, ::-1] if rng.random() < 0.5 else crop), index
