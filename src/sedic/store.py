"""Weight files and their pins: the sha256 that each of them must have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sedic.errors import MissingWeightsError


@dataclass(frozen=True)
class Pin:
    """A file and the sha256 that it must have, in hexadecimal."""

    path: Path
    sha256: str


class WeightStore:
    """The pinned weight files of a profile, by part ("text", "masks", "compact", ...).

    Every file is read through here. Its sha256 is compared with its pin when a part is first
    opened, so changed weights never decode silently.
    """

    def __init__(self, pins: Mapping[str, Pin]) -> None:
        self.pins = dict(pins)
        self._checked: set[str] = set()

    def __contains__(self, part: str) -> bool:
        return part in self.pins

    def path(self, part: str) -> Path:
        """The checked file of a part.

        Raises ``MissingWeightsError`` where the part has no file, or the file is missing or has
        another sha256.
        """
        if part not in self.pins:
            raise MissingWeightsError(f"this profile has no weights for {part!r}")
        pin = self.pins[part]
        path, name = pin.path, pin.path.name
        if part not in self._checked:
            try:
                with path.open("rb") as file:
                    digest = _sha256(file)
            except OSError as error:
                raise MissingWeightsError(
                    f"the weights {name} are missing: reinstall sedic"
                ) from error
            if digest != pin.sha256:
                raise MissingWeightsError(
                    f"the weights {name} are not this version's: reinstall sedic"
                )
            self._checked.add(part)
        return path

    def read(self, part: str) -> bytes:
        """The checked bytes of a part; raises as ``path`` does."""
        return self.path(part).read_bytes()


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
