"""Profiles that are repositories of a model hub: ``hf:user/name``."""

from __future__ import annotations

import re
from pathlib import Path

from sedic import profiles
from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError
from sedic.files import printable

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
