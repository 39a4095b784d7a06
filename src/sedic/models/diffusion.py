"""The networks of the papers' profiles: classes of diffusers and transformers.

They are read from a folder of diffusers' layout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sedic.errors import SedicError
from sedic.failures import check_memory
from sedic.files import printable
from sedic.models.clip_tokenizer import leading_tokens, padded
from sedic.models.interface import fingerprint_of
from sedic.models.prompt import clean


class NoConditioning(nn.Module):
    """A module in place of a ControlNet's embedding of its hint; it returns 0."""

    def forward(self, hint: Tensor) -> Tensor:
        """Zero, whatever the hint."""
        return hint.new_zeros(())


def ir_controlnet(config: dict[str, Any]) -> Any:
    """DiffBIR's IRControlNet as a diffusers ``ControlNetModel`` with fresh weights.

    It takes cat(z, condition latent), so ``config["in_channels"]`` is twice the latent's; the
    hint of a ControlNet does not exist.
    """
    from diffusers.models.controlnets.controlnet import ControlNetModel

    controlnet = ControlNetModel.from_config(config)
    controlnet.controlnet_cond_embedding = NoConditioning()
    return controlnet


@dataclass
class DiffusionNetworks:
    """Implements ``interface.Networks``, whose docstrings say what each method does.

    ``vae``: ``AutoencoderKL`` or ``AutoencoderTiny``; ``text_encoder``: ``CLIPTextModel``;
    ``tokenizer``: ``CLIPTokenizer``; ``unet``: ``UNet2DConditionModel``; ``controlnet``:
    ``ControlNetModel``.
    """

    vae: Any
    text_encoder: Any
    tokenizer: Any
    unet: Any
    controlnet: Any
    schedule: dict[str, Any]
    condition: str  # what the ControlNet sees: "latent" (IRControlNet) or "picture" (tile)
    _compiled: Callable[..., Tensor] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.condition not in ("latent", "picture"):
            raise SedicError(f"condition {self.condition!r}: latent or picture")
        for network in self._modules:
            network.eval().requires_grad_(False)

    @property
    def _modules(self) -> tuple[Any, ...]:
        return self.vae, self.text_encoder, self.unet, self.controlnet

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all weights and the schedule, in hexadecimal."""
        return fingerprint_of(self._modules, self.schedule)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.unet.parameters()).device  # type: ignore[no-any-return]

    @property
    def dtype(self) -> torch.dtype:
        """What the networks compute in."""
        return next(self.unet.parameters()).dtype  # type: ignore[no-any-return]

    @property
    def channels(self) -> int:
        """The channels of a latent."""
        return int(self.unet.config.out_channels)

    @property
    def multiple(self) -> int:
        """Latents' sides must be multiples of this: each level of the UNet but the last halves."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

    def to(
        self, device: torch.device | str, dtype: torch.dtype, vae_dtype: torch.dtype | None = None
    ) -> DiffusionNetworks:
        """Move the networks, convolutions in channels-last order; returns ``self``.

        ``vae_dtype``: what the VAE computes in, if not ``dtype``.
        """
        for network in self._modules:
            # Past diffusers' own ``to``, which warns of modules to keep in float32 that no
            # network here has.
            kind = vae_dtype or dtype if network is self.vae else dtype
            nn.Module.to(network, device=device, dtype=kind)
            if network is not self.text_encoder:
                nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def encode(self, picture: Tensor) -> Tensor:
        """The scaled latent (1, c, h/8, w/8) of a picture (1, 3, h, w) in [-1, 1].

        Where the VAE gives a distribution, its mode is taken, so that the result is deterministic.
        """
        encoded = self.vae.encode(picture.to(self.device, self._vae_dtype))
        latent = encoded.latents if "latents" in encoded else encoded.latent_dist.mode()
        scaled: Tensor = (latent.float() - self._shift) * float(self.vae.config.scaling_factor)
        return scaled

    def decode(self, latent: Tensor) -> Tensor:
        """The picture (1, 3, h, w) of a scaled latent, about [-1, 1]."""
        latent = latent / float(self.vae.config.scaling_factor) + self._shift
        return self.vae.decode(latent.to(self._vae_dtype)).sample.float()  # type: ignore[no-any-return]

    @property
    def _vae_dtype(self) -> torch.dtype:
        return next(self.vae.parameters()).dtype  # type: ignore[no-any-return]

    @property
    def _shift(self) -> float:
        return float(self.vae.config.get("shift_factor") or 0.0)

    @property
    def _length(self) -> int:
        positions = int(self.text_encoder.config.max_position_embeddings)
        return min(positions, int(self.tokenizer.model_max_length))

    def embed(self, text: str) -> Tensor:
        """The text encoder's last hidden state, (1, tokens, d).

        Punctuation is made plain first (``prompt.clean``). Padded to the encoder's length; of a
        text that is longer, as many whole words as fit.
        """
        ids = padded(self._ids, text, self._length, int(self.tokenizer.pad_token_id))
        on_device = torch.tensor([ids], device=self.device)
        return self.text_encoder(on_device).last_hidden_state.float()  # type: ignore[no-any-return]

    def _ids(self, text: str) -> list[int]:
        # In Stable Diffusion 2.1's tokenizer "!" is the token that pads, too.
        encoded = self.tokenizer(clean(text), verbose=False, split_special_tokens=True)
        return encoded.input_ids  # type: ignore[no-any-return]

    def word_tokens(self, text: str, words: int) -> list[int]:
        """Where ``embed(text)`` has the tokens of the first ``words`` words; at least one."""
        return leading_tokens(self._ids, text, words, self._length)

    def predict(
        self, z: Tensor, t: int, context: Tensor, condition: Tensor, strength: float = 1.0
    ) -> Tensor:
        """The UNet's prediction for ``z`` (1, c, h, w) at timestep ``t``, once for each context.

        ``context`` (n, tokens, d); ``condition`` is a latent like ``z`` or a picture
        (1, 3, 8h, 8w) in [0, 1], as ``self.condition`` says; ``strength`` scales the ControlNet's
        residuals. Returns (n, c, h, w), in the sense of ``schedule["prediction_type"]``.
        """
        n, device, dtype = len(context), self.device, self.dtype
        z = z.to(device, dtype).expand(n, -1, -1, -1)
        condition = condition.to(device, dtype).expand(n, -1, -1, -1)
        context = context.to(device, dtype)
        if self._compiled is not None and not torch.is_grad_enabled():
            # As a number, every timestep would be compiled on its own.
            timestep = torch.tensor([t], device=device)
            found = self._compiled(z, timestep, context, condition, strength)
            return found.to(torch.float32, copy=True)  # the next run of a graph overwrites it
        return self._controlled(z, t, context, condition, strength).float()

    def compile(self, **options: Any) -> DiffusionNetworks:
        """Compile what runs at every step, for many pictures of one size; returns ``self``.

        ``options`` are those of ``torch.compile``: by default CUDA graphs are used on a GPU. The
        first step of every size takes a minute or so longer. Guidance, which takes gradients, runs
        as before.
        """
        options = options or {"mode": "reduce-overhead", "dynamic": False}
        self._compiled = torch.compile(self._controlled, **options)
        return self

    def _controlled(
        self, z: Tensor, t: int | Tensor, context: Tensor, condition: Tensor, strength: float
    ) -> Tensor:
        """ControlNet and UNet; all arguments are where and as the networks compute."""
        control_input = torch.cat((z, condition), 1) if self.condition == "latent" else z
        down, middle = self.controlnet(
            control_input, t, context, condition, conditioning_scale=strength, return_dict=False
        )
        (predicted,) = self.unet(
            z,
            t,
            context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )
        return predicted  # type: ignore[no-any-return]


def load_diffusion(folder: Path, dtype: torch.dtype = torch.float32) -> DiffusionNetworks:
    """The networks in a folder of diffusers' layout, from safetensors files only, on the CPU.

    ``vae/ unet/ controlnet/ text_encoder/ tokenizer/ scheduler/``; a ControlNet of twice the
    latent's channels is an IRControlNet. Raises ``SedicError``, naming the part, where one is
    missing or does not fit.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    # On the meta device no time goes into random weights.
    def make_unet(config: dict[str, Any]) -> Any:
        with torch.device("meta"):
            return UNet2DConditionModel.from_config(config)

    schedule = _config(folder / "scheduler" / "scheduler_config.json")

    def make_control(config: dict[str, Any]) -> Any:
        predicted = schedule.get("prediction_type", "epsilon")
        if (trained := config.pop("prediction_type", predicted)) != predicted:
            raise SedicError(
                f"the ControlNet in {folder} was trained for {printable(trained)} and the UNet"
                f" predicts {printable(predicted)}: convert two that belong together"
            )
        with torch.device("meta"):
            plain = config.get("in_channels") == unet.config.in_channels
            return ControlNetModel.from_config(config) if plain else ir_controlnet(config)

    def make_vae(config: dict[str, Any]) -> Any:
        with torch.device("meta"):
            tiny = config.get("_class_name") == "AutoencoderTiny"
            return (AutoencoderTiny if tiny else AutoencoderKL).from_config(config)

    def make_text_encoder(config: dict[str, Any]) -> Any:
        return CLIPTextModel(CLIPTextConfig.from_dict(config))  # has buffers that no file holds

    unet = _network(folder / "unet", make_unet, dtype)
    controlnet = _network(folder / "controlnet", make_control, dtype)
    hint = controlnet.controlnet_cond_embedding
    return DiffusionNetworks(
        vae=_network(folder / "vae", make_vae, dtype),
        text_encoder=_network(folder / "text_encoder", make_text_encoder, dtype),
        tokenizer=load_tokenizer(folder),
        unet=unet,
        controlnet=controlnet,
        schedule=schedule,
        condition="latent" if isinstance(hint, NoConditioning) else "picture",
    )


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder of diffusers' layout; ``SedicError`` if it cannot be read."""
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise SedicError(f"{folder / 'tokenizer'}: no tokenizer that can be read") from error


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SedicError(f"{path}: is missing or no JSON") from error
    if not isinstance(config, dict):
        raise SedicError(f"{path}: is no configuration")
    return config


# Names of tensors in files of older diffusers and transformers, and their present names.
_RENAMED = {
    r"^text_model\.": "",
    r"(attentions\.0)\.query\.": r"\1.to_q.",
    r"(attentions\.0)\.key\.": r"\1.to_k.",
    r"(attentions\.0)\.value\.": r"\1.to_v.",
    r"(attentions\.0)\.proj_attn\.": r"\1.to_out.0.",
}


def _today(name: str) -> str:
    for old, new in _RENAMED.items():
        name = re.sub(old, new, name)
    return name


def _network(folder: Path, build: Callable[[dict[str, Any]], Any], dtype: torch.dtype) -> Any:
    """The network of ``config.json`` with exactly the tensors of the folder's safetensors file."""
    config = _config(folder / "config.json")
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise SedicError(f"{folder}: holds {len(files)} .safetensors files instead of one")
    try:
        network = build(config)
        network_keys = network.state_dict().keys()
        tensors = {}
        with safe_open(files[0], "pt") as file:
            for name in file.keys():  # noqa: SIM118
                if not name.endswith("position_ids"):  # a counter, in older text encoders
                    value = file.get_tensor(name)
                    tensors[name if name in network_keys else _today(name)] = value.to(dtype)
        network.load_state_dict(tensors, assign=True)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        check_memory(error, printable(folder))
        raise SedicError(f"{folder}: {' '.join(printable(error).split())[:200]}") from error
    return network
