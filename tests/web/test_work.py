"""What the page does and says, without a server."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import sedic
from sedic.cli.main import app
from sedic.errors import LimitError, MissingWeightsError, UnsuitableInputError
from sedic.web import Limits, views
from sedic.web.work import Step, Work, difference, mean_change

if TYPE_CHECKING:
    from sedic.profile import Profile


@pytest.fixture(scope="module")
def work(mini: Profile) -> Work:
    return Work(mini, Limits(pixels=4000))


@pytest.fixture(scope="module")
def coded(work: Work, photo: Path) -> Step:
    *_, last = work.compress(photo.read_bytes(), 400)
    return last


def test_a_photograph_is_worked_on_step_by_step(work: Work, photo: Path) -> None:
    steps = list(work.compress(photo.read_bytes(), 400))
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[-1] == 1
    last = steps[-1]
    assert last.original is not None and last.original.shape[:2] == (51, 77)  # 96 x 64 are too many
    assert "was made smaller: 77 × 51" in last.notes[0]
    assert len(last.data) <= 400 and last.picture is not None
    assert np.array_equal(last.picture, sedic.decompress(last.data))
    assert [stage.number for stage in last.stages] == list(range(len(last.stages)))


def test_limits(work: Work, mini: Profile, coded: Step, photo: Path) -> None:
    for size in (99, 4001):
        with pytest.raises(UnsuitableInputError, match="100 to 4000 bytes"):
            next(work.compress(photo.read_bytes(), size))
    with pytest.raises(LimitError, match="at most 100 "):
        next(Work(mini, Limits(pixels=100)).open(coded.data))
    slow = Work(mini, Limits(seconds=0)).open(coded.data)
    with pytest.raises(LimitError, match="stopped after stage 0"):
        list(slow)


def test_edit_changes_words_and_shows_where(work: Work, coded: Step) -> None:
    objects = work.facts(coded.data)["objects"]
    *_, last = work.edit(coded.data, 0, "A grey evening.")
    assert work.facts(last.data)["overall"] == "A grey evening."
    assert work.facts(last.data)["objects"] == objects
    with pytest.raises(UnsuitableInputError, match="no object 7"):
        next(work.edit(coded.data, 7, "x"))


def test_masks_have_the_size_of_the_picture(work: Work, coded: Step) -> None:
    regions = work.regions(coded.data)
    assert len(regions) == len(work.facts(coded.data)["objects"])
    assert all(region.shape == (51, 77) and region.dtype == np.bool_ for region in regions)


def test_change_is_measured() -> None:
    before = np.full((4, 4, 3), 100, np.uint8)
    after = before.copy()
    after[:2] += 10
    top = np.arange(4)[:, None].repeat(4, 1) < 2
    assert mean_change(before, after, top) == 10 and mean_change(before, after, ~top) == 0
    assert mean_change(before, after, np.zeros((4, 4), np.bool_)) == 0
    shown = difference(before, after)
    assert (shown[:2] == 80).all() and not shown[2:].any()


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.names.add(tag)


def test_words_of_files_are_no_html(work: Work, coded: Step) -> None:
    facts = work.facts(coded.data)
    hostile = "<script>alert(1)</script><img src=x onerror='alert(1)'>"
    facts["overall"] = hostile
    facts["objects"] = [{"name": hostile, "detail": hostile, "mask_share": 0.5}]
    for text in (
        views.words(facts),
        views.words({**facts, "objects": None, "problem": hostile}),
        views.problem(hostile),
        views.change(hostile, 1.0, 2.0, (1, 2)),
        views.done([hostile]),
        views.status(hostile, 0.5),
    ):
        assert "&lt;script&gt;" in text.lower() and not _Tags(text).names & {"script", "img"}


def test_bytes_are_those_of_inspect(work: Work, coded: Step, tmp_path: Path) -> None:
    path = tmp_path / "x.sedic"
    path.write_bytes(coded.data)
    said = CliRunner().invoke(app, ["inspect", "--json", str(path)]).output
    facts = work.facts(coded.data)
    assert f'"reference": {facts["parts"]["reference"]}' in said
    table = views.bytes_of(facts)
    for size in filter(None, facts["parts"].values()):
        assert f"<td>{size}</td>" in table
    assert f"<td>{len(coded.data)}</td>" in table


def test_bad_pictures_are_refused_in_one_line(work: Work) -> None:
    bomb = io.BytesIO()
    Image.new("1", (16_383, 5_000)).save(bomb, "PNG")
    for data in (b"", b"no picture", bomb.getvalue()):
        with pytest.raises(sedic.SedicError) as caught:
            list(work.compress(data, 300))
        assert "\n" not in str(caught.value)


def test_without_gradio_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    result = CliRunner().invoke(app, ["web", "--port", "0"])
    assert isinstance(result.exception, MissingWeightsError)
    assert "pip install 'sedic[web]'" in str(result.exception)


def test_a_port_that_is_taken_is_named(address: str) -> None:
    port = address.rstrip("/").rpartition(":")[2]
    result = CliRunner().invoke(app, ["web", "--port", port])
    assert f"port {port}" in str(result.exception) and "--port" in str(result.exception)
