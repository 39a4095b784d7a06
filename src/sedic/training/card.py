"""Model cards: what a weight is, what it saw, how it was made, and how good it measured."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sedic.training.loop import Run

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


def reference_card(
    weights: Path, run: Run, folders: Iterable[Path], held_out: Mapping[str, list[float]]
) -> str:
    """The Markdown card of a trained reference codec."""
    recipe: dict[str, Any] = run.state["recipe"]
    sources = {folder.name: PHOTO_LICENCES.get(folder.name, "see its source") for folder in folders}
    data = "\n".join(f"- `{name}`: {licence}" for name, licence in sources.items())
    settings = "\n".join(f"| {name} | {value} |" for name, value in recipe.items())
    rows = "\n".join(
        f"| {bpp:.4f} | {lpips:.3f} | {psnr:.2f} |"
        for bpp, lpips, psnr in zip(*held_out.values(), strict=True)
    )
    parameters = sum(p.numel() for p in run.network.parameters())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return f"""# {weights.name}

The weights of sedic's reference codec `{recipe["network"]}`: {parameters / 1e6:.1f} M parameters,
{weights.stat().st_size} bytes, sha256 `{digest}`.

Licence: Apache-2.0, like the project. Never trained, selected or stopped on Kodak.

## Data

One photograph in forty, chosen by its name, is held out.

{data}

## Making

{run.step} steps in {run.elapsed / 60:.0f} minutes on {machine()}. The moving average of the weights
is what is kept. `sedic train reference` with these settings:

| setting | value |
|---|---|
{settings}

## Held-out pictures

Ideal bits; LPIPS-squeeze (Caffe) was part of the loss.

| bpp | LPIPS-squeeze (Caffe) | PSNR dB |
|---|---|---|
{rows}
"""
