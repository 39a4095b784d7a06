"""Which weights and which decoder settings a profile uses: one TOML file each.

Embedded weights are pinned by their sha256. A profile has a *restorer*, the networks of Algorithm
1, if its TOML names one: ``[weights.restorer]`` for embedded networks, ``[[models]]`` for fetched
ones. Without one, its pictures are their reference images.

A file says which profile made it and carries two bytes, the ``mark`` of the profile's weights, so
that a decoder with other weights refuses it instead of showing another picture.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sedic.errors import SedicError
from sedic.semantics import (
    METHODS,
    REFERENCE_CODECS,
)
from sedic.synthesis.settings import Settings

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
    weights: dict[str, Weights]  # by part: text, masks, a reference codec's name, restorer, ...
    table: dict[str, Any]  # [settings]: the decoder's defaults; [settings.METHOD]: what differs
    models: tuple[dict[str, Any], ...] = ()  # [[models]]: read by models/registry.py
    objects_from: tuple[float, ...] | None = None  # bpp at which a first, second, ... object pays
    negatives: dict[str, str] = field(default_factory=dict)  # [negative]: a text for each method
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)  # [presets.NAME]: settings
    base: str = ""  # the profile that this one changes

    def settings(self, method: str) -> Settings:
        """The decoder's defaults for files of ``method``."""
        common = {name: value for name, value in self.table.items() if name not in METHODS}
        return Settings.of(common | self.table.get(method, {}))

    def wanted(self, method: str, given: Mapping[str, Any]) -> Settings:
        """The defaults for ``method`` with what is ``given`` instead, by name.

        ``preset`` among the names is one of the profile's sets of settings; others go before it.
        """
        changed = dict(given)
        preset = changed.pop("preset", None)
        if preset is not None and preset not in self.presets:
            known = ", ".join(self.presets) or "there is none"
            raise SedicError(f"no preset {preset!r} in profile {self.name}: {known}")
        chosen = self.presets[preset] if preset is not None else {}
        return Settings.of(asdict(self.settings(method)) | chosen | changed)

    def negative(self, method: str) -> str:
        """The text that classifier-free guidance leads away from, for files of ``method``."""
        return self.negatives.get(method, "")

    def paying(self, bpp: float, objects: int) -> int:
        """How many of ``objects`` are worth their bytes in a file of ``bpp`` bits per pixel."""
        if self.objects_from is None:
            return objects
        return min(objects, sum(bpp >= least for least in self.objects_from))

    @property
    def restores(self) -> bool:
        """Whether the profile has a restorer, on this machine or elsewhere."""
        return "restorer" in self.weights or any(model.get("needed") for model in self.models)

    @property
    def restorer(self) -> bytes | None:
        """What a restored picture depends on besides the file, as 32 bytes; None without one.

        The pinned networks, without reading them, and the defaults and negative texts as they are
        written down.
        """
        if not self.restores:
            return None
        coding = {"text", "masks", *REFERENCE_CODECS}
        pins = {part: w.sha256 for part, w in self.weights.items() if part not in coding}
        for model in self.models:
            if model.get("needed"):
                pins |= {file["path"]: file.get("sha256", "") for file in model["files"]}
        negatives = [self.negatives] if self.negatives else []
        facts = json.dumps([self.name, pins, self.table, *negatives], sort_keys=True)
        return hashlib.sha256(facts.encode()).digest()

    def fingerprint(self, reference: bytes) -> bytes:
        """What words, masks and reference image of a file depend on, as 32 bytes.

        ``reference``: the fingerprint of the reference codec in use.
        """
        tables = "".join(self.weights[part].sha256 for part in ("text", "masks"))
        return hashlib.sha256(f"{self.name} {tables} {reference.hex()}".encode()).digest()

    def mark(self, reference: bytes, *, restored: bool = True) -> bytes:
        """The two bytes of a file made with this profile and this reference codec.

        The first two of the fingerprint; the second, exclusive-or the first of the restorer's. So
        both are told apart: words, masks and reference need only the first byte to be right.
        Without ``restored`` the file says nothing of a restorer: any will do.
        """
        first, second = self.fingerprint(reference)[:2]
        restorer = self.restorer if restored else None
        return bytes([first, second ^ restorer[0] if restorer else second])

    def check(self, mark: bytes, reference: bytes, *, restored: bool) -> None:
        """``SedicError``, naming both marks, unless a file with this ``mark`` can be decoded here.

        With ``restored``, up to the final picture; otherwise words, masks and reference image.
        """
        ours = self.mark(reference)
        if mark in (ours, self.mark(reference, restored=False)):
            return
        both = f"fingerprint {mark.hex()}; here: {ours.hex()}"
        if mark[0] != ours[0]:
            raise SedicError(
                f"the file was made with other weights of profile {self.name} or of its reference"
                f" codec ({both})"
            )
        if restored:
            raise SedicError(
                f"the file was made for another restorer of profile {self.name} ({both});"
                " --preview shows its reference image"
            )


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two tables, tables in them merged, too; what is ``above`` wins."""
    both = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], dict) and isinstance(above[name], dict):
            both[name] = _merged(below[name], above[name])
    return both


@cache
def load(name: str) -> Profile:
    """The profile of this name; ``SedicError`` lists the known ones.

    A profile with a ``base`` has that one's models, settings and texts besides its own.
    """
    folder = files("sedic") / "profiles"
    known = sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if ".toml" in p.name)
    if name not in known:
        raise SedicError(f"unknown profile {name!r}; one of {', '.join(known)}")
    table = tomllib.loads((folder / f"{name}.toml").read_text())
    if "base" in table:
        below = tomllib.loads((folder / f"{table['base']}.toml").read_text())
        table = {**_merged(below, table), "models": below["models"] + table.get("models", [])}
    if isinstance(table["weights"], str):  # words, masks and reference as in that profile
        shared = load(table["weights"]).weights
        weights = {part: shared[part] for part in ("text", "masks", table["reference"])}
    else:
        weights = {part: Weights(**entry) for part, entry in table["weights"].items()}
    settings = table.get("settings", {})
    models = tuple(table.get("models", ()))
    paying = tuple(table["objects_from"]) if "objects_from" in table else None
    return Profile(
        name,
        table["summary"],
        table["reference"],
        weights,
        settings,
        models,
        paying,
        table.get("negative", {}),
        table.get("presets", {}),
        table.get("base", ""),
    )
