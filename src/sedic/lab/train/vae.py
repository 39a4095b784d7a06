"""Train the embedded VAE: pictures through a few numbers for every 8x8 block, and back.

The loss is ``mse * MSE + lpips * LPIPS``. Noise is added to the latents (in
proportion to each channel's standard deviation), because the restorer's latents are not exact. At
the end means and deviations are folded into the weights, so that the latents of what is shipped
have mean 0 and deviation 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sedic.lab.bench.lpips import NAME as LPIPS
from sedic.lab.train import card, photos
from sedic.lab.train.crops import Crops
from sedic.lab.train.loop import Progress, Run, Schedule
from sedic.lab.train.perception import Perception
from sedic.lab.train.reference_codec import to_tensor, whole_pictures
from sedic.models import pack
from sedic.models.patch_autoencoder import PatchAutoencoder
from sedic.models.precision import Placement, placement


@dataclass(frozen=True, kw_only=True)
class VaeRecipe(photos.PhotoRecipe):
    """Everything that decides a run, besides the photographs."""

    steps: int = 3_500
    learning_rate: float = 5e-4
    decay: float = 0.4
    mse: float = 50.0  # of pictures in [0, 1]
    lpips: float = 1.0
    noise: float = 0.1  # on the latents, at most, in deviations of their channel
    held_out_folders: tuple[str, ...] = ("wallpaper", "coco")

    def loss_terms(self) -> dict[str, float]:
        """Each term of the loss and its weight, those that are not zero."""
        terms = {"MSE of pictures in [0, 1]": self.mse, LPIPS: self.lpips}
        return {name: weight for name, weight in terms.items() if weight}


@dataclass
class VaeTask:
    """Loss and measurement of one run."""

    recipe: VaeRecipe
    vae: PatchAutoencoder
    perceived: Perception
    crops: Crops
    held_out: list[Tensor]  # (1, 3, h, w) in [-0.5, 0.5]
    place: Placement = field(default_factory=lambda: placement("cpu"))

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch and its parts."""
        torch.manual_seed(self.recipe.seed * 1_000_003 + step)
        x = to_tensor(self.crops(step).pixels, self.place)
        with self.place.autocast:
            z = self.vae.encode(2 * x)
            deviation = z.detach().float().std((0, 2, 3), keepdim=True)
            amount = self.recipe.noise * torch.rand(z.shape[0], 1, 1, 1, device=z.device)
            noise = amount * deviation * torch.randn(z.shape, device=z.device)
            decoded = self.vae.decode(z + noise.to(z.dtype)).float() / 2
        mse = (decoded - x).square().mean()
        lpips = self.perceived.anywhere(decoded, x).mean()
        loss = self.recipe.mse * mse + self.recipe.lpips * lpips
        return loss, {"loss": loss.item(), "mse": mse.item(), "lpips": lpips.item()}

    def after(self, run: Run) -> None:
        """Does nothing after a step."""

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """PSNR and LPIPS of the held-out pictures."""
        sums = torch.zeros(2)
        for x in self.held_out:
            with self.place.autocast:
                decoded = (self.vae(2 * x).float() / 2).clamp(-0.5, 0.5)
            mse = float((decoded - x).square().mean())
            sums += torch.tensor([-10 * math.log10(mse), float(self.perceived(decoded, x))])
        psnr, lpips = (sums / len(self.held_out)).tolist()
        return {"psnr": round(psnr, 3), "lpips": round(lpips, 4)}


@torch.no_grad()
def latent_statistics(
    vae: PatchAutoencoder, crops: Crops, place: Placement
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each latent channel, over sixteen batches of crops."""
    latents = torch.cat(
        [vae.encode(2 * to_tensor(crops(step).pixels, place)) for step in range(16)]
    )
    return latents.mean((0, 2, 3)), latents.std((0, 2, 3))


def train(recipe: VaeRecipe, out: Path, progress: Progress, device: str = "cpu") -> Path:
    """Train into the folder ``out``, going on where an earlier run there stopped.

    ``device``: "cpu", "cuda" or "auto". Returns the finished weights, a file in ``out`` with its
    model card beside it. Interrupting loses nothing: the run is saved, and the same call goes on.
    """
    place = placement(device)
    shared = photos.shared_folder()
    folders = [shared / "data" / "photos" / name for name in recipe.folders]
    held_out = [shared / "data" / "photos" / name for name in recipe.held_out_folders]
    torch.manual_seed(recipe.seed)
    vae = PatchAutoencoder().train()
    vae.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(out, vae, Schedule(recipe.steps, recipe.learning_rate, decay=recipe.decay))
    run.begin(recipe)
    paths = photos.find_photographs(folders, held_out=False)
    photographs = photos.read_photographs(
        paths, lambda n: progress(n, len(paths), "reading photographs")
    )
    crops = Crops([one.pixels for one in photographs], recipe.crop, recipe.batch, recipe.seed)
    pictures_held_out = whole_pictures(photos.find_photographs(held_out, held_out=True), 8, place)
    task = VaeTask(
        recipe, vae, Perception(shared, recipe.steps, place), crops, pictures_held_out, place
    )
    run.finish(task, progress)
    vae.load_state_dict(run.average)
    vae.normalise(*latent_statistics(vae, crops, place))
    weights = out / "vae.safetensors"
    pack.save_networks(weights, {"vae": vae})
    measured = task.measure()
    figures = card.table(
        ("PSNR dB", "LPIPS-squeeze (Caffe)"),
        [(f"{measured['psnr']:.2f}", f"{measured['lpips']:.3f}")],
    )
    card.write_card(weights, run, folders, "sedic's embedded VAE", "sedic train vae", figures)
    return weights
