"""Published numbers of codecs that cannot be run here, with their sources.

Protocols differ: LPIPS backbones are often unnamed, so these are drawn dashed and labelled "as
published", and never averaged with what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sedic.lab.bench import data_file


@dataclass(frozen=True)
class PublishedPoint:
    """A codec at one rate: bits per pixel and what was measured there, by metric."""

    codec: str
    dataset: str
    bpp: float
    values: dict[str, float]  # LPIPS, DISTS, PSNR, FID
    source: str


@dataclass(frozen=True)
class PublishedTime:
    """Seconds for a 768 x 512 picture."""

    codec: str
    encode: float
    decode: float
    device: str
    source: str


def published(dataset: str) -> tuple[PublishedPoint, ...]:
    """All points of ``kodak`` or ``clic2020``, codec by codec with rising rate; () for others."""
    sources = _table()["sources"]
    return tuple(
        PublishedPoint(
            curve["codec"],
            dataset,
            point["bpp"],
            {name: value for name, value in point.items() if name != "bpp"},
            sources[curve["source"]],
        )
        for curve in _table()["curves"]
        if curve["dataset"] == dataset
        for point in sorted(curve["points"], key=lambda point: float(point["bpp"]))
    )


def published_times() -> tuple[PublishedTime, ...]:
    """Encoding and decoding times (SEDIC, Table 2)."""
    sources = _table()["sources"]
    return tuple(
        PublishedTime(**{**entry, "source": sources[entry["source"]]})
        for entry in _table()["times"]
    )


@cache
def _table() -> dict[str, Any]:
    return data_file("published.toml")
