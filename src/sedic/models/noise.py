"""Gaussian noise that is the same on every machine, in any order.

Integers come from Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011), a counter-based generator: word k of a draw is a pure function of (seed, stage, step, k).
They become normals through the inverse of the normal distribution (Wichura's AS 241, 1988),
computed with additions, multiplications, divisions and square roots alone, each rounded as IEEE 754
says, so the last bit does not depend on a mathematics library. So a GPU draws the same numbers as a
processor; a device without float64 (Apple's) gets them from the processor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDS = 10
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF
_CHUNK = 1 << 16  # blocks of four words that are computed at a time, to bound memory

# AS 241, PPND16: numerator and denominator, constant term first.
_CENTRE = (
    (
        3.3871328727963666080,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_MIDDLE = (
    (
        1.42343711074968357734,
        4.63033784615654529590,
        5.76949722146069140550,
        3.64784832476320460504,
        1.27045825245236838258,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187,
        1.67638483018380384940,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
# AS 241 has a third pair, for tails beyond 1e-11: 32-bit words end at 1.2e-10.


def words(
    seed: int, stage: int, step: int, count: int, device: torch.device | str = "cpu"
) -> Tensor:
    """``count`` random 32-bit words, int64; the first of a longer draw are those of a shorter.

    ``seed`` below 2**32, ``stage`` and ``step`` below 2**16 are the generator's key.
    """
    out = torch.empty((-(-count // 4), 4), dtype=torch.int64, device=device)
    for start in range(0, len(out), _CHUNK):
        block = torch.arange(start, min(start + _CHUNK, len(out)), device=device)
        zero = torch.zeros_like(block)
        counter = (block & _LOW, block >> 32, zero, zero)
        for column, word in enumerate(philox(counter, (seed, stage << 16 | step))):
            out[start : start + len(block), column] = word
    return out.reshape(-1)[:count]


def philox(counter: tuple[Tensor, ...], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Philox4x32-10: four words for each counter of four words (all int64, 0 to 2**32 - 1)."""
    a, b, c, d = counter
    for turn in range(_ROUNDS):
        k0, k1 = ((k + turn * w) & _LOW for k, w in zip(key, _WEYL, strict=True))
        (left_high, left_low), (right_high, right_low) = (
            _product(x, m) for x, m in zip((a, c), _MULTIPLIERS, strict=True)
        )
        a, b = right_high ^ b ^ k0, right_low
        c, d = left_high ^ d ^ k1, left_low
    return a, b, c, d


def _product(x: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """The high and the low 32 bits of a product of 32-bit words, without leaving 63 bits."""
    low, high = (x & 0xFFFF) * multiplier, (x >> 16) * multiplier
    middle = high + (low >> 16)
    return middle >> 16, (middle & 0xFFFF) << 16 | low & 0xFFFF


def normal(
    seed: int, stage: int, step: int, shape: Sequence[int], device: torch.device | str = "cpu"
) -> Tensor:
    """Standard normals of this shape, float32, bit-exact everywhere; within +-6.3."""
    device = torch.device(device)
    numbers = words(seed, stage, step, math.prod(shape), "cpu" if device.type == "mps" else device)
    out = torch.empty(numbers.shape, dtype=torch.float32, device=numbers.device)
    for start in range(0, len(numbers), 4 * _CHUNK):
        part = numbers[start : start + 4 * _CHUNK]
        out[start : start + len(part)] = _quantile((part.double() + 0.5) * 2.0**-32)
    return out.reshape(tuple(shape)).to(device)


def _quantile(p: Tensor) -> Tensor:
    """The inverse of the normal distribution at 1e-10 < p < 1 - 1e-10 (AS 241), float64."""
    centred = p - 0.5
    near = centred.abs() <= 0.425
    squared = 0.180625 - centred * centred
    inner = centred * (_polynomial(_CENTRE[0], squared) / _polynomial(_CENTRE[1], squared))
    tail = torch.sqrt(-_logarithm(torch.minimum(p, 1.0 - p)))
    shifted = tail - 1.6
    outer = _polynomial(_MIDDLE[0], shifted) / _polynomial(_MIDDLE[1], shifted)
    return torch.where(near, inner, torch.where(centred < 0, -outer, outer))


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    total = torch.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x  # two roundings, never one: no fused multiply-add
        total = total + coefficient
    return total


def _logarithm(x: Tensor) -> Tensor:
    """The natural logarithm of positive numbers: 2 artanh of a number below 0.172, by series."""
    fraction, exponent = torch.frexp(x)
    low = fraction < math.sqrt(0.5)
    fraction = torch.where(low, fraction * 2.0, fraction)
    powers = (exponent - low.to(exponent.dtype)).double()
    ratio = (fraction - 1.0) / (fraction + 1.0)
    series = _polynomial(tuple(1.0 / (2 * n + 1) for n in range(12)), ratio * ratio)
    return powers * math.log(2.0) + (ratio * 2.0) * series
