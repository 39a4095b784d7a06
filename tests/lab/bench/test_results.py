from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from sedic.errors import SedicError
from sedic.lab.bench.results import Results, Run, read_results

KEYS, VALUES = ("picture", "codec"), ("bpp", "PSNR")
HEAD = '# sedic-results {"keys": ["a"], "values": ["b"]}\na,b,notes,error,commit\n'


def a_run(**changes: object) -> Run:
    facts = {
        "command": "sedic bench rd --dataset kodak",
        "seed": 7,
        "settings": {"dataset": "kodak", "bpp": [0.02, 0.03]},
        "weights": {"LPIPS-alex": "alex.pth sha256:df73285e35b22355"},
        "commit": "abc",
    }
    return Run(**(facts | changes))  # type: ignore[arg-type]


def opened(path: Path, **changes: object) -> Results:
    return Results(path, a_run(**changes), KEYS, VALUES)


def test_rows_come_back_and_the_file_says_how_it_came_about(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.csv"
    results = opened(path)
    results.append(("kodim01", "VVC, 1/2"), {"bpp": 0.0299, "PSNR": math.inf}, ["VIF: too small"])
    results.append(("kodim02", "VVC, 1/2"), {"bpp": 0.1 + 0.2}, [])
    table = read_results(path)
    assert table.rows == results.rows
    assert table.rows[1]["bpp"] == 0.1 + 0.2 and table.rows[1]["PSNR"] is None
    facts = table.facts
    assert facts["command"] == "sedic bench rd --dataset kodak" and facts["seed"] == 7
    assert facts["commit"] == "abc" and facts["versions"]["torch"] and facts["hardware"]["cores"]
    assert "df73285e" in facts["weights"]["LPIPS-alex"]
    plain = list(csv.DictReader(path.read_text().splitlines()[1:]))  # any reader of CSV
    assert plain[0]["codec"] == "VVC, 1/2" and float(plain[0]["bpp"]) == 0.0299


def test_a_bad_picture_leaves_its_reason_and_may_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    results = opened(path)
    results.append_error(("bad", "x"), SedicError("is damaged,\nor \x1b[31mnot a picture"))
    results.append(("good", "x"), {"bpp": 0.01, "PSNR": 20}, [])
    assert "\x1b" not in path.read_text() and len(path.read_text().splitlines()) == 4
    again = opened(path)
    assert "is damaged" in str(again.rows[0]["error"]) and again.rows[0]["bpp"] is None
    again.append(("bad", "x"), {"bpp": 0.02, "PSNR": 21}, [])
    last = opened(path).rows[-1]
    assert last["bpp"] == 0.02 and not last["error"] and len(opened(path).rows) == 2
    whole = read_results(path)
    assert all(map(whole.has_numbers, whole.rows))


def test_every_row_names_its_commit(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    opened(path).append(("one", "x"), {"bpp": 0.01}, [])
    opened(path, commit="def").append(("two", "x"), {"bpp": 0.02}, [])
    assert [row["commit"] for row in opened(path).rows] == ["abc", "def"]


def test_a_run_goes_on_after_half_a_row(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    opened(path).append(("one", "x"), {"bpp": 0.01, "PSNR": 20}, [])
    whole = path.read_bytes()
    path.write_bytes(whole + b"two,x,0.0")
    results = opened(path)
    assert [row["picture"] for row in results.rows] == ["one"]
    results.append(("two", "x"), {"bpp": 0.02, "PSNR": 22}, [])
    assert path.read_bytes().startswith(whole)
    assert [row["picture"] for row in opened(path).rows] == ["one", "two"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 8}, "seed"),
        ({"weights": {}}, "weights"),
        ({"settings": {"dataset": "div2k"}}, "settings"),
    ],
)
def test_rows_of_another_run_are_not_mixed_in(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    path = tmp_path / "results.csv"
    opened(path)
    opened(path, hardware={"cores": "64"}, command="sedic bench rd")  # that may differ
    with pytest.raises(SedicError, match=f"other {named}"):
        opened(path, **changes)
    with pytest.raises(SedicError, match="other columns"):
        Results(path, a_run(), KEYS, ("bpp",))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "picture,codec\n",
        "# sedic-results {}\npicture\n",
        "# sedic-results []\n",
        HEAD + "x,not a number,,,\n",
        HEAD + "x,1\n",
        '# sedic-results {"keys": ["a"], "values": ["b"]}\n',
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(SedicError, match="no results file"):
        read_results(path)


def test_parquet_has_the_same_rows_where_pyarrow_is(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra bench")
    results = opened(tmp_path / "results.csv")
    results.append(("kodim01", "x"), {"bpp": 0.01}, ["a note"])
    path = results.write_parquet()
    assert path == tmp_path / "results.parquet"
    table = parquet.read_table(path)
    assert table.to_pylist() == results.rows
    assert json.loads(table.schema.metadata[b"sedic-results"])["seed"] == 7


def test_the_commit_of_this_checkout_is_known() -> None:
    assert len(Run("x").commit) >= 40 or Run("x").commit == ""
