"""Times whole commands, each in a process of its own."""

from __future__ import annotations

import json
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


# A child's peak memory begins with that of the process that starts it, so a small one starts it,
# and writes down what the child used: CPU seconds and peak memory, as the system counts it.
_LAUNCHER = """
import json, subprocess, sys
status = subprocess.call(sys.argv[2:], stdin=subprocess.DEVNULL)
try:
    import resource
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = [used.ru_utime + used.ru_stime, used.ru_maxrss]
except ImportError:
    facts = []
with open(sys.argv[1], "w") as file:
    json.dump(facts, file)
sys.exit(status % 256)
"""


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
        with tempfile.TemporaryDirectory(prefix="sedic-") as folder:
            usage = Path(folder) / "usage.json"
            begun = perf_counter()
            done = subprocess.run(
                [sys.executable, "-S", "-c", _LAUNCHER, str(usage), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            seconds.append(perf_counter() - begun)
            if done.returncode:
                last = done.stdout.decode(errors="replace").strip().splitlines()[-1:]
                raise SedicError(f"{name} failed: {' '.join(last) or 'without a word'}")
            facts = json.loads(usage.read_text())
        if facts:
            cpu.append(facts[0])
            unit = 1 if sys.platform == "darwin" else 1024
            memory.append(facts[1] * unit / 2**30)
    return Process(
        name, median(seconds), median(cpu) if cpu else None, max(memory) if memory else None
    )
