"""Semantic consistency: whether a classifier or detector gives the same on the decoded picture.

Its result on the original counts as the truth, so labels of the dataset are not needed and its own
mistakes do not count if it repeats them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sedic.errors import SedicError
from sedic.files import printable
from sedic.lab.bench.backbones import DEVIATION, MEAN
from sedic.lab.bench.metrics import Metric, Unavailable
from sedic.models.download import sha256_of
from sedic.models.pretrained import load_pretrained
from sedic.picture import Picture

SAME_PLACE = 0.5  # intersection over union, as in PASCAL VOC
MIN_SCORE = 0.5  # detections with a lower score are ignored
_ONNX_SIDE = 224  # pixels, where the model's file does not say

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Detections:
    """Boxes (n, 4), left, top, right, bottom as shares of the picture, and their (n,) labels."""

    boxes: Floats
    labels: npt.NDArray[np.int64]


def judges(path: Path) -> list[Metric | Unavailable]:
    """The metrics of a model: a transformers folder (image classification or object detection), or
    an ONNX file of a classifier of ImageNet's kind; ``SedicError`` if there is nothing at ``path``.
    """
    name = printable(path.stem if path.suffix == ".onnx" else path.name)
    if not path.exists():
        raise SedicError(f"judge {printable(path)}: there is no such model")
    try:
        if path.suffix == ".onnx":
            return _classifier(name, _onnx(path), _pin(path))
        from transformers import AutoConfig

        kinds = " ".join(load_pretrained(AutoConfig, path).architectures or [])
        weights = _pin(path / "model.safetensors")
        if "ForImageClassification" in kinds:
            return _classifier(name, _transformers_classifier(path), weights)
        if "ForObjectDetection" in kinds:
            return [_detector(name, _transformers_detector(path), weights)]
        raise SedicError(f"is no image classifier or object detector ({kinds or 'unknown kind'})")
    except SedicError as error:
        return [Unavailable(f"judge {name}", str(error))]


def overlap(p: Floats, q: Floats) -> float:
    """The share of two distributions that is common: 1 if equal, 0 if disjoint."""
    return float(np.minimum(p, q).sum())


def agreement(decoded: Detections, truth: Detections) -> float:
    """F1 of detections: same label, same place; 1 where neither has any."""
    if not len(decoded.labels) and not len(truth.labels):
        return 1.0
    free = set(range(len(truth.labels)))
    hits = 0
    for box, label in zip(decoded.boxes, decoded.labels, strict=True):
        candidates = {i: _iou(box, truth.boxes[i]) for i in free if truth.labels[i] == label}
        best = max(candidates, key=lambda i: candidates[i], default=None)
        if best is not None and candidates[best] >= SAME_PLACE:
            hits += 1
            free.remove(best)
    return 2 * hits / (len(decoded.labels) + len(truth.labels))


def _iou(a: Floats, b: Floats) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(sides.clip(0).prod())
    union = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - common
    return common / union if union > 0 else 0.0


def _classifier(
    name: str, classify: Callable[[Picture], Floats], weights: str
) -> list[Metric | Unavailable]:
    def same(decoded: Picture, original: Picture, _: str) -> float:
        return float(classify(decoded).argmax() == classify(original).argmax())

    def common(decoded: Picture, original: Picture, _: str) -> float:
        return overlap(classify(decoded), classify(original))

    return [
        Metric(f"same class ({name})", "higher", weights, same),
        Metric(f"class overlap ({name})", "higher", weights, common),
    ]


def _detector(name: str, detect: Callable[[Picture], Detections], weights: str) -> Metric:
    def same(decoded: Picture, original: Picture, _: str) -> float:
        return agreement(detect(decoded), detect(original))

    return Metric(f"same objects ({name})", "higher", weights, same)


def _transformers_classifier(path: Path) -> Callable[[Picture], Floats]:
    import torch
    from transformers import AutoModelForImageClassification

    model, prepare = _loaded(AutoModelForImageClassification, path)

    @torch.inference_mode()
    def classify(picture: Picture) -> Floats:
        logits = model(**prepare(picture)).logits[0].double()
        return np.asarray(logits.softmax(0).cpu().numpy())

    return classify


def _transformers_detector(path: Path) -> Callable[[Picture], Detections]:
    import torch
    from transformers import AutoModelForObjectDetection

    model, prepare = _loaded(AutoModelForObjectDetection, path)

    @torch.inference_mode()
    def detect(picture: Picture) -> Detections:
        out = model(**prepare(picture))
        # DETR's last class is "no object"; models with one sigmoid a class have none.
        classes = len(model.config.id2label)
        logits = out.logits[0].double()
        chances = logits.softmax(-1) if logits.shape[-1] > classes else logits.sigmoid()
        scores, labels = chances[:, :classes].max(-1)
        visible = (scores > MIN_SCORE).cpu().numpy()
        centre, size = np.split(out.pred_boxes[0].double().cpu().numpy()[visible], 2, axis=1)
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        order = np.argsort(-scores.cpu().numpy()[visible], kind="stable")
        return Detections(boxes[order], labels.cpu().numpy()[visible][order])

    return detect


def _loaded(kind: Any, path: Path) -> tuple[Any, Callable[[Picture], dict[str, Any]]]:
    """A model on the fastest device, and what makes its inputs, without torchvision."""
    from transformers import AutoImageProcessor

    from sedic.models.precision import placement

    device = placement().device
    model = load_pretrained(kind, path).eval().to(device)
    processor = load_pretrained(AutoImageProcessor, path)

    def prepare(picture: Picture) -> dict[str, Any]:
        inputs = processor(picture, return_tensors="pt", input_data_format="channels_last")
        return {name: value.to(device) for name, value in inputs.items()}

    return model, prepare


def _onnx(path: Path) -> Callable[[Picture], Floats]:
    try:
        onnxruntime: Any = import_module("onnxruntime")
    except ImportError as error:
        raise SedicError("ONNX files need onnxruntime: pip install onnxruntime") from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes of exceptions are not public
        raise SedicError(f"cannot be loaded ({printable(error)[:200]})") from error
    (source,) = session.get_inputs()[:1]
    side = source.shape[-1] if isinstance(source.shape[-1], int) else _ONNX_SIDE

    def classify(picture: Picture) -> Floats:
        small = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
        values = (np.asarray(small) / 255 - MEAN) / DEVIATION
        pixels = values.transpose(2, 0, 1)[None].astype(np.float32)
        logits = np.asarray(session.run(None, {source.name: pixels})[0], np.float64).ravel()
        chances = np.exp(logits - logits.max())
        return np.asarray(chances / chances.sum())

    return classify


def _pin(path: Path) -> str:
    if not path.is_file():
        return printable(path.name)
    return f"{printable(path.name)} sha256:{sha256_of(path, lambda *_: None)[:16]}"
