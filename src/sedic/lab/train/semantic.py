"""The CLIP term of Image-Text Coding's fine-tuning: similarity of a picture and its caption.

The paper's distortion is lambda * (k1 * MSE + k2 * LPIPS + k3 * (1 - similarity)), pictures in
[0, 1], similarity = the cosine between CLIP's embeddings of the decoded picture and of the caption.
The figures here are the defaults of its released training code, which names this term but trains
without it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.describe.clip_maps import DEVIATION, MEAN
from sedic.errors import SedicError
from sedic.models.pretrained import load_pretrained

LAMBDA = 3.0
MSE, LPIPS, CLIP = 0.5, 0.2, 0.3  # k1, k2, k3


class CaptionSimilarity(nn.Module):
    """A frozen CLIP that compares pictures with their captions; gradients flow to pictures only.

    ``folder`` holds a transformers ``CLIPModel`` and its tokenizer (``SedicError`` if not).
    Captions are cut to what CLIP's text encoder reads.
    """

    def __init__(self, folder: Path, captions: Sequence[str]) -> None:
        super().__init__()
        from transformers.models.auto.tokenization_auto import AutoTokenizer
        from transformers.models.clip.modeling_clip import CLIPModel

        clip = load_pretrained(CLIPModel, folder)
        tokenizer = load_pretrained(AutoTokenizer, folder)
        longest = clip.config.text_config.max_position_embeddings
        embedded = []
        with torch.no_grad():
            for caption in captions:
                ids = tokenizer(caption, truncation=True, max_length=longest, return_tensors="pt")
                pooled = clip.text_model(input_ids=ids["input_ids"]).pooler_output
                embedded.append(F.normalize(clip.text_projection(pooled), dim=-1))
        self.side = int(clip.config.vision_config.image_size)
        self.vision, self.projection = clip.vision_model, clip.visual_projection
        self.register_buffer("captions", torch.cat(embedded))  # (n, d), of length one
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.requires_grad_(False).train(False)

    def forward(self, pictures: Tensor, which: Sequence[int]) -> Tensor:
        """(b,) cosines in [-1, 1] of pictures (b, 3, h, w) in [0, 1] and captions ``which``."""
        square = (self.side, self.side)
        x = F.interpolate(
            pictures.float(), square, mode="bicubic", align_corners=False, antialias=True
        )
        x = (x - self.get_buffer("mean")) / self.get_buffer("deviation")
        image_features = self.projection(self.vision(pixel_values=x).pooler_output)
        return F.cosine_similarity(image_features, self.get_buffer("captions")[list(which)])


def read_captions(path: Path, photos: Sequence[Path]) -> list[str]:
    """Each photograph's caption from JSON lines {"image": ..., "text": ...}.

    An image is named by its file name, or by folder/name where that is not enough. Raises
    ``SedicError`` if the file is not that or lacks a photograph.
    """
    captions: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SedicError(f"cannot read the captions in {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            name, text = entry["image"], entry["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise SedicError(f'{path}, line {number}: no {{"image": ..., "text": ...}}') from error
        if not (isinstance(name, str) and isinstance(text, str)):
            raise SedicError(f'{path}, line {number}: "image" and "text" are strings')
        captions[name] = text
    texts = []
    for photo in photos:
        full = f"{photo.parent.name}/{photo.name}"
        caption = captions.get(full, captions.get(photo.name))
        if caption is None:
            raise SedicError(f"{path} has no caption of {full}")
        texts.append(caption)
    return texts
