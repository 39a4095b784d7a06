"""All settings of a training run of the reference codec, and the sets of them that have a name."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from sedic.lab.bench.lpips import NAME as LPIPS
from sedic.lab.train import photos, semantic
from sedic.lab.train.texture import TextureWeights
from sedic.reference.compact_network import ANCHORS

LOWEST_LAMBDA = 0.0018  # of CompressAI's published cheng2020-attn checkpoints


@dataclass(frozen=True, kw_only=True)
class ReferenceRecipe(photos.PhotoRecipe):
    """All settings of a run."""

    network: str = "compact"  # or cheng2020
    steps: int = 10_000
    learning_rate: float = 3e-4
    warmup: int = 100  # steps in which the learning rate rises
    averaging: float = 0.999  # of the weights that are kept
    mse: float = 15.0  # of pictures in [0, 1]
    lpips: float = 1.0
    mesh: float = 10.0  # of what repeats from block to block
    clip: float = 0.0  # of 1 - the similarity of picture and caption
    texture: TextureWeights | None = None  # the loss of texture in place of the four above
    noise: tuple[int, int, int] = (4, 4, 32)  # maps that the decoder gets for it
    realism: float = 0.5  # share of the noise in training
    small: float = 0.0  # share of the crops from photographs at up to half their size
    plain: float = 0.0  # share of the crops that are drawn instead: flat colours, shapes, letters
    grain: float = 0.0  # share of the crops that get grain
    face: float = 0.0  # share of the crops, of photographs with faces, that are around one
    low: float = 1.0  # levels are this power of uniform numbers: above 1, more small files
    decoder_only: bool = False  # files keep their sizes
    rate_share: float = 1.0  # of the distortion, at most, for the rate term of a crop
    lowest_bpp: float = 0.0065  # held-out mean at compact's first anchor
    highest_bpp: float = 0.080  # and at its last
    steer_folders: tuple[str, ...] = ("wallpaper", "coco")
    steer_every: int = 200

    def with_loss(self, name: str) -> ReferenceRecipe:
        """The same run with distortion ``mse``, or the ``perceptual`` or ``semantic`` mix."""
        if name == "semantic":
            mse, lpips, clip = (
                round(semantic.LAMBDA * share, 6)
                for share in (semantic.MSE, semantic.LPIPS, semantic.CLIP)
            )
            return replace(self, mse=mse, lpips=lpips, mesh=0.0, clip=clip)
        if name == "perceptual":
            return replace(self, lpips=ReferenceRecipe.lpips, mesh=ReferenceRecipe.mesh)
        return replace(self, lpips=0.0, mesh=0.0)

    def for_texture(self) -> ReferenceRecipe:
        """The same run with the loss of texture, and many small files; rates as they are."""
        return replace(
            self,
            texture=TextureWeights(),
            steps=3_100,
            batch=64,
            crop=256,
            learning_rate=4e-4,
            decay=1.0,
            averaging=0.998,
            small=0.4,
            plain=0.06,
            grain=0.25,
            face=0.3,
            low=1.2,
            lowest_bpp=0.00531,
            highest_bpp=0.07145,
        )

    def loss_terms(self) -> dict[str, float]:
        """Each term of the loss and its weight, those that are not zero."""
        rate = {} if self.decoder_only else {"bits per pixel, weighted by rate": 1.0}
        if self.texture:
            weights = {name: weight for name, weight in asdict(self.texture).items() if weight}
            lpips = {f"{LPIPS}, {n}": w for n, w in weights.items() if n.startswith("lpips")}
            rest = {f"texture: {n}": w for n, w in weights.items() if not n.startswith("lpips")}
            return rate | lpips | rest
        terms = {
            "MSE of pictures in [0, 1]": self.mse,
            LPIPS: self.lpips,
            "what repeats from block to block": self.mesh,
            "1 - CLIP's similarity of picture and caption": self.clip,
        }
        return rate | {name: weight for name, weight in terms.items() if weight}

    def target_bpp(self) -> list[float]:
        """Mean bits per pixel wanted at each anchor, in equal ratios."""
        ratio = (self.highest_bpp / self.lowest_bpp) ** (1 / (ANCHORS - 1))
        return [self.lowest_bpp * ratio**a for a in range(ANCHORS)]

    def first_weights(self) -> list[float]:
        """Rate weights to begin with: about the slope of distortion over rate at the targets."""
        if self.network == "cheng2020":
            return [1.0] * ANCHORS
        return [0.03 / bpp**1.5 for bpp in self.target_bpp()]


def sedic_recipe(steps: int = 50_000) -> ReferenceRecipe:
    """The SEDIC paper's fine-tuning of cheng2020-attn (section 4.1)."""
    mse = LOWEST_LAMBDA / 10 * 255**2
    return ReferenceRecipe(
        network="cheng2020",
        steps=steps,
        crop=256,
        learning_rate=1e-4,
        mse=mse,
        lpips=0.0,
        mesh=0.0,
        rate_share=math.inf,
    )
