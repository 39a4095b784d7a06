from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data as samples
from typer.testing import CliRunner

from sedic.cli.main import app
from sedic.errors import SedicError
from sedic.lab.bench.experiments import KEYS, ORIGINAL, kept_picture_path
from sedic.lab.bench.experiments.feature_files import Features
from sedic.lab.bench.experiments.subject import PARTS
from sedic.lab.bench.report import plots, tables
from sedic.lab.bench.report.build import build_report
from sedic.lab.bench.report.pictures import busiest, crop
from sedic.lab.bench.report.plots import Bar, Line, bars, differences, lines, styles
from sedic.lab.bench.report.summary import summarise
from sedic.lab.bench.results import Results, Run, read_results
from sedic.picture import Picture

CELLS = [(codec, point) for point in ("0.1", "0.2") for codec in ("sedic", "VVC", "VVC 1/2")]
VALUES = ("bytes", "bpp", *(f"{part} bytes" for part in PARTS), "PSNR", "GMSD")
# bytes, PSNR, GMSD; the rival gives the same PSNR for twice the bytes
NUMBERS = {
    ("sedic", "0.1"): (100, 20, 0.3),
    ("sedic", "0.2"): (200, 22, 0.2),
    ("VVC", "0.1"): (200, 20, 0.5),
    ("VVC", "0.2"): (400, 22, 0.1),
    ("VVC 1/2", "0.1"): (200, 19, 0.4),
    ("VVC 1/2", "0.2"): (400, 21, 0.3),
}


def results(
    path: Path, pictures: Sequence[str] = ("a", "b"), settings: Mapping[str, Any] | None = None
) -> Results:
    facts = {
        "experiment": "rd",
        "dataset": "kodak",
        "checked": "sha256 of all pixels",
        "pictures": len(pictures),
        "profile": "mini",
        "method": "sedic",
        "shown": [],
        "cells": CELLS,
        "metrics": [("PSNR", "higher"), ("GMSD", "lower")],
        "families": [("sedic", ["sedic"]), ("VVC", ["VVC", "VVC 1/2"])],
        "subject": "sedic",
        **(settings or {}),
    }
    made = Results(path, Run("sedic bench rd", settings=facts), KEYS, VALUES)
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
SVG = "{http://www.w3.org/2000/svg}"


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(numbers, numbers | st.just(math.inf)), max_size=5), st.text(max_size=9))
def test_any_points_and_any_names_are_a_plot(points: list[tuple[float, float]], name: str) -> None:
    clean = "$" + "".join(c for c in name if c.isprintable())
    (style,) = styles([clean]).values()
    svg = lines(clean, "x & y", [Line(clean, points, style, ours=True, dashed=True)])
    drawn = ET.fromstring(svg)
    assert drawn.tag == f"{SVG}svg"
    assert "nan" not in svg.replace(clean, "") and "inf" not in svg.replace(clean, "")


@settings(max_examples=8, deadline=None)
@given(st.lists(numbers, max_size=4))
def test_any_lengths_are_bars(lengths: list[float]) -> None:
    rows = [Bar("<name>", [length], "&") for length in lengths]
    for svg in (bars("title", [], rows), differences("title", rows)):
        assert ET.fromstring(svg).tag == f"{SVG}svg"


def test_what_is_better_is_on_the_right() -> None:
    svg = differences("t", [Bar("worse", [-1], "-1"), Bar("better", [1], "+1")])
    blocks = []
    for place in (0, 1):
        (group,) = (g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("id") == f"bar{place}")
        (path,) = group.iter(f"{SVG}path")
        places = [float(x) for x in re.findall(r"[ML] (\S+)", path.get("d", ""))]
        blocks.append((min(places), max(places), path.get("style")))
    worse, better = blocks
    assert worse[0] < worse[1] == better[0] < better[1]
    assert worse[2] != better[2]


def test_a_plot_is_the_same_every_time() -> None:
    drawn = [bars("t", ["a", "b"], [Bar("one", [1, 2], "3")]) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_every_curve_has_a_style_of_its_own() -> None:
    names = [f"codec {number}" for number in range(100)]
    assert len(set(styles(names).values())) == len(names)
    first = [style.colour for style in list(styles(names).values())[:16]]
    assert len(set(first)) == 16


@pytest.mark.parametrize(
    "size", [(640, 160), (160, 640), (640, 40), (640, 5), (1, 640), (1, 1), (320, 320), (641, 157)]
)
def test_the_busiest_square_lies_inside_any_picture(size: tuple[int, int]) -> None:
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[-1, -1] = 255  # the only edge
    image = Image.fromarray(pixels)
    left, top, right, bottom = busiest(image)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    assert width - right <= 1 and height - bottom <= 1 and right - left == bottom - top
    assert crop(image, (left, top, right, bottom)).size == (240, 240)


def reported(folder: Path) -> tuple[Path, Path]:
    """A finished run of two pictures, all of it shown, and the folder of its report."""
    made = results(folder / "results.csv", settings={"shown": CELLS})
    for name in "ab":
        for cell in [(ORIGINAL, ""), *CELLS]:
            path = kept_picture_path(folder / "pictures", name, cell)
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(samples.astronaut()[:64, :256]).save(path)
    return made.path, folder / "report"


def test_a_report_of_long_pictures(tmp_path: Path) -> None:
    path, folder = reported(tmp_path)
    assert build_report(path, folder) == []
    page = (folder / "index.html").read_text()
    assert page.count("<figure>") == 2 * (1 + 4)  # of the rival the best size
    assert (folder / "figures" / "sheet-a.jpg").is_file()
    assert (folder / "figures" / "psnr.svg").read_text().startswith("<svg")


def test_what_fails_is_a_line_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = reported(tmp_path)
    real = plots.lines

    def fails(title: str, *rest: Any) -> str:
        if title.startswith("PSNR"):
            raise ZeroDivisionError("division\nby zero")
        return real(title, *rest)

    monkeypatch.setattr(plots, "lines", fails)
    damaged = kept_picture_path(tmp_path / "pictures", "a", (ORIGINAL, ""))
    damaged.write_bytes(damaged.read_bytes()[:60])
    monkeypatch.setattr(tables, "bd_rates", lambda summary: [][0])
    failures = build_report(path, folder)
    assert failures == [
        "plot of PSNR: ZeroDivisionError: division by zero",
        "BD-rates: IndexError: list index out of range",
    ]
    page = (folder / "index.html").read_text()
    assert "plot of PSNR: ZeroDivisionError" in page and page.count("<figure>") == 5
    assert (folder / "figures" / "gmsd.svg").is_file()
    assert json.loads((folder / "report.json").read_text())["failures"] == failures


def test_a_results_file_of_something_else_is_one_line(tmp_path: Path) -> None:
    path = Results(tmp_path / "a.csv", Run("other"), KEYS, VALUES).path
    for wanted in (build_report, lambda path, _: bench_report(path)):
        with pytest.raises(SedicError, match="of no picture experiment") as caught:
            wanted(path, tmp_path / "report")
        assert "\n" not in str(caught.value)


def bench_report(path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "report", str(path)])
    assert result.exception is not None
    raise result.exception


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
