"""Model cards: what weights are, their training data, recipe, loss and held-out figures."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from sedic.lab.bench.lpips import NAME as LPIPS
from sedic.lab.train.loop import Run, changed

# What <shared>/data/README.md states of each folder of photographs.
PHOTO_LICENCES = {
    "wallpaper": "elementary, Solus, deepin and Budgie wallpapers: CC0, CC BY, CC BY-SA, Unsplash",
    "urban": "Urban100: none stated, research set",
    "imagenet": "imagenet-sample-images: none stated, research set",
    "bsds": "BSDS500: none stated, research set",
    "coco": "COCO 2017 pictures: Flickr licences",
    "camvid": "CamVid frames: none stated, research set",
}


def machine(device: torch.device) -> str:
    """What a network on ``device`` is computed with: a GPU's name, or the number of cores and the
    processor's."""
    if device.type == "cuda":
        return f"one {torch.cuda.get_device_name(device)}"
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [x.split(":")[1] for x in info.read_text().splitlines() if "model name" in x]
        name = names[0].strip() if names else name
    return f"{os.cpu_count()} cores of {name}"


def digest(weights: Path) -> str:
    """The sha256 of a weight file, in hexadecimal."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def write_card(
    weights: Path, run: Run, folders: Iterable[Path], what: str, command: str, held_out: str
) -> None:
    """The Markdown card of trained weights, in a file beside them.

    ``what``: what they are, ``command``: what made them, ``held_out``: Markdown of their figures.
    """
    sources = {folder.name: PHOTO_LICENCES.get(folder.name, "see its source") for folder in folders}
    data = "\n".join(f"- `{name}`: {licence}" for name, licence in sources.items())
    device = next(run.network.parameters()).device
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

{run.step} steps in {run.elapsed / 60:.0f} minutes on {machine(device)}. The moving average of the
weights is what is kept.{_beginning(run)} `{command}` with these settings:

{_settings(run.state["recipes"])}

## Loss

{_loss(run.state["recipes"])}

## Held-out pictures

{_independence(run)}

{held_out}
"""
    weights.with_suffix(".md").write_text(text, encoding="utf-8")


def _beginning(run: Run) -> str:
    start = run.state.get("start")
    return f" It began with weights of sha256\n`{start}`." if start else ""


def _settings(history: Sequence[Mapping[str, Any]]) -> str:
    """The first recipe as a table, and what each later one changed."""
    parts = [table(("setting", "value"), ((k, str(v)) for k, v in history[0]["settings"].items()))]
    for before, after in pairwise(history):
        rows = ((name, str(old), str(new)) for name, old, new in changed(before, after["settings"]))
        parts.append(f"From step {after['step']} on the run was continued with other settings:")
        parts.append(table(("setting", "before", "from then on"), rows))
    return "\n\n".join(parts)


def _loss(history: Sequence[Mapping[str, Any]]) -> str:
    """The terms of the loss, from the first step on."""
    lines = []
    for entry in history:
        terms = ", ".join(f"{name} (weight {weight:g})" for name, weight in entry["loss"].items())
        lines.append(f"- from step {entry['step']}: {terms}")
    return "\n".join(lines)


def _independence(run: Run) -> str:
    """A sentence on whether the held-out metric was part of the loss."""
    inside = any(name.startswith(LPIPS) for e in run.state["recipes"] for name in e["loss"])
    line = f"{LPIPS} was {'' if inside else 'not '}part of the loss"
    if run.state.get("start") and not inside:
        line += "; whether it was in that of the weights this run began with, their card says"
    return f"{line}."


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(heads)]
    lines.append(["---"] * len(lines[0]))
    lines.extend(list(row) for row in rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
