"""Many pictures on a Ray cluster: the job of ``sedic batch``, with workers on many machines.

``run`` is what ``sedic batch --engine ray`` does. For a pipeline of your own, ``Coder`` is a class
for ``Dataset.map_batches``, and ``FilePerRow`` a sink for ``Dataset.write_datasink``:

    photos = ray.data.read_binary_files("photos", include_paths=True)
    coded = photos.map_batches(
        Coder,
        fn_constructor_args=[job],
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=2),
    )
    coded.write_datasink(FilePerRow("coded", ".sedic"))
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from sedic import extras
from sedic.batch import Job, Outcome, Output, Task, finish, open_output, plan
from sedic.errors import UnsuitableInputError
from sedic.failures import reason, translated
from sedic.files import printable
from sedic.sources import Reader, all_items, output_name
from sedic.workers import Answer, Pool

with extras.named():
    import pyarrow
    import ray
    from ray.data.datasource import RowBasedFileDatasink

FILES_A_TASK = 32  # read by one task
MAX_STORE = 1 << 30  # bytes of Ray's object store, in a cluster of this machine


class Coder:
    """Codes the pictures of tables with a column ``bytes``, in a process of its own.

    ``job`` says what is done. In place of ``bytes`` the tables get ``output`` (bytes), ``error``
    (text; one of the two is null) and ``seconds``. Call ``stop`` at the end of an instance that Ray
    does not own: it ends the instance's process.
    """

    def __init__(self, job: Job) -> None:
        self._pool = Pool(job, 1)

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        answers = [self.code(value.as_py()) for value in table["bytes"]]
        table = table.drop_columns("bytes")
        for name, kind, values in (
            ("output", pyarrow.binary(), [answer.data for answer in answers]),
            ("error", pyarrow.string(), [answer.error or None for answer in answers]),
            ("seconds", pyarrow.float64(), [answer.seconds for answer in answers]),
        ):
            table = table.append_column(name, pyarrow.array(values, kind))
        return table

    def code(self, data: bytes | None) -> Answer:
        """The output of one input, or the reason why there is none."""
        return Answer(None, "this row has no bytes") if data is None else self._pool.alone(data)

    def stop(self) -> None:
        """End the process."""
        self._pool.stop()


class FilePerRow(RowBasedFileDatasink):  # type: ignore[misc]
    """Writes the column ``output`` to one file a row, in the folder (or URL) ``path``.

    A row's file has the name of its column ``path`` with ``suffix``: below the folder ``root`` its
    path from there, else its name alone. Rows without an output write no file.
    """

    def __init__(self, path: str, suffix: str, root: str = "") -> None:
        super().__init__(path)
        self._suffix, self._root = suffix, f"{root.rstrip('/')}/" if root else ""

    def write_block(self, block: Any, block_index: int, ctx: Any) -> None:
        for row in block.iter_rows(public_row_format=False):
            if row["output"] is not None:
                name = output_name(self._name(row["path"]), self._suffix)
                folder = str(PurePosixPath(self.path, name).parent)
                self.filesystem.create_dir(folder, recursive=True)
                with self.open_output_stream(f"{self.path}/{name}") as file:
                    self.write_row_to_file(row, file)

    def _name(self, path: str) -> str:
        below = self._root and path.startswith(self._root)
        return path.removeprefix(self._root) if below else PurePosixPath(path).name

    def write_row_to_file(self, row: Any, file: Any) -> None:
        file.write(row["output"])


def run(
    job: Job,
    readers: Sequence[Reader],
    out: str,
    *,
    address: str | None = None,
    workers: int | None = None,
    force: bool = False,
) -> Generator[Outcome, None, None]:
    """Do ``job`` for all items of ``readers`` on a cluster; yields outcomes as items are done.

    ``out`` is the folder of outputs or an URL, which every machine of the cluster must reach at
    that name, as it must the inputs. ``address`` is that of a running cluster (``auto``,
    ``host:port`` or ``ray://host:port``), else one is started on this machine and ended afterwards.
    ``workers`` processes compute, by default one for each processor of the cluster. Where networks
    run and the cluster has GPUs, these are shared among the workers, by default one for each GPU.

    Ray gives the work of a process or machine that dies to another one. An input whose output was
    written but not yet reported when that happened is reported as skipped.

    Raises ``SedicError`` where there is no such cluster, or the cluster fails as a whole.
    """
    for place in (out, *(reader.source for reader in readers)):
        if place.startswith("memory://"):
            raise UnsuitableInputError(f"{printable(place)}: a cluster cannot reach this memory")
    output = open_output(out)
    ours = not ray.is_initialized()
    with translated("Ray"):
        if ours:
            _connect(address, workers)
        try:
            parts = [part for reader in readers for part in reader.split(FILES_A_TASK)]
            if parts:
                yield from _outcomes(job, parts, output, workers, force)
        finally:
            if ours:
                ray.shutdown()


def _connect(address: str | None, workers: int | None) -> None:
    """Connect to the cluster at ``address``, or start one on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {
            "address": "local",
            "num_cpus": workers or os.cpu_count() or 1,
            "object_store_memory": MAX_STORE,
            "include_dashboard": False,
        }
    else:
        _check_address(address)
        options["address"] = address
    ray.init(**options)
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _check_address(address: str) -> None:
    """Raise ``UnsuitableInputError`` where no cluster answers; Ray itself tries for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal() and int(port) < 1 << 16):
        raise UnsuitableInputError(
            f"{printable(address)}: the address of a cluster is auto, host:port or ray://host:port"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise UnsuitableInputError(
            f"no cluster answers at {printable(address)}: {reason(error)}"
        ) from error


def _outcomes(
    job: Job, parts: list[Reader], output: Output, workers: int | None, force: bool
) -> Iterator[Outcome]:
    """One task reads each part, and hands one input at a time to whichever worker is free."""
    context = ray.data.DataContext.get_current()
    context.print_on_execution_start = False
    context.enable_progress_bars = False
    context.issue_detectors_config.detectors = []
    context.target_max_block_size = 1  # bytes, so that every row is a block: one input
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0)) if job.needs_networks else 0
    workers = workers or gpus or max(1, int(resources.get("CPU", 1)))
    rows = (
        ray.data.from_items(
            [{"part": number} for number in range(len(parts))], override_num_blocks=len(parts)
        )
        .map_batches(
            _Read(job, parts, output, force),
            batch_format="pyarrow",
            num_cpus=0.01,  # it waits for files and uses no processor to speak of
        )
        .map_batches(
            _Worker,
            fn_constructor_args=[job, output, force],
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=0.9,
            num_gpus=min(1, gpus / workers) if gpus else None,
            batch_size=1,
        )
        .iter_rows()
    )
    names: set[str] = set()
    for row in rows:
        outcome = Outcome(**row)
        name = outcome.output
        if name is not None and name in names and outcome.status != "failed":
            error = f"another input becomes {name}, too"
            outcome = Outcome(outcome.source, name, "failed", error=error)
        names.add(name or "")
        yield outcome


_TEXTS = [(name, pyarrow.string()) for name in ("source", "output", "status", "error")]
_PLANNED = pyarrow.schema([*_TEXTS, ("data", pyarrow.binary())])
_DONE = pyarrow.schema([*_TEXTS, ("bytes", pyarrow.int64()), ("seconds", pyarrow.float64())])


class _Read:
    """Reads inputs. A row of its argument is the number of a part; it yields a row for each item of
    that part, with the item's bytes if the item must be computed."""

    def __init__(self, job: Job, parts: list[Reader], output: Output, force: bool) -> None:
        self._job, self._parts, self._output, self._force = job, parts, output, force

    def __call__(self, table: pyarrow.Table) -> Iterable[pyarrow.Table]:
        parts = [self._parts[number.as_py()] for number in table["part"]]
        for step in plan(self._job, all_items(parts), self._output, force=self._force):
            row: dict[str, Any] = {"source": step.source, "output": step.output}
            if isinstance(step, Task):
                row["data"] = step.data
            else:
                row |= {"status": step.status, "error": step.error}
            yield pyarrow.Table.from_pylist([row], _PLANNED)


class _Worker:
    """Computes the rows of ``_Read`` that have bytes, writes outputs, and yields outcomes."""

    def __init__(self, job: Job, output: Output, force: bool) -> None:
        self._coder, self._output, self._force = Coder(job), output, force

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        rows = []
        for row in table.to_pylist():
            data = row.pop("data")
            if data is None:
                rows.append(row)
            elif not self._force and self._output.exists(row["output"]):  # of one that died since
                rows.append({**row, "status": "skipped"})
            else:
                answer = self._coder.code(data)
                source, name = row["source"], row["output"]
                outcome = finish(source, name, answer, self._output, force=self._force)
                rows.append(vars(outcome))
        return pyarrow.Table.from_pylist(rows, _DONE)
