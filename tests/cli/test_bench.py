from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from skimage import data as samples
from typer.testing import CliRunner, Result

from sedic.cli.main import app
from sedic.errors import SedicError
from sedic.lab.bench import experiments, metrics
from sedic.lab.bench.experiments import processes
from sedic.lab.bench.results import read_results
from sedic.picture import Picture
from sedic.profile import Profile

FAST = ("--setting", "object_steps=1", "--setting", "last_steps=1")
METRICS = ("--metrics", "psnr,GMSD")


def bench(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["bench", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two of different sizes, one with a name to be escaped; one grey, one broken."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(samples.astronaut()[:96, :128]).save(folder / "<b>a&b.png")
    Image.fromarray(samples.coffee()[100:180, 100:200]).save(folder / "cup.png")
    Image.fromarray(samples.camera()[:96, :96]).save(folder / "grey.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def rd(pictures: Path, out: Path, *more: object) -> Result:
    arguments = ("--bpp", "0.2,0.4", "--rivals", "WebP", "--shown", 1, "--out", out)
    return bench("rd", "--dataset", f"folder:{pictures}", *METRICS, *FAST, *arguments, *more)


def test_curves_from_pictures_to_a_page(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = rd(pictures, out)
    assert result.exit_code == 0
    assert "grey.png: is grey" in result.stderr and "broken.png: is not a picture" in result.stderr
    rows = read_results(out / "results.csv").rows
    report = json.loads((out / "report" / "report.json").read_text())
    assert sorted(report["pictures"]) == ["<b>a&b", "cup"]
    ours = next(m for m in report["means"] if (m["codec"], m["point"]) == ("sedic", "0.4"))
    own = [r for r in rows if (r["codec"], r["point"]) == ("sedic", "0.4")]
    assert ours["pictures"] == len(own) == 2
    assert ours["means"]["PSNR"] == pytest.approx(np.mean([float(str(r["PSNR"])) for r in own]))
    for row in own:  # rivals have no more bytes than we have
        same = [r for r in rows if r["picture"] == row["picture"] and r["point"] == "0.4"]
        assert all(float(str(r["bytes"])) <= float(str(row["bytes"])) for r in same if r["bytes"])
        parts = [name for name in row if str(name).endswith(" bytes")]
        assert sum(float(str(row[part])) for part in parts) == row["bytes"]
    page = (out / "report" / "index.html").read_text()
    assert "&lt;b&gt;a&amp;b" in page and "<b>a" not in page
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|<link", page)
    assert page.count("<figure>") >= 4 and "data:image/webp;base64," in page
    assert 'name="viewport"' in page and "data:image/svg+xml;base64," in page
    assert (out / "report" / "figures" / "psnr.svg").read_text().startswith("<svg")
    assert str(Path.home()) not in page.replace(str(tmp_path), "")


def test_a_run_that_is_stopped_reports_and_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, calls, real = tmp_path / "out", [0], experiments.score

    def stopping(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] == 14:  # in the second picture
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(experiments, "score", stopping)
    result = rd(pictures, out)
    assert result.exit_code == 130 and "the same command goes on" in result.stderr
    half = json.loads((out / "report" / "report.json").read_text())
    assert half["pictures"] == ["<b>a&b"]  # the one that is done
    before = read_results(out / "results.csv").rows
    assert rd(pictures, out).exit_code == 0
    table = read_results(out / "results.csv")
    kept = [r for r in before if not r["error"]]
    assert [r for r in table.rows if r in kept] == kept  # nothing was measured twice
    whole = json.loads((out / "report" / "report.json").read_text())
    assert sorted(whole["pictures"]) == ["<b>a&b", "cup"]
    with pytest.raises(SedicError, match="other settings"):
        rd(pictures, out, "--pictures", 2)
    assert bench("report", out / "results.csv", "--report", tmp_path / "again").exit_code == 0
    assert (tmp_path / "again" / "index.html").is_file()


def test_a_codec_that_was_not_measured_is_named(pictures: Path, tmp_path: Path) -> None:
    rd(pictures, tmp_path / "out", "--pictures", 1)
    with pytest.raises(SedicError, match=r"unknown codec 'BPG'; one of sedic, .*WebP"):
        bench("bd-rate", tmp_path / "out" / "results.csv", "BPG", "sedic")


def test_bad_input_is_one_clear_line(pictures: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    out = ("--out", tmp_path / "out")

    def refused(match: str, *arguments: object) -> None:
        with pytest.raises(SedicError, match=match):
            bench(*arguments, *METRICS, *out)

    refused("no pictures in this folder", "rd", "--dataset", f"folder:{empty}")
    refused("unknown dataset", "rd", "--dataset", "koduck")
    folder = ("--dataset", f"folder:{pictures}")
    refused("unknown codec 'JPEG 3000'", "rd", *folder, "--rivals", "JPEG 3000")
    for name in ("cup.png", "<b>a&b.png"):
        (pictures / name).unlink()
    refused("no picture is done yet.*is not a picture", "rd", *folder, "--rivals", "none")
    Image.fromarray(samples.coffee()[:80, :80]).save(pictures / "grey.jpg")
    refused("two pictures are named grey", "steps", *folder)
    (pictures / "grey.jpg").unlink()
    assert bench("rd", *folder, "--bpp", "0", *out).exit_code == 2
    assert bench("rd", *folder, "--describer", "sidecar", *out).exit_code == 2


def test_speed_names_every_part(pictures: Path, tmp_path: Path) -> None:
    for name in ("broken.png", "grey.png", "<b>a&b.png"):
        (pictures / name).unlink()
    out = tmp_path / "out"
    arguments = ("--dataset", f"folder:{pictures}", "--bpp", 0.4, "--rounds", 1, "--out", out)
    arguments += ("--processes", 0)
    assert bench("speed", *arguments, *FAST, "--size", "80x64", "--size", "64x96").exit_code == 0
    (found, other) = json.loads((out / "report" / "report.json").read_text())["speeds"]
    medians = found["medians"]
    assert (found["width"], found["height"], other["height"]) == (80, 64, 96)
    assert found["device"] == "cpu" and found["memory"] > 0
    assert "80x64" in (out / "report" / "report.md").read_text()
    assert medians["encoding, in total"] >= medians["describing"] > 0
    assert medians["decoding, in total"] > 0
    assert "As published" in (out / "report" / "index.html").read_text()
    with pytest.raises(SedicError, match="device tpu: here is cpu"):
        bench("speed", *arguments, "--device", "tpu")
    assert bench("speed", *arguments, "--size", "big").exit_code == 2
    assert bench("speed", *arguments, "--pictures", 2).exit_code == 2


@pytest.mark.slow
def test_speed_of_whole_commands(pictures: Path, tmp_path: Path) -> None:
    for name in ("broken.png", "grey.png", "<b>a&b.png"):
        (pictures / name).unlink()
    out = tmp_path / "out"
    arguments = ("--dataset", f"folder:{pictures}", "--bpp", 0.4, "--rounds", 0, "--out", out)
    assert bench("speed", *arguments, "--processes", 1).exit_code == 0
    (commands,) = json.loads((out / "report" / "report.json").read_text())["commands"].values()
    seconds = {command["name"]: command["seconds"] for command in commands}
    assert seconds["sedic decompress"] > seconds["import torch"] > seconds["python, nothing else"]
    assert "| sedic decompress --preview |" in (out / "report" / "report.md").read_text()


def test_a_command_is_timed_or_its_last_words_are_told() -> None:
    command = [sys.executable, "-c", "sum(range(10**6))"]
    timed = processes.run("sum", command, 2)
    assert timed.seconds > 0 and (timed.cpu is None or timed.cpu > 0)
    broken = [sys.executable, "-c", "raise SystemExit('no such picture')"]
    with pytest.raises(SedicError, match=r"^broken failed: no such picture$"):
        processes.run("broken", broken, 1)


def test_reference_images_beside_earlier_weights_and_rivals(pictures: Path, tmp_path: Path) -> None:
    out, weights = tmp_path / "out", tmp_path / "before.safetensors"
    weights.write_bytes(Profile.load("mini").store.read("compact"))
    arguments = ("--dataset", f"folder:{pictures}", "--bpp", "0.001,0.4", "--rivals", "WebP")
    result = bench(
        "reference", *arguments, *METRICS, "--codec", "compact", "--codec", "pixel",
        "--before", weights, "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0
    rows = {
        (str(r["picture"]), str(r["codec"]), str(r["point"])): r
        for r in read_results(out / "results.csv").rows
    }
    ours, before = (rows["cup", name, "0.4"] for name in ("compact", "compact, before"))
    assert ours["bytes"] == before["bytes"] and ours["PSNR"] == before["PSNR"]
    assert ours["text bytes"] == ours["objects"] == 0
    assert rows["cup", "pixel", "0.4"]["bytes"] != ours["bytes"]
    assert "smallest possible" in str(rows["cup", "compact", "0.001"]["notes"])
    assert rows["cup", "WebP 1/4", "0.4"]["PSNR"] is not None
    page = (out / "report" / "index.html").read_text()
    assert "The reference image alone" in page and "compact, before" in page


def test_fid_and_kid_join_where_their_network_is(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen:
        def features(self, picture: Picture) -> npt.NDArray[np.float32]:
            return np.asarray(picture.mean((0, 1)), np.float32)

    monkeypatch.setattr(metrics, "load_inception", lambda: (Seen(), "seen.pth"))
    out = tmp_path / "out"
    assert rd(pictures, out, "--metrics", "PSNR,FID and KID", "--rivals", "none").exit_code == 0
    assert len(list((out / "features").iterdir())) == 2 * (1 + 4)  # originals, ours at two rates
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["facts"]["weights"]["FID and KID"] == "seen.pth"
    reasons = [problem["reason"] for problem in report["problems"]]
    assert any("KID (pictures): 2 vectors are too few" in reason for reason in reasons)


def test_swaps_make_a_table_of_regions(tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(samples.astronaut()[:128, 64:256]).save(folder / "a.png")
    arguments = ("--bpp", "0.5", "--shown", 1, "--out", out, "--describer", "measured")
    result = bench("swaps", "--dataset", f"folder:{folder}", *METRICS, *FAST, *arguments)
    assert result.exit_code == 0
    rows = {(str(r["codec"]), str(r["point"])): r for r in read_results(out / "results.csv").rows}
    assert len(rows) == 10 and not any(row["error"] for row in rows.values())
    page = (out / "report" / "index.html").read_text()
    assert "Only the object" in page and "as sent: 2" in page


def test_a_picture_that_a_metric_refuses_does_not_end_the_run(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchmetrics", reason="needs the extra bench")
    pictures, out = shared / "cases" / "1" / "pics", tmp_path / "out"
    arguments = ("--bpp", "0.1", "--rivals", "none", "--metrics", "PSNR,MS-SSIM", "--out", out)
    assert bench("rd", "--dataset", f"folder:{pictures}", *FAST, *arguments).exit_code == 0
    rows = {(str(r["picture"]), str(r["codec"])): r for r in read_results(out / "results.csv").rows}
    small, large = rows["a168", "sedic"], rows["b192", "sedic"]
    assert "MS-SSIM: " in str(small["notes"]) and "176 pixels" in str(small["notes"])
    assert small["PSNR"] and small["MS-SSIM"] is None and large["MS-SSIM"]
    assert (out / "report" / "index.html").is_file()


def test_what_cannot_be_reached_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(np.tile(samples.astronaut()[:80], (1, 2, 1))[:, :320]).save(folder / "long.png")
    arguments = ("--dataset", f"folder:{folder}", *METRICS, *FAST, "--out", out)
    arguments += ("--bpp", "0.01,0.3", "--rivals", "WebP")
    assert bench("rd", *arguments).exit_code == 0
    first = read_results(out / "results.csv").rows
    unreached = [row for row in first if "has no file of" in str(row["notes"])]
    assert unreached and not any(row["error"] for row in first)

    def forbidden(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("sedic.lab.bench.rivals.PillowCoder.encode", forbidden)
    assert bench("rd", *arguments).exit_code == 0
    assert read_results(out / "results.csv").rows == first
    page = (out / "report" / "index.html").read_text()
    assert "has no file of" in page and "<figure>" in page


def test_a_gallery_of_a_run(pictures: Path, tmp_path: Path, shared: Path) -> None:
    for name in ("broken.png", "grey.png", "<b>a&b.png"):
        (pictures / name).unlink()
    out = tmp_path / "out"
    measure = ("--metrics", "LPIPS-squeeze (Caffe)", "--bpp", "0.4", "--rivals", "WebP")
    result = bench("rd", "--dataset", f"folder:{pictures}", *measure, "--shown", 0, "--out", out)
    assert result.exit_code == 0
    assert bench("gallery", out / "results.csv", "--point", "0.4").exit_code == 0
    with Image.open(out / "gallery" / "gallery-1.jpg") as sheet:
        assert sheet.size == (4 * 400, 320 + 46)
    assert (out / "gallery" / "best-median-worst.jpg").is_file()
    with pytest.raises(SedicError, match="cup has no LPIPS"):
        bench("gallery", out / "results.csv", "--point", "0.5")
