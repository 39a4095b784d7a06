"""Random crops of training photographs, and drawing them ahead of the steps that need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sedic.lab.train.drawings import drawing
from sedic.lab.train.face_boxes import Boxes, face_mask
from sedic.lab.train.grain import with_grain
from sedic.lab.train.photos import large_enough
from sedic.picture import Picture

_SHRINKABLE = 512  # photographs with a longer short side are also shown smaller
_NO_FACE = np.zeros((0, 4), np.float32)


class Batch(NamedTuple):
    """Crops of photographs."""

    pixels: Tensor  # (n, size, size, 3) uint8
    faces: Tensor  # (n, 1, size/8, size/8) float32: 1 in a face, 0 elsewhere
    sources: tuple[int, ...]  # the number of each one's photograph


@dataclass(frozen=True)
class Crops:
    """Random square crops of ``size`` pixels: batch ``step`` of seed ``seed`` is always the same.

    ``SedicError`` if no photograph is as large as a crop.
    """

    photos: Sequence[Picture]
    size: int
    batch: int
    seed: int
    small: float = 0.0  # share of the crops from photographs shown at up to half their size
    plain: float = 0.0  # share of the crops that are drawings instead
    grain: float = 0.0  # share of the crops that get grain
    faces: Sequence[Boxes] = ()  # of every photograph; none at all if empty
    face: float = 0.0  # share of the crops, of photographs with faces, that are around one

    def __post_init__(self) -> None:
        _ = self._large

    @cached_property
    def _large(self) -> list[int]:
        return large_enough(self.photos, self.size)

    def __call__(self, step: int) -> Batch:
        """The crops of one step. A drawing has the number of the photograph that it replaces."""
        rng = np.random.default_rng((self.seed, step))
        crops, faces, sources = zip(*(self._crop(rng) for _ in range(self.batch)), strict=True)
        maps = torch.from_numpy(np.stack(faces)[:, None])
        return Batch(torch.from_numpy(np.stack(crops)), maps, sources)

    def _crop(self, rng: np.random.Generator) -> tuple[Picture, npt.NDArray[np.float32], int]:
        index = self._large[int(rng.integers(len(self._large)))]
        if self.plain and rng.random() < self.plain:
            nowhere = face_mask(_NO_FACE, 0, 0, self.size, self.size)
            return drawing(rng, self.size), nowhere, index
        photo = self.photos[index]
        boxes = self.faces[index] if self.faces else _NO_FACE
        short = min(photo.shape[:2])
        side = self.size
        if short > _SHRINKABLE or (self.small and rng.random() < self.small):
            side = min(short, round(self.size * rng.uniform(1.0, 2.0)))
        top, left = self._corner(rng, photo, side, boxes)
        crop = photo[top : top + side, left : left + side]
        if side != self.size:
            image = Image.fromarray(crop).resize((self.size, self.size), Image.Resampling.LANCZOS)
            crop = np.asarray(image)
        if self.grain and rng.random() < self.grain:
            crop = with_grain(rng, crop)
        mask = face_mask(boxes, top, left, side, self.size)
        if rng.random() < 0.5:
            crop, mask = crop[:, ::-1], mask[:, ::-1]
        return crop, mask, index

    def _corner(
        self, rng: np.random.Generator, photo: Picture, side: int, boxes: Boxes
    ) -> tuple[int, int]:
        """The top left corner of a crop of ``side`` pixels."""
        last = np.array(photo.shape[:2]) - side
        corner = rng.integers(last + 1)
        if self.face and len(boxes) and rng.random() < self.face:
            box = boxes[rng.integers(len(boxes))]
            middle = (box[:2] + box[2:]) / 2
            corner = np.clip((middle - side * rng.uniform(0.3, 0.7, 2)).astype(int), 0, last)
        top, left = corner.tolist()
        return top, left


@dataclass(frozen=True)
class _Steps(Dataset[Batch]):
    crops: Callable[[int], Batch]
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> Batch:
        return self.crops(self.first + index)


class Ahead:
    """Batches of crops, drawn by other processes while earlier steps compute.

    They are those of ``crops``, whatever the number of ``workers``. With none, a batch is drawn
    when it is asked for.
    """

    def __init__(self, crops: Callable[[int], Batch], steps: int, workers: int) -> None:
        """``steps``: of the whole run."""
        self._crops, self._steps, self._workers = crops, steps, workers
        self._batches: Iterator[Batch] = iter(())
        self._next = -1

    def __call__(self, step: int) -> Batch:
        """The crops of one step. Steps that are not asked for in order start new processes."""
        if not self._workers:
            return self._crops(step)
        if step != self._next:
            self._batches = iter(
                DataLoader(
                    _Steps(self._crops, step, self._steps),
                    batch_size=None,
                    num_workers=self._workers,
                    prefetch_factor=4,
                    pin_memory=True,
                )
            )
        self._next = step + 1
        return next(self._batches)
