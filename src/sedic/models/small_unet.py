"""The UNet and the IRControlNet of the embedded restorer, in plain torch.

The layers of Stable Diffusion's UNet and of DiffBIR's IRControlNet, without the options of
diffusers' classes, whose import alone costs seconds. Parameters have diffusers' names, so a weight
file fits both; ``tests/models/test_small_networks.py`` compares the results.

Shapes: b pictures of c channels and h x w cells; n tokens of a text, d wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.models.convolution import Convolution3x3


@dataclass(frozen=True)
class UNetConfig:
    """The sizes of a UNet or ControlNet; the names are diffusers', and those of the weight file.

    Level 0 is the finest; each level but the last is followed by a halving. Levels whose
    ``down_block_types`` is ``CrossAttnDownBlock2D`` attend to the text.
    """

    in_channels: int
    out_channels: int | None = None  # None for a ControlNet
    block_out_channels: tuple[int, ...] = (96, 128)
    down_block_types: tuple[str, ...] = ("DownBlock2D", "CrossAttnDownBlock2D")
    layers_per_block: int = 1
    cross_attention_dim: int = 128
    attention_head_dim: int = 4  # diffusers' name for the number of heads
    norm_num_groups: int = 8

    @property
    def time_width(self) -> int:
        """The length of the vector that stands for a timestep."""
        return 4 * self.block_out_channels[0]

    def attends(self, level: int) -> bool:
        """Whether the blocks of a level attend to the text."""
        return self.down_block_types[level] == "CrossAttnDownBlock2D"


class TimeEmbedding(nn.Module):
    """Timesteps (b,) as vectors (b, time_width): sinusoids, then two linear layers."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.waves = config.block_out_channels[0] // 2
        self.linear_1 = nn.Linear(2 * self.waves, config.time_width)
        self.linear_2 = nn.Linear(config.time_width, config.time_width)

    def forward(self, t: Tensor) -> Tensor:
        exponents = torch.arange(self.waves, dtype=torch.float32, device=t.device) / self.waves
        angles = t[:, None].float() * torch.exp(-math.log(10_000) * exponents)
        waves = torch.cat([angles.cos(), angles.sin()], 1).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(waves)))  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions beside a shortcut; ``time`` (b, time_width) is added."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(config.norm_num_groups, inputs)
        self.conv1 = Convolution3x3(inputs, outputs)
        self.time_emb_proj = nn.Linear(config.time_width, outputs)
        self.norm2 = nn.GroupNorm(config.norm_num_groups, outputs)
        self.conv2 = Convolution3x3(outputs, outputs)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        hidden = self.conv1(F.silu(self.norm1(x)))
        hidden = hidden + self.time_emb_proj(F.silu(time))[:, :, None, None]
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(hidden)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head attention of cells (b, h * w, c) to ``context`` (b, n, d), or to themselves."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.to_out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class GatedLinear(nn.Module):
    """A linear layer times the GELU of another (GEGLU)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with a gate between; the second layer's name is ``net.2``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 4 * channels
        self.net = nn.Sequential(
            GatedLinear(channels, wide), nn.Identity(), nn.Linear(wide, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, and a feed-forward layer, each beside a shortcut."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        heads = config.attention_head_dim
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, config.cross_attention_dim, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """A transformer block on the cells of (b, c, h, w), beside a shortcut."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.norm_num_groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, config)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        cells = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            cells = block(cells, context)
        return x + self.proj_out(cells.transpose(1, 2).unflatten(2, x.shape[2:]))  # type: ignore[no-any-return]


class Resample(nn.Module):
    """A 3x3 convolution that halves the sides, or doubles them first (nearest neighbour)."""

    def __init__(self, channels: int, *, enlarge: bool) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.conv = (
            Convolution3x3(channels, channels)
            if enlarge
            else nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.enlarge:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.conv(x)  # type: ignore[no-any-return]


class Level(nn.Module):
    """The blocks of one resolution on the way down, in the middle, or on the way up.

    ``inputs``: the channels that each residual block gets; ``attentions``: how many of the blocks
    are followed by a transformer. ``resample``: "downsamplers" or "upsamplers", at the end.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        channels: int,
        config: UNetConfig,
        attentions: int,
        resample: str | None = None,
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResidualBlock(n, channels, config) for n in inputs)
        self.attentions = nn.ModuleList(Transformer(channels, config) for _ in range(attentions))
        self.resample = resample
        if resample:
            last = Resample(channels, enlarge=resample == "upsamplers")
            self.add_module(resample, nn.ModuleList([last]))

    def forward(
        self, x: Tensor, time: Tensor, context: Tensor, skips: list[Tensor] | None = None
    ) -> list[Tensor]:
        """What each block gives, and the resampled last of it.

        With ``skips`` each block also sees the last of them, which is removed.
        """
        outputs = []
        for i, resnet in enumerate(self.resnets):
            x = resnet(x if skips is None else torch.cat([x, skips.pop()], 1), time)
            if i < len(self.attentions):
                x = self.attentions[i](x, context)
            outputs.append(x)
        if self.resample:
            outputs.append(self.get_submodule(f"{self.resample}.0")(x))
        return outputs


class Encoder(nn.Module):
    """The half that UNet and ControlNet share: down to the coarsest level, and its middle."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, layers = config.block_out_channels, config.layers_per_block
        self.conv_in = Convolution3x3(config.in_channels, widths[0])
        self.time_embedding = TimeEmbedding(config)
        self.down_blocks = nn.ModuleList()
        before = widths[0]
        for level, width in enumerate(widths):
            inputs = [before, *[width] * (layers - 1)]
            attentions = layers if config.attends(level) else 0
            resample = "downsamplers" if level + 1 < len(widths) else None
            self.down_blocks.append(Level(inputs, width, config, attentions, resample))
            before = width
        self.mid_block = Level([before, before], before, config, 1)

    def encode(
        self, x: Tensor, t: Tensor | int, context: Tensor
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """The embedded timestep, what each layer on the way down gives, and the middle.

        ``x`` (b, in_channels, h, w); ``t`` one timestep or (b,) of them; ``context`` (b, n, d).
        """
        steps = torch.as_tensor(t, device=x.device).expand(len(x))
        time = self.time_embedding(steps)
        outputs = [self.conv_in(x)]
        for level in self.down_blocks:
            outputs += level(outputs[-1], time, context)
        return time, outputs, self.mid_block(outputs[-1], time, context)[-1]


class ControlNet(Encoder):
    """DiffBIR's IRControlNet: what it gives is added within the UNet.

    Its input is cat(z, condition latent), so it has twice the latent's channels.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        widths, layers = config.block_out_channels, config.layers_per_block
        outputs = [widths[0]]
        for level, width in enumerate(widths):
            outputs += [width] * (layers + (level + 1 < len(widths)))
        self.controlnet_down_blocks = nn.ModuleList(_zero_convolution(n) for n in outputs)
        self.controlnet_mid_block = _zero_convolution(widths[-1])

    def forward(
        self, x: Tensor, t: Tensor | int, context: Tensor, strength: float = 1.0
    ) -> list[Tensor]:
        """What to add to the outputs of the UNet's encoder, the middle's last, times
        ``strength``."""
        _, outputs, middle = self.encode(x, t, context)
        layers = [*self.controlnet_down_blocks, self.controlnet_mid_block]
        return [
            strength * layer(output)
            for layer, output in zip(layers, [*outputs, middle], strict=True)
        ]


class UNet(Encoder):
    """A prediction (b, out_channels, h, w) from noisy latents, timesteps and texts."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        assert config.out_channels is not None
        widths, layers = config.block_out_channels, config.layers_per_block
        self.up_blocks = nn.ModuleList()
        before = widths[-1]
        for level in reversed(range(len(widths))):
            width, skip = widths[level], widths[max(level - 1, 0)]
            inputs = [before + width, *[2 * width] * (layers - 1), width + skip]
            attentions = layers + 1 if config.attends(level) else 0
            resample = "upsamplers" if level else None
            self.up_blocks.append(Level(inputs, width, config, attentions, resample))
            before = width
        self.conv_norm_out = nn.GroupNorm(config.norm_num_groups, widths[0])
        self.conv_out = Convolution3x3(widths[0], config.out_channels)

    def forward(
        self, z: Tensor, t: Tensor | int, context: Tensor, control: Sequence[Tensor] | None = None
    ) -> Tensor:
        """``z`` (b, in_channels, h, w), sides multiples of 2**(levels - 1); ``control``: what a
        ``ControlNet`` gave of the same timestep and texts."""
        time, skips, x = self.encode(z, t, context)
        if control is not None:
            *added, middle = control
            skips = [skip + more for skip, more in zip(skips, added, strict=True)]
            x = x + middle
        for level in self.up_blocks:
            x = level(x, time, context, skips)[-1]
        return self.conv_out(F.silu(self.conv_norm_out(x)))  # type: ignore[no-any-return]


def _zero_convolution(channels: int) -> nn.Conv2d:
    """A 1x1 convolution that gives zeros until it is trained."""
    layer = nn.Conv2d(channels, channels, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
