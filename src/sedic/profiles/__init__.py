"""Which weights a profile uses: one TOML file each, every file pinned by its sha256.

A file says which profile made it and carries two bytes of the profile's fingerprint, so that a
decoder with other weights refuses it instead of showing another picture.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sedic.semantics import SedicError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Weights:
    """One file in ``sedic/weights`` and the sha256 it must have."""

    name: str
    sha256: str

    def path(self) -> Path:
        """Where the file is; ``SedicError`` if it is missing or not the pinned one."""
        path = Path(str(files("sedic") / "weights" / self.name))
        if not path.is_file():
            raise SedicError(f"the weights {self.name} are missing: reinstall sedic")
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise SedicError(f"the weights {self.name} are not this version's: reinstall sedic")
        return path


@dataclass(frozen=True)
class Profile:
    """A named set of models."""

    name: str
    summary: str
    reference: str  # the reference codec used by default
    weights: dict[str, Weights]  # by part: text, masks, and the reference codec's name
    models: tuple[dict[str, Any], ...] = ()  # [[models]]: read by models/registry.py

    def fingerprint(self, reference: bytes) -> bytes:
        """What a file made with this profile depends on, as 32 bytes.

        ``reference``: the fingerprint of the reference codec in use.
        """
        tables = "".join(self.weights[part].sha256 for part in ("text", "masks"))
        return hashlib.sha256(f"{self.name} {tables} {reference.hex()}".encode()).digest()


@cache
def load(name: str) -> Profile:
    """The profile of this name; ``SedicError`` lists the known ones."""
    folder = files("sedic") / "profiles"
    known = sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if ".toml" in p.name)
    if name not in known:
        raise SedicError(f"unknown profile {name!r}; one of {', '.join(known)}")
    table = tomllib.loads((folder / f"{name}.toml").read_text())
    if isinstance(table["weights"], str):  # words, masks and reference as in that profile
        shared = load(table["weights"]).weights
        weights = {part: shared[part] for part in ("text", "masks", table["reference"])}
    else:
        weights = {part: Weights(**entry) for part, entry in table["weights"].items()}
    models = tuple(table.get("models", ()))
    return Profile(name, table["summary"], table["reference"], weights, models)
