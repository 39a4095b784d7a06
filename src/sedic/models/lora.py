"""Low-rank changes (LoRA) folded into a UNet: Hu et al., "LoRA", 2021.

A file holds, for some layers, two small matrices: W becomes W + scale * up @ down. Folded in once,
they cost nothing at every step. The names are those that diffusers, peft and kohya's scripts write.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sedic.errors import SedicError
from sedic.files import printable

_DOWN = re.compile(r"(.+)\.(?:lora_A|lora_down|lora\.down)(?:\.default)?\.weight")
_UP = re.compile(r"(.+)\.(?:lora_B|lora_up|lora\.up)(?:\.default)?\.weight")
_ALPHA = re.compile(r"(.+)\.alpha")
_PREFIX = re.compile(r"^(?:base_model\.model\.|unet\.|lora_unet_)")


@torch.no_grad()
def fold(unet: Any, path: Path, strength: float = 1.0) -> int:
    """Add a LoRA file to the weights of a UNet; returns how many layers it changes.

    ``strength``: of the change, 1 as trained. ``SedicError``, and nothing is changed, where the
    file holds anything else, or a layer that is not in the network or has another shape.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise SedicError(f"{printable(path)}: no .safetensors file that can be read") from error
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        for part, pattern in (("down", _DOWN), ("up", _UP), ("alpha", _ALPHA)):
            if match := pattern.fullmatch(_PREFIX.sub("", name)):
                parts.setdefault(match[1], {})[part] = value
                break
        else:
            raise SedicError(f"{printable(path)}: {printable(name)} is no part of a LoRA of a UNet")
    layers = {name.removesuffix(".weight"): p for name, p in unet.named_parameters() if p.ndim > 1}
    flat = {name.replace(".", "_"): name for name in layers}  # as kohya's scripts write them
    changes = []
    for name, pieces in parts.items():
        layer = layers.get(name if name in layers else flat.get(name, ""))
        change = None if layer is None else _change(pieces, layer.shape)
        if layer is None or change is None:
            raise SedicError(f"{printable(path)}: {printable(name)} does not fit this UNet")
        changes.append((layer, change))
    if not changes:
        raise SedicError(f"{printable(path)}: no LoRA in it")
    for layer, change in changes:
        layer.copy_((layer.float() + strength * change.to(layer.device)).to(layer.dtype))
    return len(changes)


def _change(part: dict[str, Tensor], shape: torch.Size) -> Tensor | None:
    """The matrix to add to a weight of this shape; None where the file's matrices do not fit."""
    if "down" not in part or "up" not in part:
        return None
    down, up = part["down"].float(), part["up"].float()
    rank = down.shape[0]
    if up.shape[1:].numel() != rank or rank == 0:
        return None
    product = up.reshape(len(up), rank) @ down.reshape(rank, -1)
    if product.shape[0] != shape[0] or product.numel() != shape.numel():
        return None
    alpha = float(part["alpha"]) if "alpha" in part else float(rank)
    return product.reshape(shape) * (alpha / rank)
