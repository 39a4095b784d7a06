"""The number format this machine computes pictures in.

Nothing here decides what a file means: entropy-coded numbers come from exact arithmetic
(``reference.fixed_point``), so another choice changes a decoded picture by rounding only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch


@cache
def picture_dtype() -> torch.dtype:
    """bfloat16 where this CPU computes in it natively, else float32; never float16.

    AMX and AVX512-BF16 processors gain several times; others emulate it and lose. The processor
    is asked what it can do, not timed: a stopwatch decides differently on a busy machine, and the
    same picture would give other bytes from run to run.
    """
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    native = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def choose(
    device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> tuple[torch.device, torch.dtype]:
    """The device and number format of diffusion; what is None is the fastest of this machine.

    That is a CUDA device in bfloat16 if there is one, else the CPU in ``picture_dtype``.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = torch.device(device)
    if dtype is None:
        dtype = torch.bfloat16 if chosen.type == "cuda" else picture_dtype()
    return chosen, dtype


@contextmanager
def own_torch_state() -> Iterator[None]:
    """Run with torch's defaults, whatever the caller has set, and give his state back afterwards.

    Default dtype, default device, autocast and grad mode would otherwise change what is computed,
    and with it the bytes of a file.
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
