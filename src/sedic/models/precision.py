"""The number format this machine computes pictures in.

Nothing here decides what a file means: entropy-coded numbers come from exact arithmetic
(``reference.fixed_point``), so another choice changes a decoded picture by rounding only.
"""

from __future__ import annotations

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


def fastest() -> tuple[torch.device, torch.dtype]:
    """The device to run diffusion on, and its number format: a CUDA device in bfloat16 if there
    is one, else the CPU in ``picture_dtype``."""
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.bfloat16
    return torch.device("cpu"), picture_dtype()
