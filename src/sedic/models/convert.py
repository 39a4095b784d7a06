"""Converts original checkpoints to folders in the diffusers layout (``load_diffusion`` reads it).

    unet/ vae/ text_encoder/ controlnet/   config.json and one .safetensors file each
    scheduler/                             scheduler_config.json, the noise schedule
    tokenizer/                             CLIP's vocab.json and merges.txt, tokenizer_config.json

A checkpoint is mapped and not read, and tensors are written one at a time, so no network is ever
twice in memory.
"""

from __future__ import annotations

import json
import pickle
import re
import secrets
import shutil
import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from sedic.errors import SedicError
from sedic.failures import check_memory
from sedic.files import make_folder, new_file, printable
from sedic.models.originals import (
    HEAD,
    TEXT_LAYERS,
    Config,
    Part,
    Tensors,
    controlnet,
    text_encoder,
    unet,
    vae,
)

PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction"}  # names in options: names in schedules

# The noise schedule of Stable Diffusion 2.1-base, with which DiffBIR v2 was trained. Others differ
# in ``prediction_type`` (2.1 at 768 pixels: v) and ``rescale_betas_zero_snr`` (DiffBIR v2.1).
SCHEDULE: Config = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}

# OpenCLIP pads with zeros, which is the token "!".
TOKENIZER: Config = {
    "tokenizer_class": "CLIPTokenizer",
    "model_max_length": 77,
    "do_lower_case": True,
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "!",
}


_UNET, _VAE, _TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.model."
# Tensors that only training needs: tables of the noise schedule and averaged weights.
_LEFT_BEHIND = re.compile(
    r"betas|alphas_cumprod(_prev)?|logvar|scale_factor|model_ema\..*"
    r"|(sqrt|log)_(one_minus_|recip_|recipm1_)?alphas_cumprod"
    r"|posterior_(variance|log_variance_clipped|mean_coef[12])"
)


def read_checkpoint(path: Path) -> Tensors:
    """The tensors of a checkpoint by their names, mapped from the file where it allows that.

    ``.safetensors``, or ``.pth``, ``.pt``, ``.ckpt``, of which nothing but tensors and plain
    containers is unpickled. ``SedicError`` if it cannot be read or holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            try:
                state: Any = load_file(path)
            except SafetensorError as error:
                raise ValueError(str(error)) from error
        else:
            try:
                state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError as error:  # the format before PyTorch 1.6 cannot be mapped
                check_memory(error, printable(path))
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SedicError(
            f"{printable(path)} holds more than tensors, or is damaged; take the .safetensors of it"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        check_memory(error, printable(path))
        raise SedicError(
            f"{printable(path)}: not a readable checkpoint ({type(error).__name__})"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise SedicError(f"{printable(path)}: no tensors by name in it")
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            raise SedicError(f"{printable(path)}: {printable(name)} is no tensor")
        # a few bytes can claim to be any shape when they are read again and again
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise SedicError(f"{printable(path)}: {printable(name)} is larger than its data")
    return state


def parts(state: Tensors, head: int = HEAD, layers: int = TEXT_LAYERS) -> list[Part]:
    """The networks in the tensors of one original checkpoint; ``SedicError`` if any is none.

    ``head``: channels of an attention head; ``layers``: of the whole text tower.
    """
    if "zero_convs.0.0.weight" in state:
        return [controlnet(state, head)]
    builders: dict[str, Callable[[Tensors], Part]] = {
        _UNET: partial(unet, head=head),
        _VAE: vae,
        _TEXT: partial(text_encoder, head=head, layers=layers),
    }
    split: dict[str, Tensors] = {prefix: {} for prefix in builders}
    for name, value in state.items():
        prefix = next((p for p in builders if name.startswith(p)), None)
        if prefix is not None:
            split[prefix][name[len(prefix) :]] = value
        elif not _LEFT_BEHIND.fullmatch(name):
            raise SedicError(f"{printable(name)} is none of the names of Stable Diffusion 2.x")
    networks = [builders[prefix](inside) for prefix, inside in split.items() if inside]
    if not networks:
        raise SedicError("no network in this checkpoint")
    return networks


def convert(
    checkpoints: Sequence[Path],
    out: Path,
    tokenizer: Path | None = None,
    *,
    prediction: str | None = None,
    zero_snr: bool | None = None,
    half: bool = True,
    head: int = HEAD,
    layers: int = TEXT_LAYERS,
    force: bool = False,
) -> list[Path]:
    """Write the networks of original checkpoints to ``out`` in the diffusers layout.

    ``tokenizer``: a folder with CLIP's ``vocab.json`` and ``merges.txt``. ``prediction``: what the
    UNet predicts, "epsilon" or "v"; the ControlNet must be trained for the same. ``zero_snr``:
    whether its noise schedule ends in pure noise. Neither can be told from the tensors, so a UNet
    or ControlNet needs ``prediction``, and a UNet that predicts v needs ``zero_snr`` unless its
    checkpoint holds the table of its schedule. ``half``: as float16, else as stored.

    Each folder appears whole or not at all; one that is there already is replaced only with
    ``force``. Returns the folders written; ``SedicError`` if anything does not fit.
    """
    make_folder(out)
    written: list[Path] = []
    for path in checkpoints:
        state = read_checkpoint(path)
        try:
            networks = parts(state, head, layers)
            schedule = _schedule(networks, state, prediction, zero_snr)
        except SedicError as error:
            raise SedicError(f"{printable(path.name)}: {error}") from error
        for part in networks:
            if part.folder == "controlnet":
                part.config["prediction_type"] = schedule["prediction_type"]
            fill = partial(save_part, part, half=half)
            written.append(_place(out / part.folder, fill, force))
            if part.folder == "unet":
                fill = partial(_save_schedule, schedule=schedule)
                written.append(_place(out / "scheduler", fill, force))
    if tokenizer is not None:
        written.append(_place(out / "tokenizer", lambda to: _copy_words(tokenizer, to), force))
    return written


def _schedule(
    networks: list[Part], state: Tensors, prediction: str | None, zero_snr: bool | None
) -> Config:
    """The noise schedule of a checkpoint's networks; ``SedicError`` where that is ambiguous."""
    folders = {part.folder for part in networks}
    if not folders & {"unet", "controlnet"}:
        return SCHEDULE
    if prediction not in PREDICTIONS:
        raise SedicError(
            "nothing in it says what the network predicts: give --prediction epsilon (Stable"
            " Diffusion 2.1-base, DiffBIR v2) or --prediction v (2.1 at 768 pixels, DiffBIR v2.1)"
        )
    table = state.get("alphas_cumprod")
    if zero_snr is None and table is not None and table.numel() > 1:
        zero_snr = abs(float(table.reshape(-1)[-1])) < 1e-7
    if zero_snr is None and prediction == "v" and "unet" in folders:
        raise SedicError(
            "nothing in it says if its noise schedule ends in pure noise: give --zero-snr"
            " (DiffBIR v2.1's) or --no-zero-snr (Stable Diffusion 2.1's)"
        )
    if zero_snr and prediction == "epsilon":
        raise SedicError(
            "a schedule with --zero-snr ends in pure noise, which needs --prediction v"
        )
    changed = {"rescale_betas_zero_snr": True} if zero_snr else {}
    return {**SCHEDULE, "prediction_type": PREDICTIONS[prediction], **changed}


def repack(checkpoint: Path, target: Path, *, half: bool = True) -> None:
    """Write one network's checkpoint as ``target``, a ``.safetensors`` file, with its config.

    An original IRControlNet is converted; tensors that have diffusers' or transformers' names
    already keep them, and their ``config.json`` is beside ``target`` already. ``half``: as
    float16, else as stored.
    """
    state = read_checkpoint(checkpoint)
    if "zero_convs.0.0.weight" in state:
        part = controlnet(state)
        make_folder(target.parent)
        _write_json(target.parent / "config.json", part.config, force=True)
        state = part.tensors
    # Counters, in older text encoders; today's classes make them themselves.
    state = {name: value for name, value in state.items() if not name.endswith("position_ids")}
    with new_file(target) as file:
        _write_tensors(state, file, torch.float16 if half else None)


def save_part(part: Part, folder: Path, half: bool = True) -> None:
    """Write ``config.json`` and the tensors of one network into ``folder``."""
    name = "model" if part.folder == "text_encoder" else "diffusion_pytorch_model"
    with new_file(folder / f"{name}.safetensors") as file:
        _write_tensors(part.tensors, file, torch.float16 if half else None)
    _write_json(folder / "config.json", part.config)


def _place(folder: Path, fill: Callable[[Path], None], force: bool) -> Path:
    """Fill a folder under a temporary name and then give it its own."""
    if folder.exists() and not force:
        raise SedicError(f"{printable(folder)} exists already; use --force to replace it")
    temporary = folder.parent / f".sedic-{secrets.token_hex(8)}.part"
    make_folder(temporary)
    try:
        fill(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    except OSError as error:
        raise SedicError(f"cannot write {printable(folder)}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write_json(path: Path, value: Config, force: bool = False) -> None:
    with new_file(path, force=force) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())


def _save_schedule(folder: Path, schedule: Config) -> None:
    _write_json(folder / "scheduler_config.json", schedule)


def _copy_words(source: Path, folder: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        if not (source / name).is_file():
            raise SedicError(f"{printable(source)} has no {name}: it is no CLIP tokenizer")
        shutil.copyfile(source / name, folder / name)
    _write_json(folder / "tokenizer_config.json", TOKENIZER)


_SAFETENSORS_TYPES = {
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}


def _write_tensors(tensors: Tensors, file: BinaryIO, dtype: torch.dtype | None) -> None:
    """The safetensors format, one tensor in memory at a time."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, value in tensors.items():
        kind = dtype or value.dtype
        if kind not in _SAFETENSORS_TYPES or not value.is_floating_point():
            raise SedicError(f"{name}: weights of type {value.dtype} are not known")
        start, end = end, end + value.numel() * kind.itemsize
        header[name] = {
            "dtype": _SAFETENSORS_TYPES[kind],
            "shape": list(value.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for value in tensors.values():
        flat = value.detach().to(dtype or value.dtype).contiguous().reshape(-1)
        file.write(flat.view(torch.uint8).numpy().tobytes())
