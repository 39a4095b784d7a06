"""Files of a few radio packets: ours beside thumbnails of other codecs, at limits in bytes.

A thumbnail is the best, by ``CHOSEN_BY``, of some scales, each at the finest quality that fits; all
are enlarged by the filter that our decoder uses. BlurHash and ThumbHash are placeholders of their
own libraries' making, of as many components as fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from sedic.coding.container import Container
from sedic.coding.scale import factor
from sedic.errors import SedicError
from sedic.failures import translated
from sedic.lab.bench.experiments import Cell, KnownRows, Outcome, UnreachableError
from sedic.lab.bench.experiments.curves import OURS, REFERENCE
from sedic.lab.bench.experiments.subject import PARTS, Subject, measures
from sedic.lab.bench.placeholders import Placeholder
from sedic.lab.bench.rivals import Coder, finest_within
from sedic.picture import resized
from sedic.rate import rate_for

if TYPE_CHECKING:
    from sedic.lab.bench.metrics import Metric
    from sedic.picture import Picture

LIMITS = (64, 100, 157, 222, 340, 512, 1024)  # bytes
SCALES = (6, 8, 12, 16, 24, 32, 48)  # a thumbnail's sides are the picture's over one of these
FULL = (222, 1024)  # limits at which our whole decoder runs, too
CHOSEN_BY = "LPIPS-squeeze (Caffe) moved"
ARRIVED = "sedic, the first bytes"  # its points are shares of a file's bytes
SHARED_FILE = 600  # bytes at most, of the file whose first bytes arrive
SHARES = (15, 30, 50, 70, 85, 95, 100)  # per cent
VALUES = ("bytes", "scale", "encode s", "decode s", *(f"{part} bytes" for part in PARTS))


@dataclass(frozen=True)
class Small:
    """``chosen_by``: which scale of a thumbnail is best. ``slow``: codecs, each encode of which
    starts a program; they are measured on the first ``slow_pictures`` pictures."""

    subject: Subject
    coders: Sequence[Coder]
    placeholders: Sequence[Placeholder]
    chosen_by: Metric
    slow_pictures: int
    slow: frozenset[str]
    limits: Sequence[int] = LIMITS
    name: str = "small"
    values: tuple[str, ...] = VALUES

    @property
    def cells(self) -> tuple[Cell, ...]:
        cells = [(REFERENCE, str(limit)) for limit in self.limits]
        cells += [(OURS, str(limit)) for limit in self.limits if limit in FULL]
        cells += [(ARRIVED, f"{share} %") for share in SHARES]
        names = [one.name for one in (*self.coders, *self.placeholders)]
        return (*cells, *((name, str(limit)) for name in names for limit in self.limits))

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        """All codecs at the limit of one LoRa packet."""
        return tuple(cell for cell in self.cells if cell[1] == "222")

    def outcomes(self, index: int, picture: Picture, rows: KnownRows) -> Iterator[Outcome]:
        for limit in self.limits:
            yield from self._ours(index, picture, limit, rows)
        yield from self._arrived(index, picture, rows)
        for coder in self.coders:
            if all((coder.name, str(limit)) in rows for limit in self.limits):
                continue
            if coder.name in self.slow and index >= self.slow_pictures:
                why = UnreachableError(f"measured on the first {self.slow_pictures} pictures alone")
                yield from (Outcome.of_error((coder.name, str(n)), why) for n in self.limits)
            else:
                yield from self._thumbnails(coder, picture)
        for placeholder in self.placeholders:
            if any((placeholder.name, str(limit)) not in rows for limit in self.limits):
                yield from _placed(placeholder, picture, self.limits)

    def _ours(self, index: int, picture: Picture, limit: int, rows: KnownRows) -> Iterator[Outcome]:
        reference, whole = (REFERENCE, str(limit)), (OURS, str(limit))
        missing = [cell for cell in (reference, whole) if cell in self.cells and cell not in rows]
        if not missing:
            return
        subject = self.subject
        try:
            data, seconds = self._file(index, picture, limit)
            values = {"encode s": seconds, **_values(data)}
        except Exception as error:  # of whatever library
            yield from (Outcome.of_error(cell, error) for cell in missing)
            return
        words = subject.words(data)
        for cell in missing:
            decode = subject.decoder.preview if cell == reference else subject.decoder.decompress
            try:
                started = perf_counter()
                decoded = decode(data)
                timed = {**values, "decode s": perf_counter() - started}
                yield Outcome(cell, decoded, timed, words)
            except Exception as error:  # of whatever library
                yield Outcome.of_error(cell, error)

    def _file(self, index: int, picture: Picture, limit: int) -> tuple[bytes, float]:
        """Our file of at most ``limit`` bytes, and the seconds it took without describing."""
        height, width = picture.shape[:2]
        subject = self.subject
        description = subject.description(index)
        rate = rate_for(width, height, max_bytes=limit, profile=subject.profile)
        started = perf_counter()
        done = subject.encoder.compress(picture, rate, description, seed=subject.seed)
        return done.data, perf_counter() - started

    def _arrived(self, index: int, picture: Picture, rows: KnownRows) -> Iterator[Outcome]:
        """What the first bytes of a file give, without the restorer."""
        cells = {share: (ARRIVED, f"{share} %") for share in SHARES}
        missing = {share: cell for share, cell in cells.items() if cell not in rows}
        if not missing:
            return
        try:
            data, _ = self._file(index, picture, SHARED_FILE)
        except Exception as error:  # of whatever library
            yield from (Outcome.of_error(cell, error) for cell in missing.values())
            return
        for share, cell in missing.items():
            try:
                first = data[: len(data) * share // 100]
                part = self.subject.decoder.partial(first, restored=False)
            except Exception as error:  # of whatever library
                yield Outcome.of_error(cell, error)
                continue
            values = {"bytes": float(len(first)), "reference bytes": float(part.reference_bytes)}
            if part.picture is None:
                yield Outcome(cell, unreachable="no byte of the reference image has arrived")
            else:
                yield Outcome(cell, part.picture, values, part.words)

    def _thumbnails(self, coder: Coder, picture: Picture) -> Iterator[Outcome]:
        """The best scale at every limit: from the largest on, until the next one is worse."""
        best: dict[int, tuple[float, Outcome]] = {}
        open_limits, failed = list(self.limits), None
        for scale in SCALES:
            try:
                for limit, outcome in _within(coder, picture, scale, open_limits):
                    assert outcome.picture is not None
                    away = self.chosen_by.measure(outcome.picture, picture, "")
                    if limit not in best or away < best[limit][0]:
                        best[limit] = away, outcome
                    else:
                        open_limits.remove(limit)
            except SedicError as error:  # of a picture too small for the codec, say
                failed = error
        for limit in self.limits:
            cell = coder.name, str(limit)
            if limit in best:
                yield best[limit][1]
            elif failed is not None:
                yield Outcome.of_error(cell, failed)
            else:
                yield Outcome(cell, unreachable=f"has no file of {limit} bytes or less")


def _within(
    coder: Coder, picture: Picture, scale: int, limits: Sequence[int]
) -> Iterator[tuple[int, Outcome]]:
    """For each limit the finest file of the picture over ``scale`` that fits, if there is one."""
    height, width = picture.shape[:2]
    small = resized(picture, max(1, round(width / scale)), max(1, round(height / scale)))
    files: dict[int, tuple[bytes, float]] = {}

    def size(number: int) -> int:
        if number not in files:
            started = perf_counter()
            data = coder.encode(small, coder.qualities[number])
            files[number] = data, perf_counter() - started
        return len(files[number][0])

    for limit in tuple(limits):
        number = finest_within(size, len(coder.qualities), limit)
        if number is not None:
            data, seconds = files[number]
            started = perf_counter()
            decoded = resized(coder.decode(data, small.shape[1], small.shape[0]), width, height)
            values = {"bytes": float(len(data)), "scale": 1 / scale, "encode s": seconds}
            values["decode s"] = perf_counter() - started
            yield limit, Outcome((coder.name, str(limit)), decoded, values)


def _placed(placeholder: Placeholder, picture: Picture, limits: Sequence[int]) -> Iterator[Outcome]:
    """A placeholder at every limit at which it has other bytes than at the one before."""
    before = b""
    for limit in limits:
        cell = placeholder.name, str(limit)
        try:
            with translated(placeholder.name):
                started = perf_counter()
                data = placeholder.encode(picture, limit)
                encoded = perf_counter()
                decoded = placeholder.decode(data, picture.shape[1], picture.shape[0])
        except Exception as error:  # of whatever library
            yield Outcome.of_error(cell, error)
            continue
        if data == before:
            yield Outcome(cell, unreachable="needs no more bytes than at the limit before")
            continue
        before = data
        values = {"bytes": float(len(data)), "encode s": encoded - started}
        yield Outcome(cell, decoded, {**values, "decode s": perf_counter() - encoded})


def _values(data: bytes) -> Mapping[str, float]:
    container = Container.parse(data)
    measured = measures(container)
    return {name: value for name, value in measured.items() if name in VALUES} | {
        "scale": factor(container.scale)
    }
