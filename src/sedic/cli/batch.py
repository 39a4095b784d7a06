"""``sedic batch``. Imports stay light."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, TextIO

import typer

from sedic.cli.console import note
from sedic.cli.option_groups import grouped
from sedic.cli.options import Force
from sedic.errors import OutputError, SedicError
from sedic.files import make_folder, printable
from sedic.semantics import MAX_OBJECTS, METHODS

if TYPE_CHECKING:
    from sedic.batch import Job
    from sedic.sources import Reader


@dataclass(frozen=True)
class JobOptions:
    """What is done with every input."""

    PANEL: ClassVar[str] = "What is done with every input"

    action: Annotated[
        str, typer.Option(metavar="compress|decompress|preview|inspect", help="What to do.")
    ] = "compress"
    bpp: Annotated[float | None, typer.Option(help="Bits per pixel of every file.")] = None
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Bytes of every file.")] = None
    objects: Annotated[
        int | None, typer.Option(min=0, max=MAX_OBJECTS, help="At most so many objects each.")
    ] = None
    method: Annotated[str, typer.Option(metavar="|".join(METHODS), help="The system.")] = "sedic"
    profile: Annotated[str, typer.Option(help="Which set of models compresses.")] = "mini"

    def job(self) -> Job:
        """The job. Raises ``typer.BadParameter`` where the options make none."""
        from sedic.batch import ACTIONS, Job

        if self.action not in ACTIONS:
            raise typer.BadParameter(f"--action {self.action}: one of {', '.join(ACTIONS)}")
        if self.method not in METHODS:
            raise typer.BadParameter(f"--method {self.method}: one of {', '.join(METHODS)}")
        if self.bpp is not None and self.max_bytes is not None:
            raise typer.BadParameter("give one of --bpp and --max-bytes")
        return Job(**vars(self))


@dataclass(frozen=True)
class EngineOptions:
    """Who computes."""

    PANEL: ClassVar[str] = "Who computes"

    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one for each processor).")
    ] = None
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="Who computes: processes here, or Ray's.")
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(
            help="With ray: the cluster, as auto or host:port (default: one started here)."
        ),
    ] = None

    def check(self) -> None:
        """Raises ``typer.BadParameter`` for an unknown engine or an address without Ray."""
        if self.engine not in ("local", "ray"):
            raise typer.BadParameter(f"--engine {self.engine}: one of local, ray")
        if self.address is not None and self.engine != "ray":
            raise typer.BadParameter("--address is for --engine ray")


@grouped
def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders, globs, tar shards, Parquet files, or URLs that fsspec reads.",
        ),
    ],
    *,
    out: Annotated[str, typer.Option(help="Folder of the outputs, or an URL; it keeps the tree.")],
    options: JobOptions,
    engine: EngineOptions,
    column: Annotated[
        str | None, typer.Option(help="The column of bytes of Parquet files, if there are several.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="The report, a line of JSON for each input (default: OUT/report.jsonl)."),
    ] = None,
    force: Force = False,
) -> None:
    """Compress, decompress or inspect many pictures; what is done already is skipped."""
    from sedic import batch as many
    from sedic.sources import all_items, open_source

    engine.check()
    job = options.job()
    remote = "://" in out
    for source in inputs:
        _check_apart(source, out, job.suffix)
    readers = [open_source(source, job.suffixes, column) for source in inputs]
    output = many.open_output(out)
    if not remote:
        make_folder(Path(out))
    log = report or (Path("report.jsonl") if remote else Path(out) / "report.jsonl")
    counts: Counter[str] = Counter()
    if engine.engine == "ray":
        from sedic import cluster

        outcomes = cluster.run(
            job, readers, out, address=engine.address, workers=engine.workers, force=force
        )
    else:
        count = engine.workers or os.cpu_count() or 1
        outcomes = many.run(job, all_items(readers), output, workers=count, force=force)
    with _Progress(_total(readers)) as progress, _open_report(log) as lines:
        try:
            for outcome in outcomes:
                counts[outcome.status] += 1
                lines.write(outcome.line())
                lines.flush()
                progress.advance(outcome.source)
        finally:
            outcomes.close()
    summary = f"{counts['done']} done, {counts['skipped']} skipped, {counts['failed']} failed"
    if counts["failed"]:
        raise SedicError(f"{summary}; {printable(log)} says why")
    note(f"{printable(out)}: {summary}")


def _total(readers: list[Reader]) -> int | None:
    counts = [reader.count() for reader in readers]
    numbers = [count for count in counts if count is not None]
    return sum(numbers) if len(numbers) == len(counts) else None


def _check_apart(source: str, out: str, suffix: str) -> None:
    """Refuse outputs in a folder that is read, or in place of a file that is read."""
    if "://" in source or "://" in out:
        same = source.rstrip("/") == out.rstrip("/") or out.startswith(source.rstrip("/") + "/")
    else:
        source_path, target = Path(source).resolve(), Path(out).resolve()
        inside = source_path.is_dir() and source_path in target.parents
        overwrites = (
            source_path.is_file() and source_path == target / source_path.with_suffix(suffix).name
        )
        same = source_path == target or inside or overwrites
    if same:
        raise OutputError(f"{printable(out)} would mix with the inputs: name another folder")


def _open_report(path: Path) -> TextIO:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {printable(path)}: {error.strerror}") from error


class _Progress:
    """A progress bar with the remaining time, on standard error; silent without a terminal."""

    def __init__(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(
            *columns,
            TextColumn("{task.fields[name]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", total=total, name="")

    def __enter__(self) -> _Progress:
        self._bars.start()
        return self

    def advance(self, source: str) -> None:
        self._bars.update(self._task, advance=1, name=source.rpartition("/")[2])

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
