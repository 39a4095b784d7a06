"""Profiles that are repositories of a model hub: ``hf:user/name``."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from sedic import profiles
from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError
from sedic.failures import translated
from sedic.files import make_folder, new_file, printable

PREFIX = "hf:"
PROFILE = "profile.toml"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def profile_file(source: str, revision: str | None = None) -> Path:
    """The ``profile.toml`` of ``hf:user/name``, with its weight files beside it.

    What is not in the hub's cache is fetched. ``revision`` is a branch, tag or commit; all files
    are of the one commit that it means. Only the files that ``profile.toml`` names are fetched, and
    a ``WeightStore`` compares each with its sha256.

    Raises ``UnsuitableInputError`` for a name that is none, ``MissingWeightsError`` where a file or
    ``huggingface_hub`` is not here and cannot be fetched.
    """
    repository = source.removeprefix(PREFIX)
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise UnsuitableInputError(f"{printable(source)}: a profile of the hub is hf:user/name")
    path = _fetch(repository, PROFILE, revision)
    commit = path.parent.name  # the cache keeps every commit in a folder of its name
    weights = profiles.read_profile(path)["weights"]
    if isinstance(weights, dict):
        for part, entry in weights.items():
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                raise DamagedFileError(
                    f"{PROFILE} of {repository}: weights of {part!r} have no name"
                )
            _fetch(repository, Path(entry["name"]).name, commit)
    return path


def write_folder(
    folder: Path, compact: Path, *, number: int, summary: str, force: bool = False
) -> None:
    """Write a folder that can be uploaded as a repository: ``mini`` with another reference codec.

    ``compact`` is what training wrote for that codec. It becomes ``model.safetensors`` with a
    ``config.json``, the two files that ``huggingface_hub.PyTorchModelHubMixin`` reads; mini's other
    weights and a ``profile.toml`` with every sha256 lie beside them. ``number`` is the profile's,
    128 to 255.

    Raises ``OutputError`` for files that are there, without ``force``; ``SedicError`` where
    ``compact`` is something else.
    """
    from safetensors import safe_open

    base = profiles.mini()
    with translated(printable(compact)), safe_open(compact, "np") as weights:
        config = json.loads((weights.metadata() or {})["compact"])
    lines = [
        f"summary = {json.dumps(summary)}",
        f"number = {number}",
        'base = "mini"',
    ]
    make_folder(folder)
    for part, entry in profiles.read_profile(base)["weights"].items():
        ours = part == "compact"
        source = compact if ours else profiles.weights_folder(base) / entry["name"]
        name = "model.safetensors" if ours else entry["name"]
        with source.open("rb") as data, new_file(folder / name, force=force) as copy:
            shutil.copyfileobj(data, copy)
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        lines += ["", f"[weights.{part}]", f'name = "{name}"', f'sha256 = "{digest}"']
    for name, text in (("config.json", json.dumps(config, indent=2)), (PROFILE, "\n".join(lines))):
        with new_file(folder / name, force=force) as file:
            file.write(text.encode() + b"\n")


def _fetch(repository: str, name: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingWeightsError(
            "profiles of the hub need huggingface_hub: pip install huggingface_hub"
        ) from error
    try:
        return Path(hf_hub_download(repository, name, revision=revision))
    except Exception as error:  # the client raises errors of its own and of its http library
        reason = printable(str(error).strip().partition("\n")[0])
        raise MissingWeightsError(
            f"{PREFIX}{repository}: cannot get {printable(name)}: {reason}"
        ) from error
