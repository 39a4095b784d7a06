"""Weight files that another Python package contains. No code of that package runs."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sedic.errors import DamagedFileError, MissingWeightsError

MAX_BYTES = 1 << 25  # of a file


def packaged_file(package: str, suffix: str, missing: str) -> Path:
    """The path of the installed package's file whose name ends in ``suffix``.

    It comes from the package's own list of files. Raises ``MissingWeightsError`` with the message
    ``missing`` where the package is not installed, and where it has no such file.
    """
    try:
        files = distribution(package).files or []
    except PackageNotFoundError as error:
        raise MissingWeightsError(missing) from error
    for file in files:
        if file.name.endswith(suffix) and (path := Path(str(file.locate()))).is_file():
            return path
    raise MissingWeightsError(f"{package} is incomplete: reinstall it")


def read_pinned(path: Path, sha256: str, package: str) -> bytes:
    """The bytes of a package's file; ``DamagedFileError`` where it has another sha256."""
    data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedFileError(f"the weights of {package} are not the known ones: reinstall it")
    return data
