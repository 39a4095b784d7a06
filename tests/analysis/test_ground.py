"""Which boxes a name gets, on hand-made detections and on a random detector on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.tokenization_bert import BertTokenizer
from transformers.models.grounding_dino.configuration_grounding_dino import GroundingDinoConfig
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.models.grounding_dino.modeling_grounding_dino import (
    GroundingDinoForObjectDetection,
)
from transformers.models.swin.configuration_swin import SwinConfig

from sedic.analysis.ground import MAX_BOXES, Found, Grounder, instances
from sedic.semantics import SedicError

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
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Grounding DINO on disk; its vocabulary has BERT's ids for what ends a name."""
    folder = tmp_path_factory.mktemp("detector")
    vocab = {f"[unused{number}]": number for number in range(1100)}
    words = {"red": 5, "hat": 6, "plane": 7, "st": 8, "bern": 9, "##ard": 10}
    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    ends = {".": 1012, "?": 1029}
    for token, number in (words | special | ends).items():
        del vocab[f"[unused{number}]"]
        vocab[token] = number
    BertTokenizer(vocab=vocab, do_lower_case=True).save_pretrained(folder)
    size = {"shortest_edge": 128, "longest_edge": 192}
    GroundingDinoImageProcessorPil(size=size).save_pretrained(folder)
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )
    bert = BertConfig(
        vocab_size=len(vocab),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=12,
        max_text_len=32,
    )
    torch.manual_seed(5)
    model = GroundingDinoForObjectDetection(config)
    with torch.no_grad():  # boxes that differ, as a trained head's do
        for name, weights in model.named_parameters():
            if "bbox_embed" in name and "layers.2" in name:
                weights.normal_(std=0.5)
    model.save_pretrained(folder)
    return folder


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
            assert name == Found("🦜")  # no letter, no token: nowhere
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
        assert found == Found("red hat")


def test_names_that_ask_nothing(detector: Grounder, picture: np.ndarray) -> None:
    assert detector.find(picture, []) == []
    assert detector.find(picture, ["🦜", "..."]) == [Found("🦜"), Found("...")]
    many = ["bernard bernard bernard"] * 7  # more than the model reads: what is cut off is nowhere
    found = detector.find(picture, many, box=0.0, text=0.0)
    assert found[0].boxes and not found[-1].boxes
    narrow, nothing = picture[:20, :], picture[:1, :1]
    assert detector.find(np.tile(narrow, (1, 20, 1)), ["hat"], box=0.0, text=0.0)[0].boxes
    assert detector.find(nothing, ["hat"], box=0.0, text=0.0) == [Found("hat")]


def test_a_missing_detector_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="cannot load GroundingDino"):
        Grounder(tmp_path)
