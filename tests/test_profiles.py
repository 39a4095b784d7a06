from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sedic import profiles
from sedic.coding.container import PROFILES
from sedic.errors import SedicError
from sedic.profiles import Weights
from sedic.semantics import (
    METHODS,
)


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


def test_no_more_objects_are_sent_than_pay() -> None:
    mini = replace(profiles.load("mini"), objects_from=(0.03, 0.05))
    found = [mini.paying(bpp, 3) for bpp in (0.029, 0.03, 0.05, 1.0)]
    assert found == [0, 1, 2, 2] and mini.paying(1.0, 1) == 1
    assert replace(mini, objects_from=None).paying(0.001, 3) == 3


def test_a_profile_has_a_restorer_if_its_file_names_one() -> None:
    sd21 = profiles.load("sd21")
    assert sd21.restores and sd21.restorer is not None
    without = replace(sd21, models=())
    assert not without.restores and without.restorer is None
    assert replace(without, weights={**sd21.weights, "restorer": Weights("r", "0" * 64)}).restores


def test_a_restorer_is_its_networks_and_the_defaults_of_its_settings() -> None:
    sd21 = profiles.load("sd21")
    other = replace(sd21, table={**sd21.table, "last_steps": 7})
    assert other.restorer != sd21.restorer
    assert other.settings("sedic").last_steps == other.settings("image-text").last_steps == 7
    assert other.settings("misc").last_steps == 40  # its own table says so
    assert other.fingerprint(bytes(32)) == sd21.fingerprint(bytes(32))


def test_each_method_s_negative_text_is_part_of_the_restorer() -> None:
    mini, sd21 = profiles.load("mini"), profiles.load("sd21")
    assert {mini.negative(method) for method in METHODS} == {""}
    texts = [sd21.negative(method) for method in METHODS]
    assert len(set(texts)) == 3 and all("blurry" in text for text in texts)
    other = replace(sd21, negatives={**sd21.negatives, "misc": "noise"})
    assert other.restorer != sd21.restorer
    assert replace(mini, negatives={}).restorer == mini.restorer


def test_a_preset_is_a_set_of_settings_by_name() -> None:
    for name in ("sd21", "sd15"):
        profile = profiles.load(name)
        released = profile.wanted("sedic", {"preset": "released"})
        steps = [released.steps_of(0), released.steps_of(1), released.last_steps]
        assert steps == [5, 10, 50] and released.guided_steps() == 0
        assert (released.blending, released.start) == ("end", "low-frequency")
        assert (released.last_condition, released.object_cfg) == ("reference", 3.5)
        fewer = profile.wanted("sedic", {"preset": "released", "last_steps": 4})
        assert fewer == replace(released, last_steps=4)
        with pytest.raises(SedicError, match="released"):
            profile.wanted("sedic", {"preset": "other"})
    assert profile.wanted("misc", {}) == profile.settings("misc")
    with pytest.raises(SedicError, match="there is none"):
        profiles.load("mini").wanted("sedic", {"preset": "released"})


@pytest.mark.parametrize("method", METHODS)
def test_every_profile_s_defaults_are_within_the_limits(method: str) -> None:
    for name in PROFILES[1:]:
        assert profiles.load(name).settings(method).last_steps >= 1


def test_a_profile_on_another_has_its_models_and_what_differs() -> None:
    sd21, fast = profiles.load("sd21"), profiles.load("sd21-tcd")
    assert fast.models[: len(sd21.models)] == sd21.models
    assert fast.settings("sedic").threshold == sd21.settings("sedic").threshold > 0
    assert fast.settings("misc").iterations == 0
    assert (fast.settings("sedic").sampler, fast.settings("sedic").last_steps) == ("tcd", 4)
    assert fast.negative("misc") == sd21.negative("misc")
    assert fast.restorer != sd21.restorer and fast.fingerprint(bytes(32)) != b""
    for name in ("sd21-tcd", "sd15-lcm", "sd21-turbo"):
        chosen = profiles.load(name).settings("sedic")
        assert chosen.last_cfg <= 2 and chosen.object_steps <= 4


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
