"""How this machine computes best: number format and threads, found by a quick probe.

Nothing here decides what a file means: entropy-coded numbers come from exact arithmetic
(``reference.fixed_point``), so another choice changes a decoded picture by rounding only.
"""

from __future__ import annotations

import time
from functools import cache

import torch
import torch.nn.functional as F


@cache
def picture_dtype() -> torch.dtype:
    """bfloat16 where this CPU convolves clearly faster in it, else float32; never float16.

    AMX and AVX512-BF16 machines gain several times; others emulate it and lose.
    """

    def seconds(dtype: torch.dtype) -> float:
        x = torch.ones(1, 64, 64, 64, dtype=dtype).to(memory_format=torch.channels_last)
        weight = torch.ones(64, 64, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
        best = float("inf")
        for _ in range(4):
            start = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            best = min(best, time.perf_counter() - start)
        return best

    with torch.inference_mode():
        faster = seconds(torch.bfloat16) * 1.3 < seconds(torch.float32)
    return torch.bfloat16 if faster else torch.float32
