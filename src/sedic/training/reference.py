"""Train the reference codec: rate + distortion, many rates at once, steered to target rates.

The loss of a crop at level l is ``rate_weight[l] * bpp + mse * MSE + lpips * LPIPS``. Training at
the target rates from the start collapses to a grey picture, so the rate weights begin small and
rise over the first part of the run. From then on they are steered: now and then the bits of whole
held-out pictures are measured at every anchor, and each anchor's weight moves until its mean bpp
is the target (crops of small photographs cost twice the bits of whole pictures, so the rate of
the training crops says little).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sedic.evaluation.lpips import LPIPS, weights_path
from sedic.reference.compact_network import ANCHORS, LEVELS, STEPS, CompactNetwork
from sedic.training import photos
from sedic.training.loop import Run, Schedule

Report = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run, besides the photographs."""

    steps: int = 10_000
    batch: int = 8
    crop: int = 192
    learning_rate: float = 4e-4
    decay: float = 0.3
    anneal: int = 2_000  # steps over which the rate weights rise to their first values
    mse: float = 50.0  # of pictures in [0, 1]
    lpips: float = 1.0
    lowest_bpp: float = 0.005  # held-out mean at the first anchor
    highest_bpp: float = 0.060  # and at the last
    seed: int = 0
    folders: tuple[str, ...] = ("wallpaper", "urban", "imagenet", "bsds", "coco", "camvid")
    steer_folders: tuple[str, ...] = ("wallpaper", "coco")
    steer_every: int = 200
    measure_every: int = 1_000
    save_every: int = 250

    def target_bpp(self) -> list[float]:
        """Mean bits per pixel wanted at each anchor, in equal ratios."""
        ratio = (self.highest_bpp / self.lowest_bpp) ** (1 / (ANCHORS - 1))
        return [self.lowest_bpp * ratio**a for a in range(ANCHORS)]

    def first_weights(self) -> list[float]:
        """Rate weights to begin with: the slope of distortion over rate falls like 1 / rate."""
        return [0.2 / bpp**0.85 for bpp in self.target_bpp()]


@dataclass
class ReferenceTask:
    """Loss, steering and measurement of one run."""

    recipe: Recipe
    network: CompactNetwork
    perceptual: LPIPS
    crops: photos.Crops
    held_out: list[Tensor]  # (1, 3, h, w) in [-0.5, 0.5]
    weights: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = self.weights or self.recipe.first_weights()

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch and its parts."""
        torch.manual_seed(self.recipe.seed * 1_000_003 + step)
        x = to_tensor(self.crops(step))
        levels = torch.randint(0, LEVELS, (x.shape[0],))
        with torch.autocast("cpu", torch.bfloat16):
            decoded, bits = self.network(x, levels)
        bpp = bits / (x.shape[-1] * x.shape[-2])
        rise = min(1.0, step / self.recipe.anneal)
        table = torch.tensor(self.weights).log()[:, None]
        place = levels / STEPS
        low = place.floor().long().clamp(max=ANCHORS - 2)
        log_weight = torch.lerp(table[low, 0], table[low + 1, 0], place - low)
        weight = torch.exp(log_weight + math.log(0.05) * (1 - rise))
        half = torch.bfloat16
        lpips = self.perceptual((decoded + 0.5).to(half), (x + 0.5).to(half)).mean()
        mse = (decoded.float() - x).square().mean()
        loss = (weight * bpp).mean() + self.recipe.mse * mse + self.recipe.lpips * lpips
        parts = {"loss": loss, "bpp": bpp.mean(), "mse": mse, "lpips": lpips}
        return loss, {name: round(float(value.detach()), 5) for name, value in parts.items()}

    @torch.no_grad()
    def held_out_bpp(self) -> list[float]:
        """Mean ideal bpp of the held-out pictures at every anchor."""
        total = np.zeros(ANCHORS)
        for x in self.held_out:
            for anchor in range(ANCHORS):
                with torch.autocast("cpu", torch.bfloat16):
                    bits = self.network.ideal_bits(x, torch.tensor([anchor * STEPS]))
                total[anchor] += float(bits) / (x.shape[-1] * x.shape[-2])
        return [float(value) for value in total / len(self.held_out)]

    def steer(self) -> list[float]:
        """Move each anchor's rate weight towards its target; returns the measured rates."""
        measured = self.held_out_bpp()
        for anchor, (bpp, target) in enumerate(
            zip(measured, self.recipe.target_bpp(), strict=True)
        ):
            error = math.log(max(bpp, 1e-6) / target)
            self.weights[anchor] *= math.exp(0.5 * max(-0.5, min(0.5, error)))
        return measured

    @torch.no_grad()
    def measure(self) -> dict[str, list[float]]:
        """LPIPS and PSNR of the held-out pictures at every second anchor."""
        result: dict[str, list[float]] = {"bpp": [], "lpips": [], "psnr": []}
        for anchor in range(1, ANCHORS, 2):
            sums = np.zeros(3)
            for x in self.held_out:
                with torch.autocast("cpu", torch.bfloat16):
                    decoded, bits = self.network(x, torch.tensor([anchor * STEPS]))
                decoded = decoded.float().clamp(-0.5, 0.5)
                half = torch.bfloat16
                lpips = self.perceptual((decoded + 0.5).to(half), (x + 0.5).to(half))
                mse = float((decoded - x).square().mean())
                bpp = float(bits) / (x.shape[-1] * x.shape[-2])
                sums += (bpp, float(lpips), -10 * math.log10(mse))
            for name, value in zip(result, sums / len(self.held_out), strict=True):
                result[name].append(round(float(value), 5))
        return result


def to_tensor(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """(n, h, w, 3) uint8 to (n, 3, h, w) float32 in [-0.5, 0.5], channels last in memory."""
    return torch.from_numpy(pictures.astype(np.float32) / 255 - 0.5).permute(0, 3, 1, 2)


def whole_pictures(paths: list[Path], limit: int) -> list[Tensor]:
    """At most ``limit`` of these photographs, evenly chosen, cut to at most 768x512."""
    chosen = paths[:: max(1, len(paths) // limit)][:limit]
    result = []
    for path in chosen:
        photo = photos.load(path)
        height, width = photo.shape[:2]
        tall, wide = (512, 768) if width >= height else (768, 512)
        tall, wide = min(height, tall) // 64 * 64, min(width, wide) // 64 * 64
        top, left = (height - tall) // 2, (width - wide) // 2
        result.append(to_tensor(photo[None, top : top + tall, left : left + wide]))
    return result


def train(recipe: Recipe, out: Path, say: Report, start: Path | None = None) -> None:
    """Train ``compact`` into the folder ``out``; goes on where an earlier run there stopped.

    ``start``: weights to begin with (a checkpoint of another run's folder).
    """
    torch.set_num_threads(min(4, torch.get_num_threads()))
    shared = photos.shared_folder()
    folders = [shared / "data" / "photos" / name for name in recipe.folders]
    steer = [shared / "data" / "photos" / name for name in recipe.steer_folders]
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = CompactNetwork()
    nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]
    schedule = Schedule(recipe.steps, recipe.learning_rate, decay=recipe.decay)
    run = Run(out, network, schedule, table_rate=5.0)
    if run.resume():
        say(f"going on from step {run.step}")
    say("reading photographs")
    pictures = photos.load_all(photos.find(folders, held_out=False), lambda _: None)
    perceptual = LPIPS(weights_path(shared)).to(torch.bfloat16)
    perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = ReferenceTask(
        recipe,
        network,
        perceptual,
        photos.Crops(pictures, recipe.crop, recipe.batch, recipe.seed),
        whole_pictures(photos.find(steer, held_out=True), 8),
        run.state.get("weights", []),
    )
    run.state["recipe"] = asdict(recipe)
    while run.step < recipe.steps:
        loss, parts = task.loss(run.step)
        norm = run.update(loss)
        if run.step % 50 == 0:
            rate = run.schedule(run.step)
            run.log(**parts, norm=round(norm, 3), rate=round(rate, 7))
            say(f"{run.step}/{recipe.steps} {parts} norm {norm:.2f} {run.elapsed / run.step:.2f}s")
        if run.step % recipe.steer_every == 0 and run.step >= recipe.anneal:
            measured = task.steer()
            run.state["weights"] = task.weights
            run.log(steered_bpp=measured, weights=task.weights)
            say("bpp " + " ".join(f"{b:.4f}" for b in measured))
        if run.step % recipe.measure_every == 0:
            held_out = task.measure()
            run.log(held_out=held_out)
            say(f"held out {held_out}")
        if run.step % recipe.save_every == 0 or run.step == recipe.steps:
            run.save()
