"""CLIP similarity of a decoded picture to its original and to the words of its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from sedic.describe.clip_maps import DEVIATION, MEAN
from sedic.errors import SedicError
from sedic.models.pretrained import load_pretrained
from sedic.picture import Picture


class Clip:
    """A CLIP model: cosine similarities of pictures and texts, from -1 to 1."""

    def __init__(self, folder: Path) -> None:
        """A transformers folder with model and tokenizer; ``SedicError`` if it does not load."""
        from transformers import AutoTokenizer, CLIPModel

        self._model = load_pretrained(CLIPModel, folder).eval()
        self._tokenizer = load_pretrained(AutoTokenizer, folder)

    def image_similarity(self, a: Picture, b: Picture) -> float:
        """The similarity of two pictures; 1 for equal ones."""
        return float((self._image(a) @ self._image(b).T).squeeze())

    def text_similarity(self, picture: Picture, text: str) -> float:
        """The similarity of a picture and a text, of which CLIP reads the first 75 or so tokens."""
        if not text:
            raise SedicError("there is no text to compare the picture with")
        return float((self._image(picture) @ self._text(text).T).squeeze())

    @torch.inference_mode()
    def _image(self, picture: Picture) -> Tensor:
        """The embedding of a picture: short side scaled to CLIP's input, bicubic; centre square."""
        side = self._model.config.vision_config.image_size
        height, width = picture.shape[:2]
        scale = side / min(height, width)
        size = max(side, round(width * scale)), max(side, round(height * scale))
        left, top = ((length - side) // 2 for length in size)
        image = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
        square = image.crop((left, top, left + side, top + side))
        values = (np.asarray(square) / 255 - MEAN) / DEVIATION
        pixels = torch.from_numpy(values).float().permute(2, 0, 1)[None]
        pooled = self._model.vision_model(pixel_values=pixels).pooler_output
        return normalize(self._model.visual_projection(pooled), dim=1)

    @torch.inference_mode()
    def _text(self, text: str) -> Tensor:
        limit = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        pooled = self._model.text_model(**tokens).pooler_output
        return normalize(self._model.text_projection(pooled), dim=1)
