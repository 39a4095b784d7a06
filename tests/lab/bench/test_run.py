"""A run over many things: whatever fails stays in its row, and an answer is not asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples

from sedic.errors import LimitError, OutOfMemoryError, SedicError
from sedic.lab.bench.datasets import open_dataset
from sedic.lab.bench.experiments import (
    KEYS,
    Cell,
    Gallery,
    KnownRows,
    Outcome,
    UnreachableError,
    run,
)
from sedic.lab.bench.experiments.curves import OURS, REFERENCE, Curves
from sedic.lab.bench.experiments.subject import Subject, measured
from sedic.lab.bench.metrics import Metric
from sedic.lab.bench.results import Results, Run, read_results
from sedic.lab.bench.rivals import rivals_of
from sedic.picture import Picture


@dataclass
class Script:
    """An experiment that does what is written for each cell: give a picture, raise or break off."""

    acts: dict[str, Any]
    asked: list[str] = field(default_factory=list)
    name: str = "script"
    values: tuple[str, ...] = ("bytes", "bpp")

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple((name, "1") for name in self.acts)

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        return self.cells

    def outcomes(self, index: int, picture: Picture, done: KnownRows) -> Iterator[Outcome]:
        for cell in self.cells:
            if cell in done:
                continue
            self.asked.append(cell[0])
            act = self.acts[cell[0]]
            if act == "break off":
                raise IndexError("out of range")
            if isinstance(act, Exception):
                yield Outcome.of_error(cell, act)
            else:
                yield Outcome(cell, act(picture), {"bytes": 9.0, "bpp": 0.1})


def psnr(decoded: Picture, original: Picture, text: str) -> float:
    return 30.0


METRICS = [Metric("PSNR", "higher", "none", psnr)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in "ab":
        Image.fromarray(samples.astronaut()[:64, :80]).save(folder / f"{name}.png")
    return folder


def rows_of(
    script: Any,
    pictures: Path,
    out: Path,
    metrics: list[Metric] = METRICS,
    see: Any = None,
    shown: int = 0,
) -> dict[tuple[str, str], dict[str, Any]]:
    path = out / "results.csv"
    columns = [*script.values, *(metric.name for metric in metrics)]
    results = Results(path, Run("sedic bench script", commit="c", versions={}), KEYS, columns)
    gallery = Gallery(out / "kept", shown)
    dataset = open_dataset(f"folder:{pictures}")
    run(script, dataset, metrics, results, gallery, lambda *_: None, see)
    return {(str(r["picture"]), str(r["codec"])): r for r in read_results(path).rows}


def same(picture: Picture) -> Picture:
    return picture


def test_every_failure_stays_in_its_row(pictures: Path, tmp_path: Path) -> None:
    script = Script(
        {
            "good": same,
            "library": ValueError("two\nlines"),
            "memory": RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            "ours": SedicError("is damaged"),
            "other size": lambda picture: picture[:32],
            "last": same,
        }
    )
    rows = rows_of(script, pictures, tmp_path)
    for name in "ab":
        assert rows[name, "good"]["PSNR"] == rows[name, "last"]["PSNR"] == 30
        assert rows[name, "library"]["error"] == "ValueError: two lines"
        assert rows[name, "memory"]["error"] == "out of memory"
        assert rows[name, "ours"]["error"] == "is damaged"
        assert "80x32 and the original 80x64" in rows[name, "other size"]["error"]


def test_an_experiment_that_breaks_off_leaves_the_rest_as_errors(
    pictures: Path, tmp_path: Path
) -> None:
    rows = rows_of(Script({"one": same, "two": "break off", "three": same}), pictures, tmp_path)
    for name in "ab":
        assert rows[name, "one"]["PSNR"] == 30
        assert rows[name, "two"]["error"] == rows[name, "three"]["error"]
        assert rows[name, "two"]["error"] == "IndexError: out of range"


def test_only_failures_are_tried_again(pictures: Path, tmp_path: Path) -> None:
    acts: dict[str, Any] = {
        "good": same,
        "no file": UnreachableError("has no file of 9 bytes or less"),
        "limit": LimitError("the smallest possible file of this picture has 99 bytes"),
        "memory": OutOfMemoryError("out of memory"),
        "failed": OSError(5, "Input/output error"),
    }
    first = rows_of(Script(acts), pictures, tmp_path)
    for name in ("no file", "limit"):
        row = first["a", name]
        assert not row["error"] and row["PSNR"] is None and row["notes"] == str(acts[name])
    assert first["a", "failed"]["error"] == "Input/output error"
    again = Script(acts | {"memory": same})
    second = rows_of(again, pictures, tmp_path)
    assert again.asked == ["memory", "failed"] * 2
    assert second["b", "memory"]["PSNR"] == 30 and second["b", "no file"] == first["b", "no file"]


def test_a_metric_that_fails_is_a_note(pictures: Path, tmp_path: Path) -> None:
    def fails(decoded: Picture, original: Picture, text: str) -> float:
        raise ValueError("For a given number of `betas`\nparameters 5")

    metrics = [Metric("MS-SSIM", "higher", "none", fails), *METRICS]
    row = rows_of(Script({"one": same}), pictures, tmp_path, metrics)["b", "one"]
    assert row["PSNR"] == 30 and row["MS-SSIM"] is None and not row["error"]
    assert row["notes"].startswith("MS-SSIM: not available: ValueError: For a given number")


def test_features_and_pictures_that_cannot_be_kept_are_notes(
    pictures: Path, tmp_path: Path
) -> None:
    def see(picture: Picture, name: str, cell: Cell) -> None:
        raise RuntimeError("not enough memory: you tried to allocate")

    (tmp_path / "kept").write_text("a file, where a folder should be")
    row = rows_of(Script({"one": same}), pictures, tmp_path, see=see, shown=2)["a", "one"]
    assert row["PSNR"] == 30 and not row["error"]
    assert "FID and KID: out of memory" in row["notes"] and "cannot make the folder" in row["notes"]


def test_pictures_that_cannot_be_read_leave_a_row(pictures: Path, tmp_path: Path) -> None:
    whole = (pictures / "a.png").read_bytes()
    (pictures / "a.png").write_bytes(whole[: len(whole) // 2])
    rows = rows_of(Script({"one": same}), pictures, tmp_path)
    assert "a.png" in rows["a", ""]["error"] and rows["b", "one"]["PSNR"] == 30


class Stubborn:
    """A rival whose smallest file has so many bytes; ``error`` is raised instead, if any."""

    name, how, qualities = "stubborn", "stubborn", range(3)

    def __init__(self, smallest: int, error: BaseException | None = None) -> None:
        self.smallest, self.error, self.calls = smallest, error, 0

    def encode(self, picture: Picture, quality: int) -> bytes:
        self.calls += 1
        if self.error:
            raise self.error
        return bytes(self.smallest + quality)

    def decode(self, data: bytes, width: int, height: int) -> Picture:
        return np.zeros((height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("one")
    Image.fromarray(samples.astronaut()[:96, :128]).save(folder / "a.png")
    settings = {"object_steps": 1, "last_steps": 1, "iterations": 0}
    return Subject(open_dataset(f"folder:{folder}"), measured, settings=settings)


def outcomes_of(curves: Curves, done: KnownRows | None = None) -> dict[Cell, Outcome]:
    picture = curves.subject.dataset.samples[0].load()
    return {outcome.cell: outcome for outcome in curves.outcomes(0, picture, done or {})}


def test_a_rival_that_cannot_go_so_low_is_an_answer(subject: Subject) -> None:
    stubborn = Stubborn(100_000)
    outcomes = outcomes_of(Curves(subject, [0.3], rivals=rivals_of([stubborn])))
    assert outcomes[OURS, "0.3"].picture is not None
    for size in ("stubborn", "stubborn 1/2", "stubborn 1/4"):
        assert outcomes[size, "0.3"].unreachable.startswith("has no file of ")
    calls = stubborn.calls
    done = {cell: {"bytes": 300.0} for cell in outcomes}
    assert not outcomes_of(Curves(subject, [0.3], rivals=rivals_of([stubborn])), done)
    assert stubborn.calls == calls


def test_a_rival_that_fails_does_not_end_the_others(subject: Subject) -> None:
    broken = Stubborn(10, TypeError("no such option"))
    broken.name = "broken"
    outcomes = outcomes_of(Curves(subject, [0.3], rivals=rivals_of([broken, Stubborn(10)])))
    assert outcomes["broken", "0.3"].problem == "TypeError: no such option"
    assert outcomes["stubborn", "0.3"].picture is not None


def test_where_we_have_no_file_neither_side_has_numbers(subject: Subject) -> None:
    outcomes = outcomes_of(Curves(subject, [0.001], rivals=rivals_of([Stubborn(10)])))
    assert "smallest possible file" in outcomes[OURS, "0.001"].unreachable
    assert "smallest possible file" in outcomes[REFERENCE, "0.001"].unreachable
    assert "no file of ours" in outcomes["stubborn", "0.001"].unreachable


def test_where_our_file_failed_the_rival_is_tried_again(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(subject.encoder, "compress", fails)
    outcomes = outcomes_of(Curves(subject, [0.3], rivals=rivals_of([Stubborn(10)])))
    assert outcomes[OURS, "0.3"].problem == "out of memory"
    assert "failed" in outcomes["stubborn", "0.3"].problem
