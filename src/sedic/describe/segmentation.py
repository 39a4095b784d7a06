"""Masks for boxes by SAM, and the description that follows from a model's words.

SAM is Kirillov et al., "Segment anything", 2023; SAM 2 is Ravi et al., 2024; both in transformers'
classes. This module decides which masks are kept, and which object gets a cell that two masks
share, because the decoder needs disjoint masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from sedic.describe.description import Description
from sedic.describe.grounding import Box, Grounding
from sedic.errors import SedicError
from sedic.files import printable
from sedic.semantics import (
    Mask,
    ObjectLayer,
    grid_size,
)

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from sedic.describe.answers import Words
    from sedic.picture import Picture

SMALLEST = 4  # cells of the 1/8 grid: 16 x 16 pixels
LARGEST = 0.9  # of the grid
SAME_MASK = 0.8  # intersection over union, above which two objects are one
MEAN = (0.485, 0.456, 0.406)  # of the pictures that both models were trained on, as are these:
DEVIATION = (0.229, 0.224, 0.225)

KEPT = "kept"
HALLUCINATION = "hallucination"  # the detector does not find the name
DUPLICATE = "duplicate"  # an earlier object has the same name or the same mask
TINY = "tiny"  # fewer than SMALLEST cells, or none
WHOLE = "whole picture"  # more than LARGEST of it, which the overall description describes
COVERED = "covered"  # smaller objects left fewer than SMALLEST cells of it
Region = npt.NDArray[np.bool_]  # (rows, columns) over the whole picture, at any resolution


class NameFinder(Protocol):
    """Finds names in a picture, such as ``grounding.Grounder``."""

    def find(self, picture: Picture, names: Sequence[str]) -> list[Grounding]: ...


class BoxSegmenter(Protocol):
    """Finds the outline of the object in a box, such as ``Segmenter``."""

    def masks(self, picture: Picture, boxes: Sequence[Box]) -> list[Region]: ...


@dataclass(frozen=True)
class Verdict:
    """The verdict on one name: its ``outcome`` is ``KEPT`` or the rule that dropped it."""

    grounding: Grounding
    outcome: str

    @property
    def name(self) -> str:
        return self.grounding.name


@dataclass(frozen=True)
class Report:
    """The verdict on every name of a ``Words``, in their order."""

    verdicts: tuple[Verdict, ...]

    @property
    def kept_names(self) -> tuple[str, ...]:
        """The names that the description has."""
        return tuple(verdict.name for verdict in self.verdicts if verdict.outcome == KEPT)

    @property
    def hallucinated_names(self) -> tuple[str, ...]:
        """The names that the detector did not find."""
        return tuple(verdict.name for verdict in self.verdicts if verdict.outcome == HALLUCINATION)


def locate(
    picture: Picture, words: Words, grounder: NameFinder, segmenter: BoxSegmenter
) -> tuple[Description, Report]:
    """The description of those objects of ``words`` that are in a (height, width, 3) uint8 picture.

    ``words`` keep their order; those of a dropped object are left out, and the report says why.
    No object may be left: the overall description is kept in any case.
    """
    names = [item.name for item in words.objects]
    groundings = grounder.find(picture, names) if names else []
    masks, outcomes = separate(groundings, masks_of(picture, groundings, segmenter))
    layers = tuple(
        ObjectLayer(item.name, item.detail, Mask.of(mask))
        for item, mask, outcome in zip(words.objects, masks, outcomes, strict=True)
        if outcome == KEPT
    )
    verdicts = tuple(
        Verdict(name, outcome) for name, outcome in zip(groundings, outcomes, strict=True)
    )
    return Description(words.overall, layers), Report(verdicts)


def masks_of(
    picture: Picture, groundings: Sequence[Grounding], segmenter: BoxSegmenter
) -> list[Region]:
    """One mask on the 1/8 grid for each name: the union over its boxes; empty without boxes.

    A cell is set when at least half of it is, by area; of less than that, the fullest cells.
    """
    from sedic.describe.salience import on_grid

    height, width = picture.shape[:2]
    columns, rows = grid_size(width, height)
    boxes = [box for name in groundings for box in name.boxes]
    regions = iter(segmenter.masks(picture, boxes) if boxes else ())
    masks = []
    for name in groundings:
        mask = np.zeros((rows, columns), np.bool_)
        for region in islice(regions, len(name.boxes)):
            mask |= on_grid(region, width, height)
        masks.append(mask)
    return masks


def separate(
    groundings: Sequence[Grounding], masks: Sequence[Region]
) -> tuple[list[Region], list[str]]:
    """Disjoint masks, and the outcome of each name: ``KEPT`` or the first rule that drops it.

    Where masks overlap, a cell belongs to the smallest of them (of equal ones to the first),
    because a small object usually stands in front of a large one. A dropped object gets no cells.
    ``masks`` are (rows, columns), all of one size, in the order of ``groundings``.
    """
    outcomes: list[str] = []
    kept_numbers: list[int] = []
    for number, (name, mask) in enumerate(zip(groundings, masks, strict=True)):
        outcome = _outcome(
            name, mask, [(groundings[other].name, masks[other]) for other in kept_numbers]
        )
        outcomes.append(outcome)
        if outcome == KEPT:
            kept_numbers.append(number)
    disjoint = list(masks)
    covered = np.zeros(masks[0].shape if masks else (0, 0), np.bool_)
    for number in sorted(kept_numbers, key=lambda number: int(masks[number].sum())):
        disjoint[number] = masks[number] & ~covered
        if disjoint[number].sum() < SMALLEST:
            outcomes[number] = COVERED
        else:
            covered |= disjoint[number]
    return disjoint, outcomes


def _outcome(grounding: Grounding, mask: Region, kept_masks: Sequence[tuple[str, Region]]) -> str:
    if not grounding.boxes:
        return HALLUCINATION
    for name, other in kept_masks:
        common, either = int((mask & other).sum()), int((mask | other).sum())
        if name.casefold() == grounding.name.casefold() or common > SAME_MASK * either:
            return DUPLICATE
    if mask.sum() < SMALLEST:
        return TINY
    return WHOLE if mask.mean() > LARGEST else KEPT


class Segmenter:
    """SAM or SAM 2, as its configuration says, from a folder or a model id.

    Loads nothing from the network unless ``download``. Raises ``SedicError`` where the model is
    missing or is another. Pictures are prepared here, with Pillow: transformers' own way for SAM 2
    needs torchvision.
    """

    def __init__(self, source: str | Path, *, device: str = "cpu", download: bool = False) -> None:
        from transformers import AutoConfig
        from transformers.models.sam.modeling_sam import SamModel
        from transformers.models.sam2.modeling_sam2 import Sam2Model

        from sedic.models.pretrained import load_pretrained

        family = load_pretrained(AutoConfig, source, download=download).model_type
        if family not in ("sam", "sam2", "sam2_video"):
            raise SedicError(f"{printable(source)} is a {family} model; masks need sam or sam2")
        self._keeps_proportions = family == "sam"
        kind = SamModel if family == "sam" else Sam2Model
        self._model = load_pretrained(kind, source, download=download).eval().to(device)
        self._side: int = self._model.config.prompt_encoder_config.image_size

    def masks(self, picture: Picture, boxes: Sequence[Box]) -> list[Region]:
        """The mask of the object in each of ``boxes``, at the resolution of the model's input."""
        import torch
        from torch.nn.functional import interpolate

        height, width = picture.shape[:2]
        rows, columns = self._input_size(height, width)
        scale = torch.tensor([columns / width, rows / height] * 2)
        regions: list[Region] = []
        with torch.inference_mode():
            pixels = self._pixels(picture, rows, columns).to(self._model.device)
            embedding = self._model.get_image_embeddings(pixels)
            for box in boxes:  # one at a time: memory
                corners = (torch.tensor(box) * scale)[None, None].to(self._model.device)
                out = self._model(
                    image_embeddings=embedding, input_boxes=corners, multimask_output=False
                )
                mask = out.pred_masks[:, 0].float()
                mask = interpolate(mask, (self._side,) * 2, mode="bilinear", align_corners=False)
                regions.append((mask[0, 0, :rows, :columns] > 0).cpu().numpy())
        return regions

    def _input_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the model's square input that a picture fills, from the top left."""
        if not self._keeps_proportions:
            return self._side, self._side
        scale = self._side / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))

    def _pixels(self, picture: Picture, rows: int, columns: int) -> Tensor:
        """The model's input: the normalised picture, padded with zeros, (1, 3, side, side)."""
        import torch
        from PIL import Image

        resized = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR)
        square = np.zeros((self._side, self._side, 3), np.float32)
        square[:rows, :columns] = (np.asarray(resized) / 255 - MEAN) / DEVIATION
        return torch.from_numpy(square).permute(2, 0, 1)[None]
