"""Results, a row per picture and setting, in one CSV file that says how it came about.

    # sedic-results {"command": ..., "commit": ..., "versions": ..., "weights": ...}
    picture,codec,bpp,PSNR,...,notes,error,commit

The first line is a comment (pandas reads the rest with ``comment="#"``). Rows are appended as they
come, so a run that is stopped loses one row at most and goes on where it was. A row has numbers, or
none and a note that says why there can be none, or an error, after which it is tried again.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sedic.errors import SedicError
from sedic.files import make_folder, printable, read_bounded, write_atomically
from sedic.lab.bench.circumstances import commit, hardware, versions

_MARK = "# sedic-results "
_MAX_BYTES = 1 << 28
_TEXT = ("notes", "error", "commit")  # the last columns, always

Value = str | float | int | None
Row = dict[str, Value]


@dataclass(frozen=True)
class Run:
    """The facts of a run: everything that its numbers depend on, and the machine."""

    command: str
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)  # dataset, codecs, rates, ...
    weights: Mapping[str, str] = field(default_factory=dict)  # of metrics and of our codec
    missing: Mapping[str, str] = field(default_factory=dict)  # metrics and rivals, with the reason
    commit: str = field(default_factory=commit)
    versions: Mapping[str, str] = field(default_factory=versions)
    hardware: Mapping[str, str] = field(default_factory=hardware)

    def differs(self, facts: Mapping[str, Any]) -> str | None:
        """The first fact because of which rows of a run with ``facts`` cannot be mixed with ours.

        None if they can. Machine, command line and commit may differ: every row names its commit.
        """
        ours = json.loads(json.dumps(asdict(self)))
        for name in ("seed", "settings", "weights", "missing", "versions"):
            if ours[name] != facts.get(name):
                return name
        return None


class Results:
    """The rows of one run, on disk from the moment they are known.

    ``keys`` are the columns that name a row, text; ``values`` the numbers.
    """

    def __init__(self, path: Path, run: Run, keys: Sequence[str], values: Sequence[str]) -> None:
        """Open ``path`` (.csv) to go on, or begin it.

        ``SedicError`` if it is there and is no such file, or was made under other circumstances.
        """
        self.path, self.run = path, run
        self.keys, self.values = tuple(keys), tuple(values)
        self.columns = (*self.keys, *self.values, *_TEXT)
        self.rows: list[Row] = []
        if not path.exists():
            make_folder(path.parent)
            write_atomically(path, f"{_MARK}{self._facts()}\n{_line(self.columns)}".encode())
            return
        whole = read_results(path)
        difference = run.differs(whole.facts)
        if (whole.keys, whole.values) != (self.keys, self.values):
            difference = "columns"
        if difference:
            raise SedicError(
                f"{printable(path)} is of a run with other {difference}; name another folder, or"
                " delete it to begin anew"
            )
        self.rows = whole.rows
        if whole.length < path.stat().st_size:  # half a row, from when the run was stopped
            os.truncate(path, whole.length)

    def append(self, key: Sequence[str], values: Mapping[str, float], notes: Iterable[str]) -> None:
        """Add a row; columns not in ``values`` stay empty. Replaces an earlier row of this key."""
        self._add(key, values, "; ".join(notes), "")

    def append_error(self, key: Sequence[str], error: object) -> None:
        """Add a row that says what failed."""
        self._add(key, {}, "", str(error) or type(error).__name__)

    def write_parquet(self) -> Path | None:
        """Write the table as Parquet beside the CSV; None without pyarrow."""
        try:
            import pyarrow as arrow
            from pyarrow import parquet
        except ImportError:
            return None
        table = arrow.table(
            {
                name: arrow.array(
                    [row[name] for row in self.rows],
                    arrow.float64() if name in self.values else arrow.string(),
                )
                for name in self.columns
            }
        ).replace_schema_metadata({"sedic-results": self._facts()})
        buffer = io.BytesIO()
        parquet.write_table(table, buffer)
        path = self.path.with_suffix(".parquet")
        write_atomically(path, buffer.getvalue(), force=True)
        return path

    def _facts(self) -> str:
        columns = {"keys": self.keys, "values": self.values}
        return json.dumps(asdict(self.run) | columns, sort_keys=True)

    def _key(self, row: Row) -> tuple[Value, ...]:
        return tuple(row[name] for name in self.keys)

    def _add(self, key: Sequence[str], values: Mapping[str, float], notes: str, error: str) -> None:
        unknown = set(values) - set(self.values)
        if unknown or len(key) != len(self.keys):
            raise ValueError(f"the row {tuple(key)} does not fit the columns: {sorted(unknown)}")
        row: Row = dict.fromkeys(self.columns)
        row |= {name: printable(text) for name, text in zip(self.keys, key, strict=True)}
        row |= {name: float(value) for name, value in values.items()}
        row |= {"notes": printable(notes), "error": printable(error), "commit": self.run.commit}
        self.rows = [other for other in self.rows if self._key(other) != self._key(row)]
        self.rows.append(row)
        try:
            with self.path.open("ab") as file:
                file.write(_line(row.values()).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as failure:
            raise SedicError(
                f"cannot write {printable(self.path)}: {failure.strerror or failure}"
            ) from failure


@dataclass(frozen=True)
class Table:
    """A results file as it was read."""

    facts: dict[str, Any]  # of the run
    keys: tuple[str, ...]
    values: tuple[str, ...]
    rows: list[Row]  # the last one of each key: a number or None in `values`, text elsewhere
    length: int  # of the whole rows, in bytes

    def has_numbers(self, row: Row) -> bool:
        """Whether something was measured in a row."""
        return not row["error"] and any(row[name] is not None for name in self.values)


def read_results(path: Path) -> Table:
    """Read a results file; an unfinished last row is left out. ``SedicError`` if it is none."""
    data = read_bounded(path, _MAX_BYTES)
    data = data[: data.rfind(b"\n") + 1]
    try:
        head, _, body = data.decode().partition("\n")
        if not head.startswith(_MARK):
            raise ValueError("no mark")
        facts = json.loads(head.removeprefix(_MARK))
        keys, values = (tuple(map(str, facts[name])) for name in ("keys", "values"))
        columns, *lines = csv.reader(io.StringIO(body, newline=""))
        if tuple(columns) != (*keys, *values, *_TEXT):
            raise ValueError("other columns")
        last_rows: dict[tuple[str, ...], Row] = {}
        for line in lines:
            row: Row = dict(zip(columns, line, strict=True))
            for name in values:
                row[name] = float(str(row[name])) if row[name] else None
            key = tuple(line[: len(keys)])
            last_rows.pop(key, None)
            last_rows[key] = row
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise SedicError(f"{printable(path)} is no results file, or damaged") from error
    return Table(facts, keys, values, list(last_rows.values()), len(data))


def _line(values: Iterable[Value]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(
        "" if value is None else repr(value) if isinstance(value, float) else value
        for value in values
    )
    return buffer.getvalue()
