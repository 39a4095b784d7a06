"""A transformers language model that gives the chances of tokens, for coding text."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from sedic.coding.token_text import IDENTITY_BYTES, Chances
from sedic.errors import SedicError
from sedic.models.pretrained import load

_TOKENIZER_FILES = {"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt"}
_DOUBLE = 1 << 28  # parameters: a model with no more computes in float64


class LanguageModel:
    """A causal model, or an image-text model's language part, with the tokenizer beside it.

    ``folder`` is one of transformers' (config.json, .safetensors, tokenizer); nothing is fetched
    and no code in it is run. Small models compute in float64: what machines, libraries and thread
    counts differ by is then far below what ``token_text`` rounds away. Larger ones, for want of
    memory, in float32: what one machine wrote another reads mostly, not always.

    Raises ``SedicError`` where ``folder`` is no such model.
    """

    def __init__(self, folder: Path) -> None:
        self.identity = _identity(folder)
        self._model, self._tokenizer = _load(folder)
        config = self._model.config.get_text_config()
        self.context = int(getattr(config, "max_position_embeddings", None) or 1 << 20)
        end = self._tokenizer.eos_token_id
        if end is None or max(end, len(self._tokenizer) - 1) >= config.vocab_size:
            raise SedicError(f"the tokenizer in {folder} does not fit its language model")
        self.end = int(end)
        begin = self._tokenizer.bos_token_id
        self.begin = self.end if begin is None else int(begin)

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text; words that look like special tokens are plain text."""
        ids = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        return list(ids["input_ids"])

    def text(self, tokens: list[int]) -> str:
        """The text of tokens, special ones included."""
        return str(self._tokenizer.decode(tokens, clean_up_tokenization_spaces=False))

    def read(self) -> _Reading:
        """The model after its token for the beginning of a text."""
        return _Reading(self._model, self.begin, self.context)


class _Reading:
    """One text, a token at a time: a batch of one, the past kept, on both ends alike."""

    def __init__(self, model: Any, begin: int, context: int) -> None:
        self._model, self._begin, self._context = model, begin, context
        self._start()

    def _start(self) -> None:
        self._past: Any = None
        self._read = 0
        self._step(self._begin)

    @torch.inference_mode()
    def _step(self, token: int) -> None:
        done = self._model(
            input_ids=torch.tensor([[token]]), past_key_values=self._past, use_cache=True
        )
        self._past, self._logits = done.past_key_values, done.logits[0, -1]
        self._read += 1

    def chances(self) -> Chances:
        """(vocabulary,) float64 of the next token."""
        return self._logits.double().softmax(-1).numpy()  # type: ignore[no-any-return]

    def update(self, token: int) -> None:
        """Goes on; a text longer than the model's context begins afresh there."""
        if self._read == self._context:
            self._start()
        self._step(token)


def _load(folder: Path) -> tuple[Any, Any]:
    from transformers.models.auto.configuration_auto import AutoConfig
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    )
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    config = type(load(AutoConfig, folder))
    for kinds in (MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING):
        if config in kinds:
            model = load(kinds[config], folder)
            break
    else:
        raise SedicError(f"{folder} holds no language model but a {config.__name__}")
    small = sum(parameter.numel() for parameter in model.parameters()) <= _DOUBLE
    model.to(torch.float64 if small else torch.float32).requires_grad_(False).train(False)
    return model, load(AutoTokenizer, folder)


def _identity(folder: Path) -> bytes:
    """The first bytes of a hash over the weights and the tokenizer."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise SedicError(f"no language model in {folder}: no .safetensors there")
    files = [path for path in sorted(folder.iterdir()) if path.name in _TOKENIZER_FILES]
    whole = hashlib.sha256()
    for path in weights + files:
        with path.open("rb") as file:
            while part := file.read(1 << 24):
                whole.update(part)
    return whole.digest()[:IDENTITY_BYTES]
