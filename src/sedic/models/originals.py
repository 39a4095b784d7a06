"""Converts networks of Stable Diffusion 2.x and DiffBIR's IRControlNet from their original names.

The originals come from the latent diffusion code base (arXiv:2112.10752): one file with UNet, VAE
and OpenCLIP text encoder under three prefixes, and for IRControlNet (arXiv:2308.15070) one without
any prefix. The networks are those of diffusers and transformers; only the names differ, and those
follow from the numbering of the blocks. Every configuration is inferred from the tensors' shapes.

The result of a conversion is checked: the real class, made from the configuration on the meta
device, must have exactly the converted names and shapes. Converted tensors are views of the given
ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sedic.errors import SedicError
from sedic.files import printable

if TYPE_CHECKING:
    from torch import nn

Tensors = dict[str, Tensor]
Config = dict[str, Any]

HEAD = 64  # channels of an attention head in Stable Diffusion 2.x and OpenCLIP-H; no shape says it
TEXT_LAYERS = 24  # of OpenCLIP-H's text tower; Stable Diffusion 2.x uses all but the last


@dataclass(frozen=True)
class Part:
    """One network: its folder in the diffusers layout, its configuration, its tensors."""

    folder: str  # unet, controlnet, vae or text_encoder
    config: Config
    tensors: Tensors

    def empty(self) -> nn.Module:
        """The network without memory (on the meta device), as ``self.config`` says."""
        with torch.device("meta"):
            return network_class(self.folder)(self.config)

    def check(self) -> None:
        """Raise ``SedicError`` unless names and shapes are exactly the network's."""
        try:
            expected = {name: value.shape for name, value in self.empty().state_dict().items()}
        except (ValueError, RuntimeError, TypeError, ArithmeticError) as error:
            raise SedicError(f"{self.folder}: no such network: {printable(error)}") from error
        # diffusers embeds a condition picture; IRControlNet has a latent instead, and no embedding.
        expected = {
            k: v for k, v in expected.items() if not k.startswith("controlnet_cond_embedding.")
        }
        actual = {name: value.shape for name, value in self.tensors.items()}
        for what, names in (
            ("is missing", expected.keys() - actual.keys()),
            ("has no place in the network", actual.keys() - expected.keys()),
            (
                "has another shape",
                {k for k in expected.keys() & actual if expected[k] != actual[k]},
            ),
        ):
            if names:
                raise SedicError(
                    f"{self.folder}: {printable(min(names))} {what} ({len(names)} in all)"
                )


def network_class(folder: str) -> Callable[[Config], nn.Module]:
    """The function that makes the network of a ``Part`` from its configuration."""
    if folder == "unet":
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        return lambda config: UNet2DConditionModel.from_config(config)
    if folder == "controlnet":
        from diffusers.models.controlnets.controlnet import ControlNetModel

        return lambda config: ControlNetModel.from_config(config)
    if folder == "vae":
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

        return lambda config: AutoencoderKL.from_config(config)
    from transformers import CLIPTextConfig, CLIPTextModel

    return lambda config: CLIPTextModel(CLIPTextConfig.from_dict(config))


# --- UNet and IRControlNet ---

_UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "middle_block_out.0": "controlnet_mid_block",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def unet(state: Tensors, head: int = HEAD) -> Part:
    """A UNet from its tensors under original names, without prefix; ``SedicError`` if it is none.

    ``head``: channels of an attention head.
    """
    tensors = _rename(state, _unet_namer(state))
    part = Part("unet", {"_class_name": "UNet2DConditionModel"}, tensors)
    part.config.update(_unet_config(tensors, head))
    part.config["up_block_types"] = [
        name.replace("Down", "Up") for name in reversed(part.config["down_block_types"])
    ]
    part.config["out_channels"] = _shape(tensors, "conv_out.weight")[0]
    part.check()
    return part


def controlnet(state: Tensors, head: int = HEAD) -> Part:
    """IRControlNet as ``ControlNetModel`` on cat(latent, condition latent); else as ``unet``.

    The condition goes in with the latent, so ``conditioning_channels`` is half ``in_channels``
    and the class's own embedding of a condition has no tensors: it must be replaced by zero.
    """
    tensors = _rename(state, _unet_namer(state))
    part = Part("controlnet", {"_class_name": "ControlNetModel"}, tensors)
    part.config.update(_unet_config(tensors, head))
    part.config["conditioning_channels"] = part.config["in_channels"] // 2
    part.check()
    return part


def _unet_namer(state: Tensors) -> Callable[[str], str | None]:
    """The new name of each old one, in a network with as many resnets a level as this one.

    A level of the encoder is ``layers`` resnets and a downsampler, one of the decoder is
    ``layers + 1`` resnets, the last of which takes the upsampler with it.
    """
    downs = [
        int(m[1]) for k in state if (m := re.fullmatch(r"input_blocks\.(\d{1,4})\.0\.op.*", k))
    ]
    inputs = [int(m[1]) for k in state if (m := re.match(r"input_blocks\.(\d{1,4})\.", k))]
    layers = min(downs, default=max(inputs, default=0) + 1) - 1
    if layers < 1:
        raise SedicError("these are not the tensors of a latent diffusion network")

    def rename(name: str) -> str | None:
        stem, _, leaf = name.rpartition(".")
        if stem in _UNET_ENDS:
            return f"{_UNET_ENDS[stem]}.{leaf}"
        if match := re.fullmatch(r"zero_convs\.(\d{1,4})\.0", stem):
            return f"controlnet_down_blocks.{match[1]}.{leaf}"
        match = re.fullmatch(r"(input|middle|output)_blocks?\.(\d{1,4})\.(.+)", stem)
        if match is None:
            return None
        side, number, rest = match[1], int(match[2]), match[3]
        if side == "middle":
            # resnet, attention, resnet: the number of the module, not of a block
            if number == 1:
                return f"mid_block.attentions.0.{rest}.{leaf}"
            inside = _RESNET.get(rest)
            return f"mid_block.resnets.{number // 2}.{inside}.{leaf}" if inside else None
        _, _, rest = rest.partition(".")
        level, index = divmod(number - (side == "input"), layers + 1)
        block = f"{'down' if side == 'input' else 'up'}_blocks.{level}"
        if rest in _RESNET:
            return f"{block}.resnets.{index}.{_RESNET[rest]}.{leaf}"
        if rest == "op":
            return f"{block}.downsamplers.0.conv.{leaf}"
        if rest == "conv":
            return f"{block}.upsamplers.0.conv.{leaf}"
        return f"{block}.attentions.{index}.{rest}.{leaf}"

    return rename


def _unet_config(tensors: Tensors, head: int) -> Config:
    """The part of the configuration that UNet and ControlNet share, from the renamed tensors."""
    levels = _count(tensors, r"down_blocks\.(\d{1,4})\.")
    first = "down_blocks.0.resnets.0"
    channels = [
        _shape(tensors, f"down_blocks.{level}.resnets.0.conv2.weight")[0] for level in range(levels)
    ]
    attention = [
        f"down_blocks.{level}.attentions.0.norm.weight" in tensors for level in range(levels)
    ]
    middle = "mid_block.attentions.0"
    keys = f"{middle}.transformer_blocks.0.attn2.to_k.weight"
    if any(width % head for width in channels) or first + ".conv1.weight" not in tensors:
        raise SedicError(f"these channels {channels} make no heads of {head}")
    return {
        "in_channels": _shape(tensors, "conv_in.weight", 2)[1],
        "down_block_types": [
            "CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in attention
        ],
        "block_out_channels": channels,
        "layers_per_block": _count(tensors, r"down_blocks\.0\.resnets\.(\d{1,4})\."),
        "cross_attention_dim": _shape(tensors, keys, 2)[1],
        # diffusers' name for the number of heads
        "attention_head_dim": [width // head for width in channels],
        "use_linear_projection": len(_shape(tensors, f"{middle}.proj_in.weight")) == 2,
    }


# --- VAE ---

_VAE_ENDS = {
    "conv_in": "conv_in",
    "conv_out": "conv_out",
    "norm_out": "conv_norm_out",
}
_VAE_ATTENTION = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
}


def vae(state: Tensors) -> Part:
    """The autoencoder from its tensors under original names; ``SedicError`` if it is none.

    The 1x1 convolutions of the middle attention become the linear layers they are.
    """
    top = _count(state, r"decoder\.up\.(\d{1,4})\.") - 1

    def rename(name: str) -> str | None:
        stem, _, leaf = name.rpartition(".")
        if stem in ("quant_conv", "post_quant_conv"):
            return name
        side, _, rest = stem.partition(".")
        if side not in ("encoder", "decoder"):
            return None
        if rest in _VAE_ENDS:
            return f"{side}.{_VAE_ENDS[rest]}.{leaf}"
        if match := re.fullmatch(r"mid\.attn_1\.(\w+)", rest):
            inside = _VAE_ATTENTION.get(match[1])
            return f"{side}.mid_block.attentions.0.{inside}.{leaf}" if inside else None
        if match := re.fullmatch(r"mid\.block_([12])\.(\w+)", rest):
            return f"{side}.mid_block.resnets.{int(match[1]) - 1}.{match[2]}.{leaf}"
        match = re.fullmatch(r"(down|up)\.(\d{1,4})\.(?:block\.(\d{1,4})\.(\w+)|(\w+)\.conv)", rest)
        if match is None:
            return None
        way, level, index, inside, sampler = match.groups()
        block = f"{side}.{way}_blocks.{level if way == 'down' else top - int(level)}"
        if sampler:
            return f"{block}.{sampler}rs.0.conv.{leaf}"
        return f"{block}.resnets.{index}.{inside.replace('nin_', 'conv_')}.{leaf}"

    tensors = {
        name: value.flatten(1)
        if ".mid_block.attentions." in name and value.shape[2:] == (1, 1)
        else value
        for name, value in _rename(state, rename).items()
    }
    levels = _count(tensors, r"encoder\.down_blocks\.(\d{1,4})\.")
    config: Config = {
        "_class_name": "AutoencoderKL",
        "in_channels": _shape(tensors, "encoder.conv_in.weight", 2)[1],
        "out_channels": _shape(tensors, "decoder.conv_out.weight")[0],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "block_out_channels": [
            _shape(tensors, f"encoder.down_blocks.{level}.resnets.0.conv2.weight")[0]
            for level in range(levels)
        ],
        "layers_per_block": _count(tensors, r"encoder\.down_blocks\.0\.resnets\.(\d{1,4})\."),
        "latent_channels": _shape(tensors, "post_quant_conv.weight")[0],
        "scaling_factor": 0.18215,
    }
    part = Part("vae", config, tensors)
    part.check()
    return part


# --- text encoder ---

_TEXT_ENDS = {
    "positional_embedding": "embeddings.position_embedding.weight",
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_TEXT_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_TEXT_UNUSED = {"text_projection", "logit_scale", "attn_mask"}


def text_encoder(state: Tensors, head: int = HEAD, layers: int = TEXT_LAYERS) -> Part:
    """OpenCLIP's text tower as ``CLIPTextModel``; ``SedicError`` if it is none.

    Stable Diffusion 2.x reads the last layer but one. So of a tower of ``layers`` layers the last
    is left out; a tower that has one layer fewer was cut before and is taken whole. The projection
    into the space of pictures and its scale are left out, too.
    """
    count = _count(state, r"transformer\.resblocks\.(\d{1,4})\.")
    if count not in (layers, layers - 1):
        raise SedicError(
            f"a text tower of {count} layers: Stable Diffusion 2.x has {layers}, or"
            f" {layers - 1} where the unused last one was cut off"
        )
    used = layers - 1
    tensors: Tensors = {}
    for name, value in state.items():
        if name in _TEXT_UNUSED:
            continue
        if name in _TEXT_ENDS:
            tensors[_TEXT_ENDS[name]] = value
            continue
        match = re.fullmatch(r"transformer\.resblocks\.(\d{1,4})\.(.+)[._](weight|bias)", name)
        if match is None or not (match[2] in _TEXT_LAYER or match[2] == "attn.in_proj"):
            raise SedicError(f"{printable(name)} is none of the names of OpenCLIP's text tower")
        number, inside, leaf = int(match[1]), match[2], match[3]
        layer = f"encoder.layers.{number}"
        if number == used:
            continue
        if inside in _TEXT_LAYER:
            tensors[f"{layer}.{_TEXT_LAYER[inside]}.{leaf}"] = value
        else:
            if value.ndim == 0 or value.shape[0] % 3:
                raise SedicError(f"{name} does not come in thirds")
            for third, rows in zip("qkv", value.tensor_split(3), strict=True):
                tensors[f"{layer}.self_attn.{third}_proj.{leaf}"] = rows
    vocabulary, width = _shape(tensors, "embeddings.token_embedding.weight", 2)[:2]
    config: Config = {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": _shape(tensors, "encoder.layers.0.mlp.fc1.weight")[0],
        "num_hidden_layers": used,
        "num_attention_heads": width // head,
        "max_position_embeddings": _shape(tensors, "embeddings.position_embedding.weight")[0],
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        # transformers reads these for pooling, which is not used here
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    part = Part("text_encoder", config, tensors)
    part.check()
    return part


def _rename(state: Tensors, rename: Callable[[str], str | None]) -> Tensors:
    tensors: Tensors = {}
    for name, value in state.items():
        new = rename(name)
        if new is None or new in tensors:
            raise SedicError(f"{printable(name)} is none of the names of this network")
        tensors[new] = value
    return tensors


def _count(tensors: Tensors, pattern: str) -> int:
    """One more than the largest number that the pattern's group matches; at least 1."""
    numbers = [int(m[1]) for name in tensors if (m := re.match(pattern, name))]
    return 1 + max((n for n in numbers if n < len(tensors)), default=0)


def _shape(tensors: Tensors, name: str, min_dimensions: int = 1) -> torch.Size:
    """The shape of a tensor of ``min_dimensions`` dimensions or more."""
    if name not in tensors:
        raise SedicError(f"{name} is missing from the checkpoint")
    shape = tensors[name].shape
    if len(shape) < min_dimensions:
        raise SedicError(f"{name} has too few dimensions")
    return shape
