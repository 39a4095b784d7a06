"""Equations 2 and 3: moves the latent so that an object's words attend to the object's mask.

The maps are those that MuLan (Li et al., 2024) uses. The gradient passes through the conditional
prediction alone, at batch 1, from its last map back; nothing but its activations is held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SCALE = 1024.0  # of the energy while float16 networks take its gradient, which else underflows


def descend(
    z: Tensor, gradient: Callable[[Tensor], Tensor | None], eta: float, iterations: int
) -> tuple[Tensor, bool]:
    """``iterations`` times z <- z - eta * grad E(z) (SEDIC eq. 3), or until there is no gradient.

    ``gradient`` gives None where the energy is low enough. Returns z, and whether that was so.
    """
    for _ in range(iterations):
        slope = gradient(z)
        if slope is None:
            return z, True
        z = z - eta * slope
    return z, False


def gradient_of(
    energy: Callable[[Tensor], Tensor], z: Tensor, threshold: float = 0.0
) -> Tensor | None:
    """The gradient of a scalar function at ``z``, also where gradients are switched off.

    None where the function is at most ``threshold``, if that is above 0.
    """
    with torch.enable_grad():
        at = z.detach().requires_grad_()
        value = energy(at)
        if threshold > 0 and float(value.detach()) <= threshold:
            return None
        (gradient,) = torch.autograd.grad(value * _SCALE, at)
    return gradient / _SCALE


def energy(maps: Sequence[Tensor], mask: Tensor, tokens: Sequence[int]) -> Tensor:
    """(1 - sum_{m in M} A_mk / sum_m A_mk)^2 (SEDIC eq. 2), averaged over tokens, heads and maps.

    ``maps``: attention probabilities (heads, cells, tokens) of a latent of the mask's shape or of
    its halves, quarters, ...; ``mask`` (h, w) boolean; ``tokens``: the k of the object's name.
    """
    total = maps[0].new_zeros(())
    for attention in maps:
        inside = _at_cells(mask, attention.shape[1]).flatten().to(attention.dtype)
        column = attention[:, :, list(tokens)]
        share = torch.einsum("hnk,n->hk", column, inside) / column.sum(1).clamp_min(1e-20)
        total = total + ((1 - share) ** 2).mean()
    return total / len(maps)


def _at_cells(mask: Tensor, cells: int) -> Tensor:
    """The mask on the grid of a map with so many cells; never empty."""
    height, width = mask.shape
    while height * width > cells:
        height, width = math.ceil(height / 2), math.ceil(width / 2)  # as strided convolutions do
    if height * width != cells:
        raise ValueError(f"a map of {cells} cells is no halving of {tuple(mask.shape)}")
    soft = mask.float()[None, None]
    small = F.interpolate(soft, (height, width), mode="nearest")[0, 0] > 0
    if not small.any():
        cover = F.adaptive_avg_pool2d(soft, (height, width)).flatten()
        small.view(-1)[cover.argmax()] = True
    return small


class _AllKept(Exception):  # noqa: N818
    """All maps are collected; the rest of the network need not run."""


def attention_maps(unet: nn.Module, predict: Callable[[], object]) -> list[Tensor]:
    """The cross-attention maps (heads, cells, tokens) of eq. 2, of one prediction at batch 1.

    The middle one, the first three on the way up and the last three on the way down, as many as
    the UNet has. ``predict`` runs it; what comes after the last map is left out.
    """
    attentions = [
        *_cross_attentions(unet, "mid_block")[:1],
        *_cross_attentions(unet, "up_blocks")[:3],
        *_cross_attentions(unet, "down_blocks")[-3:],
    ]
    attentions_kept: list[Tensor] = []

    def keep(attention: Any, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> None:
        """Keep softmax(QK) of an attention that is about to run."""
        cells, context = args if len(args) == 2 else (args[0], kwargs["encoder_hidden_states"])
        query, key = (
            part[0].unflatten(1, (attention.heads, -1)).transpose(0, 1)
            for part in (attention.to_q(cells), attention.to_k(context))
        )
        scale = 1 / math.sqrt(query.shape[2])
        attentions_kept.append(torch.softmax((query @ key.mT).float() * scale, -1))
        if len(attentions_kept) == len(attentions):
            raise _AllKept

    hooks = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in attentions]
    try:
        predict()
    except _AllKept:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return attentions_kept


def _cross_attentions(unet: nn.Module, section: str) -> list[nn.Module]:
    blocks = getattr(unet, section, None)
    if blocks is None:
        return []
    return [part for name, part in blocks.named_modules() if name.endswith("attn2")]
