"""Processes that compute a job's outputs, and end when the process that started them ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol

from sedic.errors import SedicError
from sedic.files import printable


class Work(Protocol):
    """A picklable job: it computes the bytes of an output from those of an input."""

    @property
    def needs_torch(self) -> bool: ...
    def run(self, data: bytes) -> bytes:
        """Raises ``SedicError``."""
        ...


@dataclass(frozen=True)
class Answer:
    """The output of one input, or the error; ``seconds``: the time it took."""

    data: bytes | None
    error: str = ""
    seconds: float = 0.0


def compute(work: Work, data: bytes) -> Answer:
    """Compute one output in this process. Raises nothing: errors are in the answer."""
    start = time.perf_counter()
    try:
        result = work.run(data)
    except SedicError as error:
        return Answer(None, str(error))
    except MemoryError:
        return Answer(None, "out of memory")
    except Exception as error:  # a mistake of ours must not stop the other pictures
        return Answer(None, f"internal error: {printable(repr(error))}")
    return Answer(result, seconds=time.perf_counter() - start)


class Pool:
    """Worker processes that end when ``stop`` is called, or when this process ends."""

    def __init__(self, work: Work, workers: int) -> None:
        self._work, self._workers = work, workers
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # forked threads of torch would hang
        self._alive, self._held = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self._workers, context, _start, (self._work, self._alive))

    def submit(self, data: bytes) -> Future[Answer]:
        """Start to compute. Ask ``worker_died`` before taking the result."""
        try:
            return self._pool.submit(_compute, data)
        except BrokenProcessPool as error:  # a worker died since the last answer
            future: Future[Answer] = Future()
            future.set_exception(error)
            return future

    def alone(self, data: bytes) -> Answer:
        """Compute one output while no other task runs. An input on which two workers die fails."""
        for _ in range(2):
            future = self.submit(data)
            if not worker_died(future):
                return future.result()
            self.restart()
        return Answer(None, "the worker process died; was memory short?")

    def restart(self) -> None:
        """Replace all workers by new ones."""
        self.stop()
        self._start()

    def stop(self) -> None:
        """End all workers at once, whatever they do."""
        self._held.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._alive.close()


def worker_died(future: Future[Answer]) -> bool:
    """Wait until a task ends; whether a worker died, on this task or on another one."""
    return isinstance(future.exception(), BrokenProcessPool)


_work: Work  # of this worker process


def _start(work: Work, alive: Connection) -> None:
    """Start a worker: it leaves Ctrl-C to the parent and ends when ``alive`` is closed there."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        alive.poll(None)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if work.needs_torch:
        import torch

        torch.set_num_threads(1)


def _compute(data: bytes) -> Answer:
    return compute(_work, data)
