"""A Llama-class language model that computes everything in one floating-point format.

transformers' classes compute normalisation, rotary angles and softmax in float32, whatever the
format of the weights. For coding text the differences between machines must be far below the
rounding of ``token_text``. So here everything is float64, or everything float32 where speed counts.

The network: Touvron et al., "LLaMA: open and efficient foundation language models", 2023, with
grouped queries (Ainslie et al., 2023) as in transformers' ``LlamaForCausalLM``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sedic.errors import SedicError
from sedic.models.matrices import Matrices

Past = list[tuple[Tensor, Tensor]]  # keys and values of each layer, (key heads, read, d)

_SCALES = {"default", None}  # of rotary angles, that this module knows


def suits(config: Mapping[str, Any]) -> bool:
    """Whether a configuration (``config.json``) is of a network that this module computes."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return (
        config.get("model_type") == "llama"
        and config.get("hidden_act", "silu") == "silu"
        and not config.get("attention_bias")
        and not config.get("mlp_bias")
        and rope.get("rope_type", rope.get("type")) in _SCALES
    )


def check(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raise ``SedicError`` where ``tensors`` are not those of the configuration."""
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    heads, key_heads, d = _heads(config)
    vocabulary = int(config["vocab_size"])
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, width),
        "model.norm.weight": (width,),
    }
    if not config.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (vocabulary, width)
    for n in range(int(config["num_hidden_layers"])):
        layer = f"model.layers.{n}"
        shapes |= {
            f"{layer}.input_layernorm.weight": (width,),
            f"{layer}.post_attention_layernorm.weight": (width,),
            f"{layer}.self_attn.q_proj.weight": (heads * d, width),
            f"{layer}.self_attn.k_proj.weight": (key_heads * d, width),
            f"{layer}.self_attn.v_proj.weight": (key_heads * d, width),
            f"{layer}.self_attn.o_proj.weight": (width, heads * d),
            f"{layer}.mlp.gate_proj.weight": (inner, width),
            f"{layer}.mlp.up_proj.weight": (inner, width),
            f"{layer}.mlp.down_proj.weight": (width, inner),
        }
    for name, shape in shapes.items():
        if name not in tensors or tuple(tensors[name].shape) != shape:
            raise SedicError(f"no language model: its tensor {name} is missing or misshapen")


def _heads(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """How many heads of queries and of keys there are, and the width of each."""
    heads = int(config["num_attention_heads"])
    key_heads = int(config.get("num_key_value_heads") or heads)
    return heads, key_heads, int(config.get("head_dim") or int(config["hidden_size"]) // heads)


class Llama:
    """The network of a configuration, on the CPU, computing in the format of ``matrices``.

    These are called as transformers calls them.
    """

    def __init__(self, config: Mapping[str, Any], matrices: Matrices) -> None:
        self._matrices = matrices
        self._layers = int(config["num_hidden_layers"])
        self._heads, self._key_heads, self._d = _heads(config)
        self._eps = float(config["rms_norm_eps"])
        tied = config.get("tie_word_embeddings")
        self._head = "model.embed_tokens" if tied else "lm_head"
        rope = config.get("rope_parameters") or {}
        base = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
        steps = torch.arange(0, self._d, 2, dtype=torch.float64) / self._d
        self._frequencies = base**-steps

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """The logits (n, vocabulary) after each of n ``tokens``, and the past with them.

        ``past``: what an earlier call gave, None at the beginning. It is not changed.
        """
        matrices = self._matrices
        x = matrices.rows("model.embed_tokens", tokens)
        past_length = past[0][0].shape[1] if past else 0
        angles = torch.arange(past_length, past_length + len(tokens), dtype=torch.float64)[:, None]
        angles = (angles * self._frequencies).repeat(1, 2)
        turn = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        visible = None
        if len(tokens) > 1:
            last = torch.arange(past_length, past_length + len(tokens))[:, None]
            visible = torch.arange(past_length + len(tokens)) <= last
        grown: Past = []
        for n in range(self._layers):
            layer = f"model.layers.{n}."
            inside = self._norm(x, layer + "input_layernorm")
            attended, layer_past = self._attend(
                inside, layer, turn, visible, past[n] if past else None
            )
            grown.append(layer_past)
            x = x + attended
            inside = self._norm(x, layer + "post_attention_layernorm")
            both = matrices.apply(inside, layer + "mlp.gate_proj", layer + "mlp.up_proj")
            gate, up = both.chunk(2, -1)
            x = x + matrices.apply(F.silu(gate) * up, layer + "mlp.down_proj")
        return matrices.apply(self._norm(x, "model.norm"), self._head), grown

    def _attend(
        self,
        x: Tensor,
        layer: str,
        turn: tuple[Tensor, Tensor],
        visible: Tensor | None,
        past: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        names = (f"{layer}self_attn.{name}_proj" for name in "qkv")
        heads = self._matrices.apply(x, *names).view(len(x), -1, self._d).transpose(0, 1)
        turned = _turned(heads[: -self._key_heads], turn)
        queries, keys = turned[: self._heads], turned[self._heads :]
        values = heads[-self._key_heads :]
        if past is not None:
            keys, values = torch.cat((past[0], keys), 1), torch.cat((past[1], values), 1)
        shared = self._heads // self._key_heads  # queries that look at one head of keys
        grouped = queries.reshape(self._key_heads, shared * len(x), self._d)
        scores = (grouped @ keys.mT) * self._d**-0.5
        if visible is not None:
            scores = scores.view(self._key_heads, shared, len(x), -1)
            scores = scores.masked_fill(~visible, -torch.inf).flatten(1, 2)
        attended = (scores.softmax(-1) @ values).view(self._heads, len(x), self._d)
        attended = attended.transpose(0, 1).reshape(len(x), -1)
        return self._matrices.apply(attended, f"{layer}self_attn.o_proj"), (keys, values)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self._matrices.vector(name), self._eps)


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions: (heads, n, d) rotated by angles with these cosines and sines, (n, d)."""
    first, second = x.chunk(2, -1)
    return x * turn[0] + torch.cat((-second, first), -1) * turn[1]
