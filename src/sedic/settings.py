"""The settings of synthesis that a file may carry: decisions that Algorithm 1 leaves open.

A profile has defaults; a file carries the settings that differ, as pairs of bytes mostly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sedic.errors import SedicError

REALISM = 0.4  # the share of the noise of textures, chosen on held-out photographs
SAMPLERS = ("ddpm", "ddim", "dpm", "unipc", "lcm", "tcd")


@dataclass(frozen=True)
class _Range:
    """Numbers from ``low`` to ``high``, written as a count of ``1 / per``."""

    low: int
    high: int
    per: int = 1


_Limits = _Range | tuple[str, ...]

# In the order of their numbers in files: add at the end, never move.
_LIMITS: dict[str, _Limits] = {
    "object_steps": _Range(1, 50),
    "last_steps": _Range(1, 100),
    "guided": _Range(0, 1, per=100),
    "eta": _Range(0, 1000, per=10),
    "iterations": _Range(0, 20),
    "object_cfg": _Range(0, 30, per=10),
    "last_cfg": _Range(0, 30, per=10),
    "strength": _Range(0, 2, per=100),
    "last_condition": ("staged", "reference"),
    "start": ("noise", "low-frequency"),
    "colour": ("none", "wavelet"),
    "sampler": SAMPLERS,
    "handover": ("picture", "latent"),
    "blending": ("steps", "none", "end"),
    "result": ("decoded", "added"),
    "amount": _Range(0, 1, per=100),
    "threshold": _Range(0, 1, per=100),
    "overlap": _Range(0, 1, per=1000),
    "first_steps": _Range(0, 50),
    "realism": _Range(0, 1, per=100),
    "margin": _Range(0, 1000),
}


@dataclass(frozen=True)
class Settings:
    """How the decoder runs Algorithm 1. Defaults are the paper's where it says (SEDIC section 4.1).

    Numbers are rounded to what a file can hold (cfg and eta to tenths, shares to hundredths).
    Raises ``SedicError`` for a setting out of its limits.
    """

    object_steps: int = 20  # T of an object's stage, 1 to 50 (Algorithm 1, line 5)
    last_steps: int = 50  # T of the last, whole-picture stage, 1 to 100
    guided: float = 0.2  # the share of an object's steps before T', which are guided, 0 to 1
    eta: float = 77.0  # the step size of eq. 3, 0 to 1000
    iterations: int = 1  # of eq. 3 in each guided step, 0 to 20; MuLan: at most 5
    object_cfg: float = 3.5  # classifier-free guidance scale of objects, 0 to 30; 1 is without
    last_cfg: float = 7.0  # the same of the last stage
    strength: float = 1.0  # of the ControlNet's residuals, 0 to 2
    last_condition: str = "staged"  # the last stage sees the objects' result, or the "reference"
    start: str = "noise"  # of the last stage; "low-frequency": the picture's, noised (eq. 1)
    colour: str = "none"  # "wavelet": low frequencies of the result become the reference's
    sampler: str = "ddpm"  # ddpm, ddim, dpm (DPM-Solver++ 2M), unipc; few steps: lcm, tcd
    # A stage sees the VAE's latent of the "picture" after the one before (Algorithm 1, line 4), or
    # that stage's "latent" itself, which avoids the loss of a small VAE (only with IRControlNet).
    handover: str = "picture"
    # Eq. 4 after every "steps"; once, at the "end" of a stage, as SEDIC's released script; or never
    # ("none"): then objects may change what is around them.
    blending: str = "steps"
    # The picture of a latent is what the VAE decodes it to; or that, less what the reference's own
    # latent decodes to, "added" to the reference: what is not changed keeps every detail.
    result: str = "decoded"
    amount: float = 1.0  # of what is changed that an "added" result shows, 0 to 1
    threshold: float = 0.0  # of the energy (eq. 2), at which a stage's guidance ends; MuLan: 0.2
    overlap: float = 1.0  # the share of eta for a mask that overlaps an earlier one; MuLan: 1 / 7
    first_steps: int = 0  # T of the first object's stage, 1 to 50; 0: object_steps
    realism: float = REALISM  # of the noise that a reference codec makes textures of, 0 to 1
    # Cells of 8 pixels round an object's mask that its stage computes, as everything else is that
    # of the stage before, by eq. 4 (with blending after "steps" only); 0: the whole picture.
    margin: int = 0

    def __post_init__(self) -> None:
        for name, limits in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(limits, tuple):
                if value not in limits:
                    raise SedicError(f"setting {name}: {value!r} is none of {', '.join(limits)}")
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise SedicError(f"setting {name}: {value!r} is not a number")
            if not limits.low <= value <= limits.high:  # not-a-number fails here, too
                raise SedicError(f"setting {name}: {value} is not {limits.low} to {limits.high}")
            count = round(value * limits.per)
            if limits.per == 1 and count != value:
                raise SedicError(f"setting {name}: {value} is not a whole number")
            object.__setattr__(self, name, count if limits.per == 1 else count / limits.per)

    def steps_of(self, number: int) -> int:
        """T of the stage of object ``number``, from 0 in the order of painting."""
        return self.first_steps if number == 0 and self.first_steps else self.object_steps

    @property
    def changes_nothing(self) -> bool:
        """Whether the decoder's result is the reference image itself."""
        return self.result == "added" and self.amount == 0

    def guided_steps(self, number: int = 0) -> int:
        """How many steps of that stage come before T'; a share of one counts as one."""
        return -(-round(self.guided * 100) * self.steps_of(number) // 100)

    @classmethod
    def of(cls, table: dict[str, Any]) -> Settings:
        """Settings by name, as a profile's ``[settings]`` has them; the rest are the paper's."""
        unknown = sorted(set(table) - set(_LIMITS))
        if unknown:
            raise SedicError(f"unknown setting {unknown[0]!r}; one of {', '.join(_LIMITS)}")
        return cls(**table)

    def to_bytes(self, defaults: Settings) -> bytes:
        """What differs from ``defaults``: (number, value) pairs in the order of numbers.

        A value is an index or a count of units, seven bits a byte, lowest first, the highest bit
        set on all bytes but the last. No difference is no byte; equal settings are equal bytes.
        """
        out = bytearray()
        for number, (name, limits) in enumerate(_LIMITS.items()):
            value = _to_integer(getattr(self, name), limits)
            if value == _to_integer(getattr(defaults, name), limits):
                continue
            out.append(number)
            while value >= 0x80:
                out.append(value & 0x7F | 0x80)
                value >>= 7
            out.append(value)
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes, defaults: Settings) -> Settings:
        """The settings that ``to_bytes(defaults)`` wrote; ``SedicError`` for any other bytes."""
        names = list(_LIMITS)
        if len(data) > 3 * len(names):
            raise SedicError(f"settings of {len(data)} bytes are too long")
        changed: dict[str, Any] = {}
        rest = iter(data)
        for number in rest:
            if number >= len(names):
                raise SedicError(f"setting number {number} is unknown: is sedic too old?")
            value = shift = 0
            for byte in rest:
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            changed[names[number]] = _from_integer(value, names[number])
        settings = replace(defaults, **changed)
        if settings.to_bytes(defaults) != data:
            raise SedicError("settings are damaged: they are not written as they should be")
        return settings


def _to_integer(value: Any, limits: _Limits) -> int:
    return limits.index(value) if isinstance(limits, tuple) else round(value * limits.per)


def _from_integer(value: int, name: str) -> Any:
    limits = _LIMITS[name]
    if isinstance(limits, _Range):
        return value if limits.per == 1 else value / limits.per
    if value >= len(limits):
        raise SedicError(f"setting {name}: there is no choice number {value}")
    return limits[value]
