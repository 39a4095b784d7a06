"""The embedded networks: several small models in one safetensors file, with their configurations.

Tensors are named ``<network>.<key>`` and stored in half precision; the file's metadata holds each
network's configuration as JSON. Classes are looked up in a fixed table: a file cannot name code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sedic.errors import SedicError

_KEY = "sedic"


def _vae(config: dict[str, Any]) -> nn.Module:
    from sedic.models.patch_autoencoder import PatchAutoencoder

    return PatchAutoencoder.from_config(config)  # type: ignore[no-any-return]


def _unet(config: dict[str, Any]) -> nn.Module:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return UNet2DConditionModel.from_config(config)  # type: ignore[no-any-return]


def _controlnet(config: dict[str, Any]) -> nn.Module:
    from sedic.models.networks import ir_controlnet

    return ir_controlnet(config)  # type: ignore[no-any-return]


def _text_encoder(config: dict[str, Any]) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig.from_dict(config))


_BUILDERS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "vae": _vae,
    "unet": _unet,
    "controlnet": _controlnet,
    "text_encoder": _text_encoder,
}


def save(path: Path, networks: Mapping[str, Any], **beside: Any) -> None:
    """Write diffusers or transformers models under their names, and JSON values beside them."""
    tensors: dict[str, Tensor] = {}
    configs: dict[str, Any] = {}
    for name, network in networks.items():
        config = network.config
        known = config.to_dict() if hasattr(config, "to_dict") else dict(config)
        configs[name] = {k: v for k, v in known.items() if not k.startswith("_")}
        for key, value in network.state_dict().items():
            tensors[f"{name}.{key}"] = (
                value.half() if value.is_floating_point() else value
            ).contiguous()
    save_file(tensors, path, {_KEY: json.dumps(configs | beside, sort_keys=True)})


def load(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """What ``save`` wrote: exactly these networks, in float32, ready to infer, and the values.

    ``SedicError`` where the file holds anything else.
    """
    try:
        with safe_open(path, "pt") as file:
            found = _values(file)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for name in names:
            own = {
                key.removeprefix(f"{name}."): tensors.pop(key)
                for key in list(tensors)
                if key.startswith(f"{name}.")
            }
            network = _BUILDERS[name](found[name])
            network.load_state_dict({k: _float(v) for k, v in own.items()})
            found[name] = network.eval().requires_grad_(False)
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as e:
        raise SedicError(f"{path} does not hold the networks {', '.join(names)}") from e
    if tensors:
        raise SedicError(f"{path} holds more than the networks {', '.join(names)}")
    return found


def values(path: Path) -> dict[str, Any]:
    """What stands beside the networks of a pack, and their configurations, without the tensors."""
    try:
        with safe_open(path, "pt") as file:
            return _values(file)
    except (SafetensorError, ValueError) as error:
        raise SedicError(f"{path} holds no networks") from error


def _values(file: Any) -> dict[str, Any]:
    found = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    return found if isinstance(found, dict) else {}


def _float(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
