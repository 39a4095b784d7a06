"""The models that a profile needs: their sources, their download, and the check of their files.

The lists are the ``[[models]]`` tables of ``profiles/*.toml``, and of ``metric_models.toml``
for metrics. A model is either files, each of which every mirror offers under the same name, or a
repository of the Hugging Face hub. Where a sha256 is not pinned there, the first download's is
learned and kept in ``models.lock.json`` beside the models; from then on it is checked.

Files come over https (http on loopback only), under a temporary name, resumed where the server can,
and get their own name, which only the lists say, once size and hash are right.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sedic import extras, profiles
from sedic.errors import SedicError
from sedic.files import make_folder, printable, read_bounded, write_atomically
from sedic.models.download import Progress, download, sha256_of
from sedic.parts import PROFILES

LOCK = "models.lock.json"
_MAX_LOCK = 1 << 22
_WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class File:
    """One file of a model; ``path`` is relative to the model's folder."""

    path: str
    source: str  # its name at every mirror
    sha256: str = ""  # empty: learned at the first download
    makes: str = ""  # an original checkpoint: what it is converted to, and then deleted
    half: bool = True  # whether ``makes`` is written in float16, else in the file's precision
    end: str = ""  # of a language model in GGUF: the token after a text
    prompt: str = ""  # and what it reads before one

    @property
    def ready(self) -> str:
        """The file that must be there for the model to be used."""
        return self.makes or self.path


@dataclass(frozen=True)
class Model:
    """One model of the list; ``files`` and ``mirrors``, or ``repository`` and ``patterns``."""

    name: str
    profile: str
    folder: str  # under the model folder; models that work together share one
    purpose: str
    licence: str
    megabytes: int  # to download, about
    needed: bool  # to decode; others only help to describe
    mirrors: tuple[str, ...] = ()
    lora: float = 0.0  # a change of the UNet, folded into it with this strength; 0: none
    package: str = ""  # a Python package that carries the files, too: used where it is installed
    files: tuple[File, ...] = ()
    repository: str = ""
    revision: str = "main"
    patterns: tuple[str, ...] = ()

    @classmethod
    def of(cls, profile: str, table: dict[str, Any]) -> Model:
        """From a ``[[models]]`` table."""
        fields = dict(table)
        entries = [{"source": entry["path"], **entry} for entry in fields.pop("files", ())]
        return cls(
            profile=profile,
            folder=fields.pop("folder", fields["name"]),
            needed=fields.pop("needed", False),
            mirrors=tuple(fields.pop("mirrors", ())),
            patterns=tuple(fields.pop("patterns", ())),
            files=tuple(File(**entry) for entry in entries),
            **fields,
        )

    @property
    def path(self) -> Path:
        """Where the model is or will be."""
        return models_folder() / self.folder

    @property
    def here(self) -> bool:
        """Whether all files of the model exist; their hashes are not checked."""
        if self.repository:
            fetched = self.learned
            return any(name.endswith(_WEIGHTS) for name in fetched) and all(
                (self.path / name).is_file() for name in fetched
            )
        return all((self.path / file.ready).is_file() for file in self.files)

    @property
    def learned(self) -> dict[str, str]:
        """The hashes in the lock file, by the file's path in the model's folder."""
        prefix = f"{self.folder}/"
        return {
            key.removeprefix(prefix): sha256
            for key, sha256 in _read_lock().items()
            if key.startswith(prefix)
        }


def models_folder() -> Path:
    """``$SEDIC_MODELS``, or the place where this system keeps a user's data."""
    if folder := os.environ.get("SEDIC_MODELS"):
        return Path(folder)
    from platformdirs import user_data_path

    return user_data_path("sedic", appauthor=False) / "models"


@cache
def models() -> tuple[Model, ...]:
    """Every model of every profile, and those that metrics need."""
    tables = {part.name: profiles.read_profile(part.make()).get("models", []) for part in PROFILES}
    metrics = Path(__file__).with_name("metric_models.toml")
    tables["bench"] = profiles.read_toml(metrics)["models"]  # no profile, but fetched alike
    known: dict[str, Model] = {}
    for name in tables:  # a profile comes after the one it is based on, whose models it has, too
        for table in tables[name]:
            known.setdefault(table["name"], Model.of(name, table))
    return tuple(known.values())


def select(name: str) -> list[Model]:
    """The model of this name, or what the profile of this name needs to decode."""
    base = profiles.read_profile(PROFILES[name].make()).get("base", "") if name in PROFILES else ""
    selection = [m for m in models() if m.name == name or (m.profile in (base, name) and m.needed)]
    if not selection:
        known = sorted({m.name for m in models()} | {m.profile for m in models()})
        raise SedicError(f"no models called {printable(name)!r}; known: {', '.join(known)}")
    return selection


def require(name: str) -> Path:
    """The folder of a model, or of what a profile needs to decode.

    ``SedicError`` with the command that gets it if anything of it is missing.
    """
    selection = select(name)
    missing = [model for model in selection if not model.here]
    if missing:
        size = sum(model.megabytes for model in missing)
        raise SedicError(
            f"{' and '.join(model.name for model in missing)} ({size / 1000:.1f} GB) is not in"
            f" {printable(models_folder())}; get it: sedic models fetch {name}"
        )
    return selection[0].path


def fetch(model: Model, progress: Progress) -> None:
    """Download the missing files of a model; ``SedicError`` if no mirror has the right ones."""
    make_folder(model.path)
    free = shutil.disk_usage(model.path).free
    if not model.here and free < model.megabytes * 1_000_000:
        raise SedicError(
            f"{model.name} takes {model.megabytes} MB and {printable(model.path)} has"
            f" {free // 1_000_000} MB free; SEDIC_MODELS names another folder"
        )
    if model.repository:
        _fetch_repository(model)
        return
    for file in model.files:
        if (model.path / file.ready).is_file():
            continue
        target = model.path / file.path
        if not target.is_file():
            make_folder(target.parent)
            if not _from_package(model, file, target):
                sha256 = file.sha256 or _known(f"{model.folder}/{file.path}")
                urls = [mirror + file.source for mirror in model.mirrors]
                limit = model.megabytes * 1_500_000 + (1 << 24)
                digest = download(urls, target, sha256, limit, progress)
                _learn({f"{model.folder}/{file.path}": digest})
        if file.makes:
            _make(model, file)


def verify(model: Model, progress: Progress) -> Iterator[tuple[str, str]]:
    """Each file of a model with its state: ``right``, ``missing``, ``changed`` or ``unknown``.

    ``unknown``: neither pinned nor fetched by sedic, so there is no hash to compare with.
    """
    if model.repository:
        hashes = dict.fromkeys(model.learned, "")
        if not any(name.endswith(_WEIGHTS) for name in hashes):  # fetched by hand, or not at all
            there = sorted(path.name for path in model.path.glob("*" + _WEIGHTS))
            hashes |= dict.fromkeys(["config.json", *(there or ["model" + _WEIGHTS])], "")
    else:
        hashes = {file.ready: "" if file.makes else file.sha256 for file in model.files}
    for name, pinned in hashes.items():
        path = model.path / name
        sha256 = pinned or _known(f"{model.folder}/{name}")
        if not path.is_file():
            yield name, "missing"
        elif not sha256:
            yield name, "unknown"
        else:
            yield name, "right" if sha256_of(path, progress) == sha256 else "changed"


def _from_package(model: Model, file: File, target: Path) -> bool:
    """Copy a file from the installed package that contains it, if its hash is the pinned one.

    Nothing of the package is imported.
    """
    if not (model.package and file.sha256):
        return False
    spec = find_spec(model.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        source = Path(folder) / file.source
        if source.is_file() and sha256_of(source, lambda *_: None) == file.sha256:
            part = target.with_name(f".{target.name}.part")
            shutil.copyfile(source, part)
            part.replace(target)
            return True
    return False


def _make(model: Model, file: File) -> None:
    """Convert an original checkpoint to the safetensors file it stands for, and delete it."""
    source, target = model.path / file.path, model.path / file.makes
    if source.suffix == ".gguf":
        from sedic.models.gguf_model import convert

        convert(source, target.parent, file.end, file.prompt)
    else:
        from sedic.models.convert import repack

        repack(source, target, half=file.half)
    _learn({f"{model.folder}/{file.makes}": sha256_of(target, lambda *_: None)})
    source.unlink()


def _fetch_repository(model: Model) -> None:
    """A snapshot of a hub repository, at the revision that was first seen."""
    with extras.named():
        from huggingface_hub import HfApi, snapshot_download

    try:
        revision = (
            _known(model.name) or HfApi().model_info(model.repository, revision=model.revision).sha
        )
        snapshot_download(
            model.repository,
            revision=revision,
            local_dir=model.path,
            allow_patterns=list(model.patterns),
        )
    except Exception as error:  # its transport, and so what it raises, differs by version
        reason = printable(str(error).strip().partition("\n")[0])
        raise SedicError(f"cannot get {model.repository} from the hub: {reason}") from error
    files = {}
    for path in sorted(model.path.rglob("*")):
        name = path.relative_to(model.path)
        if path.is_file() and not name.parts[0].startswith("."):
            files[name.as_posix()] = path
    absent = _absent_weights(model, files)
    if absent:
        raise SedicError(f"{model.repository} at {str(revision)[:12]} brought no {absent}")
    hashes = {
        f"{model.folder}/{name}": sha256_of(path, lambda *_: None) for name, path in files.items()
    }
    _learn({model.name: str(revision), **hashes})


def _absent_weights(model: Model, files: dict[str, Path]) -> str:
    """The first weight file that a repository should have brought and did not; else empty."""
    lost = {"model" + _WEIGHTS} - files.keys()
    for path in (path for name, path in files.items() if name.endswith(f"{_WEIGHTS}.index.json")):
        try:
            parts = set(json.loads(read_bounded(path, _MAX_LOCK))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SedicError(f"{model.repository}: {printable(path.name)} is no index") from error
        return min((str(part) for part in parts - files.keys()), default="")
    return "" if any(name.endswith(_WEIGHTS) for name in files) else min(lost, default="")


def _read_lock() -> dict[str, str]:
    path = models_folder() / LOCK
    if not path.is_file():
        return {}
    try:
        lock = json.loads(read_bounded(path, _MAX_LOCK))
    except ValueError as error:
        raise SedicError(f"{printable(path)} is damaged; delete it to learn anew") from error
    if not isinstance(lock, dict) or not all(isinstance(value, str) for value in lock.values()):
        raise SedicError(f"{printable(path)} is damaged; delete it to learn anew")
    return lock


def _known(key: str) -> str:
    return _read_lock().get(key, "")


def _learn(facts: dict[str, str]) -> None:
    lock = dict(sorted((_read_lock() | facts).items()))
    data = (json.dumps(lock, indent=2) + "\n").encode()
    write_atomically(models_folder() / LOCK, data, force=True)
