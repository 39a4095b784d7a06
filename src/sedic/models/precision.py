"""The device and the number formats in which this machine computes pictures.

They change a decoded picture by rounding only: all numbers that entropy coding depends on come from
exact arithmetic (``reference.fixed_point``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch

from sedic.errors import SedicError
from sedic.files import printable

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class Placement:
    """Where networks run, and the number formats of the VAE and of all others."""

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype

    @property
    def autocast(self) -> torch.autocast:
        """Autocast to bfloat16 where this place computes in it; no change elsewhere."""
        enabled = self.dtype == torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


@cache
def picture_dtype() -> torch.dtype:
    """bfloat16 where this CPU computes in it natively, else float32; never float16.

    Processors with AMX or AVX512-BF16 are several times faster in it; others emulate it and are
    slower. The choice depends on the processor's features and not on timings, because these differ
    from run to run, and the same picture would then give different bytes.
    """
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    native = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def placement(device: str = "auto", dtype: str = "auto") -> Placement:
    """The device and the number formats of the networks.

    ``device``: "cuda", "cuda:1", "mps" (Apple), "cpu", or the first of these that is here.
    ``dtype``: "bfloat16", "float16", "float32", or the fastest that the device computes itself:
    bfloat16 on a CUDA device that has it and does not emulate it, float16 on others and on Apple's.
    In float16 the VAE of Stable Diffusion overflows, so there it stays in float32.

    ``SedicError`` where the device is not here or the format does not suit it.
    """
    place = torch.device(_first_device()) if device == "auto" else _device(device)
    if dtype != "auto" and dtype not in DTYPES:
        raise SedicError(f"unknown number format {printable(dtype)!r}; one of {', '.join(DTYPES)}")
    if place.type == "cpu" and dtype == "float16":
        raise SedicError("float16 is slower than float32 on a CPU: choose bfloat16 or float32")
    if place.type == "mps" and dtype == "bfloat16":
        raise SedicError("bfloat16 is not safe on Apple's GPUs: choose float16 or float32")
    native = _native(place) if dtype == "auto" else DTYPES[dtype]
    return Placement(place, native, torch.float32 if native == torch.float16 else native)


def _first_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SedicError(f"unknown device {printable(name)!r}; cuda, mps or cpu") from error
    available = {
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device.type not in available:
        raise SedicError(f"unknown device {printable(name)!r}; cuda, mps or cpu")
    if not available[device.type]:
        raise SedicError(f"this machine, or this build of torch, has no device {printable(name)}")
    return device


def _native(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return picture_dtype()
    if device.type == "mps":
        return torch.float16
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


@contextmanager
def own_torch_state() -> Iterator[None]:
    """Run with torch's defaults, whatever the caller has set, and restore the caller's state
    afterwards.

    Default dtype, default device, autocast and grad mode would otherwise change results, and so the
    bytes of a file.
    """
    _advise_forks()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.device("cpu"),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
            torch.no_grad(),
        ):
            yield
    finally:
        torch.set_default_dtype(before)


@cache
def _advise_forks() -> None:
    """Let a forked child compute on one thread.

    A fork copies the thread pool's state but not its threads: the child would wait for ever for
    threads that do not exist.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
