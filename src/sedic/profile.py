"""A profile: the owner of everything that was loaded to code and decode pictures.

``Profile.load("mini")`` reads one TOML file. Coding tables, reference codecs, networks, tokenizer
and describers are made when first used, once per profile. ``Encoder`` and ``Decoder`` are handed a
profile; no other module looks for weights.

A file carries two bytes, the *mark* of the weights it was made with, so that a decoder with other
weights refuses it instead of showing another picture.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedic import extras, profiles
from sedic.errors import MissingWeightsError, UnsuitableInputError
from sedic.parts import (
    DESCRIBERS,
    FIRST_PRIVATE,
    LAST_PRIVATE,
    MASK_CODERS,
    PROFILES,
    REFERENCE_CODECS,
    TEXT_CODERS,
    Part,
)
from sedic.semantics import METHODS
from sedic.settings import Settings
from sedic.store import Pin, WeightStore

if TYPE_CHECKING:
    from sedic.coding.masks import MaskCoder
    from sedic.coding.text import TextCoder
    from sedic.coding.token_text import TokenModel
    from sedic.describe.description import Describer
    from sedic.models.interface import Networks
    from sedic.reference import ReferenceCodec


class Profile:
    """Weights, networks, coders and settings under one name. Make one with ``Profile.load``."""

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        reference: ReferenceCodec | None = None,
        networks: Networks | None = None,
        language: TokenModel | None = None,
    ) -> None:
        table = profiles.read_profile(path)
        self.name = name
        self.path = path
        self.number: int = table["number"]
        self.summary: str = table["summary"]
        self.own_reference = reference is None  # no caller chose another reference codec
        self.reference_name: str = reference.name if reference else table["reference"]
        self.describer_name: str = table.get("describer", "measured")
        self.releases: list[dict[str, str]] = table.get("releases", [])
        self.language = language
        self._objects_from: list[float] | None = table.get("objects_from")
        self._settings: dict[str, Any] = table.get("settings", {})
        self._models: list[dict[str, Any]] = table.get("models", [])
        self._negative: dict[str, str] = table.get("negative", {})
        self._presets: dict[str, dict[str, Any]] = table.get("presets", {})
        self._given_networks = networks
        self._device, self._dtype = device, dtype
        self.store = WeightStore(_pins(path, table))
        self._made: dict[tuple[str, str], Any] = {}
        if reference is not None:
            self._made["reference codec", reference.name] = reference

    @classmethod
    def load(
        cls,
        source: str | Path = "mini",
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        reference: ReferenceCodec | None = None,
        networks: Networks | None = None,
        language: TokenModel | None = None,
    ) -> Profile:
        """The profile of this name, or of a TOML file (a path, or a string ending in ``.toml``).

        ``hf:user/name`` is the ``profile.toml`` of a repository on Hugging Face's hub, at
        ``revision`` (a branch, tag or commit); see ``models.hub``.

        ``device`` and ``dtype`` are those of the decoder's networks, by name
        (``precision.placement``); by default the fastest that this machine has. ``reference`` and
        ``networks`` stand in for the profile's own reference codec and networks; ``language`` is
        the language model of the text coder ``model``.

        Raises ``UnsuitableInputError`` for an unknown name, and as ``profiles.read_profile`` does.
        """
        on_hub = isinstance(source, str) and source.startswith("hf:")
        if on_hub or isinstance(source, Path) or source.endswith(".toml"):
            path, name = Path(source), Path(source).stem
            if on_hub:
                from sedic.models import hub

                path, name = hub.profile_file(str(source), revision), Path(source).name
            number = profiles.read_profile(path)["number"]
            if not isinstance(number, int) or not FIRST_PRIVATE <= number <= LAST_PRIVATE:
                raise UnsuitableInputError(
                    f"{path}: the number of a profile of your own must be"
                    f" {FIRST_PRIVATE} to {LAST_PRIVATE}"
                )
            PROFILES.add(Part(name, "a profile of your own", lambda: path, number))
        else:
            name, path = source, PROFILES[source].make()
        return cls(
            name,
            path,
            device=device,
            dtype=dtype,
            reference=reference,
            networks=networks,
            language=language,
        )

    # ---- coders, networks, describers --------------------------------------------------------

    def reference_codec(self, name: str | None = None) -> ReferenceCodec:
        """The reference codec of this name, by default the profile's own."""
        name = name or self.reference_name

        def make() -> Any:
            weights = self.store.path(name) if name in self.store else None
            return REFERENCE_CODECS[name].make(weights=weights, dtype=None)

        codec: ReferenceCodec = self._once("reference codec", name, make)
        return codec

    def reference_fingerprint(self, name: str) -> bytes:
        """The fingerprint of ``reference_codec(name)``; pinned weights are not read for it."""
        pin = self.store.pins.get(name)
        if pin is not None and (self.own_reference or name != self.reference_name):
            return bytes.fromhex(pin.sha256)
        return self.reference_codec(name).fingerprint

    def text_coder(self, name: str) -> TextCoder:
        """The text coder of this name, with the profile's table."""

        def make() -> Any:
            language = self._find_language() if name == "model" else self.language
            return TEXT_CODERS[name].make(table=self._table_of(name), language=language)

        coder: TextCoder = self._once("text coder", name, make)
        return coder

    def mask_coder(self, name: str) -> MaskCoder:
        """The mask coder of this name, with the profile's table."""

        def make() -> Any:
            return MASK_CODERS[name].make(table=self._table_of(name))

        coder: MaskCoder = self._once("mask coder", name, make)
        return coder

    def describer(
        self, name: str | None = None, *, model: str = "", source: Path | None = None
    ) -> Describer:
        """A describer, by default the profile's own.

        ``model``: the language model of ``api`` and ``local``; ``source``: the file of
        ``sidecar``. Only describers without these are kept.
        """
        name = name or self.describer_name

        def make() -> Any:
            return DESCRIBERS[name].make(profile=self, model=model, source=source)

        describer: Describer = make() if model or source else self._once("describer", name, make)
        return describer

    @property
    def networks(self) -> Networks:
        """The networks of Algorithm 1, on the profile's device.

        Raises ``MissingWeightsError``, with the command that gets them, where they are not here.
        """
        if self._given_networks is not None:
            return self._given_networks
        networks: Networks = self._once("networks", "", self._load_networks)
        return networks

    @property
    def tokenizer(self) -> Any | None:
        """The tokenizer with which the decoder reads texts; None where that is not here."""
        return self._once("tokenizer", "", self._load_tokenizer)

    @property
    def has_language(self) -> bool:
        """Whether a language model is at hand that texts can be coded with."""
        from sedic.models.language import is_here

        return self.language is not None or is_here()

    def _find_language(self) -> TokenModel | None:
        """The given language model, else the usual one where it was fetched."""
        from sedic.models import language

        if self.language is not None or not language.is_here():
            return self.language
        with extras.named():
            return language.find_language_model()

    def _table_of(self, coder: str) -> bytes | None:
        """The table of a text or mask coder; None if the profile has none for it."""
        part = {"primed": "text", "context": "masks"}.get(coder, coder)
        return self.store.read(part) if part in self.store else None

    def _once(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        key = kind, name
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _load_networks(self) -> Networks:
        from sedic.models import diffusion, lora, mini, precision, registry

        if not self.restores:
            raise MissingWeightsError(f"profile {self.name!r} has no networks for synthesis")
        place = precision.placement(self._device, self._dtype)
        if "restorer" in self.store:
            vae, restorer = self.store.path("vae"), self.store.path("restorer")
            loaded: Networks = mini.load_mini(vae, restorer, place.dtype)
        else:
            folder = registry.require(self.name)
            with extras.named():
                loaded = diffusion.load_diffusion(folder, place.dtype)
                for model in registry.select(self.name):
                    if model.lora:
                        lora.fold(loaded.unet, model.path / model.files[0].ready, model.lora)
        return loaded.to(place.device, place.dtype, place.vae_dtype)

    def _load_tokenizer(self) -> Any | None:
        from sedic.models import diffusion, mini, registry

        if "restorer" in self.store:
            return mini.load_tokenizer(self.store.path("restorer"))
        if not (self.restores and all(model.here for model in registry.select(self.name))):
            return None
        folder = registry.require(self.name)
        with extras.named():
            return diffusion.load_tokenizer(folder)

    # ---- settings ----------------------------------------------------------------------------

    def settings(self, method: str) -> Settings:
        """The decoder's default settings for files of ``method``."""
        common = {name: value for name, value in self._settings.items() if name not in METHODS}
        return Settings.of(common | self._settings.get(method, {}))

    def settings_with(self, method: str, changes: Mapping[str, Any]) -> Settings:
        """The defaults for ``method`` with ``changes``, by name.

        ``preset`` among the names is one of the profile's sets of settings, which the others
        change. Raises ``UnsuitableInputError`` for an unknown preset or setting.
        """
        rest = dict(changes)
        preset = rest.pop("preset", None)
        if preset is not None and preset not in self._presets:
            names = ", ".join(self._presets) or "there is none"
            raise UnsuitableInputError(f"no preset {preset!r} in profile {self.name}: {names}")
        preset_values = self._presets[preset] if preset is not None else {}
        return Settings.of(asdict(self.settings(method)) | preset_values | rest)

    def negative(self, method: str) -> str:
        """The negative text of classifier-free guidance for files of ``method``."""
        return self._negative.get(method, "")

    def objects_worth(self, bpp: float, objects: int) -> int:
        """How many of ``objects`` are worth their bytes in a file of ``bpp`` bits per pixel."""
        if self._objects_from is None:
            return objects
        return min(objects, sum(bpp >= least for least in self._objects_from))

    @property
    def restores(self) -> bool:
        """Whether the profile has networks that restore a reference image, here or to fetch."""
        if self._given_networks or "restorer" in self.store:
            return True
        return any(model.get("needed") for model in self._models)

    # ---- fingerprints and the mark -----------------------------------------------------------

    @property
    def restorer_fingerprint(self) -> bytes | None:
        """A SHA-256 of all that a restored picture depends on besides the file; None without
        networks.

        That is the networks, the default settings and the negative texts. The hashes of pinned
        networks are their pins, so no file is read.
        """
        if not self.restores:
            return None
        if self._given_networks is not None:
            pins = {"networks": self._given_networks.fingerprint}
        else:
            coding = {"text", "masks", *REFERENCE_CODECS.names}
            pins = {part: pin.sha256 for part, pin in self.store.pins.items() if part not in coding}
            for model in self._models:
                if model.get("needed"):
                    pins |= {file["path"]: file.get("sha256", "") for file in model["files"]}
        negative = [self._negative] if self._negative else []
        facts = json.dumps([self.name, pins, self._settings, *negative], sort_keys=True)
        return hashlib.sha256(facts.encode()).digest()

    def coding_fingerprint(self, reference: bytes) -> bytes:
        """A SHA-256 of all that words, masks and reference image depend on besides the file.

        ``reference``: the fingerprint of the reference codec in use.
        """
        tables = "".join(self.store.pins[part].sha256 for part in ("text", "masks"))
        return hashlib.sha256(f"{self.name} {tables} {reference.hex()}".encode()).digest()

    def mark(self, reference: bytes) -> bytes:
        """The two bytes of a file made with this profile and a reference codec of this fingerprint.

        They are the first two bytes of ``coding_fingerprint``. Byte 2 is XORed with the first byte
        of ``restorer_fingerprint``, so a decoder can tell changed tables from a changed restorer.
        """
        first, second = self.coding_fingerprint(reference)[:2]
        restorer = self.restorer_fingerprint
        return bytes([first, second ^ restorer[0] if restorer else second])

    def check(self, mark: bytes, reference: bytes, *, restored: bool) -> None:
        """Raise ``MissingWeightsError`` unless a file with this ``mark`` can be decoded here.

        With ``restored`` up to the final picture; otherwise words, masks and reference image.
        """
        ours = self.mark(reference)
        no_restorer = self.coding_fingerprint(reference)[:2]  # of files before there was one
        if mark in (ours, no_restorer) or (mark[0] == ours[0] and not restored):
            return
        marks = f"mark {mark.hex()}, here {ours.hex()}"
        release = next((r["version"] for r in self.releases if r["mark"] == mark.hex()), None)
        advice = f"; sedic {release} reads it" if release else ""
        if mark[0] != ours[0]:
            raise MissingWeightsError(
                f"the file was made with other weights of profile {self.name} or of its reference"
                f" codec ({marks}){advice}"
            )
        raise MissingWeightsError(
            f"the file was made for another restorer of profile {self.name} ({marks}){advice};"
            " --preview shows its reference image"
        )

    def check_tables(self, mark: bytes, codec: str) -> None:
        """Raise ``MissingWeightsError`` unless words and masks of a file can be decoded here.

        ``mark`` is the file's, ``codec`` the name of its reference codec. A codec with weights of
        the caller's own that are not here passes: nothing here knows its fingerprint.
        """
        try:
            fingerprint = self.reference_fingerprint(codec)
        except MissingWeightsError:
            return
        self.check(mark, fingerprint, restored=False)


def _pins(path: Path, table: dict[str, Any]) -> dict[str, Pin]:
    """The weight files of a profile's TOML table."""
    weights = table["weights"]
    if isinstance(weights, str):
        base = PROFILES[weights].make()
        shared = _pins(base, profiles.read_profile(base))
        coding = {"text", "masks", *REFERENCE_CODECS.names}
        return {part: pin for part, pin in shared.items() if part in coding}
    folder = profiles.weights_folder(path)
    return {
        part: Pin(folder / Path(entry["name"]).name, entry["sha256"])
        for part, entry in weights.items()
    }
