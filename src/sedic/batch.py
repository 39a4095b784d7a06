"""Many pictures: one job over all items of some sources, in several processes.

The parent reads the inputs and writes the outputs, both a few at a time; the workers compute. An
output that is there is not made again, so a job that was stopped is simply started once more. A bad
input costs one line in the report and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sedic.errors import OutputError, SedicError, UnsuitableInputError
from sedic.files import make_folder, printable, write_atomically
from sedic.sources import CODED, PICTURES, Item, file_system, output_name
from sedic.workers import Answer, Pool, compute, worker_died

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

    @property
    def needs_networks(self) -> bool:
        """Whether the networks of Algorithm 1 run, which a GPU makes faster."""
        return self.action == "decompress"

    @property
    def needs_torch(self) -> bool:
        """Whether networks run; ``inspect`` only reads."""
        return self.action != "inspect"

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
    """The place where outputs are written. Picklable, because Ray's workers write themselves."""

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
    """A folder at a URL that fsspec can write to."""

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


@dataclass(frozen=True)
class Task:
    """One input to compute: where it comes from, the name of its output, and its bytes."""

    source: str
    output: str
    data: bytes = field(repr=False)


def plan(
    job: Job, items: Iterator[Item], output: Output, *, force: bool = False
) -> Iterator[Task | Outcome]:
    """Read the items one by one: a task for each, or its outcome if it is skipped or unreadable."""
    names: set[str] = set()
    for item in items:
        name = None
        try:
            name = output_name(item.name, job.suffix)
            if name in names:
                raise UnsuitableInputError(f"another input becomes {name}, too")
            names.add(name)
            if not force and output.exists(name):
                yield Outcome(printable(item.source), name, "skipped")
                continue
            yield Task(printable(item.source), name, item.read())
        except SedicError as error:
            yield Outcome(printable(item.source), name, "failed", error=str(error))


def finish(source: str, name: str, answer: Answer, output: Output, *, force: bool) -> Outcome:
    """Write the output of an input, if there is one; returns the input's outcome."""
    if answer.data is None:
        return Outcome(source, name, "failed", error=answer.error)
    try:
        output.write(name, answer.data, force=force)
    except SedicError as error:
        return Outcome(source, name, "failed", error=str(error))
    return Outcome(source, name, "done", len(answer.data), round(answer.seconds, 3))


def run(
    job: Job, items: Iterator[Item], output: Output, *, workers: int = 1, force: bool = False
) -> Generator[Outcome, None, None]:
    """Do ``job`` for all ``items``; yields the outcome of each item when it is done.

    ``workers`` processes compute, each with one thread and its own copy of the profile; a single
    worker is this process. At most ``2 * workers`` inputs are in memory at a time. An exception of
    ``items``, or Ctrl-C, ends the workers at once.
    """
    steps = plan(job, items, output, force=force)
    if workers == 1:
        for step in steps:
            if isinstance(step, Task):
                answer = compute(job, step.data)
                step = finish(step.source, step.output, answer, output, force=force)
            yield step
        return
    pool = Pool(job, workers)
    try:
        waiting: dict[Future[Answer], Task] = {}
        for step in steps:
            if isinstance(step, Outcome):
                yield step
                continue
            waiting[pool.submit(step.data)] = step
            if len(waiting) == 2 * workers:
                for task, answer in _collect(pool, waiting):
                    yield finish(task.source, task.output, answer, output, force=force)
        while waiting:
            for task, answer in _collect(pool, waiting):
                yield finish(task.source, task.output, answer, output, force=force)
    finally:
        pool.stop()


def _collect(pool: Pool, waiting: dict[Future[Answer], Task]) -> Iterator[tuple[Task, Answer]]:
    """Wait until at least one task is done; yields the tasks that are done, with their answers.

    When a worker dies, it is unknown which task killed it. All running tasks are then run again,
    one by one; a task that kills its worker again has failed.
    """
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    suspects = []
    for future in done:
        task = waiting.pop(future)
        if worker_died(future):
            suspects.append(task)
        else:
            yield task, future.result()
    if not suspects:
        return
    suspects += waiting.values()
    waiting.clear()
    pool.restart()
    for task in suspects:
        yield task, pool.alone(task.data)


def _png(picture: Any, carried: Carried) -> bytes:
    import io

    from sedic.picture import save_picture

    buffer = io.BytesIO()
    save_picture(picture, buffer, exif=carried.exif, icc=carried.icc)
    return buffer.getvalue()


def _facts(data: bytes) -> dict[str, Any]:
    """The result of the action ``inspect``: size, bytes of each part, words. Ready for JSON."""
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


def open_output(out: str) -> Output:
    """The folder of outputs: a path of this machine, or a URL that fsspec can write to."""
    return RemoteFolder(out) if "://" in out else Folder(Path(out).absolute())
