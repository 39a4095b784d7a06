"""The circumstances of a run, which a results file records: commit, versions, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "sedic",
    "torch",
    "numpy",
    "scipy",
    "pillow",
    "diffusers",
    "transformers",
    "constriction",
    "torchmetrics",
    "imageio-ffmpeg",
)


def commit() -> str:
    """The git commit of the sources in use, ``with changes`` if so; empty outside a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        process = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=True, timeout=20
        )
        return process.stdout.decode().strip()

    try:
        name = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", "..")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{name} with changes" if changed else name


def versions() -> dict[str, str]:
    """Versions of Python, packages that numbers depend on, Pillow's codecs and ffmpeg."""
    from PIL import features

    numbers = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            continue
    for library in ("webp", "jpg_2000"):
        if number := features.version(library):
            numbers[library] = number
    with suppress(ImportError, RuntimeError, OSError):  # it is not here, or not for this platform
        from imageio_ffmpeg import get_ffmpeg_version

        numbers["ffmpeg"] = get_ffmpeg_version()
    return numbers


def hardware() -> dict[str, str]:
    """System, processor, cores, memory in GiB, and the CUDA device if there is one."""
    import torch

    facts = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        facts["memory"] = f"{size / 2**30:.1f} GiB"
    if torch.cuda.is_available():
        facts["device"] = torch.cuda.get_device_name()
    return facts


def _processor() -> str:
    """The processor's name; Python's ``platform`` does not have it on Linux."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
