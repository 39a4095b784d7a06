"""Parts of other packages: found by their entry points, used like sedic's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sedic.errors import MissingWeightsError, UnsuitableInputError
from sedic.parts import (
    DESCRIBERS,
    MASK_CODERS,
    PROFILES,
    REFERENCE_CODECS,
    TEXT_CODERS,
    Part,
    Table,
)

PACKAGE = Path(__file__).parent / "third_party"


def sedic(*arguments: object, installed: bool = True) -> subprocess.CompletedProcess[str]:
    path = [str(PACKAGE)] if installed else []
    path += filter(None, [os.environ.get("PYTHONPATH")])
    return subprocess.run(
        [sys.executable, "-m", "sedic", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "red.png"
    Image.new("RGB", (64, 48), (200, 30, 40)).save(path)
    return path


def test_a_package_adds_a_reference_codec_and_a_describer(photo: Path) -> None:
    file, out = photo.with_suffix(".sedic"), photo.with_name("out.png")
    options = ("--max-bytes", 100, "--reference", "flat", "--describer", "terse")
    made = sedic("compress", photo, file, *options)
    assert made.returncode == 0, made.stderr
    assert "said without looking" in made.stderr
    assert "broken" in made.stderr and "is taken" in made.stderr  # and is left out
    assert "absent" in made.stderr and "cannot be imported" in made.stderr
    facts = json.loads(sedic("inspect", file, "--json").stdout)
    assert (facts["reference_codec"], facts["parts"]["reference"]) == ("flat", 3)
    assert facts["overall"] == "A picture."
    shown = sedic("decompress", file, out, "--preview")
    assert shown.returncode == 0, shown.stderr
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(photo)))


def test_a_file_says_what_is_not_installed(photo: Path) -> None:
    file = photo.with_name("private.sedic")
    made = sedic("compress", photo, file, "--max-bytes", 100, "--profile", "flat-profile")
    assert made.returncode == 0, made.stderr
    refused = sedic("decompress", file, photo.with_name("no.png"), installed=False)
    assert refused.returncode == 1
    assert "profile number 201: install the package that has it" in refused.stderr
    decoded = sedic("decompress", file, photo.with_name("yes.png"))
    assert decoded.returncode == 0, decoded.stderr


def test_names_and_numbers_of_every_table_are_unique() -> None:
    for table in (REFERENCE_CODECS, TEXT_CODERS, MASK_CODERS, PROFILES):
        numbers = [part.number for part in table]
        assert len(set(numbers)) == len(numbers) and None not in numbers
        assert all(table.name_of(table.number_of(name)) == name for name in table.names)
    assert all(part.summary for part in DESCRIBERS)


def test_unknown_parts_are_named_with_the_known_ones() -> None:
    with pytest.raises(UnsuitableInputError, match="unknown text coder 'morse'; one of primed, hu"):
        TEXT_CODERS["morse"]
    with pytest.raises(MissingWeightsError, match="text coder number 77"):
        TEXT_CODERS.name_of(77)


def test_a_factory_is_a_callable_or_a_name() -> None:
    table = Table(
        "thing", "sedic.no_such_group", (Part("a", "", dict), Part("b", "", "json:dumps"))
    )
    assert table["a"].make(x=1) == {"x": 1} and table["b"].make(obj=[]) == "[]"
