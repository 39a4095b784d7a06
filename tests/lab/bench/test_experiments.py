from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples

from sedic.lab.bench.datasets import open_dataset
from sedic.lab.bench.experiments import Outcome
from sedic.lab.bench.experiments.ablation import OTHER_VARIANTS, TABLE_1, WHOLE, Ablation
from sedic.lab.bench.experiments.steps import Steps
from sedic.lab.bench.experiments.subject import Subject, measured
from sedic.lab.bench.experiments.swaps import AS_SENT, SWAPS, Swaps
from sedic.models.interface import Networks
from sedic.profile import Profile

FAST = {"object_steps": 2, "last_steps": 1, "guided": 0.5, "iterations": 1}


@pytest.fixture(scope="module")
def subject(
    tmp_path_factory: pytest.TempPathFactory, tiny_networks: Callable[..., Networks]
) -> Subject:
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(samples.astronaut()[:128, 64:256]).save(folder / "a.png")
    Image.fromarray(samples.coffee()[100:228, 100:292]).save(folder / "b.png")
    profile = Profile.load("mini", networks=tiny_networks())
    return Subject(open_dataset(f"folder:{folder}"), measured, profile, settings=FAST)


@pytest.fixture(scope="module")
def ablated(subject: Subject) -> dict[str, Outcome]:
    experiment = Ablation(subject, 0.5)
    picture = subject.dataset.samples[0].load()
    found = {outcome.cell[0]: outcome for outcome in experiment.outcomes(0, picture, {})}
    assert [(name, "0.5") for name in found] == list(experiment.cells)
    return found


def test_every_variant_of_the_ablation_is_a_picture(ablated: dict[str, Outcome]) -> None:
    assert not [outcome.problem for outcome in ablated.values() if outcome.picture is None]
    assert len(TABLE_1) == 9 and ablated[WHOLE].values["objects"] >= 2


def test_variants_share_the_reference_image_and_pay_for_what_they_say(
    ablated: dict[str, Outcome],
) -> None:
    without = "J = 3, 30/50 words, no reference image"
    sizes = {name: outcome.values for name, outcome in ablated.items()}
    shared = {v["reference bytes"] for name, v in sizes.items() if name != without}
    assert len(shared) == 1 and sizes[without]["reference bytes"] < 64
    rising = ["no text at all", "J = 0, 50 words overall", "J = 1, 30/50 words", WHOLE]
    totals = [sizes[name]["bytes"] for name in rising]
    assert totals == sorted(totals) and totals[0] < totals[-1]
    for values in sizes.values():
        assert sum(n for name, n in values.items() if name.endswith(" bytes")) == values["bytes"]


@pytest.mark.parametrize("name", [variant.name for variant in OTHER_VARIANTS])
def test_what_the_paper_does_not_take_away_changes_the_picture(
    ablated: dict[str, Outcome], name: str
) -> None:
    whole, other = ablated[WHOLE].picture, ablated[name].picture
    assert whole is not None and other is not None and not np.array_equal(whole, other)


def test_the_words_of_another_picture_are_those(
    subject: Subject, ablated: dict[str, Outcome]
) -> None:
    other = subject.description(1)
    said = ablated["another picture's words"].text
    assert said.startswith(other.overall.partition(",")[0])
    assert not ablated[WHOLE].text.startswith(said[:40])


def test_what_is_done_is_not_done_again(
    subject: Subject, ablated: dict[str, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Ablation(subject, 0.5)
    done = {cell: {} for cell in experiment.cells if cell[0] != "names only"}
    picture = subject.dataset.samples[0].load()
    (outcome,) = experiment.outcomes(0, picture, done)
    again = ablated["names only"]
    assert outcome.cell == again.cell and np.array_equal(outcome.picture, again.picture)  # type: ignore[arg-type]


def test_without_another_picture_there_are_no_wrong_words(subject: Subject, tmp_path: Path) -> None:
    Image.fromarray(samples.astronaut()[:64, :64]).save(tmp_path / "only.png")
    alone = Subject(open_dataset(f"folder:{tmp_path}"), measured, subject.profile, settings=FAST)
    experiment = Ablation(alone, 1.0)
    done = {cell: {} for cell in experiment.cells if cell[0] != "another picture's words"}
    (outcome,) = experiment.outcomes(0, alone.dataset.samples[0].load(), done)
    assert outcome.picture is None and "no other picture" in outcome.unreachable


def test_steps_change_one_setting_at_a_time(subject: Subject) -> None:
    picture = subject.dataset.samples[0].load()
    outcomes = list(Steps(subject, 0.5, [1, 2]).outcomes(0, picture, {}))
    assert [outcome.cell for outcome in outcomes] == [
        ("object steps", "1"),
        ("object steps", "2"),
        ("last steps", "1"),
        ("last steps", "2"),
    ]
    pictures = [outcome.picture for outcome in outcomes]
    assert np.array_equal(pictures[1], pictures[2])  # type: ignore[arg-type]
    assert not np.array_equal(pictures[0], pictures[1])  # type: ignore[arg-type]
    assert not np.array_equal(pictures[2], pictures[3])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def swapped(subject: Subject) -> dict[tuple[str, str], Outcome]:
    picture = subject.dataset.samples[0].load()
    return {outcome.cell: outcome for outcome in Swaps(subject, 0.5).outcomes(0, picture, {})}


def test_words_and_masks_are_exchanged_within_an_object_alone(
    subject: Subject, swapped: dict[tuple[str, str], Outcome]
) -> None:
    assert list(swapped) == [(name, number) for number in "12" for name in SWAPS]
    original = subject.dataset.samples[0].load()
    differs = {
        cell: np.any(outcome.picture != original, axis=2)  # type: ignore[arg-type]
        for cell, outcome in swapped.items()
    }
    for number in "12":
        regions = [differs[name, number] for name in SWAPS]
        # Everything that changed lies in one region, which is not the whole picture.
        assert all(region.any() for region in regions)
        assert np.logical_or.reduce(regions).mean() < 0.9
        sent = swapped[AS_SENT, number].picture
        for name in SWAPS[1:]:
            other = swapped[name, number].picture
            assert not np.array_equal(sent, other)  # type: ignore[arg-type]


def test_one_object_alone_has_nothing_to_exchange(subject: Subject) -> None:
    picture = np.full((64, 64, 3), 128, np.uint8)
    outcomes = list(Swaps(subject, 0.05).outcomes(0, picture, {}))
    assert outcomes and all(outcome.picture is None for outcome in outcomes)
    assert all("nothing to exchange" in outcome.unreachable for outcome in outcomes)
