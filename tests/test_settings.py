from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedic.errors import SedicError
from sedic.settings import Settings

settings = st.builds(
    Settings,
    object_steps=st.integers(1, 50),
    last_steps=st.integers(1, 100),
    guided=st.floats(0, 1),
    eta=st.floats(0, 1000),
    iterations=st.integers(0, 20),
    object_cfg=st.floats(0, 30),
    last_cfg=st.floats(0, 30),
    strength=st.floats(0, 2),
    last_condition=st.sampled_from(["staged", "reference"]),
    start=st.sampled_from(["noise", "low-frequency"]),
    colour=st.sampled_from(["none", "wavelet"]),
    sampler=st.sampled_from(["ddpm", "ddim", "dpm", "unipc", "lcm", "tcd"]),
    handover=st.sampled_from(["picture", "latent"]),
    blending=st.sampled_from(["steps", "none", "end"]),
    result=st.sampled_from(["decoded", "added"]),
    amount=st.floats(0, 1),
    threshold=st.floats(0, 1),
    overlap=st.floats(0, 1),
    first_steps=st.integers(0, 50),
    realism=st.floats(0, 1),
    margin=st.integers(0, 1000),
)


@given(settings, settings)
def test_settings_survive_their_bytes(chosen: Settings, defaults: Settings) -> None:
    data = chosen.to_bytes(defaults)
    assert Settings.from_bytes(data, defaults) == chosen
    assert (data == b"") == (chosen == defaults)


@given(st.binary(max_size=40), settings)
def test_any_bytes_are_settings_in_their_one_form_or_refused(
    data: bytes, defaults: Settings
) -> None:
    try:
        read = Settings.from_bytes(data, defaults)
    except SedicError:
        return
    assert read.to_bytes(defaults) == data


def test_what_differs_costs_two_bytes_each() -> None:
    defaults = Settings()
    changed = Settings(object_steps=4, last_cfg=1.0, sampler="unipc")
    assert changed.to_bytes(defaults) == bytes([0, 4, 6, 10, 11, 3])
    assert len(Settings(eta=999.9).to_bytes(defaults)) == 3


@pytest.mark.parametrize(
    "data",
    [
        bytes([99, 1]),  # a setting of the future
        bytes([0]),  # no value
        bytes([0, 0x80]),  # half a value
        bytes([0, 0x84, 0]),  # more bytes than needed
        bytes([0, 20]),  # the default, written
        bytes([0, 4, 0, 5]),  # twice
        bytes([1, 4, 0, 5]),  # not in order
        bytes([0, 0]),  # no steps
        bytes([0, 51]),
        bytes([4, 21]),
        bytes([11, 9]),  # a sampler of the future
        bytes([0, *[0xFF] * 30, 1]),
    ],
)
def test_bytes_that_to_bytes_would_not_write_are_refused(data: bytes) -> None:
    with pytest.raises(SedicError):
        Settings.from_bytes(data, Settings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"object_steps": 0},
        {"last_steps": 101},
        {"last_steps": 2.5},
        {"last_steps": True},
        {"iterations": 21},
        {"eta": float("nan")},
        {"eta": -0.1},
        {"last_cfg": float("inf")},
        {"guided": 1.01},
        {"sampler": "euler"},
        {"sampler": 0},
        {"start": ""},
        {"steps": 3},
    ],
)
def test_settings_out_of_limits_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(SedicError, match=next(iter(wrong))):
        Settings.of(wrong)


def test_a_table_names_what_it_changes() -> None:
    changed = {"object_steps": 4, "guided": 0.25, "sampler": "ddim"}
    assert asdict(Settings.of(changed)) == {**asdict(Settings()), **changed}


def test_guided_steps_are_a_share_rounded_up() -> None:
    assert Settings(object_steps=50, guided=0.2).guided_steps() == 10
    assert Settings(object_steps=50, guided=0.07).guided_steps() == 4
    assert Settings(object_steps=4, guided=0.2).guided_steps() == 1
    assert Settings(object_steps=4, guided=0).guided_steps() == 0
    assert Settings(object_steps=4, guided=1).guided_steps() == 4


def test_the_first_object_may_have_steps_of_its_own() -> None:
    both = Settings(object_steps=10, first_steps=5, guided=1)
    assert [both.steps_of(number) for number in range(3)] == [5, 10, 10]
    assert [both.guided_steps(number) for number in range(2)] == [5, 10]
    assert Settings(object_steps=10).steps_of(0) == 10
