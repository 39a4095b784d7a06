from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sedic import profiles
from sedic.profiles import Weights
from sedic.semantics import SedicError


def test_the_embedded_weights_are_the_pinned_ones_with_their_cards() -> None:
    mini = profiles.load("mini")
    assert {"text", "masks", mini.reference} <= mini.weights.keys()
    total = 0
    for weights in mini.weights.values():
        path = weights.path()
        total += path.stat().st_size
        card = path.with_name(path.name.split(".")[0] + ".md").read_text()
        assert weights.sha256 in card and "icence" in card
    assert total <= 40_000_000


def test_other_weights_are_refused() -> None:
    name = profiles.load("mini").weights["masks"].name
    with pytest.raises(SedicError, match="not this version's"):
        Weights(name, "0" * 64).path()
    with pytest.raises(SedicError, match="missing"):
        Weights("absent.safetensors", "0" * 64).path()


def test_unknown_profiles_list_the_known_ones() -> None:
    with pytest.raises(SedicError, match="mini"):
        profiles.load("maxi")
    with pytest.raises(SedicError, match="mini"):
        profiles.load("../profiles/mini")


def test_fingerprints_depend_on_profile_and_reference() -> None:
    mini = profiles.load("mini")
    assert len(mini.fingerprint(bytes(32))) == 32
    assert mini.fingerprint(bytes(32)) != mini.fingerprint(b"\1" * 32)


@pytest.mark.slow
def test_a_wheel_carries_weights_and_profiles(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", tmp_path, root]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("sedic-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for weights in profiles.load("mini").weights.values():
        assert f"sedic/weights/{weights.name}" in names
    assert "sedic/profiles/mini.toml" in names and "sedic/py.typed" in names
