"""Many pictures: one job over all items of some sources, in several processes.

The parent reads the inputs and writes the outputs, both a few at a time; the workers compute. An
output that is there is not made again, so a job that was stopped is simply started once more. A bad
input costs one line in the report and nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sedic.errors import OutputError, SedicError, UnsuitableInputError
from sedic.files import make_folder, printable, write_atomically
from sedic.sources import CODED, PICTURES, Item, file_system, output_name

if TYPE_CHECKING:
    from sedic.semantics import Carried

ACTIONS = ("compress", "decompress", "preview", "inspect")


@dataclass(frozen=True)
class Job:
    """What is done with every input.

    ``action``: one of ``ACTIONS``. The other fields are those of ``shortcuts.compress``; a file is
    read with the profile that it names. Decoded pictures are PNG, facts of ``inspect`` are JSON.
    """

    action: str = "compress"
    bpp: float | None = None
    max_bytes: int | None = None
    objects: int | None = None
    method: str = "sedic"
    profile: str = "mini"

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise UnsuitableInputError(f"unknown action {self.action!r}; one of {ACTIONS}")
        if self.bpp is not None and self.max_bytes is not None:
            raise UnsuitableInputError("give bpp or max_bytes, not both")

    @property
    def suffixes(self) -> frozenset[str]:
        """The suffixes of inputs."""
        return PICTURES if self.action == "compress" else CODED

    @property
    def suffix(self) -> str:
        """The suffix of outputs."""
        return {"compress": ".sedic", "inspect": ".json"}.get(self.action, ".png")

    def run(self, data: bytes) -> bytes:
        """The output of one input; raises ``SedicError``."""
        from sedic import shortcuts

        if self.action == "compress":
            return shortcuts.compress(
                data,
                bpp=self.bpp,
                max_bytes=self.max_bytes,
                objects=self.objects,
                method=self.method,
                profile=self.profile,
            )
        if self.action == "inspect":
            return json.dumps(_facts(data)).encode() + b"\n"
        decode = shortcuts.decompress if self.action == "decompress" else shortcuts.preview
        return _png(decode(data), shortcuts.carried(data))


@dataclass(frozen=True)
class Outcome:
    """The result for one input: a line of the report.

    ``status`` is ``done``, ``skipped`` (its output is there already) or ``failed``.
    """

    source: str
    output: str | None
    status: str
    bytes: int | None = None
    seconds: float | None = None
    error: str | None = None

    def line(self) -> str:
        """The outcome as a line of JSON; fields that are None are left out."""
        facts = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(facts) + "\n"


class Output(Protocol):
    """Where outputs go."""

    def exists(self, name: str) -> bool: ...
    def write(self, name: str, data: bytes, *, force: bool) -> None: ...


class Folder:
    """A folder of this machine; files appear in it whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self, name: str) -> bool:
        return (self.root / name).exists()

    def write(self, name: str, data: bytes, *, force: bool) -> None:
        path = self.root / name
        make_folder(path.parent)
        write_atomically(path, data, force=force)


class RemoteFolder:
    """A folder behind an URL of fsspec."""

    def __init__(self, url: str) -> None:
        self._system, root = file_system(url)
        self._root = root.rstrip("/")

    def exists(self, name: str) -> bool:
        return bool(self._system.exists(f"{self._root}/{name}"))

    def write(self, name: str, data: bytes, *, force: bool) -> None:
        path = f"{self._root}/{name}"
        if not force and self._system.exists(path):
            raise OutputError(f"{printable(path)} exists already; use --force to overwrite it")
        try:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, data)
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {printable(path)}: {printable(error)}") from error


def run(
    job: Job, items: Iterator[Item], output: Output, *, workers: int = 1, force: bool = False
) -> Generator[Outcome, None, None]:
    """Do ``job`` for all ``items``; yields an outcome for each as it is there.

    ``workers`` processes compute, each with one thread and its own copy of the profile; with one
    worker this process does. At most ``2 * workers`` inputs are in memory at a time. What is raised
    here (by ``items``, by Ctrl-C) ends the workers at once.
    """
    seen: set[str] = set()

    def tasks() -> Iterator[_Task | Outcome]:
        for item in items:
            name = None
            try:
                name = output_name(item.name, job.suffix)
                if name in seen:
                    raise UnsuitableInputError(f"another input becomes {name}, too")
                seen.add(name)
                if not force and output.exists(name):
                    yield Outcome(printable(item.source), name, "skipped")
                    continue
                yield _Task(printable(item.source), name, item.read())
            except SedicError as error:
                yield Outcome(printable(item.source), name, "failed", error=str(error))

    def finish(task: _Task, answer: _Answer) -> Outcome:
        if answer.data is not None:
            try:
                output.write(task.output, answer.data, force=force)
            except SedicError as error:
                answer = _Answer(None, str(error), answer.seconds)
        if answer.data is None:
            return Outcome(task.source, task.output, "failed", error=answer.error)
        size, seconds = len(answer.data), round(answer.seconds, 3)
        return Outcome(task.source, task.output, "done", size, seconds)

    if workers == 1:
        for task in tasks():
            yield task if isinstance(task, Outcome) else finish(task, _answer(job, task.data))
        return
    pool = _Pool(job, workers)
    try:
        waiting: dict[Future[_Answer], _Task] = {}
        for task in tasks():
            if isinstance(task, Outcome):
                yield task
                continue
            waiting[pool.submit(task)] = task
            if len(waiting) == 2 * workers:
                yield from _collect(pool, waiting, finish)
        while waiting:
            yield from _collect(pool, waiting, finish)
    finally:
        pool.stop()


@dataclass(frozen=True)
class _Task:
    source: str
    output: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class _Answer:
    data: bytes | None
    error: str = ""
    seconds: float = 0.0


def _collect(
    pool: _Pool,
    waiting: dict[Future[_Answer], _Task],
    finish: Callable[[_Task, _Answer], Outcome],
) -> Iterator[Outcome]:
    """Wait until at least one task is done; yields what is.

    Where a worker died, the task that killed it is unknown. The tasks that were running are run
    again one by one; a task that kills its worker again has failed.
    """
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    suspects = []
    for future in done:
        task = waiting.pop(future)
        try:
            answer = future.result()
        except BrokenProcessPool:
            suspects.append(task)
        else:
            yield finish(task, answer)
    if not suspects:
        return
    suspects += waiting.values()
    waiting.clear()
    pool.restart()
    for task in suspects:
        try:
            answer = pool.submit(task).result()
        except BrokenProcessPool:
            pool.restart()
            answer = _Answer(None, "the worker process died; was memory short?")
        yield finish(task, answer)


class _Pool:
    """Worker processes that end when ``stop`` is called, or when this process ends."""

    def __init__(self, job: Job, workers: int) -> None:
        self._job, self._workers = job, workers
        self._begin()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")  # forked threads of torch would hang
        self._alive, self._held = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self._workers, context, _start, (self._job, self._alive))

    def submit(self, task: _Task) -> Future[_Answer]:
        try:
            return self._pool.submit(_work, task.data)
        except BrokenProcessPool as error:  # a worker died since the last answer
            future: Future[_Answer] = Future()
            future.set_exception(error)
            return future

    def restart(self) -> None:
        """Go on with fresh workers."""
        self.stop()
        self._begin()

    def stop(self) -> None:
        """End all workers at once, whatever they do."""
        self._held.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._alive.close()


_job: Job  # of this worker process


def _start(job: Job, alive: Connection) -> None:
    """Begin a worker: it leaves Ctrl-C to the parent and ends when ``alive`` is closed there."""
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        alive.poll(None)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if job.action != "inspect":
        import torch

        torch.set_num_threads(1)


def _work(data: bytes) -> _Answer:
    return _answer(_job, data)


def _answer(job: Job, data: bytes) -> _Answer:
    """The output of one input, or why there is none."""
    start = time.perf_counter()
    try:
        result = job.run(data)
    except SedicError as error:
        return _Answer(None, str(error))
    except MemoryError:
        return _Answer(None, "out of memory")
    except Exception as error:  # a mistake of ours must not stop the other pictures
        return _Answer(None, f"internal error: {printable(repr(error))}")
    return _Answer(result, seconds=time.perf_counter() - start)


def _png(picture: Any, carried: Carried) -> bytes:
    import io

    from sedic.picture import save_picture

    buffer = io.BytesIO()
    save_picture(picture, buffer, exif=carried.exif, icc=carried.icc)
    return buffer.getvalue()


def _facts(data: bytes) -> dict[str, Any]:
    """What ``inspect`` says of a file: its size, its bytes by part, its words."""
    from sedic import shortcuts

    container = shortcuts.inspect(data)
    facts: dict[str, Any] = {
        "width": container.width,
        "height": container.height,
        "method": container.method,
        "profile": container.profile,
        "bytes": len(data),
        "bpp": 8 * len(data) / (container.width * container.height),
        "parts": container.parts(),
    }
    try:
        words = shortcuts.read(data)
    except SedicError as error:
        return facts | {"overall": None, "objects": None, "problem": str(error)}
    objects = [{"name": layer.name, "detail": layer.detail} for layer in words.objects]
    return facts | {"overall": words.overall, "objects": objects, "problem": None}
