"""Where a text is in a picture, in MISC's form: 8 x 8 blocks (64 bits) for each item.

The maps are CLIP Surgery's (Li, Wang, Duan and Li, "A closer look at the explainability of
contrastive language-image pre-training", 2023) on transformers' ``CLIPModel``; the blocks are
those of MISC (Li et al., "MISC: ultra-low bitrate image semantic compression", 2024).

Without a CLIP, ``coarse`` makes blocks of the same kind from a mask of any other origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sedic.models.prompt import clean
from sedic.semantics import Mask, even_parts, grid_size

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from sedic.picture import Picture

BLOCKS = 8  # each way
LEVEL = 0.35  # of the map's range, above which a block belongs to the item (MISC)
SURGERY_LAYERS = 6  # the last ones of the image encoder get the second path
PICTURE_SIDE = 512  # of the square that CLIP sees
MAP_SIDE = 1024  # the longest of a similarity map, in pixels: blocks need no more
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures, as are these:
DEVIATION = (0.26862954, 0.26130258, 0.27577711)

# OpenAI's prompts for zero-shot ImageNet and, at the end, the five that CLIP Surgery adds.
TEMPLATES = (
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
)

Blocks = npt.NDArray[np.bool_]  # (BLOCKS, BLOCKS)


class ClipMaps:
    """MISC's maps from any CLIP in transformers' format, a folder or a model id.

    Loads nothing from the network unless ``download``. Raises ``SedicError`` where the model is
    missing or no CLIP.
    """

    def __init__(self, source: str | Path, *, device: str = "cpu", download: bool = False) -> None:
        from transformers.models.clip.modeling_clip import CLIPModel
        from transformers.models.clip.tokenization_clip import CLIPTokenizer

        from sedic.models.pretrained import load_pretrained

        self._model = load_pretrained(CLIPModel, source, download=download).eval().to(device)
        self._tokenizer = load_pretrained(CLIPTokenizer, source, download=download)

    def maps(self, picture: Picture, texts: Sequence[str]) -> list[Mask]:
        """Where each of ``texts`` is, on the grid of a (height, width, 3) uint8 picture.

        The masks consist of 8 x 8 blocks (``spread``) and may overlap; an item whose map nowhere
        reaches the level keeps its strongest block.
        """
        import torch

        from sedic.describe.region_features import fitted

        if not texts:
            return []
        height, width = picture.shape[:2]
        with torch.inference_mode():
            image = image_features(self._model, self._pixels(picture))
            words = torch.stack([self._text(text) for text in texts])
            similarity = similarities(image, words, self._text(""))
            maps = similarity_maps(similarity, *fitted(picture.shape, MAP_SIDE))
        columns, rows = grid_size(width, height)
        return [Mask.of(spread(_marked(shares(found)), rows, columns)) for found in levels(maps)]

    def _pixels(self, picture: Picture) -> Tensor:
        """The input of CLIP: the picture resized to a square and normalised, (1, 3, side, side)."""
        import torch
        from PIL import Image

        patch = self._model.vision_model.embeddings.patch_size
        side = PICTURE_SIDE // patch * patch
        square = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
        values = (np.asarray(square) / 255 - MEAN) / DEVIATION
        return torch.from_numpy(values).float().permute(2, 0, 1)[None].to(self._model.device)

    def _text(self, text: str) -> Tensor:
        prompts = [template.replace("{}", clean(text)) for template in TEMPLATES]
        tokens = self._tokenizer(prompts, padding=True, truncation=True, return_tensors="pt")
        return text_features(self._model, tokens["input_ids"].to(self._model.device))


def image_features(model: Any, pixels: Tensor) -> Tensor:
    """CLIP Surgery's features of normalised pixels (1, 3, side, side): (1, 1 + patches, d).

    In the last layers a second path collects the attention of values to values, without the
    MLPs; the class token, first, comes from the ordinary path. Not normalised.
    """
    import torch

    vision = model.vision_model
    patches = vision.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    first = vision.embeddings.class_embedding.expand(1, 1, -1)
    ordinary = torch.cat([first, patches], dim=1) + _positions(vision, patches.shape[1])
    ordinary = vision.pre_layrnorm(ordinary)  # transformers' spelling
    surgery = ordinary
    layers = vision.encoder.layers
    for number, layer in enumerate(layers):
        normed = layer.layer_norm1(ordinary)
        if number == len(layers) - SURGERY_LAYERS:
            surgery = ordinary
        if number >= len(layers) - SURGERY_LAYERS:
            surgery = surgery + _values_to_values(layer.self_attn, normed)
        ordinary = ordinary + layer.self_attn(normed)[0]
        ordinary = ordinary + layer.mlp(layer.layer_norm2(ordinary))
    tokens = torch.cat([ordinary[:, :1], surgery[:, 1:]], dim=1)
    projected: Tensor = model.visual_projection(vision.post_layernorm(tokens))
    return projected


def _positions(vision: Any, patches: int) -> Tensor:
    """The position embedding (1, 1 + patches, width), resized to a square of so many patches."""
    import torch
    from torch.nn.functional import interpolate

    stored: Tensor = vision.embeddings.position_embedding.weight
    old, new = (round(count**0.5) for count in (len(stored) - 1, patches))
    if old == new:
        return stored[None]
    plane = stored[1:].T.reshape(1, -1, old, old)
    resized = interpolate(plane, (new, new), mode="bilinear", align_corners=False)
    return torch.cat([stored[:1], resized.flatten(2)[0].T])[None]


def _values_to_values(attention: Any, normed: Tensor) -> Tensor:
    from torch.nn.functional import scaled_dot_product_attention

    heads: Tensor = attention.v_proj(normed).unflatten(-1, (-1, attention.head_dim))
    values = heads.transpose(1, 2)
    mixed = scaled_dot_product_attention(values, values, values)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def text_features(model: Any, tokens: Tensor) -> Tensor:
    """The mean direction (d,) of several prompts for one text, (prompts, length) token ids."""
    from torch.nn.functional import normalize

    pooled = model.text_model(input_ids=tokens).pooler_output
    each: Tensor = model.text_projection(pooled)
    mean = normalize(each, dim=-1).mean(dim=0)
    return normalize(mean, dim=0)


def similarities(image: Tensor, texts: Tensor, redundant: Tensor) -> Tensor:
    """The similarity of patches and texts, (1, 1 + patches, texts), class token first.

    ``image`` are ``image_features``, ``texts`` (texts, d), and ``redundant`` (d,) the features of
    the prompts without any text, which CLIP Surgery takes away. Image features are normalised
    along the tokens, not along themselves: so does the original, and its numbers depend on it.
    """
    from torch.nn.functional import normalize

    return normalize(image, dim=1) @ (texts - redundant).T


def similarity_maps(similarity: Tensor, height: int, width: int) -> Tensor:
    """``similarities`` as (texts, height, width) maps, 0 to 1, each over its own range."""
    from torch.nn.functional import interpolate

    patches = similarity[:, 1:].transpose(1, 2)
    low, high = patches.amin(-1, keepdim=True), patches.amax(-1, keepdim=True)
    ranged = (patches - low) / (high - low).clamp(min=1e-12)
    side = round(patches.shape[-1] ** 0.5)
    square = ranged.reshape(1, -1, side, side)
    return interpolate(square, (height, width), mode="bilinear", align_corners=False)[0]


def levels(maps: Tensor) -> npt.NDArray[np.uint8]:
    """``similarity_maps`` in 256 levels, as MISC hands them on."""
    return (255 * maps.cpu().numpy()).astype(np.uint8)


def shares(level: npt.NDArray[np.generic], blocks: int = BLOCKS) -> npt.NDArray[np.float64]:
    """The blocks x blocks means, 0 to 1, of a (height, width) map of 0 to 255 (uint8) or 0 to 1.

    skimage's resizing computes them, so they are means under a Gaussian that reaches into the
    neighbouring blocks.
    """
    from skimage.transform import resize

    return np.asarray(
        resize(  # type: ignore[no-untyped-call]
            level, (blocks, blocks), order=1, mode="reflect", anti_aliasing=True
        )
    )


def _marked(strength: npt.NDArray[np.float64]) -> Blocks:
    marked = strength > LEVEL
    return marked if marked.any() else strength == strength.max()


def spread(blocks: Blocks, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Blocks as a (rows, columns) array; what the division leaves over goes to the first ones."""
    down, across = (even_parts(n, len(blocks)) for n in (rows, columns))
    return blocks.repeat(down, axis=0).repeat(across, axis=1)


def coarse(mask: Mask) -> Mask:
    """``mask`` in 8 x 8 blocks: those of which at least 0.35 is set; else its fullest ones.

    An empty mask stays empty. The blocks are those of ``spread``.
    """
    cells = mask.array
    rows, columns = (
        np.eye(BLOCKS).repeat(even_parts(length, BLOCKS), axis=0) for length in cells.shape
    )
    filled = rows.T @ cells @ columns / np.maximum(np.outer(rows.sum(0), columns.sum(0)), 1)
    blocks = (filled >= min(LEVEL, filled.max())) & (filled > 0)
    return Mask.of(spread(blocks, *cells.shape))
