from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sedic.cli.main import app
from sedic.lab.bench.experiments import KEYS, ORIGINAL
from sedic.lab.bench.experiments.feature_files import Features
from sedic.lab.bench.report.plots import Bar, Line, bars, differences, lines
from sedic.lab.bench.report.summary import summarise
from sedic.lab.bench.results import Results, Run, read_results
from sedic.picture import Picture

CELLS = [(codec, point) for point in ("0.1", "0.2") for codec in ("sedic", "VVC", "VVC 1/2")]
VALUES = ("bytes", "bpp", "PSNR", "GMSD")
# bytes, PSNR, GMSD; the rival gives the same PSNR for twice the bytes
NUMBERS = {
    ("sedic", "0.1"): (100, 20, 0.3),
    ("sedic", "0.2"): (200, 22, 0.2),
    ("VVC", "0.1"): (200, 20, 0.5),
    ("VVC", "0.2"): (400, 22, 0.1),
    ("VVC 1/2", "0.1"): (200, 19, 0.4),
    ("VVC 1/2", "0.2"): (400, 21, 0.3),
}


def results(path: Path, pictures: Sequence[str] = ("a", "b")) -> Results:
    settings = {
        "dataset": "kodak",
        "cells": CELLS,
        "metrics": [("PSNR", "higher"), ("GMSD", "lower")],
        "families": [("sedic", ["sedic"]), ("VVC", ["VVC", "VVC 1/2"])],
        "subject": "sedic",
    }
    made = Results(path, Run("sedic bench rd", settings=settings), KEYS, VALUES)
    for shift, name in enumerate(pictures):
        for cell, (size, psnr, gmsd) in NUMBERS.items():
            row = {"bytes": size, "bpp": size / 1000, "PSNR": psnr + 2 * shift, "GMSD": gmsd}
            made.append((name, *cell), row, [])
    return made


def test_a_rival_is_shown_at_its_best_size_metric_by_metric(tmp_path: Path) -> None:
    summary = summarise(read_results(results(tmp_path / "results.csv").path))
    first, second = summary.curves["PSNR"]["VVC"]
    assert (first.codec, first.value, first.bpp) == ("VVC", 21, 0.2) and second.value == 23
    assert [best.codec for best in summary.curves["GMSD"]["VVC"]] == ["VVC 1/2", "VVC"]
    mean = summary.mean("sedic", "0.1")
    assert mean is not None and mean.means["PSNR"] == 21 and mean.pictures == 2
    assert mean.spread["PSNR"] == pytest.approx(math.sqrt(2))
    assert summary.families == ["sedic", "VVC"]  # the order of the run


def test_half_as_many_bytes_are_a_bd_rate_of_minus_fifty(tmp_path: Path) -> None:
    path = results(tmp_path / "results.csv").path
    summary = summarise(read_results(path))
    assert summary.bd["PSNR"] == {"VVC": pytest.approx(-50)}
    said = CliRunner().invoke(app, ["bench", "bd-rate", str(path), "vvc", "sedic"]).stdout
    assert "PSNR: -50.0 % (21 to 23, 100% of their range)" in said


def test_pictures_that_are_half_done_or_failed_count_nowhere(tmp_path: Path) -> None:
    made = results(tmp_path / "results.csv")
    made.append_error(("bad", "", ""), "is damaged")
    made.append(("half", "sedic", "0.1"), {"bytes": 1, "bpp": 1, "PSNR": 90}, [])
    summary = summarise(read_results(made.path))
    mean = summary.mean("sedic", "0.1")
    assert mean is not None and mean.means["PSNR"] == 21
    assert summary.pictures == ["a", "b"]
    assert [(p.picture, p.reason) for p in summary.problems] == [("bad", "is damaged")]


def test_a_codec_that_misses_a_picture_has_no_point(tmp_path: Path) -> None:
    made = results(tmp_path / "results.csv", ("a",))
    for cell in CELLS:
        if cell == ("VVC", "0.1"):
            made.append_error(("b", *cell), "has no file of 100 bytes or less")
        else:
            made.append(("b", *cell), {"bytes": 1, "bpp": 1, "PSNR": 1, "GMSD": 1}, [])
    summary = summarise(read_results(made.path))
    assert [best.codec for best in summary.curves["PSNR"]["VVC"]] == ["VVC 1/2", "VVC"]
    mean = summary.mean("VVC", "0.1")
    assert mean is not None and mean.pictures == 1 and len(summary.pictures) == 2


numbers = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(numbers, numbers | st.just(math.inf)), max_size=5), st.text(max_size=9))
def test_any_points_and_any_names_are_a_plot(points: list[tuple[float, float]], name: str) -> None:
    clean = "".join(c for c in name if c.isprintable())
    svg = lines(clean, "x & y", [Line(clean, points, "#000", ours=True, dashed=True)])
    drawn = ET.fromstring(svg)
    assert drawn.tag.endswith("svg") and "nan" not in svg and "inf" not in svg.replace(clean, "")


@given(st.lists(numbers, max_size=4))
def test_any_lengths_are_bars(lengths: list[float]) -> None:
    rows = [Bar("<name>", [length], "&") for length in lengths]
    for svg in (bars("title", [], rows), differences("title", rows)):
        for block in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect"):
            assert block.get("width") == "100%" or 0 <= float(block.get("width", "")) <= 560


def test_what_is_better_is_on_the_right() -> None:
    svg = differences("t", [Bar("worse", [-1], "-1"), Bar("better", [1], "+1")])
    _, worse, better = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect")
    assert float(worse.get("x", "")) < float(better.get("x", ""))
    assert worse.get("fill") != better.get("fill")


class Seen:
    """A network that sees mean colours."""

    def features(self, picture: Picture) -> npt.NDArray[np.float32]:
        return np.asarray(picture.mean((0, 1)) / 255, np.float32)


def test_fid_and_kid_are_of_all_pictures_or_say_why_not(tmp_path: Path) -> None:
    made = results(tmp_path / "results.csv")
    features = Features(tmp_path / "features", Seen())
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        original = draw.integers(0, 256, (600, 2000, 3)).astype(np.uint8)
        features.keep(original, name, (ORIGINAL, ""))
        for cell in CELLS[1:]:
            features.keep(original // 2 if cell[0] == "VVC" else original, name, cell)
    summary = summarise(read_results(made.path), features.folder)
    equal, darker = summary.mean("sedic", "0.2"), summary.mean("VVC", "0.2")
    assert equal is not None and darker is not None
    assert abs(equal.means["FID (256-patches)"]) < 1e-6
    assert darker.means["FID (256-patches)"] == pytest.approx(3 / 16, rel=0.1)
    assert summary.metrics["FID (256-patches)"] == "lower"
    assert "FID (pictures)" not in darker.means  # two vectors of three dimensions
    reasons = {p.reason for p in summary.problems if p.codec == "VVC"}
    assert any("FID (pictures): 2 vectors are too few" in reason for reason in reasons)
    (missed,) = [p.reason for p in summary.problems if (p.codec, p.point) == ("sedic", "0.1")]
    assert "cannot read" in missed
