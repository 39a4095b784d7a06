"""From detections to disjoint masks: hand-made detections of three pictures, then random models.

The detections were written by hand to look like a detector's: they are no measurements.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.sam.configuration_sam import (
    SamVisionConfig,
)
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.sam.modeling_sam import SamModel
from transformers.models.sam.processing_sam import SamProcessor
from transformers.models.sam2.configuration_sam2 import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
)
from transformers.models.sam2.modeling_sam2 import Sam2Model

from sedic.describe.answers import ObjectWords, Words
from sedic.describe.grounding import BOX, Box, Grounding, instances
from sedic.describe.segmentation import SMALLEST, Region, Report, Segmenter, locate, separate
from sedic.errors import SedicError

WIDTH, HEIGHT = 768, 512  # of the Kodak pictures

# What a detector says: for each name all its boxes above a low threshold, with scores; and the
# share of the box, from its middle, that the segmenter finds in it (an ellipse; 2 is all of it).
Raw = dict[str, list[tuple[Box, float, float]]]
HATS: Raw = {  # kodim03: six caps on a wall
    "red hat": [((28, 118, 262, 330), 0.71, 0.95), ((30, 115, 265, 334), 0.64, 0.95)],
    "yellow hat": [((268, 224, 480, 430), 0.66, 0.95), ((506, 300, 698, 455), 0.42, 0.9)],
    "crimson cap": [((26, 116, 264, 331), 0.58, 0.95)],
    "button": [((402, 250, 407, 254), 0.36, 0.9)],
    "wall": [((0, 0, 768, 512), 0.55, 2.0)],
    "snake": [((300, 10, 420, 60), 0.12, 0.9)],
}
PLANE: Raw = {  # kodim20: an aircraft before the sky, its propeller at the front
    "plane": [((60, 150, 720, 390), 0.83, 0.97)],
    "propeller": [((64, 160, 150, 380), 0.49, 0.9)],
    "pilot": [((380, 190, 420, 215), 0.27, 0.9)],
}
PARROTS: Raw = {  # kodim23: two macaws, one before the other
    "macaw": [((64, 40, 400, 500), 0.81, 0.9), ((390, 70, 740, 505), 0.77, 0.9)],
    "beak": [((180, 100, 270, 200), 0.41, 0.8), ((480, 110, 560, 230), 0.38, 0.8)],
    "head": [((188, 108, 262, 192), 0.44, 0.5)],
}


class Detections:
    """Plays detector and segmenter with what is written above."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    def find(self, picture: np.ndarray, names: Sequence[str]) -> list[Grounding]:
        found = []
        for name in names:
            said = self._raw[name]
            boxes = np.array([box for box, _, _ in said])
            scores = np.array([score for _, score, _ in said])
            kept = instances(boxes, np.where(scores > BOX, scores, 0.0))
            places = tuple(said[index][0] for index in kept)
            found.append(Grounding(name, places, tuple(float(scores[index]) for index in kept)))
        return found

    def masks(self, picture: np.ndarray, boxes: Sequence[Box]) -> list[Region]:
        sizes = {box: size for said in self._raw.values() for box, _, size in said}
        y, x = np.mgrid[0.5:342, 0.5:512] * (HEIGHT / 342)
        regions = []
        for box in boxes:
            left, top, right, bottom = box
            across = (x - (left + right) / 2) / (right - left) * 2
            down = (y - (top + bottom) / 2) / (bottom - top) * 2
            soft = sizes[box] ** 2 - across**2 - down**2
            inside = (np.abs(across) <= 1) & (np.abs(down) <= 1)
            regions.append((soft > 0) & inside)
        return regions


def seen(raw: Raw, *names: str) -> tuple[dict[str, np.ndarray], Report]:
    """The masks of the kept objects and the report for a picture and what is said of it."""
    said = tuple(ObjectWords(name, f"{name} of some kind") for name in names)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    actor = Detections(raw)
    description, report = locate(picture, Words("a picture", said), actor, actor)
    assert description.overall == "a picture"
    assert tuple(layer.name for layer in description.objects) == report.kept_names
    return {layer.name: layer.mask.array for layer in description.objects}, report


def fates(report: Report) -> dict[str, str]:
    return {verdict.name: verdict.outcome for verdict in report.verdicts}


def test_hats() -> None:
    masks, report = seen(HATS, *HATS)
    assert fates(report) == {
        "red hat": "kept",
        "yellow hat": "kept",
        "crimson cap": "duplicate",
        "button": "tiny",
        "wall": "whole picture",
        "snake": "hallucination",
    }
    assert report.hallucinated_names == ("snake",)
    assert len(report.verdicts[0].grounding.boxes) == 1  # found twice, one hat
    assert masks["yellow hat"][42, 46] and masks["yellow hat"][47, 75]  # two hats, one object
    assert masks["yellow hat"].sum() == pytest.approx(
        np.pi / 4 * (212 * 206 * 0.95**2 + 192 * 155 * 0.9**2) / 64, rel=0.03
    )


def test_what_is_said_first_counts() -> None:
    masks, report = seen(HATS, "crimson cap", "red hat", "crimson cap")
    assert [verdict.outcome for verdict in report.verdicts] == ["kept", "duplicate", "duplicate"]
    assert list(masks) == ["crimson cap"]


def test_a_part_belongs_to_the_part() -> None:
    masks, report = seen(PLANE, "plane", "propeller", "pilot")
    assert report.kept_names == ("plane", "propeller") and report.hallucinated_names == ("pilot",)
    assert not (masks["plane"] & masks["propeller"]).any()
    alone, _ = seen(PLANE, "propeller")
    np.testing.assert_array_equal(masks["propeller"], alone["propeller"])
    whole, _ = seen(PLANE, "plane")
    np.testing.assert_array_equal(
        masks["plane"] | alone["propeller"], whole["plane"] | alone["propeller"]
    )


def test_parrots_are_one_object_with_two_places() -> None:
    masks, report = seen(PARROTS, "macaw", "beak")
    assert report.kept_names == ("macaw", "beak")
    assert masks["macaw"][34, 15] and masks["macaw"][36, 70]
    assert masks["beak"].sum() < masks["macaw"].sum()
    assert report.verdicts[0].grounding.scores == (0.81, 0.77)


def test_nothing_is_left_of_what_smaller_things_cover() -> None:
    block = np.zeros((8, 8), bool)
    block[:4, :4] = True
    left, right = block.copy(), block.copy()
    left[:, 2:] = right[:, :2] = False
    found = [Grounding(name, ((0, 0, 1, 1),), (0.5,)) for name in ("both", "left", "right")]
    masks, decided = separate(found, [block, left, right])
    assert decided == ["covered", "kept", "kept"]
    np.testing.assert_array_equal(masks[1], left)


def test_no_object_found_leaves_the_overall_description() -> None:
    masks, report = seen(HATS, "snake")
    assert masks == {} and report.kept_names == ()
    assert seen(HATS) == ({}, Report(()))


@given(st.lists(st.lists(st.booleans(), min_size=48, max_size=48), max_size=7))
@settings(max_examples=30)
def test_kept_masks_are_disjoint_and_of_use(bits: list[list[bool]]) -> None:
    masks = [np.array(plane).reshape(6, 8) for plane in bits]
    found = [Grounding(f"thing {n}", ((0, 0, 8, 6),), (0.5,)) for n in range(len(masks))]
    settled, decided = separate(found, masks)
    kept = [mask for mask, fate in zip(settled, decided, strict=True) if fate == "kept"]
    assert sum((mask.astype(int) for mask in kept), np.zeros((6, 8), int)).max() <= 1
    assert all(mask.sum() >= SMALLEST for mask in kept)
    for mask, before in zip(settled, masks, strict=True):
        assert not (mask & ~before).any()


@pytest.fixture(scope="module")
def tiny_sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam2")
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[64, 64],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 2, 2],
        global_attention_blocks=[3],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=16,
    )
    prompt = Sam2PromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16)
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config=prompt,
        mask_decoder_config=decoder(Sam2MaskDecoderConfig),
    )
    torch.manual_seed(2)
    Sam2Model(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_sam2_video(tiny_sam2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAM 2's published checkpoints call themselves models for video."""
    folder = tmp_path_factory.mktemp("video") / "sam2"
    shutil.copytree(tiny_sam2, folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "sam2_video"
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def decoder(kind: Any) -> Any:
    return kind(
        hidden_size=16,
        mlp_dim=16,
        num_attention_heads=2,
        iou_head_hidden_dim=16,
        num_hidden_layers=1,
    )


def photo(height: int, width: int) -> np.ndarray:
    """A picture with something in it, smooth: resizers agree on it."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    return (np.stack([x, y, np.sin(9 * x * y) ** 2], axis=-1) * 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(90, 131), (131, 90)])
def test_sam_as_transformers_prepares_it(tiny_sam: Path, size: tuple[int, int]) -> None:
    picture = photo(*size)
    boxes = [(10.0, 20.0, 70.0, 80.0), (0.0, 0.0, 90.0, 90.0)]
    processor = SamProcessor(
        SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    )
    inputs = processor(picture, input_boxes=[[list(box) for box in boxes]], return_tensors="pt")
    model = SamModel.from_pretrained(tiny_sam).eval()
    with torch.inference_mode():
        out = model(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"].float(),
            multimask_output=False,
        )
    seen = inputs["reshaped_input_sizes"]
    expected = processor.image_processor.post_process_masks(out.pred_masks, seen, seen)[0]
    regions = Segmenter(tiny_sam).masks(picture, boxes)
    assert len(regions) == 2
    for region, mask in zip(regions, expected, strict=True):
        assert region.shape == tuple(seen[0].tolist())
        assert (region != mask[0].numpy()).mean() < 0.01


@pytest.mark.parametrize("family", ["sam", "sam2", "sam2_video"])
def test_segmenters_on_disk(family: str, request: pytest.FixtureRequest) -> None:
    segmenter = Segmenter(request.getfixturevalue(f"tiny_{family}"))
    picture = photo(90, 131)
    boxes = [(10.0, 20.0, 70.0, 80.0), (80.0, 5.0, 120.0, 60.0)]
    regions = segmenter.masks(picture, boxes)
    assert all(region.dtype == np.bool_ for region in regions)
    assert regions[0].shape == ((44, 64) if family == "sam" else (64, 64))
    (alone,) = segmenter.masks(picture, boxes[1:])
    np.testing.assert_array_equal(alone, regions[1])
    assert segmenter.masks(picture[:1], [(0.0, 0.0, 131.0, 1.0)])[0].ndim == 2


def test_other_models_are_refused(tmp_path: Path) -> None:
    SamVisionConfig().save_pretrained(tmp_path)
    with pytest.raises(SedicError, match="masks need sam or sam2"):
        Segmenter(tmp_path)
    with pytest.raises(SedicError, match="cannot load"):
        Segmenter(tmp_path / "nothing")
