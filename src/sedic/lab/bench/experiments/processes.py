"""Times whole commands, each in a process of its own, as a user meets them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from sedic.errors import SedicError
from sedic.lab.bench.experiments.subject import Subject
from sedic.picture import save_picture

_PYTHON = (sys.executable, "-c")
_SEDIC = (sys.executable, "-m", "sedic")


@dataclass(frozen=True)
class Process:
    """A command's medians over its runs; None where the system does not say."""

    name: str
    seconds: float  # of wall time
    cpu: float | None  # seconds, of all cores together
    memory: float | None  # GiB, at most


def measure(
    subject: Subject, limit: float, rounds: int, progress: Callable[[int, int, str], None]
) -> list[Process]:
    """Time starting Python, importing, and coding the first picture of the subject's dataset.

    ``SedicError`` if a command fails.
    """
    picture = subject.dataset.samples[0].load()
    with tempfile.TemporaryDirectory(prefix="sedic-") as name:
        folder = Path(name)
        source, file, target = (folder / part for part in ("in.png", "file.sedic", "out.png"))
        save_picture(picture, source)
        options = ("--profile", subject.profile.name, "--bpp", f"{limit:g}", "--force")
        decode = (*_SEDIC, "decompress", str(file), str(target), "--force")
        commands: dict[str, Sequence[str]] = {
            "python, nothing else": (*_PYTHON, "pass"),
            "import torch": (*_PYTHON, "import torch"),
            "import sedic": (*_PYTHON, "import sedic"),
            "sedic --help": (*_SEDIC, "--help"),
            "sedic compress": (*_SEDIC, "compress", str(source), str(file), *options),
            "sedic decompress --preview": (*decode, "--preview"),
            "sedic decompress": decode,
        }
        processes = []
        for number, (title, arguments) in enumerate(commands.items()):
            progress(number, len(commands), title)
            processes.append(run(title, arguments, rounds))
    return processes


def run(name: str, arguments: Sequence[str], rounds: int) -> Process:
    """Run a command ``rounds`` times; ``SedicError`` if it fails."""
    seconds, cpu, memory = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryFile() as output:
            start = perf_counter()
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
            usage = None
            if hasattr(os, "wait4"):
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            else:
                process.wait()
            seconds.append(perf_counter() - start)
            if process.returncode:
                output.seek(0)
                last = output.read().decode(errors="replace").strip().splitlines()[-1:]
                raise SedicError(f"{name} failed: {' '.join(last) or 'without a word'}")
        if usage is not None:
            cpu.append(usage.ru_utime + usage.ru_stime)
            unit = 1 if sys.platform == "darwin" else 1024
            memory.append(usage.ru_maxrss * unit / 2**30)
    return Process(
        name, median(seconds), median(cpu) if cpu else None, max(memory) if memory else None
    )
