"""The embedded restorer: the shapes of its networks and how they begin their training.

The same classes as Stable Diffusion with ControlNet, three hundred times smaller. The UNet
predicts the clean latent itself (``prediction_type`` "sample"), which few steps want.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sedic.errors import SedicError
from sedic.models import pack
from sedic.models.clip_tokenizer import LENGTH, Merges, tokenizer_of
from sedic.models.networks import Networks, ir_controlnet

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "sample",
    "timestep_spacing": "trailing",  # with four steps 999, 749, 499, 249: none is wasted near 0
}
_DOWN = ("DownBlock2D", "CrossAttnDownBlock2D")
_UP = ("CrossAttnUpBlock2D", "UpBlock2D")
_SHARED: dict[str, Any] = {
    "block_out_channels": (96, 128),
    "layers_per_block": 1,
    "cross_attention_dim": 128,
    "attention_head_dim": 4,  # diffusers' name for the number of heads
    "norm_num_groups": 8,
}


def fresh_restorer(latent: int, merges: Merges) -> dict[str, Any]:
    """UNet, ControlNet and text encoder with random weights, for latents of so many channels.

    The restorer begins as the identity: its clean latent is the condition.
    """
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    unet = UNet2DConditionModel(
        in_channels=latent,
        out_channels=latent,
        down_block_types=_DOWN,
        up_block_types=_UP,
        **_SHARED,
    )
    controlnet = ir_controlnet(
        {
            "in_channels": 2 * latent,
            "down_block_types": _DOWN,
            "conditioning_embedding_out_channels": (8, 8),
            **_SHARED,
        }
    )
    tokenizer = tokenizer_of(merges)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    _begin_as_identity(unet, controlnet, latent)
    return {"unet": unet, "controlnet": controlnet, "text_encoder": text_encoder}


@torch.no_grad()
def _begin_as_identity(unet: Any, controlnet: Any, latent: int) -> None:
    """Lay a straight path from the condition to the output through layers that exist anyway.

    The condition goes through the ControlNet's first convolution and its zero convolution into
    the UNet's outermost skip, and from there, once as x and once as -x, to the last layer, where
    silu(x) - silu(-x) = x. The other channels are made loud, so that the last normalisation
    divides every picture by about the same.
    """
    middle, gain = 1, 1.7  # gain: about what the last normalisation divides by
    channels = unet.conv_in.weight.shape[0]
    groups = _SHARED["norm_num_groups"]
    # Spread evenly over the groups of the last normalisation.
    spread = [(k % groups) * (channels // groups) + k // groups for k in range(2 * latent)]
    last = unet.up_blocks[-1].resnets[-1]
    skip = last.conv_shortcut.weight.shape[1] - channels
    last.conv2.weight[spread] = 0
    last.conv2.bias[spread] = 0
    last.conv_shortcut.weight.mul_(6)
    last.conv_shortcut.weight[spread] = 0
    last.conv_shortcut.bias[spread] = 0
    unet.conv_out.weight.mul_(0.02)
    unet.conv_out.bias.zero_()
    for i in range(latent):
        for network in (controlnet, unet):
            network.conv_in.weight[i] = 0
            network.conv_in.bias[i] = 0
        controlnet.conv_in.weight[i, latent + i, middle, middle] = 1
        controlnet.controlnet_down_blocks[0].weight[i, i, 0, 0] = 1
        for sign, channel in ((1, spread[i]), (-1, spread[latent + i])):
            last.conv_shortcut.weight[channel, skip + i, 0, 0] = sign
            unet.conv_out.weight[i, channel, middle, middle] = sign * gain


def load(vae: Path, restorer: Path) -> Networks:
    """The embedded networks from their two files; ``SedicError`` where they are something else."""
    found = pack.load(vae, ("vae",)) | pack.load(restorer, ("unet", "controlnet", "text_encoder"))
    found.pop("merges", None)
    try:
        return Networks(**found, tokenizer=load_tokenizer(restorer), condition="latent")
    except TypeError as error:
        raise SedicError(f"{restorer} does not hold a restorer") from error


def load_tokenizer(restorer: Path) -> Any:
    """The tokenizer of the embedded text encoder alone."""
    try:
        return tokenizer_of([(a, b) for a, b in pack.values(restorer)["merges"]])
    except (KeyError, TypeError, ValueError) as error:
        raise SedicError(f"{restorer} does not hold a restorer") from error
