"""The embedded networks: several small models in one safetensors file, with their configurations.

Tensors are named ``<network>.<key>`` and stored in half precision; the file's metadata holds each
network's sizes as JSON. Classes are looked up in a fixed table: a file cannot name code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sedic.errors import DamagedFileError
from sedic.failures import check_memory
from sedic.models.layers import with_weights
from sedic.models.patch_autoencoder import PatchAutoencoder, PatchConfig
from sedic.models.small_text import TextConfig, TextEncoder
from sedic.models.small_unet import ControlNet, UNet, UNetConfig

_KEY = "sedic"
_KINDS: dict[str, tuple[type[Any], Callable[[Any], nn.Module]]] = {
    "vae": (PatchConfig, PatchAutoencoder),
    "unet": (UNetConfig, UNet),
    "controlnet": (UNetConfig, ControlNet),
    "text_encoder": (TextConfig, TextEncoder),
}


def save_networks(path: Path, networks: Mapping[str, Any], **extra: Any) -> None:
    """Write networks of the kinds above under their names, and JSON values beside them."""
    tensors: dict[str, Tensor] = {}
    configs: dict[str, Any] = {}
    for name, network in networks.items():
        configs[name] = asdict(network.config)
        for key, value in network.state_dict().items():
            tensors[f"{name}.{key}"] = value.half().cpu().contiguous()
    save_file(tensors, path, {_KEY: json.dumps(configs | extra, sort_keys=True)})


def load_networks(
    path: Path, names: tuple[str, ...], dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Read a file of ``save_networks``: exactly these networks, in ``dtype``, and the values.

    The file is mapped, not read; each tensor is converted once. Raises ``DamagedFileError`` where
    the file holds anything else.
    """
    try:
        with safe_open(path, "pt") as file:
            values = _values(file)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for name in names:
            network_tensors = {
                key.removeprefix(f"{name}."): tensors.pop(key).to(dtype)
                for key in list(tensors)
                if key.startswith(f"{name}.")
            }
            values[name] = with_weights(partial(_fresh, name, values[name]), network_tensors)
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as e:
        check_memory(e, str(path))
        raise DamagedFileError(f"{path} does not hold the networks {', '.join(names)}") from e
    if tensors:
        raise DamagedFileError(f"{path} holds more than the networks {', '.join(names)}")
    return values


def _fresh(name: str, stored: dict[str, Any]) -> nn.Module:
    """A network of the stored sizes. Other stored values, which older files have, are ignored."""
    config, network = _KINDS[name]
    sizes = {field.name: stored[field.name] for field in fields(config) if field.name in stored}
    return network(config(**{k: tuple(v) if isinstance(v, list) else v for k, v in sizes.items()}))


def values(path: Path) -> dict[str, Any]:
    """The JSON values of a file: those besides the networks, and the networks' configurations."""
    try:
        with safe_open(path, "pt") as file:
            return _values(file)
    except (SafetensorError, ValueError) as error:
        raise DamagedFileError(f"{path} holds no networks") from error


def _values(file: Any) -> dict[str, Any]:
    header = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    return header if isinstance(header, dict) else {}
