"""A package of somebody else: a reference codec, a describer, and a profile that uses both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sedic import Description, Part
from sedic.describe.description import DescriberResult
from sedic.errors import DamagedFileError
from sedic.picture import Picture
from sedic.semantics import Rate


class Flat:
    """A reference image of one colour: three bytes."""

    name = "flat"
    levels = 1
    fingerprint = bytes(32)

    def __init__(self, weights: Path | None = None, dtype: object = None) -> None:
        pass

    def prepare(self, picture: Picture) -> Callable[[int], bytes]:
        colour = picture.reshape(-1, 3).mean(0).round().astype(np.uint8).tobytes()
        return lambda level: colour

    def decode(self, data: bytes, width: int, height: int, realism: object = 1.0) -> Picture:
        if len(data) != 3:
            raise DamagedFileError("a flat reference image has three bytes")
        return np.full((height, width, 3), np.frombuffer(data, np.uint8), np.uint8)


class Terse:
    """Says the same of every picture."""

    def __init__(self, profile: object, model: str = "", source: Path | None = None) -> None:
        pass

    def describe(self, picture: Picture, rate: Rate, method: str = "sedic") -> DescriberResult:
        return DescriberResult(Description("A picture."), ("said without looking",))


def profile() -> Path:
    """The TOML file of the profile."""
    return Path(__file__).with_name("sedic_flat.toml")


FLAT = Part("flat", "one colour for the whole picture", "sedic_flat:Flat", number=200)
TERSE = Part("terse", "says the same of every picture", Terse)
PROFILE = Part("flat-profile", "flat pictures without networks", profile, number=201)
TAKEN = Part("compact", "a name that is taken", "sedic_flat:Flat", number=202)
