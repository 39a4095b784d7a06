"""Model cards: what a weight is, what it saw, how it was made, and how good it measured."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import safe_open

from sedic.lab.train.loop import Run

# What <shared>/data/README.md states of each folder of photographs.
PHOTO_LICENCES = {
    "wallpaper": "elementary, Solus, deepin and Budgie wallpapers: CC0, CC BY, CC BY-SA, Unsplash",
    "urban": "Urban100: none stated, research set",
    "imagenet": "imagenet-sample-images: none stated, research set",
    "bsds": "BSDS500: none stated, research set",
    "coco": "COCO 2017 pictures: Flickr licences",
    "camvid": "CamVid frames: none stated, research set",
}


def machine() -> str:
    """The processor that this runs on, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [x.split(":")[1] for x in info.read_text().splitlines() if "model name" in x]
        name = names[0].strip() if names else name
    return f"{os.cpu_count()} cores of {name}"


def digest(weights: Path) -> str:
    """The sha256 of a weight file, in hexadecimal."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def write(
    weights: Path, run: Run, folders: Iterable[Path], what: str, command: str, held_out: str
) -> None:
    """The Markdown card of trained weights, in a file beside them.

    ``what``: what they are, ``command``: what made them, ``held_out``: Markdown of their figures.
    """
    sources = {folder.name: PHOTO_LICENCES.get(folder.name, "see its source") for folder in folders}
    data = "\n".join(f"- `{name}`: {licence}" for name, licence in sources.items())
    recipe: dict[str, Any] = run.state["recipe"]
    settings = "\n".join(f"| {name} | {value} |" for name, value in recipe.items())
    start = run.state.get("start")
    began = f" It began with weights of sha256\n`{start}`." if start else ""
    with safe_open(weights, "pt") as file:  # a run may train more than this file holds
        names = file.keys()
        parameters = sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    text = f"""# {weights.name}

The weights of {what}: {parameters / 1e6:.1f} M parameters, {weights.stat().st_size} bytes, sha256
`{digest(weights)}`.

Licence: Apache-2.0, like the project. Never trained, selected or stopped on Kodak.

## Data

One photograph in forty, chosen by its name, is held out.

{data}

## Making

{run.step} steps in {run.elapsed / 60:.0f} minutes on {machine()}. The moving average of the weights
is what is kept.{began} `{command}` with these settings:

| setting | value |
|---|---|
{settings}

## Held-out pictures

LPIPS-squeeze (Caffe) was part of the loss.

{held_out}
"""
    weights.with_suffix(".md").write_text(text, encoding="utf-8")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(heads)]
    lines.append(["---"] * len(lines[0]))
    lines.extend(list(row) for row in rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
