"""Language models that give the chances of tokens, for coding text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor

from sedic.coding.token_text import IDENTITY_BYTES, Chances
from sedic.errors import SedicError
from sedic.files import printable, read_bounded
from sedic.models import llama
from sedic.models.matrices import Halves, Widened
from sedic.models.pretrained import load_pretrained

PROMPT_FILE = "prompt.txt"
_TOKENIZER_FILES = {"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt"}
_DOUBLE = 1 << 28  # parameters: a model with no more computes in float64
_MAX_FILE = 1 << 16  # bytes of a configuration or a prompt
_AT_ONCE = 64  # tokens of one pass; all their logits are in memory

# In nats. float64 differs between machines by about 1e-11. float32, in which a text is read first,
# differs by about 3e-6, seldom by 3e-5: with this margin it is right about 99 times in 100.
_MARGIN = 5e-6

# The least chance of the end of a text after a full stop, and elsewhere. Models that were not
# trained on short texts give the end so little chance that it would cost two bytes.
_END_AFTER_STOP, _END = 0.2, 2.0**-10
_STOPS = (".", "!", "?")


DEFAULT = "smollm2-135m"  # the language model of ``sedic models`` that is used if none is named


def find_language_model(source: str | Path = DEFAULT) -> LanguageModel:
    """The language model of this name (``sedic models list``) or in this folder, loaded once.

    ``SedicError`` with the command that gets it where it is not here.
    """
    from sedic.models.registry import models, require

    if str(source) in {model.name for model in models()}:
        return _loaded(require(str(source)))
    return _loaded(Path(source))


def is_here(name: str = DEFAULT) -> bool:
    """Whether the language model of this name was fetched."""
    from sedic.models.registry import select

    return all(model.here for model in select(name))


@cache
def _loaded(folder: Path) -> LanguageModel:
    return LanguageModel(folder)


class Network(Protocol):
    """A causal network with a cache."""

    def __call__(self, tokens: Tensor, past: Any | None) -> tuple[Tensor, Any]:
        """The logits (n, vocabulary) after each of n tokens, and the past with them."""
        ...


class LanguageModel:
    """A causal language model with its tokenizer; also the language part of an image-text model.

    ``folder`` has transformers' layout (config.json, .safetensors, tokenizer); nothing is fetched
    and no code in it is run. If it has a ``prompt.txt``, the model reads that before every text.
    Small models compute in float64: the differences between machines, libraries and thread counts
    are then far below the ``margin`` of ``token_text``. Larger ones compute in float32, because of
    memory: then another machine can usually, but not always, decode a text.

    Raises ``SedicError`` where ``folder`` is no such model.
    """

    margin = _MARGIN

    def __init__(self, folder: Path) -> None:
        self.identity = _identity(folder)
        self._network, self._draft, self.context, vocabulary = _load(folder)
        self._tokenizer, begin, end = _tokenizer(folder)
        if end is None or max(end, self._tokenizer.get_vocab_size() - 1) >= vocabulary:
            raise SedicError(f"the tokenizer in {printable(folder)} does not fit its model")
        self.end = end
        prompt = folder / PROMPT_FILE
        template = (
            read_bounded(prompt, _MAX_FILE).decode(errors="replace") if prompt.is_file() else ""
        )
        self._tokenizer.encode_special_tokens = False  # a prompt may hold them
        first = end if begin is None else begin
        self._begin = (self.tokens(template) or [first])[: self.context - 1]
        self._tokenizer.encode_special_tokens = True  # in texts they are plain text

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text; words that look like special tokens are plain text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, tokens: list[int]) -> str:
        """The text of tokens, special ones included."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False))

    def score(self, tokens: list[int]) -> Iterator[Chances]:
        """The chances before each token of a text, in passes of ``_AT_ONCE`` tokens."""
        before: int | None = None
        for token, logits in zip(tokens, self._rows(tokens), strict=True):
            yield self.chances(logits, before)
            before = token

    def chances(self, logits: Tensor, before: int | None) -> Chances:
        """(vocabulary,) float64 of the token after ``before``, the last one read of a text."""
        chances: Chances = logits.double().softmax(-1).numpy()
        end = _END_AFTER_STOP if before in self._stops else _END
        chances *= 1 - end
        chances[self.end] += end
        return chances

    @cached_property
    def _stops(self) -> frozenset[int]:
        pieces = self._tokenizer.get_vocab().items()
        return frozenset(token for piece, token in pieces if piece.endswith(_STOPS))

    def _rows(self, tokens: list[int]) -> Iterator[Tensor]:
        """The logits before each token of a text."""
        room = self.context - len(self._begin)  # a longer text begins again after the prompt
        for start in range(0, len(tokens), room):
            logits, past = self._start
            rest = tokens[start : start + room]
            yield logits
            for first in range(0, len(rest), _AT_ONCE):
                chunk = rest[first : first + _AT_ONCE]
                if first + len(chunk) == len(rest):
                    chunk = chunk[:-1]  # the logits after the last token are not needed
                if chunk:
                    rows, past = self._network(torch.tensor(chunk), past)
                    yield from rows

    def read(self) -> _Reading:
        """The model after its prompt."""
        return _Reading(self, self._network, self._start, self.context - len(self._begin))

    def draft(self) -> _Reading | None:
        """The same in float32, if the model computes in float64."""
        if self._draft is None:
            return None
        return _Reading(self, self._draft, self._draft_start, self.context - len(self._begin))

    @cached_property
    def _start(self) -> tuple[Tensor, Any]:
        rows, past = self._network(torch.tensor(self._begin), None)
        return rows[-1], past

    @cached_property
    def _draft_start(self) -> tuple[Tensor, Any]:
        logits, past = self._start
        return logits, [(keys.float(), values.float()) for keys, values in past]


class _Reading:
    """One text that the model reads token by token, with a cache of keys and values."""

    def __init__(
        self, model: LanguageModel, network: Network, start: tuple[Tensor, Any], room: int
    ) -> None:
        self._model, self._network, self._start, self._room = model, network, start, room
        self._logits, self._past = start
        self._read = 0
        self._last: int | None = None

    def chances(self) -> Chances:
        """(vocabulary,) float64 of the next token."""
        return self._model.chances(self._logits, self._last)

    def update(self, token: int) -> None:
        """Reads a token. When the context is full, it begins again after the prompt."""
        rows, self._past = self._network(torch.tensor([token]), self._past)
        self._logits, self._last = rows[-1], token
        self._read += 1
        if self._read == self._room:
            self._logits, self._past = self._start
            self._read = 0


class _Transformers:
    """A causal model of transformers' classes as a ``Network``."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, past: Any | None) -> tuple[Tensor, Any]:
        from copy import deepcopy

        # transformers' caches grow in place, but two texts may continue one past.
        past = deepcopy(past)
        output = self._model(input_ids=tokens[None], past_key_values=past, use_cache=True)
        return output.logits[0], output.past_key_values


def _load(folder: Path) -> tuple[Network, Network | None, int, int]:
    """The network, a faster and less exact one or None, its context and its vocabulary."""
    config = _json(folder / "config.json")
    if llama.suits(config):
        tensors = _tensors(folder)
        llama.check(config, tensors)
        context, vocabulary = config.get("max_position_embeddings", 1 << 20), config["vocab_size"]
        exact: Network
        draft: Network | None = None
        if sum(value.numel() for value in tensors.values()) <= _DOUBLE:
            exact = llama.Llama(config, Widened(tensors, torch.float64))
            draft = llama.Llama(config, Halves(tensors))
        else:
            whole = {name: value.float() for name, value in tensors.items()}
            exact = llama.Llama(config, Widened(whole, torch.float32))
        return exact, draft, int(context), int(vocabulary)
    model = _transformers_model(folder)
    text = model.config.get_text_config()
    context = int(getattr(text, "max_position_embeddings", None) or 1 << 20)
    return _Transformers(model), None, context, int(text.vocab_size)


def _transformers_model(folder: Path) -> Any:
    from transformers.models.auto.configuration_auto import AutoConfig
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    )

    config = type(load_pretrained(AutoConfig, folder))
    for kinds in (MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING):
        if config in kinds:
            model = load_pretrained(kinds[config], folder)
            break
    else:
        raise SedicError(f"{printable(folder)} holds no language model but a {config.__name__}")
    small = sum(parameter.numel() for parameter in model.parameters()) <= _DOUBLE
    model.to(torch.float64 if small else torch.float32).requires_grad_(False).train(False)
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":  # computes in float32 whatever it is given
            module.forward = _rms_norm.__get__(module)
    return model


def _rms_norm(self: Any, x: Tensor) -> Tensor:
    scale = torch.rsqrt((x * x).mean(-1, keepdim=True) + self.variance_epsilon)
    return self.weight * (x * scale)  # type: ignore[no-any-return]


def _tokenizer(folder: Path) -> tuple[Any, int | None, int | None]:
    """The tokenizer (of the library tokenizers), and its tokens of the beginning and the end."""
    path = folder / "tokenizer.json"
    if not path.is_file():  # made from the files of older models
        from transformers.models.auto.tokenization_auto import AutoTokenizer

        wrapper = load_pretrained(AutoTokenizer, folder)
        tokenizer, begin, end = (
            wrapper.backend_tokenizer,
            wrapper.bos_token,
            wrapper.eos_token,
        )
    else:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # of no narrower class
            raise SedicError(f"{printable(path)}: no tokenizer that can be read") from error
        config = _json(folder / "tokenizer_config.json")
        begin, end = (_piece(config.get(f"{name}_token")) for name in ("bos", "eos"))
    return tokenizer, *(piece and tokenizer.token_to_id(piece) for piece in (begin, end))


def _piece(content: Any) -> str | None:
    content = content.get("content") if isinstance(content, dict) else content
    return content if isinstance(content, str) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_bounded(path, _MAX_FILE))
    except ValueError as error:
        raise SedicError(f"{printable(path)}: is no JSON") from error
    if not isinstance(value, dict):
        raise SedicError(f"{printable(path)}: is no configuration")
    return value


def _tensors(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    try:
        for path in sorted(folder.glob("*.safetensors")):
            tensors |= load_file(path)  # mapped, not read
    except (SafetensorError, OSError, ValueError) as error:
        raise SedicError(f"cannot load a language model from {printable(folder)}") from error
    return tensors


def _identity(folder: Path) -> bytes:
    """The first bytes of a hash over the weights, the tokenizer and the prompt."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise SedicError(f"no language model in {printable(folder)}: no .safetensors there")
    names = {*_TOKENIZER_FILES, PROMPT_FILE}
    files = [path for path in sorted(folder.iterdir()) if path.name in names]
    whole = hashlib.sha256()
    for path in weights + files:
        with path.open("rb") as file:
            while part := file.read(1 << 24):
                whole.update(part)
    return whole.digest()[:IDENTITY_BYTES]
