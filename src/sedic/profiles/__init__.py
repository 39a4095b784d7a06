"""The profiles of sedic, one TOML file each: which weights and decoder settings each one uses.

    summary = "one line of help"
    reference = "compact"            the reference codec used by default
    describer = "measured"           the describer used by default
    number = 1                       stands for the profile in files; 128 to 255 are private
    objects_from = [0.1, 0.1]        optional: bpp from which a 1st, 2nd object is sent by default

    [weights.PART]                   a pinned file: name = "...", sha256 = "..."
    [settings]                       the decoder's defaults (settings.Settings)
    [settings.METHOD]                other defaults for files of one method
    [[models]]                       models to fetch (models/registry.py)
    [[releases]]                     which release wrote files with which weights

``weights = "mini"`` takes text, masks and reference codec from another profile. ``base = "sd21"``
takes everything from one of sedic's profiles; what the file says changes it, and its models come
on top.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sedic.errors import DamagedFileError, MissingWeightsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HERE = Path(__file__).parent
_MAX_BYTES = 1 << 20


def mini() -> Path:
    """The TOML file of the embedded profile."""
    return _HERE / "mini.toml"


def sd21() -> Path:
    """The TOML file of the paper's profile."""
    return _HERE / "sd21.toml"


def sd15() -> Path:
    """The TOML file of the profile of Stable Diffusion 1.5."""
    return _HERE / "sd15.toml"


def read_profile(path: Path) -> dict[str, Any]:
    """A profile's TOML file as a dictionary; raises as ``read_toml`` does, and ``DamagedFileError``
    where a required key is missing."""
    table = read_toml(path)
    if "base" in table:
        below = read_toml(_HERE / f"{Path(table['base']).name}.toml")
        models = below.get("models", []) + table.get("models", [])
        table = {**_merge(below, table), "models": models}
    for key in ("summary", "reference", "weights", "number"):
        if key not in table:
            raise DamagedFileError(f"{path}: a profile must say {key!r}")
    return table


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """The union of two nested tables; a value in ``above`` replaces one in ``below``."""
    merged = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], dict) and isinstance(above[name], dict):
            merged[name] = _merge(below[name], above[name])
    return merged


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Raises ``MissingWeightsError`` where there is no such file and ``DamagedFileError`` where it is
    not TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.loads(file.read(_MAX_BYTES).decode())
    except OSError as error:
        raise MissingWeightsError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # of TOML and of UTF-8
        raise DamagedFileError(f"{path} is not TOML: {error}") from error


def sd21_tcd() -> Path:
    """The TOML file of sd21 in four steps a stage."""
    return _HERE / "sd21-tcd.toml"


def sd21_turbo() -> Path:
    """The TOML file of SD-Turbo."""
    return _HERE / "sd21-turbo.toml"


def sd15_lcm() -> Path:
    """The TOML file of sd15 in four steps a stage."""
    return _HERE / "sd15-lcm.toml"


def weights_folder(path: Path) -> Path:
    """The folder of a profile's weight files: sedic's own, or that of the TOML file."""
    return _HERE.parent / "weights" if path.parent == _HERE else path.parent
