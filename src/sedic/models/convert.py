"""Original checkpoints to folders in the diffusers layout, which is what ``diffusion.load`` reads.

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
from sedic.files import make_folder, new_file, printable
from sedic.models.originals import HEAD, Config, Part, Tensors, controlnet, text_encoder, unet, vae

# The noise schedule of Stable Diffusion 2.1-base, with which DiffBIR v2 was trained.
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


_PREFIXES: dict[str, Callable[[Tensors, int], Part]] = {
    "model.diffusion_model.": unet,
    "first_stage_model.": lambda state, _: vae(state),
    "cond_stage_model.model.": text_encoder,
}
# What training left behind: tables of the noise schedule and the state of averaging.
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
            except RuntimeError:  # the format before PyTorch 1.6 cannot be mapped
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SedicError(
            f"{printable(path)} holds more than tensors, or is damaged; take the .safetensors of it"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
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


def parts(state: Tensors, head: int = HEAD) -> list[Part]:
    """The networks in the tensors of one original checkpoint; ``SedicError`` if any is none."""
    if "zero_convs.0.0.weight" in state:
        return [controlnet(state, head)]
    split: dict[str, Tensors] = {prefix: {} for prefix in _PREFIXES}
    for name, value in state.items():
        prefix = next((p for p in _PREFIXES if name.startswith(p)), None)
        if prefix is not None:
            split[prefix][name[len(prefix) :]] = value
        elif not _LEFT_BEHIND.fullmatch(name):
            raise SedicError(f"{printable(name)} is none of the names of Stable Diffusion 2.x")
    found = [_PREFIXES[prefix](inside, head) for prefix, inside in split.items() if inside]
    if not found:
        raise SedicError("no network in this checkpoint")
    return found


def convert(
    checkpoints: Sequence[Path],
    out: Path,
    tokenizer: Path | None = None,
    *,
    half: bool = True,
    head: int = HEAD,
    force: bool = False,
) -> list[Path]:
    """Write the networks of original checkpoints to ``out`` in the diffusers layout.

    ``tokenizer``: a folder with CLIP's ``vocab.json`` and ``merges.txt``. ``half``: as float16,
    else as stored. Each folder appears whole or not at all; one that is there already is replaced
    only with ``force``. A UNet brings its noise schedule, that of Stable Diffusion 2.1-base.
    Returns the folders written; ``SedicError`` if anything does not fit.
    """
    make_folder(out)
    written: list[Path] = []
    for path in checkpoints:
        state = read_checkpoint(path)
        try:
            found = parts(state, head)
        except SedicError as error:
            raise SedicError(f"{printable(path.name)}: {error}") from error
        for part in found:
            fill = partial(save, part, half=half)
            written.append(_place(out / part.folder, fill, force))
            if part.folder == "unet":
                written.append(_place(out / "scheduler", _save_schedule, force))
    if tokenizer is not None:
        written.append(_place(out / "tokenizer", lambda to: _copy_words(tokenizer, to), force))
    return written


def repack(checkpoint: Path, target: Path) -> None:
    """Write one network's checkpoint as ``target``, ``.safetensors`` in float16, with its config.

    An original IRControlNet is converted; tensors that have diffusers' names already keep them,
    and their ``config.json`` is beside ``target`` already.
    """
    state = read_checkpoint(checkpoint)
    if "zero_convs.0.0.weight" in state:
        part = controlnet(state)
        make_folder(target.parent)
        _write_json(target.parent / "config.json", part.config, force=True)
        state = part.tensors
    with new_file(target) as file:
        _write_tensors(state, file, torch.float16)


def save(part: Part, folder: Path, half: bool = True) -> None:
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


def _save_schedule(folder: Path) -> None:
    _write_json(folder / "scheduler_config.json", SCHEDULE)


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
