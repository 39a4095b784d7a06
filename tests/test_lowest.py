"""The environment of `make test-lowest` has the lower bounds that pyproject.toml states."""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
ENTRY = re.compile(r"([a-z0-9-]+)(?:>=|==)([0-9.]+)(?:;.*)?")


def versions(lines: list[str]) -> dict[str, tuple[int, ...]]:
    """Versions by package, without zeros at the end."""
    found = {}
    for line in lines:
        match = ENTRY.fullmatch(line)
        assert match, line
        found[match[1]] = tuple(map(int, re.sub(r"(\.0)+$", "", match[2]).split(".")))
    return found


def test_the_lowest_versions_are_the_bounds_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = project["dependencies"] + project["optional-dependencies"]["papers"]
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    assert versions(stated) == versions([line for line in lines if not line.startswith("#")])
