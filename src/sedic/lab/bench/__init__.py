"""Measures the codec: datasets, metrics, rival codecs, results per picture, reports."""

from __future__ import annotations

import sys
from importlib.resources import files
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def data_file(name: str) -> dict[str, Any]:
    """The contents of a TOML file of this package."""
    return tomllib.loads((files("sedic") / "lab" / "bench" / name).read_text())
