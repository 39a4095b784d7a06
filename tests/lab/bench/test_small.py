"""Files of a few packets beside thumbnails, the use of bytes, large pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.bench import placeholders
from sedic.lab.bench.experiments import KEYS, Cell, Outcome
from sedic.lab.bench.experiments import small as experiment
from sedic.lab.bench.experiments.byte_use import Use
from sedic.lab.bench.experiments.byte_use import table as use_table
from sedic.lab.bench.experiments.costs import install_sizes
from sedic.lab.bench.experiments.curves import REFERENCE
from sedic.lab.bench.experiments.large import Cost
from sedic.lab.bench.experiments.large import table as large_table
from sedic.lab.bench.experiments.small import ARRIVED, LIMITS, SHARES, Small
from sedic.lab.bench.metrics import Metric
from sedic.lab.bench.report.small_page import page
from sedic.lab.bench.results import Results, Run, read_results
from sedic.lab.bench.rivals import Missing, find_rivals

PICTURE = np.ascontiguousarray(samples.astronaut()[:192, :288])
MEASURE = Metric(
    "difference", "lower", "none", lambda a, b, _: float(np.abs(a.astype(float) - b).mean())
)


@pytest.mark.parametrize("placeholder", placeholders.find(), ids=lambda one: one.name)
def test_placeholders_keep_their_limit_and_look_like_the_picture(placeholder: Any) -> None:
    if isinstance(placeholder, Missing):
        pytest.skip(str(placeholder))
    for limit in (64, 222):
        data = placeholder.encode(PICTURE, limit)
        seen = placeholder.decode(data, 288, 192)
        assert len(data) <= limit and seen.shape == PICTURE.shape
        flat = np.abs(PICTURE - PICTURE.mean((0, 1))).mean()
        assert MEASURE.measure(seen, PICTURE, "") < flat
    with pytest.raises(SedicError):
        placeholder.encode(PICTURE, 5)


class Nothing:
    """A subject none of whose files can be made."""

    def __getattr__(self, name: str) -> Any:
        raise SedicError("no file")


def outcomes(**changes: Any) -> dict[Cell, Outcome]:
    coder = find_rivals(["WebP"])[0]
    options: dict[str, Any] = {"slow_pictures": 1, "slow": frozenset[str](), **changes}
    run = Small(Nothing(), [coder], [], MEASURE, **options)  # type: ignore[arg-type, list-item]
    found = {one.cell: one for one in run.outcomes(1, PICTURE, {})}
    assert set(found) == set(run.cells)
    return found


def test_thumbnails_fit_and_get_better_with_the_limit() -> None:
    found = outcomes()
    away = []
    for limit in LIMITS:
        thumbnail = found["WebP", str(limit)]
        if thumbnail.picture is None:
            assert "has no file" in thumbnail.unreachable
            continue
        assert thumbnail.values["bytes"] <= limit and thumbnail.picture.shape == PICTURE.shape
        away.append(MEASURE.measure(thumbnail.picture, PICTURE, ""))
    assert len(away) > 3 and away[-1] < away[0]
    assert "no file" in found[REFERENCE, "64"].problem


def test_slow_codecs_are_measured_on_the_first_pictures_alone() -> None:
    found = outcomes(slow=frozenset(["WebP"]))
    assert "first 1 pictures alone" in found["WebP", "222"].unreachable


def test_the_page_compares_what_every_picture_has(tmp_path: Path) -> None:
    columns = (*experiment.VALUES, "GMSD")
    results = Results(tmp_path / "r.csv", Run("sedic bench small"), KEYS, columns)
    for picture, worse in (("a", 0.0), ("b", 0.2)):
        for limit in LIMITS:
            results.append((picture, REFERENCE, str(limit)), {"GMSD": 0.2 + worse, "bytes": 9}, [])
        results.append((picture, "WebP", "222"), {"GMSD": 0.5}, [])
        for share in SHARES:
            results.append((picture, ARRIVED, f"{share} %"), {"GMSD": 0.4}, [])
    results.append(("a", "WebP", "64"), {"GMSD": 0.1}, [])
    results.append(("b", "WebP", "64"), {}, ["has no file of 64 bytes or less"])
    results.append(("a", "VVC", "64"), {"GMSD": 0.25}, [])
    results.append(("b", "VVC", "64"), {}, ["measured on the first 1 pictures alone"])
    text = page({"two": read_results(results.path)}, {"GMSD": "lower"}, [], "sedic bench small")
    assert "| 222 | **0.300** | 0.500 | — |" in text
    assert "| 64 | 0.300 | — | **0.250** (1) |" in text
    assert "| 15 % |" in text and "two: 2 pictures" in text


def test_the_tables_say_what_misses_its_target() -> None:
    uses = [Use("a", {0.01: (99, 100)}, 0.09), Use("b", {0.01: (95, 100)}, 0.07)]
    text = use_table(uses)
    assert "97.00% (below 98.5%) | 95.00% | 0 |" in text and "0.0700 bpp or more (b)" in text
    small = Cost(1000, 1000, {"compress": 1.0, "preview": 1.0, "decompress": 4.0}, 1.0)
    big = Cost(2000, 1000, {"compress": 2.0, "preview": 3.0, "decompress": 9.0}, 1.5)
    row = large_table([small, big]).splitlines()[-1]
    assert "1.00, 1.00 times |" in row and "1.50, 1.50 times (too dear)" in row
    for cost in (small, big):
        del cost.seconds["decompress"]
    assert "decompress" not in large_table([small, big])


def test_what_is_installed_has_a_size() -> None:
    sizes = install_sizes()
    assert sizes["WebP, AVIF (Pillow)"] > 1
