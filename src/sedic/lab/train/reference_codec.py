"""Train the reference codec: rate + distortion, for either learned network.

The loss of a crop at level l is the logarithm of ``rate_weight[l] * bpp + mse * MSE + lpips * LPIPS
+ mesh * MESH``: so every rate has the same weight in what the shared layers learn.

``compact`` learns eight anchored rates at once. The rate term of a crop is never worth more than
``rate_share`` of its distortion: this limits the rate term early in a run, when files are large;
without the limit the pictures turn grey before the network has learnt to use its bits. The rate
weights are steered: every ``steer_every`` steps the bits of whole held-out pictures are measured at
every anchor, and each anchor's weight moves until its mean bpp is the target. (Crops of small
photographs cost twice the bits of whole pictures, so their rate cannot be used.)

``cheng2020`` has one rate, set by lambda in R + lambda * 255**2 * MSE as in CompressAI. The preset
``sedic`` is the SEDIC paper's (section 4.1): from the checkpoint of the lowest lambda, go on at a
tenth of it with a learning rate of 1e-4.

Either can be fine-tuned as Image-Text Coding does, with a third term in the distortion: how unlike
its caption CLIP finds the decoded crop (``sedic.lab.train.semantic``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from sedic.errors import DamagedFileError, SedicError
from sedic.failures import translated
from sedic.files import new_file, printable
from sedic.lab.train import card, face_boxes, photos, scenes, semantic
from sedic.lab.train.crops import Ahead, Batch, Crops
from sedic.lab.train.loop import Progress, Run, Schedule
from sedic.lab.train.perception import Perception, mesh
from sedic.lab.train.reference_recipe import ReferenceRecipe
from sedic.lab.train.semantic import CaptionSimilarity
from sedic.lab.train.texture import Texture
from sedic.models import classifier
from sedic.models.precision import Placement, placement
from sedic.reference import cheng2020, compact
from sedic.reference.cheng2020_network import Cheng2020Attention
from sedic.reference.compact_network import ANCHORS, LEVELS, STEPS, Coded, CompactNetwork

_WORKERS = 16  # processes that draw crops while another device than the CPU computes
_MULTIPLE = 64  # pixels: what the sides of whole pictures are a multiple of


class Trainable(nn.Module):
    """Either network behind one signature: pictures in [-0.5, 0.5] and levels in."""

    def __init__(self, network: CompactNetwork | Cheng2020Attention) -> None:
        super().__init__()
        self.network = network
        self.rates = ANCHORS if isinstance(network, CompactNetwork) else 1

    def forward(self, x: Tensor, levels: Tensor) -> Coded:
        if isinstance(self.network, CompactNetwork):
            return self.network(x, levels)  # type: ignore[no-any-return]
        coded = self.network(x + 0.5)
        y, z = (
            -torch.log2(likelihood.float()).flatten(1).sum(1)
            for likelihood in (coded.y_likelihoods, coded.z_likelihoods)
        )
        return Coded(coded.x_hat - 0.5, y + z, y + z)


@dataclass
class ReferenceTask:
    """Loss, steering and measurement of one run."""

    recipe: ReferenceRecipe
    network: Trainable
    perceived: Perception
    crops: Callable[[int], Batch]
    held_out: list[Tensor]  # (1, 3, h, w) in [-0.5, 0.5]
    place: Placement = field(default_factory=lambda: placement("cpu"))
    similarity: CaptionSimilarity | None = None  # of the photographs of ``crops``
    texture: Texture | None = None
    weights: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = self.weights or self.recipe.first_weights()
        if len(self.weights) != ANCHORS or not all(0 < w < math.inf for w in self.weights):
            raise DamagedFileError("the checkpoint's rate weights are no positive numbers")

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch and its parts."""
        torch.manual_seed(self.recipe.seed * 1_000_003 + step)
        batch = self.crops(step)
        x, faces = to_tensor(batch.pixels, self.place), batch.faces.to(self.place.device)
        levels = torch.randint(0, LEVELS, (x.shape[0],), device=x.device)
        if self.recipe.low != 1.0:
            levels = (((levels + 0.5) / LEVELS) ** self.recipe.low * LEVELS).long()
        other = None
        with self.place.autocast:
            if self.texture and isinstance(self.network.network, CompactNetwork):
                y_hat, table, noisy_bits, bits = self.network.network.quantised(x, levels)
                restore_inputs = y_hat, table.detach(), levels
                decoded = self.network.network.restore(*restore_inputs, self.recipe.realism)
                with torch.no_grad():
                    other = self.network.network.restore(*restore_inputs, self.recipe.realism)
            else:
                decoded, noisy_bits, bits = self.network(x, levels)
        pixels = x.shape[-1] * x.shape[-2]
        noisy_bpp, bpp = noisy_bits / pixels, bits.detach() / pixels
        table = torch.tensor(self.weights, device=x.device).log()[:, None]
        place = levels / STEPS
        low = place.floor().long().clamp(max=ANCHORS - 2)
        weight = torch.exp(torch.lerp(table[low, 0], table[low + 1, 0], place - low))
        if self.texture:
            distortion, parts = self.texture(decoded, x, other, faces)
        else:
            distortion, parts = self._distortion(decoded, x, batch.sources)
        most = self.recipe.rate_share * distortion.detach() / bpp
        loss = (torch.minimum(weight, most) * noisy_bpp + distortion).log().mean()
        values = {"loss": loss, "bpp": bpp} | parts
        numbers = torch.stack([value.detach().float().mean() for value in values.values()]).tolist()
        return loss, {name: round(n, 5) for name, n in zip(values, numbers, strict=True)}

    def _distortion(
        self, decoded: Tensor, x: Tensor, sources: tuple[int, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The distortion of each crop, (b,), and its parts, without the loss of texture."""
        lpips = x.new_zeros(x.shape[0])
        if self.recipe.lpips:
            lpips = self.perceived.anywhere(decoded, x)
        mse = (decoded.float() - x).square().mean((1, 2, 3))
        repeated = mesh(decoded, x)
        distortion = self.recipe.mse * mse + self.recipe.lpips * lpips
        distortion = distortion + self.recipe.mesh * repeated
        parts = {"mse": mse, "lpips": lpips, "mesh": repeated}
        if self.similarity:
            parts["clip"] = self.similarity(decoded + 0.5, sources)
            distortion = distortion + self.recipe.clip * (1 - parts["clip"])
        return distortion, parts

    def after(self, run: Run) -> None:
        """Steer the rates every ``steer_every`` steps."""
        steered = self.network.rates > 1 and not self.recipe.decoder_only
        if steered and run.step % self.recipe.steer_every == 0:
            measured = self.steer()
            run.state["weights"] = self.weights
            run.log(steered_bpp=measured, weights=self.weights)

    def steer(self) -> list[float]:
        """Move each anchor's rate weight towards its target; returns the measured rates."""
        measured = []
        first = self.recipe.first_weights()
        for anchor, target in enumerate(self.recipe.target_bpp()):
            bpp = sum(self._bpp(x, anchor) for x in self.held_out) / len(self.held_out)
            error = math.log(max(bpp, 1e-6) / target)
            weight = self.weights[anchor] * math.exp(0.5 * max(-0.5, min(0.5, error)))
            # A rate follows its weight after hundreds of steps, so the weight's range is bounded.
            self.weights[anchor] = min(max(weight, first[anchor] / 4), first[anchor] * 4)
            measured.append(round(bpp, 5))
        return measured

    def measure(self) -> dict[str, list[float]]:
        """Rate, LPIPS, that of both pictures without their first row and column, and PSNR of the
        held-out pictures, at every second anchor."""
        if isinstance(self.network.network, Cheng2020Attention):  # z is rounded about the medians
            self.network.network.entropy_bottleneck.fit_quantiles()
        result: dict[str, list[float]] = {"bpp": [], "lpips": [], "lpips_moved": [], "psnr": []}
        for anchor in range(min(1, self.network.rates - 1), self.network.rates, 2):
            sums = np.zeros(4)
            for x in self.held_out:
                decoded, bpp = self._coded(x, anchor)
                lpips = self.perceived(decoded, x)
                moved = self.perceived.moved(decoded, x)
                mse = float((decoded - x).square().mean())
                sums += (bpp, float(lpips), float(moved), -10 * math.log10(mse))
            for name, value in zip(result, sums / len(self.held_out), strict=True):
                result[name].append(round(float(value), 5))
        return result

    @torch.no_grad()
    def _bpp(self, x: Tensor, anchor: int) -> float:
        """Bits per pixel of a picture at an anchor of ``compact``, without decoding it."""
        assert isinstance(self.network.network, CompactNetwork)
        level = torch.tensor([anchor * STEPS], device=x.device)
        with self.place.autocast:
            *_, bits = self.network.network.quantised(x, level)
        return float(bits) / (x.shape[-1] * x.shape[-2])

    @torch.no_grad()
    def _coded(self, x: Tensor, anchor: int) -> tuple[Tensor, float]:
        self.network.eval()
        level = torch.tensor([anchor * STEPS], device=x.device)
        with self.place.autocast:
            decoded, _, bits = self.network(x, level)
        self.network.train()
        return decoded.float().clamp(-0.5, 0.5), float(bits) / (x.shape[-1] * x.shape[-2])


def to_tensor(pictures: Tensor, place: Placement) -> Tensor:
    """(n, h, w, 3) uint8 to (n, 3, h, w) float32 in [-0.5, 0.5] at a place, channels last in
    memory."""
    moved = pictures.to(place.device, non_blocking=True)
    return (moved.float() / 255 - 0.5).permute(0, 3, 1, 2)


def whole_pictures(paths: list[Path], limit: int, place: Placement | None = None) -> list[Tensor]:
    """At most ``limit`` of these photographs, evenly chosen, cut to at most 768x512.

    ``SedicError`` if none of them can be read and has 64 pixels a side.
    """
    subset = paths[:: max(1, len(paths) // limit)][:limit]
    pixels = [photograph.pixels for photograph in photos.read_photographs(subset, lambda _: None)]
    result = []
    for index in photos.large_enough(pixels, _MULTIPLE):
        photo = pixels[index]
        height, width = photo.shape[:2]
        tall, wide = (512, 768) if width >= height else (768, 512)
        tall, wide = (
            min(a, b) // _MULTIPLE * _MULTIPLE for a, b in ((height, tall), (width, wide))
        )
        top, left = (height - tall) // 2, (width - wide) // 2
        cut = torch.from_numpy(photo[None, top : top + tall, left : left + wide].copy())
        result.append(to_tensor(cut, place or placement("cpu")))
    return result


def network_of(recipe: ReferenceRecipe, start: Path | None) -> CompactNetwork | Cheng2020Attention:
    """The network to train, from ``start`` or, for ``compact`` alone, from random weights."""
    if recipe.network == "compact":
        if start is None:
            network = CompactNetwork()
        else:
            with translated(printable(start)):
                network = compact.load_compact(start)[0]
        if recipe.texture and not network.synthesis.noise_channels:
            network = network.with_noise(recipe.noise)
        return network
    if recipe.network != "cheng2020":
        raise SedicError(f"cannot train {recipe.network!r}: compact or cheng2020")
    if start is None:
        raise SedicError("cheng2020 is fine-tuned: name a CompressAI checkpoint with --start")
    return cheng2020.load_cheng2020(start)


def similarity_of(
    recipe: ReferenceRecipe,
    clip: Path | None,
    captions: Path | None,
    photographs: list[photos.Photograph],
    folder: Path,
    progress: Progress,
) -> tuple[list[photos.Photograph], CaptionSimilarity | None]:
    """The photographs that have a caption, and the CLIP term of the loss, if the recipe has one.

    Captions are read from ``captions``, or measured and stored in the folder ``folder``.
    """
    if not recipe.clip:
        return photographs, None
    if clip is None:
        raise SedicError("the semantic loss needs a CLIP: name its folder with --clip")
    if captions:
        texts = semantic.read_captions(captions, [one.path for one in photographs])
    else:
        total = len(photographs)
        described = scenes.describe_all(
            photographs, folder, lambda n: progress(n, total, "describing photographs")
        )
        photographs = [photograph for photograph, _ in described]
        texts = [scene.overall for _, scene in described]
    return photographs, CaptionSimilarity(clip, texts)


def train(
    recipe: ReferenceRecipe,
    out: Path,
    progress: Progress,
    start: Path | None = None,
    clip: Path | None = None,
    captions: Path | None = None,
    device: str = "cpu",
) -> Path:
    """Train into the folder ``out``, going on where an earlier run there stopped.

    The semantic loss looks with the CLIP in the folder ``clip`` at the ``captions``, JSON lines
    (``semantic.read_captions``); without them, at the measured descriptions of the photographs.
    ``device``: "cpu", "cuda" or "auto". Returns the finished weights, a file in ``out`` with its
    model card beside it. Interrupting loses nothing: the run is saved, and the same call goes on.
    """
    place = placement(device)
    shared = photos.shared_folder()
    folders = [shared / "data" / "photos" / name for name in recipe.folders]
    steer = [shared / "data" / "photos" / name for name in recipe.steer_folders]
    torch.manual_seed(recipe.seed)
    network = network_of(recipe, start).train().requires_grad_(True)
    network.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.decoder_only:
        if start is None or not isinstance(network, CompactNetwork):
            raise SedicError("the decoder alone: name compact's weights with --start")
        for part in (network.analysis, network.entropy, network.log_gain):
            part.requires_grad_(False)
    schedule = Schedule(recipe.steps, recipe.learning_rate, recipe.warmup, recipe.decay)
    run = Run(out, network, schedule, table_rate=5.0, averaging=recipe.averaging, start=start)
    run.begin(recipe)
    paths = photos.find_photographs(folders, held_out=False)
    photographs = photos.read_photographs(
        paths, lambda n: progress(n, len(paths), "reading photographs")
    )
    photographs, similarity = similarity_of(
        recipe, clip, captions, photographs, out / "scenes", progress
    )
    pictures = [photograph.pixels for photograph in photographs]
    faces: list[face_boxes.Boxes] = []
    if recipe.face:
        faces = face_boxes.find_faces(
            photographs,
            out / "faces.json",
            lambda n: progress(n, len(photographs), "looking for faces"),
        )
    crops = Crops(
        pictures,
        recipe.crop,
        recipe.batch,
        recipe.seed,
        small=recipe.small,
        plain=recipe.plain,
        grain=recipe.grain,
        faces=faces,
        face=recipe.face,
    )
    # On the CPU the training itself needs every core.
    workers = 0 if place.device.type == "cpu" else min(_WORKERS, os.cpu_count() or 1)
    perceived = Perception(shared, 0 if recipe.texture else recipe.steps, place)
    texture = None
    if recipe.texture:
        frozen = classifier.load_classifier(dtype=place.dtype).to(place.device)
        texture = Texture(perceived, frozen, recipe.texture)
    task = ReferenceTask(
        recipe,
        Trainable(network),
        perceived,
        Ahead(crops, recipe.steps, workers),
        whole_pictures(photos.find_photographs(steer, held_out=True), 8, place),
        place,
        similarity.to(place.device) if similarity else None,
        texture,
        run.state.get("weights", []),
    )
    run.finish(task, progress)
    network.load_state_dict(run.average)
    weights = out / f"{recipe.network}.safetensors"
    if isinstance(network, CompactNetwork):
        compact.save_compact(network, weights)
    else:
        network.update_tables()
        with new_file(weights, force=True) as file:
            file.write(save({k: v.contiguous() for k, v in network.state_dict().items()}))
    task.network.eval()
    figures = card.table(
        ("bpp (ideal)", "LPIPS-squeeze (Caffe)", "moved by a pixel", "PSNR dB"),
        (
            (f"{bpp:.4f}", f"{lpips:.3f}", f"{moved:.3f}", f"{psnr:.2f}")
            for bpp, lpips, moved, psnr in zip(*task.measure().values(), strict=True)
        ),
    )
    what = f"sedic's reference codec `{recipe.network}`"
    card.write_card(weights, run, folders, what, "sedic train reference", figures)
    return weights
