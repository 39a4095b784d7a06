"""What a whole `sedic decompress` costs in a fresh process, as multiples of `import torch`.

    git worktree add /tmp/old COMMIT
    python benchmarks/cold_start.py --old /tmp/old --picture kodim20.png

Each checkout decodes a file of its own, since files name the weights and defaults they were made
for. Processes run in turn, round after round; of each the smallest user + system time counts, which
other work on the machine disturbs least. Writes cold_start.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SEDIC = """
try:
    from sedic.cli.main import program  # what the command `sedic` runs
except ImportError:
    try:
        from sedic.cli.main import main as program
    except ImportError:  # commits before the command line moved
        from sedic.apps.cli import main as program
program()
"""
# A second decoding in one process: everything is loaded, so this is arithmetic.
COMPUTE = """
import sys, time
from pathlib import Path
try:
    from sedic import Decoder, Profile
    codec = Decoder(Profile.load())
except ImportError:  # commits before there was a Profile
    from sedic.codec import Codec
    codec = Codec()
data = Path(sys.argv[1]).read_bytes()
run = codec.preview if sys.argv[2] == "preview" else codec.decompress
run(data)
start = time.process_time()
run(data)
print(time.process_time() - start)
"""


def cpu_seconds(tree: Path, code: str, *arguments: str) -> float:
    """User and system time of one Python process that imports from ``tree``/src."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(tree, code, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(tree: Path, code: str, *arguments: str) -> str:
    """The standard output of that process."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def processor() -> str:
    """The processor's name and the number formats that it computes in."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    units = [unit for unit in known if unit in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())}, {', '.join(units)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="a checkout of an older commit")
    parser.add_argument("--picture", type=Path, required=True, help="768 x 512 pixels")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    new, old = HERE.parent, options.old
    commits = [
        subprocess.run(
            ["git", "-C", tree, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout.strip()
        for tree in (old, new)
    ]
    with tempfile.TemporaryDirectory() as folder:
        cases: dict[str, tuple[Any, ...]] = {"import torch": (new, "import torch")}
        for commit, tree in zip(commits, (old, new), strict=True):
            file, out = Path(folder) / f"{commit}.sedic", Path(folder) / "out.png"
            run(tree, SEDIC, "compress", str(options.picture), str(file))
            decode = ("decompress", str(file), str(out), "--force")
            cases[f"decompress, {commit}"] = tree, SEDIC, *decode
            cases[f"--preview, {commit}"] = tree, SEDIC, *decode, "--preview"
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        load = os.getloadavg()[0]
        for _ in range(options.rounds):
            for name, case in cases.items():
                seconds[name].append(cpu_seconds(*case))
        computing = {
            name: min(float(run(new, COMPUTE, str(file), name)) for _ in range(2))
            for name in ("decompress", "preview")
        }
        size = file.stat().st_size
    least = {name: min(values) for name, values in seconds.items()}
    base = least["import torch"]
    for name, label in (("decompress", "decompress"), ("preview", "--preview")):
        whole = least[f"{label}, {commits[1]}"]
        least[f"{label}, arithmetic"] = computing[name]
        least[f"{label}, all but arithmetic"] = whole - computing[name]
    rows = [f"| {name} | {value:.2f} | {value / base:.2f} |" for name, value in least.items()]
    text = f"""# Cold start

`python benchmarks/cold_start.py --old ... --picture {options.picture.name}` (768 x 512, a file of
{size} bytes), {options.rounds} rounds in turn, the least user + system seconds of whole processes.
Machine: {processor()}, {os.cpu_count()} cores, load {load:.0f}. Python {platform.python_version()}.

| process | CPU seconds | times `import torch` |
|---|---|---|
{chr(10).join(rows)}

Arithmetic is what a second decoding in the same process takes, with everything loaded. The rest is
starting, importing and loading. 3x3 convolutions are Winograd's where the processor has AVX2 but no
AVX-512; on the AVX512-BF16 machine of results.md decoding took 1.1 s on two cores.
"""
    (HERE / "cold_start.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
