"""Which boxes a name gets, on hand-made detections and on a random detector on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.models.grounding_dino.modeling_grounding_dino import (
    GroundingDinoForObjectDetection,
)

from sedic.describe import grounding
from sedic.describe.grounding import MAX_BOXES, Grounder, Grounding, instances
from sedic.errors import SedicError

NAMES = ["red hat", "Plane", "🦜", "st. bernard", "hat"]


def test_instances_are_all_boxes_near_the_best_once() -> None:
    boxes = np.array(
        [
            [100, 100, 200, 200],  # best
            [102, 101, 203, 198],  # the same again
            [300, 100, 380, 190],  # another, 0.7 of the best
            [500, 100, 580, 190],  # another, 0.5 of the best: too weak
            [90, 90, 400, 210],  # around both, another box
            [600, 50, 600, 90],  # without area
        ],
        float,
    )
    scores = np.array([0.8, 0.78, 0.56, 0.4, 0.5, 0.9])
    assert instances(boxes, scores) == [0, 2, 4]
    assert instances(boxes, np.zeros(6)) == []
    assert instances(boxes[:0], scores[:0]) == []


def test_a_crowd_has_an_end() -> None:
    left = np.arange(50) * 10.0
    boxes = np.stack([left, left * 0, left + 8, left * 0 + 8], axis=1)
    assert instances(boxes, np.linspace(0.9, 0.8, 50)) == list(range(MAX_BOXES))


@pytest.fixture(scope="module")
def detector(tiny_detector: Path) -> Grounder:
    return Grounder(tiny_detector)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (50, 81, 3)).astype(np.uint8)


def test_boxes_and_scores_are_those_of_the_model(
    detector: Grounder, tiny_detector: Path, picture: np.ndarray
) -> None:
    found = detector.find(picture, NAMES, box=0.0, text=0.0)
    assert [name.name for name in found] == NAMES
    model = GroundingDinoForObjectDetection.from_pretrained(tiny_detector).eval()
    ids = [101, 5, 6, 1012, 7, 1012, 8, 9, 10, 1012, 6, 1012, 102]
    image = GroundingDinoImageProcessorPil.from_pretrained(tiny_detector)(
        picture, return_tensors="pt"
    )
    with torch.inference_mode():
        out = model(input_ids=torch.tensor([ids]), **image)
    probable = out.logits[0].sigmoid().numpy()
    middle = out.pred_boxes[0].numpy()
    low, high = middle[:, :2] - middle[:, 2:] / 2, middle[:, :2] + middle[:, 2:] / 2
    boxes = np.concatenate([low, high], axis=1).clip(0, 1) * [81, 50, 81, 50]
    tokens = {0: [1, 2], 1: [4], 3: [6, 7, 8], 4: [10]}
    for number, name in enumerate(found):
        if number not in tokens:
            assert name == Grounding("🦜")  # no letter, no token: nowhere
            continue
        scores = probable[:, tokens[number]].max(axis=1)
        kept = instances(boxes, scores)
        assert kept
        np.testing.assert_allclose(name.scores, scores[kept], atol=1e-5)
        np.testing.assert_allclose(name.boxes, boxes[kept], atol=1e-3)


def test_thresholds_make_hallucinations(detector: Grounder, picture: np.ndarray) -> None:
    certain = detector.find(picture, ["red hat"], box=0.0, text=0.0)[0].scores[0]
    for box, text in ((certain + 1e-4, 0.0), (0.0, 1.0)):
        (found,) = detector.find(picture, ["red hat"], box=box, text=text)
        assert found == Grounding("red hat")


def test_names_that_ask_nothing(detector: Grounder, picture: np.ndarray) -> None:
    assert detector.find(picture, []) == []
    assert detector.find(picture, ["🦜", "..."]) == [Grounding("🦜"), Grounding("...")]
    many = ["bernard bernard bernard"] * 7  # more than the model reads: what is cut off is nowhere
    found = detector.find(picture, many, box=0.0, text=0.0)
    assert found[0].boxes and not found[-1].boxes
    narrow, nothing = picture[:20, :], picture[:1, :1]
    assert detector.find(np.tile(narrow, (1, 20, 1)), ["hat"], box=0.0, text=0.0)[0].boxes
    assert detector.find(nothing, ["hat"], box=0.0, text=0.0) == [Grounding("hat")]


def test_a_missing_detector_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="cannot load GroundingDino"):
        Grounder(tmp_path)


@pytest.fixture(scope="module")
def bert(bert_vocabulary: Path) -> Any:
    from transformers.models.bert.tokenization_bert import BertTokenizer

    pieces = bert_vocabulary.read_text(encoding="utf-8").split("\n")
    vocab = {piece: index for index, piece in enumerate(pieces) if piece}
    assert len(vocab) == 30_522
    return BertTokenizer(vocab=vocab, do_lower_case=True)


def test_the_detector_s_prompt_and_phrases_in_bert_s_word_pieces(bert: Any) -> None:
    """Each name's tokens in the prompt are its own, and its noun's are the last of them."""
    names = ["Red hat", "hyacinth macaw", "🦜", "St. Bernard", "café", "rock-climbing wall"]
    prompt, spans = grounding._prompt(names)
    assert prompt == "red hat. hyacinth macaw. st bernard. café. rock-climbing wall."
    coded = bert(prompt, return_offsets_mapping=True)
    tokens = bert.convert_ids_to_tokens(coded.input_ids)
    # As Grounding DINO was trained: phrases end at full stops, 1012, between 101 and 102.
    ids = coded.input_ids
    assert (ids[0], ids[-1], ids.count(1012)) == (101, 102, 5)
    assert ids[1:4] == [2417, 6045, 1012]

    def spelt(start: int, end: int) -> str:
        inside = [
            tokens[n].removeprefix("##")
            for n, (a, b) in enumerate(coded.offset_mapping)
            if a >= start and b <= end and b > 0
        ]
        return "".join(inside)

    for name, (start, noun, end) in zip(names, spans, strict=True):
        assert (start == end) == (name == "🦜")
        for first in (start, noun):
            assert spelt(first, end) == prompt[first:end].replace(" ", "").replace("é", "e")


def test_a_detector_finds_names_of_several_word_pieces(bert: Any, tiny_detector: Path) -> None:
    detector = grounding.Grounder(tiny_detector)
    detector._model.model.text_backbone.resize_token_embeddings(len(bert))
    detector._tokenizer = bert
    picture = np.random.default_rng(1).integers(0, 256, (50, 81, 3)).astype(np.uint8)
    names = ["hyacinth macaw", "🦜", "weathervane"]
    found = detector.find(picture, names, box=0.0, text=0.0)
    assert [bool(name.boxes) for name in found] == [True, False, True]
