"""Train the embedded restorer: Algorithm 1 on a CPU.

Its inputs are those that it meets in files: references decoded by the ``compact`` codec at all its
rates, words and masks of the measured description, latents of the embedded VAE, and its own earlier
outputs. The UNet predicts the clean latent x0 of an object inside its mask or, under the overall
text, of the whole crop; outside the mask is the result of the stages before (eq. 4). There are
three kinds of batches:

- first: from pure noise at the last timestep;
- later: at some timestep, from the network's own x0, noised;
- staged: the condition is a picture whose object the network itself restored before.

The loss is ``mse * MSE + lpips * LPIPS`` of the crop that is shown, plus ``edges`` times what the
strengths of its edges lack, plus ``mesh`` times what repeats in it from block to block, plus
``latent`` times the squared error of the latents. What is shown is the reference plus what the
change of its latent decodes to (``result = "added"``), so the VAE takes nothing from a good
reference. The VAE's decoder is trained, too, because it makes the finest textures. To stay a
decoder of the VAE's latents it also decodes the photographs' own latents, ``faithful`` of the
batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sedic.describe.description import Description
from sedic.describe.measured import describe
from sedic.failures import translated
from sedic.files import printable
from sedic.lab.bench.lpips import NAME as LPIPS
from sedic.lab.train import card, photos, scenes
from sedic.lab.train.loop import Progress, Run, Schedule
from sedic.lab.train.perception import Perception, edges, mesh
from sedic.lab.train.reference_codec import to_tensor, whole_pictures
from sedic.models import pack
from sedic.models.clip_tokenizer import Merges, Tokenizer, learn_merges
from sedic.models.mini import SCHEDULE, fresh_restorer
from sedic.models.patch_autoencoder import PatchAutoencoder
from sedic.models.precision import Placement, placement
from sedic.picture import Picture
from sedic.profile import Profile
from sedic.reference import compact
from sedic.reference.compact_network import LEVELS, CompactNetwork
from sedic.semantics import GRID, Rate
from sedic.synthesis import samplers


@dataclass(frozen=True, kw_only=True)
class RestorerRecipe(photos.PhotoRecipe):
    """All settings of a run."""

    steps: int = 5_400
    learning_rate: float = 4e-4
    mse: float = 5.0  # of pictures in [0, 1]
    lpips: float = 1.0
    edges: float = 0.5  # of their strengths
    mesh: float = 20.0  # of what repeats from block to block
    latent: float = 0.02
    silent: float = 0.15  # share of crops without words
    objects: float = 0.3  # share of crops that restore an object rather than the whole
    later: float = 0.3  # share of batches at a timestep within a run
    staged: float = 0.1  # share of batches after an object's stage
    faithful: float = 0.125  # crops that the decoder also decodes from their own latents, per crop
    lowest_level: int = 24  # of the reference's rate
    merges: int = 1_000
    held_out_folders: tuple[str, ...] = ("wallpaper", "coco")

    def loss_terms(self) -> dict[str, float]:
        """Each term of the loss and its weight, those that are not zero."""
        terms = {
            "MSE of pictures in [0, 1]": self.mse,
            LPIPS: self.lpips,
            "strengths of edges": self.edges,
            "what repeats from block to block": self.mesh,
            "MSE of latents": self.latent,
        }
        return {name: weight for name, weight in terms.items() if weight}


class Restorer(nn.Module):
    """The networks that are trained, as one; of the VAE, the decoder alone."""

    def __init__(self, networks: dict[str, Any], vae: PatchAutoencoder) -> None:
        super().__init__()
        self.unet = networks["unet"]
        self.controlnet = networks["controlnet"]
        self.text_encoder = networks["text_encoder"]
        self.vae = vae.train()
        learning = (self.unet, self.controlnet, self.text_encoder)
        for part in (*learning, vae.decode_linear, vae.decode_deep):
            part.requires_grad_(True)

    def forward(self, z: Tensor, t: Tensor, condition: Tensor, tokens: Tensor) -> Tensor:
        """Clean latents of noisy ones (b, c, h, w) at timesteps (b,), under token ids (b, n)."""
        context = self.text_encoder(tokens)
        control = self.controlnet(torch.cat([z, condition], 1), t, context)
        return self.unet(z, t, context, control)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Crop:
    """A crop of a photograph with its description."""

    pixels: Picture
    overall: str
    detail: str = ""  # of the object under ``mask``
    mask: np.ndarray[Any, np.dtype[np.bool_]] | None = None  # on the latent grid


@dataclass(frozen=True)
class DescribedCrops:
    """Random crops of ``size`` pixels around the objects of described photographs: crop ``i`` of
    seed ``seed`` is always the same. ``SedicError`` if no photograph is as large as a crop."""

    pictures: list[Picture]
    descriptions: list[Description]
    size: int
    seed: int

    def __post_init__(self) -> None:
        _ = self._large

    @cached_property
    def _large(self) -> list[int]:
        return photos.large_enough(self.pictures, self.size)

    def __call__(self, i: int) -> Crop:
        rng = np.random.default_rng((self.seed, i))
        index = self._large[int(rng.integers(len(self._large)))]
        photo, scene = self.pictures[index], self.descriptions[index]
        # Corners on the latent grid, so that masks are cut without resampling.
        rows, columns, side = photo.shape[0] // GRID, photo.shape[1] // GRID, self.size // GRID
        layer = scene.objects[rng.integers(len(scene.objects))] if scene.objects else None
        if layer is None:
            top, left = rng.integers(rows - side + 1), rng.integers(columns - side + 1)
        else:
            cells = np.argwhere(layer.mask.array)
            at = cells[rng.integers(len(cells))] - rng.integers(side // 4, side - side // 4, 2)
            top, left = np.clip(at, 0, (rows - side, columns - side))
        part = photo[GRID * top :, GRID * left :][: self.size, : self.size]
        if layer is None:
            return Crop(part, scene.overall)
        mask = layer.mask.array[top : top + side, left : left + side]
        return Crop(part, scene.overall, layer.detail, mask)


@dataclass
class RestorerTask:
    """Loss and measurement of one run."""

    recipe: RestorerRecipe
    restorer: Restorer
    reference: CompactNetwork
    perceived: Perception
    tokenizer: Tokenizer
    crops: DescribedCrops
    held_out: list[Tensor]  # (1, 3, h, w) in [-0.5, 0.5]
    place: Placement = field(default_factory=lambda: placement("cpu"))
    alpha_bar: Tensor = field(default_factory=lambda: samplers.alpha_bar(SCHEDULE))
    descriptions: list[Description] = field(default_factory=list)  # of ``held_out``

    def __post_init__(self) -> None:
        self.alpha_bar = self.alpha_bar.to(self.place.device)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch and its parts."""
        recipe = self.recipe
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        rng = np.random.default_rng((recipe.seed, 1, step))
        crops = [self.crops(step * recipe.batch + i) for i in range(recipe.batch)]
        device = self.place.device
        x = to_tensor(torch.from_numpy(np.stack([crop.pixels for crop in crops])), self.place)
        levels = torch.randint(recipe.lowest_level, LEVELS, (len(crops),), device=device)
        with torch.no_grad(), self.place.autocast:
            reference = self.reference_of(x, levels)
            latent_condition = original = self.restorer.vae.encode(2 * reference).float()
            clean = self.restorer.vae.encode(2 * x).float()
        side = x.shape[-1] // GRID
        regions = torch.zeros(len(crops), 1, side, side)
        for region, crop in zip(regions, crops, strict=True):
            if crop.mask is not None:
                region[0] = torch.from_numpy(crop.mask.copy())
        kind = rng.random()
        later, staged = kind < recipe.later, kind > 1 - recipe.staged
        regions = regions.to(device)
        of_object = torch.from_numpy(rng.random(len(crops)) < recipe.objects).to(device)
        of_object &= regions.flatten(1).any(1) & (not staged)
        silent = rng.random(len(crops)) < recipe.silent
        texts = [
            "" if quiet else crop.detail if own else crop.overall
            for crop, own, quiet in zip(crops, of_object.tolist(), silent, strict=True)
        ]
        mask = torch.where(of_object[:, None, None, None], regions, regions.new_ones(()))
        last = torch.full((len(crops),), len(self.alpha_bar) - 1, device=device)
        noise = torch.randn_like(clean)
        if staged:
            details = ["" if quiet else c.detail for c, quiet in zip(crops, silent, strict=True)]
            with torch.no_grad():
                first = self.predict(torch.randn_like(clean), last, latent_condition, details)
            latent_condition = torch.lerp(latent_condition, first, regions)
        t, z = last, torch.lerp(self.noised(latent_condition, noise, last), noise, mask)
        if later:
            with torch.no_grad():
                own_clean = self.predict(z, last, latent_condition, texts)
            t = torch.randint(0, len(self.alpha_bar) - 1, (len(crops),), device=device)
            z = self.noised(torch.lerp(latent_condition, own_clean, mask), noise, t)
        predicted = self.predict(z, t, latent_condition, texts)
        faithful = round(recipe.faithful * len(crops))
        latents = torch.cat(
            [torch.lerp(latent_condition, predicted, mask), original, clean[:faithful]]
        )
        restored, before, own = torch.split(
            self.decoded(latents), [len(crops), len(crops), faithful]
        )
        outputs = torch.cat([reference + restored - before, own])
        targets = torch.cat([x, x[:faithful]])
        mse = (outputs - targets).square().mean()
        lpips = self.perceived.anywhere(outputs, targets).mean()
        latent = ((predicted - clean).square() * mask).mean()
        repeated = mesh(outputs, targets).mean()
        top, left = torch.randint(
            4, (2,)
        ).tolist()  # edges are compared at quarter size, too: cut at a random place of four
        strength = edges(outputs[..., top:, left:], targets[..., top:, left:]).mean()
        loss = recipe.mse * mse + recipe.lpips * lpips + recipe.edges * strength
        loss = loss + recipe.mesh * repeated + recipe.latent * latent
        parts = {"loss": loss, "mse": mse, "lpips": lpips, "edges": strength}
        parts |= {"mesh": repeated, "latent": latent}
        numbers = torch.stack([value.detach() for value in parts.values()]).tolist()
        return loss, {name: round(n, 5) for name, n in zip(parts, numbers, strict=True)}

    def reference_of(self, x: Tensor, levels: Tensor) -> Tensor:
        """Pictures in [-0.5, 0.5] as ``compact`` decodes them at these rate levels, in 8 bits."""
        decoded = self.reference(x, levels).decoded.float()
        return torch.round((decoded + 0.5) * 255).clamp(0, 255) / 255 - 0.5

    def predict(self, z: Tensor, t: Tensor, condition: Tensor, texts: list[str]) -> Tensor:
        """The clean latents, float32."""
        tokens = torch.tensor([self.tokenizer.padded(text) for text in texts], device=z.device)
        with self.place.autocast:
            return self.restorer(z, t, condition, tokens).float()  # type: ignore[no-any-return]

    def noised(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Clean latents at timesteps (b,)."""
        alpha = self.alpha_bar[t][:, None, None, None]
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise

    def after(self, run: Run) -> None:
        """Does nothing after a step."""

    @torch.no_grad()
    def measure(self) -> dict[str, list[float]]:
        """LPIPS (moved by a pixel) and ``edges``, in this order, of held-out pictures at a middle
        rate: of the reference; after one whole pass, with and without words; and with an object
        restored under its own words, no words, another picture's."""
        if not self.descriptions:
            limits = Rate(1)
            budget = limits.max_objects, limits.detail_words, limits.overall_words
            for x in self.held_out:
                pixels = ((x[0] + 0.5) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
                self.descriptions.append(describe(pixels, *budget))
        values: dict[str, list[tuple[float, float]]] = {}
        self.restorer.eval()
        others = self.descriptions[1:] + self.descriptions[:1]
        for x, own, other in zip(self.held_out, self.descriptions, others, strict=True):
            level = torch.tensor([LEVELS // 2], device=x.device)
            with self.place.autocast:
                reference = self.reference_of(x, level)
                latent_condition = self.restorer.vae.encode(2 * reference).float()
            torch.manual_seed(0)
            noise = torch.randn(latent_condition.shape).to(x.device)
            restored = {"reference": reference, "vae": self.decoded(latent_condition)}
            whole = latent_condition.new_ones(1, 1, *latent_condition.shape[-2:])
            restored["whole"] = reference + self._change(
                latent_condition, noise, own.overall, whole
            )
            restored["silent"] = reference + self._change(latent_condition, noise, "", whole)
            if own.objects and other.objects:
                mask = torch.from_numpy(own.objects[0].mask.array)[None, None].float().to(x.device)
                for name, text in (
                    ("object", own.objects[0].detail),
                    ("object silent", ""),
                    ("object wrong", other.objects[0].detail),
                ):
                    restored[name] = reference + self._change(latent_condition, noise, text, mask)
            for name, picture in restored.items():
                picture = picture.clamp(-0.5, 0.5)
                distances = float(self.perceived.moved(picture, x)), float(edges(picture, x))
                values.setdefault(name, []).append(distances)
        self.restorer.train()
        return {name: np.mean(restored, 0).round(5).tolist() for name, restored in values.items()}

    def _change(self, latent_condition: Tensor, noise: Tensor, text: str, mask: Tensor) -> Tensor:
        """The change of the picture of latent ``latent_condition`` by one pass inside ``mask``."""
        last = torch.tensor([len(self.alpha_bar) - 1], device=noise.device)
        z = torch.lerp(self.noised(latent_condition, noise, last), noise, mask)
        after = torch.lerp(latent_condition, self.predict(z, last, latent_condition, [text]), mask)
        return self.decoded(after) - self.decoded(latent_condition)

    def decoded(self, latents: Tensor) -> Tensor:
        """The pictures of latents, in about [-0.5, 0.5]."""
        with self.place.autocast:
            return self.restorer.vae.decode(latents).float() / 2


def train(
    recipe: RestorerRecipe,
    out: Path,
    progress: Progress,
    vae_weights: Path | None = None,
    start: Path | None = None,
    reference_weights: Path | None = None,
    device: str = "cpu",
) -> Path:
    """Train into the folder ``out``, going on where an earlier run there stopped.

    ``vae_weights`` and ``reference_weights`` (of ``compact``) replace the profile's; ``start`` is a
    restorer to begin with, instead of a fresh one; ``device`` is "cpu", "cuda" or "auto".
    Returns the finished weights, a file in ``out`` with its model card and the VAE as it is now
    beside it. Interrupting loses nothing: the same call goes on.
    """
    place = placement(device)
    shared = photos.shared_folder()
    folders = [shared / "data" / "photos" / name for name in recipe.folders]
    held_out = [shared / "data" / "photos" / name for name in recipe.held_out_folders]
    mini = Profile.load("mini")
    with translated(printable(vae_weights or "the embedded VAE")):
        vae = pack.load_networks(vae_weights or mini.store.path("vae"), ("vae",))["vae"]
    paths = photos.find_photographs(folders, held_out=False)
    photographs = photos.read_photographs(
        paths, lambda n: progress(n, len(paths), "reading photographs")
    )
    photos.large_enough([photograph.pixels for photograph in photographs], recipe.crop)
    described = scenes.describe_all(
        photographs,
        out / "scenes",
        lambda n: progress(n, len(photographs), "describing photographs"),
    )
    torch.manual_seed(recipe.seed)
    if start:
        with translated(printable(start)):
            networks = pack.load_networks(start, ("unet", "controlnet", "text_encoder"))
        merges: Merges = [(a, b) for a, b in networks["merges"]]
    else:
        texts = [
            text
            for _, scene in described
            for text in (scene.overall, *(layer.detail for layer in scene.objects))
        ]
        merges = learn_merges(texts, recipe.merges)
        networks = fresh_restorer(vae.config.latent_channels, merges)
    restorer = Restorer(networks, vae).train()
    restorer.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    schedule = Schedule(recipe.steps, recipe.learning_rate, decay=recipe.decay)
    run = Run(out, restorer, schedule, start=start)
    run.begin(recipe)
    source = reference_weights or mini.store.path("compact")
    with translated(printable(source)):
        reference = compact.load_compact(source)[0]
    reference.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = RestorerTask(
        recipe,
        restorer,
        reference,
        Perception(shared, recipe.steps, place),
        Tokenizer(merges),
        DescribedCrops(
            [photograph.pixels for photograph, _ in described],
            [scene for _, scene in described],
            recipe.crop,
            recipe.seed,
        ),
        whole_pictures(photos.find_photographs(held_out, held_out=True), 8, place),
        place,
    )
    run.finish(task, progress)
    restorer.load_state_dict(run.average)
    weights = out / "restorer.safetensors"
    networks = dict(restorer.named_children())
    pack.save_networks(out / "vae.safetensors", {"vae": networks.pop("vae")})
    pack.save_networks(weights, networks, merges=merges, schedule=SCHEDULE)
    figures = card.table(
        ("at a middle rate", "LPIPS-squeeze (Caffe), moved by a pixel", "edges"),
        ((name, *(f"{x:.4f}" for x in numbers)) for name, numbers in task.measure().items()),
    )
    card.write_card(
        weights, run, folders, "sedic's embedded restorer", "sedic train restorer", figures
    )
    return weights
