"""Profiles: what they own, which weights they are, and parts of other packages."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sedic.decoder import Decoder
from sedic.encoder import Encoder
from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError
from sedic.models import registry
from sedic.parts import PROFILES
from sedic.profile import Profile
from sedic.semantics import METHODS, Rate
from sedic.store import Pin, WeightStore

SMALL = """
summary = "a profile of the tests"
number = 200
reference = "pixel"
weights = "mini"
objects_from = [0.03, 0.05]
[settings]
last_steps = 7
[settings.misc]
last_steps = 40
[[releases]]
version = "0.0.9"
mark = "abcd"
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_the_embedded_weights_are_the_pinned_ones_with_their_cards(mini: Profile) -> None:
    assert {"text", "masks", mini.reference_name} <= mini.store.pins.keys()
    total = 0
    for part, pin in mini.store.pins.items():
        path = mini.store.path(part)
        total += path.stat().st_size
        card = path.with_name(path.name.split(".")[0] + ".md").read_text()
        assert pin.sha256 in card and "icence" in card
    assert total <= 40_000_000


def test_other_weights_are_refused(mini: Profile, tmp_path: Path) -> None:
    path = mini.store.pins["masks"].path
    store = WeightStore({"a": Pin(path, "0" * 64), "b": Pin(tmp_path / "absent", "0" * 64)})
    with pytest.raises(MissingWeightsError, match="not this version's"):
        store.read("a")
    with pytest.raises(MissingWeightsError, match="missing"):
        store.read("b")
    with pytest.raises(MissingWeightsError, match="no weights for 'c'"):
        store.read("c")


USES = {
    "text": lambda profile: profile.text_coder("primed"),
    "masks": lambda profile: profile.mask_coder("context"),
    "compact": lambda profile: profile.reference_codec(),
    "vae": lambda profile: profile.networks,
    "restorer": lambda profile: profile.networks,
}


def test_one_changed_byte_in_any_weight_file_is_one_clear_error(
    mini: Profile, tmp_path: Path
) -> None:
    assert mini.store.pins.keys() == USES.keys()
    for part, use in USES.items():
        pin = mini.store.pins[part]
        data = bytearray(pin.path.read_bytes())
        data[len(data) // 2] ^= 1
        changed = tmp_path / pin.path.name
        changed.write_bytes(data)
        profile = Profile.load("mini")
        profile.store.pins[part] = Pin(changed, pin.sha256)
        with pytest.raises(MissingWeightsError, match=f"{pin.path.name} are not this version's"):
            use(profile)


def test_parts_are_made_once(mini: Profile) -> None:
    assert mini.reference_codec() is mini.reference_codec("compact")
    assert mini.text_coder("primed") is mini.text_coder("primed")


def test_unknown_profiles_list_the_known_ones() -> None:
    for name in ("maxi", "../profiles/mini"):
        with pytest.raises(UnsuitableInputError, match="mini, sd21, sd15"):
            Profile.load(name)


def test_a_profile_of_one_s_own(small: Path) -> None:
    profile = Profile.load(small)
    assert (profile.name, profile.number, profile.reference_name) == ("small", 200, "pixel")
    assert profile.settings("sedic").last_steps == profile.settings("image-text").last_steps == 7
    assert profile.settings("misc").last_steps == 40
    worth = [profile.objects_worth(bpp, 3) for bpp in (0.029, 0.03, 0.05, 1.0)]
    assert worth == [0, 1, 2, 2] and profile.objects_worth(1.0, 1) == 1
    assert not profile.restores and profile.restorer_fingerprint is None


def test_files_of_a_profile_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('summary = "x"\nnumber = 131\nreference = "pixel"\nweights = "mini"\n')
    picture = np.full((40, 56, 3), 90, np.uint8)
    data = Encoder(Profile.load(path)).compress(picture, Rate(200)).data
    again = Decoder(Profile.load(path))
    assert again.parse(data).profile == "mine" and again.preview(data).shape == (40, 56, 3)
    for name, number in (("theirs", 131), ("mini", 132)):
        other = tmp_path / f"{name}.toml"
        other.write_text(path.read_text().replace("131", str(number)))
        with pytest.raises(UnsuitableInputError, match="taken"):
            Profile.load(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("number = 200", "number = 3"), "128 to 255"),
        (("number = 200", ""), "must say 'number'"),
        (("[settings]", "[settings"), "not TOML"),
    ],
)
def test_profiles_that_cannot_be_used(small: Path, change: tuple[str, str], message: str) -> None:
    small.write_text(SMALL.replace(*change))
    with pytest.raises((DamagedFileError, UnsuitableInputError), match=message):
        Profile.load(small)
    with pytest.raises(MissingWeightsError, match="absent"):
        Profile.load(small.with_name("absent.toml"))


def test_a_file_of_another_release_names_it(small: Path) -> None:
    profile = Profile.load(small)
    with pytest.raises(MissingWeightsError, match=r"mark abcd, here .*; sedic 0.0.9 reads it"):
        profile.check(bytes.fromhex("abcd"), bytes(32), restored=False)


def test_fingerprints_depend_on_profile_and_reference(mini: Profile) -> None:
    assert len(mini.coding_fingerprint(bytes(32))) == 32
    assert mini.coding_fingerprint(bytes(32)) != mini.coding_fingerprint(b"\1" * 32)
    sd21 = Profile.load("sd21")
    assert sd21.restores and sd21.restorer_fingerprint not in (None, mini.restorer_fingerprint)


def test_each_method_s_negative_text_is_part_of_the_restorer(mini: Profile) -> None:
    sd21 = Profile.load("sd21")
    assert {mini.negative(method) for method in METHODS} == {""}
    texts = [sd21.negative(method) for method in METHODS]
    assert len(set(texts)) == 3 and all("blurry" in text for text in texts)


def test_a_preset_is_a_set_of_settings_by_name(mini: Profile) -> None:
    for name in ("sd21", "sd15"):
        profile = Profile.load(name)
        released = profile.settings_with("sedic", {"preset": "released"})
        steps = [released.steps_of(0), released.steps_of(1), released.last_steps]
        assert steps == [5, 10, 50] and released.guided_steps() == 0
        assert (released.blending, released.start) == ("end", "low-frequency")
        assert (released.last_condition, released.object_cfg) == ("reference", 3.5)
        fewer = profile.settings_with("sedic", {"preset": "released", "last_steps": 4})
        assert fewer == replace(released, last_steps=4)
        with pytest.raises(UnsuitableInputError, match="released"):
            profile.settings_with("sedic", {"preset": "other"})
    assert mini.settings_with("misc", {}) == mini.settings("misc")
    with pytest.raises(UnsuitableInputError, match="there is none"):
        mini.settings_with("sedic", {"preset": "released"})


def test_a_profile_on_another_has_its_models_and_what_differs() -> None:
    sd21, fast = Profile.load("sd21"), Profile.load("sd21-tcd")
    assert fast.settings("sedic").threshold == sd21.settings("sedic").threshold > 0
    assert fast.settings("misc").iterations == 0
    assert (fast.settings("sedic").sampler, fast.settings("sedic").last_steps) == ("tcd", 4)
    assert fast.negative("misc") == sd21.negative("misc")
    assert fast.restorer_fingerprint != sd21.restorer_fingerprint
    needed = {model.name for model in registry.select("sd21-tcd")}
    assert {model.name for model in registry.select("sd21")} < needed
    for name in ("sd21-tcd", "sd15-lcm", "sd21-turbo"):
        chosen = Profile.load(name).settings("sedic")
        assert chosen.last_cfg <= 2 and chosen.object_steps <= 4


@pytest.mark.parametrize("name", PROFILES.names)
@pytest.mark.parametrize("method", METHODS)
def test_every_profile_s_defaults_are_within_the_limits(name: str, method: str) -> None:
    assert Profile.load(name).settings(method).last_steps >= 1


@pytest.mark.slow
def test_a_wheel_carries_weights_and_profiles(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", tmp_path, root]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("sedic-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for pin in Profile.load("mini").store.pins.values():
        assert f"sedic/weights/{pin.path.name}" in names
    assert "sedic/profiles/mini.toml" in names and "sedic/py.typed" in names
