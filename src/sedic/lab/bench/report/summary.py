"""Results of a run as the numbers that a report shows: means over pictures, curves, BD-rates.

Means are over the pictures that every cell was tried on, so that codecs are compared on the same
pictures; a picture with cells that were not tried, or that cannot be read, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from sedic.errors import SedicError
from sedic.lab.bench.bd_rate import bd_rate
from sedic.lab.bench.experiments import KEYS
from sedic.lab.bench.experiments.feature_files import NAMES, distances
from sedic.lab.bench.published import published
from sedic.lab.bench.results import Row, Table

AS_PUBLISHED = {"LPIPS-alex": "LPIPS", "DISTS": "DISTS", "PSNR": "PSNR"}  # ours: the sources' name


@dataclass(frozen=True)
class Mean:
    """One codec at one point: the number of pictures with numbers, and means over them."""

    codec: str
    point: str
    pictures: int
    means: dict[str, float]
    spread: dict[str, float]  # standard deviations from picture to picture


@dataclass(frozen=True)
class Problem:
    """A picture or a cell that has no numbers."""

    picture: str
    codec: str
    point: str
    reason: str


@dataclass(frozen=True)
class BestPoint:
    """The best value of a metric at one point among the sizes of a codec."""

    codec: str
    point: str
    bpp: float
    value: float


@dataclass(frozen=True)
class Summary:
    """The numbers that a report shows."""

    facts: dict[str, Any]
    pictures: list[str]
    metrics: dict[str, str]  # name: higher | lower | nearer 1
    means: list[Mean]
    curves: dict[str, dict[str, list[BestPoint]]]  # metric, family
    published: dict[str, dict[str, list[tuple[float, float]]]]  # metric, codec: (bpp, value)
    bd: dict[str, dict[str, float | str]]  # metric, family: our rate over theirs, or why not
    problems: list[Problem]
    rows: list[Row]  # of the pictures that count

    @property
    def experiment(self) -> str:
        """The name of the experiment, which is that of its command."""
        return str(self.facts["settings"]["experiment"])

    @property
    def subject(self) -> str:
        """The curve or variant that is ours; "" if the experiment has none."""
        return str(self.facts["settings"]["subject"])

    @property
    def curves_over_rate(self) -> bool:
        """Whether the points are limits in bits per pixel, and there are rivals."""
        return self.experiment in ("rd", "reference")

    @property
    def families(self) -> list[str]:
        """Codecs in the order of the run."""
        return list(self.sizes)

    @property
    def sizes(self) -> dict[str, list[str]]:
        """The codecs' names at every size of pictures that they were tried at."""
        return dict(self.facts["settings"]["families"])

    @property
    def points(self) -> list[str]:
        return list(dict.fromkeys(cell[1] for cell in self.facts["settings"]["cells"]))

    def mean(self, codec: str, point: str) -> Mean | None:
        """The means of one cell; None if it has none."""
        return next((m for m in self.means if (m.codec, m.point) == (codec, point)), None)

    def row(self, picture: str, codec: str, point: str) -> Row | None:
        """The row of one picture in one cell; None if there is none."""
        key = [picture, codec, point]
        return next((row for row in self.rows if [row[name] for name in KEYS] == key), None)

    def as_json(self) -> dict[str, Any]:
        """Everything but the rows, which are in the results file."""
        return {name: value for name, value in asdict(self).items() if name != "rows"}


def summarise(table: Table, features: Path | None = None) -> Summary:
    """Summarise a results file; ``features``: the folder of features for FID and KID, if any."""
    settings = table.facts["settings"]
    cells = [tuple(cell) for cell in settings["cells"]]
    metrics: dict[str, str] = dict(settings["metrics"])
    rows: dict[str, dict[tuple[str, str], Row]] = {}
    problems = []
    for row in table.rows:
        name, codec, point = (str(row[key]) for key in ("picture", "codec", "point"))
        if not table.has_numbers(row):
            problems.append(Problem(name, codec, point, str(row["error"] or row["notes"])))
        elif row["notes"]:
            problems.append(Problem(name, codec, point, str(row["notes"])))
        if codec:
            rows.setdefault(name, {})[codec, point] = row
    names_tried = [
        name for name, cells_tried in rows.items() if all(cell in cells_tried for cell in cells)
    ]
    means = []
    for codec, point in cells:
        cell_rows = [rows[name][codec, point] for name in names_tried]
        cell_rows = [row for row in cell_rows if table.has_numbers(row)]
        if not cell_rows:
            continue
        mean = _mean(codec, point, cell_rows, table.values)
        if features is not None:
            names = [str(row["picture"]) for row in cell_rows]
            values, reason = distances(features, names, (codec, point))
            mean.means.update(values)
            if reason:
                problems.append(Problem("all pictures", codec, point, reason))
        means.append(mean)
    if features is not None:
        reached = {name for mean in means for name in mean.means}
        metrics |= {name: "lower" for name in NAMES if name in reached}
    families: dict[str, list[str]] = dict(settings["families"])
    curves = {
        metric: {
            name: _curve(means, sizes, metric, better, len(names_tried))
            for name, sizes in families.items()
        }
        for metric, better in metrics.items()
    }
    return Summary(
        table.facts,
        names_tried,
        metrics,
        means,
        curves,
        _published(settings["dataset"]),
        {metric: _bd_rates(curves[metric], settings) for metric in metrics},
        problems,
        [row for name in names_tried for row in rows[name].values()],
    )


def _mean(codec: str, point: str, rows: list[Row], names: tuple[str, ...]) -> Mean:
    columns = {name: [float(row[name]) for row in rows if row[name] is not None] for name in names}  # type: ignore[arg-type]
    whole = {name: values for name, values in columns.items() if len(values) == len(rows)}
    return Mean(
        codec,
        point,
        len(rows),
        {name: fmean(values) for name, values in whole.items()},
        {name: stdev(values) for name, values in whole.items() if len(values) > 1},
    )


def merit(value: float, better: str) -> float:
    """A number that is larger for better values of a metric.

    ``better`` is that of a ``Metric``: "higher", "lower" or "nearer 1".
    """
    return {"higher": value, "lower": -value, "nearer 1": -abs(value - 1)}[better]


def _curve(
    means: list[Mean], sizes: list[str], metric: str, better: str, pictures: int
) -> list[BestPoint]:
    """The best size of a codec at every point that it reaches on all pictures."""
    curve = []
    for point in dict.fromkeys(mean.point for mean in means):
        candidates = [
            BestPoint(mean.codec, point, mean.means["bpp"], mean.means[metric])
            for mean in means
            if mean.codec in sizes
            and mean.point == point
            and mean.pictures == pictures
            and metric in mean.means
        ]
        if candidates:
            curve.append(max(candidates, key=lambda candidate: merit(candidate.value, better)))
    return curve


def _bd_rates(
    curves: Mapping[str, list[BestPoint]], settings: Mapping[str, Any]
) -> dict[str, float | str]:
    """Our first curve's rate over that of every other family, in percent."""
    subject = settings.get("subject", "")
    if subject not in curves:
        return {}
    ours = [(best.bpp, best.value) for best in curves[subject]]
    rates: dict[str, float | str] = {}
    for name, curve in curves.items():
        if name == subject:
            continue
        try:
            rates[name] = bd_rate([(best.bpp, best.value) for best in curve], ours).percent
        except SedicError as error:
            rates[name] = str(error)
    return rates


def _published(dataset: str) -> dict[str, dict[str, list[tuple[float, float]]]]:
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for ours, theirs in AS_PUBLISHED.items():
        for point in published(dataset):
            if theirs in point.values:
                curve = curves.setdefault(ours, {}).setdefault(point.codec, [])
                curve.append((point.bpp, point.values[theirs]))
    return curves
