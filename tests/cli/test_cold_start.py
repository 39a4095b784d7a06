"""A fresh process imports only what it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sedic import Encoder, Profile, Rate

# What decoding a file of the default profile has no use for.
UNUSED = {
    "diffusers",
    "huggingface_hub",
    "lxml",
    "matplotlib",
    "pandas",
    "regex",
    "requests",
    "rich.progress",
    "scipy",
    "sedic.cli.batch",
    "sedic.cli.bench",
    "sedic.cli.compress",
    "sedic.cli.train",
    "skimage",
    "tokenizers",
    "torch._dynamo",
    "torch._inductor",
    "transformers",
}
SCRIPT = """
import sys
from sedic.cli.main import app
app(sys.argv[1:], standalone_mode=False)
print("\\n".join(sys.modules))
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an object."""
    y, x = np.mgrid[:64, :96]
    picture = np.stack([2 * x, 3 * y, x + y], 2).astype(np.uint8)
    picture[16:48, 16:64] = (200, 30, 30)
    path = tmp_path_factory.mktemp("cold") / "file.sedic"
    path.write_bytes(Encoder(Profile.load()).compress(picture, Rate(600, 1, 20, 20)).data)
    return path


@pytest.mark.parametrize("options", [[], ["--preview"]])
def test_a_fresh_process_imports_only_what_it_runs(file: Path, options: list[str]) -> None:
    command = ["decompress", str(file), str(file.with_suffix(".png")), "--force", *options]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "torch" in imported and not imported & UNUSED
    networks = {name for name in imported if name.startswith("sedic.synthesis.stages")}
    assert bool(networks) is not bool(options)


def test_the_exit_status_and_all_output_survive_the_quick_end(file: Path, tmp_path: Path) -> None:
    def sedic(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        script = "from sedic.cli.main import program; program()"
        return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True)

    shown = sedic("inspect", str(file), "--json")
    assert shown.returncode == 0 and shown.stdout.rstrip().endswith(b"}")
    missing = sedic("inspect", str(tmp_path / "nothing.sedic"))
    assert missing.returncode == 1 and b"nothing.sedic" in missing.stderr
    assert sedic("inspect").returncode == 2
