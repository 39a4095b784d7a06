"""Finds named objects in a picture, as boxes, with Grounding DINO.

A name that an open-set detector does not find is a hallucination of the language model (SEDIC
§3.1). The detector is Liu et al., "Grounding DINO: marrying DINO with grounded pre-training for
open-set object detection", 2023, in transformers' classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pathlib import Path

    from sedic.picture import Picture

BOX, TEXT = 0.3, 0.25  # thresholds of probability: of a box, and of the name's noun in it
OF_BEST = 0.6  # least score of a name's further boxes, over its best score
SAME_BOX = 0.8  # intersection over union, above which two boxes are one
MAX_BOXES = 16  # of one name
LEAST_SIDE = 16  # pixels: nothing is found in smaller pictures

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grounding:
    """The boxes in which a name was found, best first, and their scores, 0 to 1; maybe none."""

    name: str
    boxes: tuple[Box, ...] = ()
    scores: tuple[float, ...] = ()


class Grounder:
    """Grounding DINO from a folder or a model id, in transformers' format.

    Loads nothing from the network unless ``download``. Raises ``SedicError`` where the model is
    missing or is another.
    """

    def __init__(self, source: str | Path, *, device: str = "cpu", download: bool = False) -> None:
        from transformers import AutoTokenizer
        from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
            GroundingDinoImageProcessorPil,
        )
        from transformers.models.grounding_dino.modeling_grounding_dino import (
            GroundingDinoForObjectDetection,
        )

        from sedic.models.pretrained import load_pretrained

        model = load_pretrained(GroundingDinoForObjectDetection, source, download=download)
        self._model = model.eval().to(device)
        self._images = load_pretrained(GroundingDinoImageProcessorPil, source, download=download)
        self._tokenizer = load_pretrained(AutoTokenizer, source, download=download)

    def find(
        self, picture: Picture, names: Sequence[str], box: float = BOX, text: float = TEXT
    ) -> list[Grounding]:
        """Find each of ``names`` in a (height, width, 3) uint8 picture; one result for each name.

        A box belongs to a name if one of the name's tokens has a probability above ``box`` in it,
        which is the score, and the name's last word, the noun, one above ``text``. Names are
        independent of each other, so two may have the same box. ``instances`` says which of several
        boxes are kept.
        """
        import torch

        prompt, spans = _prompt(names)
        height, width = picture.shape[:2]
        if not prompt or min(height, width) < LEAST_SIDE:
            return [Grounding(name) for name in names]
        tokens = self._tokenizer(
            prompt,
            return_tensors="pt",
            return_offsets_mapping=True,
            return_token_type_ids=True,
            truncation=True,
            max_length=self._model.config.max_text_len,
        )
        offsets = tokens.pop("offset_mapping")[0].numpy()
        image = self._images(picture, return_tensors="pt", input_data_format="channels_last")
        inputs = {**tokens, **image}
        with torch.inference_mode():
            out = self._model(**{k: value.to(self._model.device) for k, value in inputs.items()})
        probable = out.logits[0].float().sigmoid().cpu().numpy().astype(np.float64)
        boxes = _corners(out.pred_boxes[0].float().cpu().numpy(), width, height)
        groundings = []
        for name, span in zip(names, spans, strict=True):
            scores = _scores(probable, offsets, span, text)
            indices = instances(boxes, np.where(scores > box, scores, 0.0))
            places: list[Box] = [tuple(corners) for corners in boxes[indices].tolist()]
            groundings.append(Grounding(name, tuple(places), tuple(scores[indices].tolist())))
        return groundings


def instances(boxes: Floats, scores: Floats) -> list[int]:
    """The indices of those (n, 4) boxes that are instances of one name, best first.

    Their scores are at least 0.6 of the best one, and not 0. Boxes without area are left out, and
    boxes that have an intersection over union above 0.8 with a better one. There are at most
    ``MAX_BOXES``. One mask will unite them, because the name stands for all of them.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
    scores = np.where(area > 0, scores, 0.0)
    indices: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if (
            scores[index] <= 0
            or scores[index] < OF_BEST * scores.max()
            or len(indices) == MAX_BOXES
        ):
            break
        low = np.maximum(boxes[indices, :2], boxes[index, :2])
        high = np.minimum(boxes[indices, 2:], boxes[index, 2:])
        common = (high - low).clip(0).prod(axis=1)
        if (common <= SAME_BOX * (area[indices] + area[index] - common)).all():
            indices.append(index)
    return indices


def _prompt(names: Sequence[str]) -> tuple[str, list[tuple[int, int, int]]]:
    """The detector's sentence, such as "red hat. plane.", and for each name three positions in it:
    where it begins, where its last word begins, where it ends. They are equal for a name without a
    letter or digit."""
    prompt = ""
    spans = []
    for name in names:
        words = re.sub(r"[^\w'-]+|_", " ", name.lower()).split()
        start, noun = len(prompt), len(" ".join([*words[:-1], ""]))
        text = " ".join(words)
        spans.append((start, start + noun, start + len(text)))
        prompt += f"{text}. " if text else ""
    return prompt.rstrip(), spans


def _scores(
    probable: Floats, offsets: npt.NDArray[np.int64], span: tuple[int, int, int], text: float
) -> Floats:
    """The probability of a name's most probable token in each box; 0 where no token of its last
    word has a probability above ``text``."""
    start, noun, end = span
    tokens = np.flatnonzero((offsets[:, 0] >= start) & (offsets[:, 1] <= end) & (offsets[:, 1] > 0))
    if start == end or not tokens.size:
        return np.zeros(len(probable))
    last = tokens[offsets[tokens, 0] >= noun]
    if not last.size:  # cut off: the prompt was too long
        return np.zeros(len(probable))
    has_noun = probable[:, last].max(axis=1) > text
    return np.asarray(probable[:, tokens].max(axis=1) * has_noun)


def _corners(boxes: npt.NDArray[np.float32], width: int, height: int) -> Floats:
    """Boxes from centre and size, as shares of the picture, to corners in it, in pixels."""
    centre, size = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1).clip(0, 1)
    return corners * np.array([width, height, width, height], np.float64)
