"""A Llama-class language model in one floating-point format from its first number to its last.

transformers' classes compute normalisation, rotary angles and softmax in float32 whatever the
format of the weights. Coding text needs what machines differ by to be far below what it rounds
away, so here everything is float64, or everything float32 where speed counts.

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


class Llama:
    """The network of a configuration and its tensors under transformers' names, on the CPU.

    All tensors have one dtype, in which everything is computed. ``SedicError`` where they are not
    those of the configuration.
    """

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self._config, self._tensors = config, dict(tensors)
        self._layers = int(config["num_hidden_layers"])
        self._heads = int(config["num_attention_heads"])
        self._key_heads = int(config.get("num_key_value_heads") or self._heads)
        width = int(config["hidden_size"])
        self._d = int(config.get("head_dim") or width // self._heads)
        self._eps = float(config["rms_norm_eps"])
        for name, shape in self._shapes(width).items():
            if name not in self._tensors or tuple(self._tensors[name].shape) != shape:
                raise SedicError(f"no language model: its tensor {name} is missing or misshapen")
        rope = config.get("rope_parameters") or {}
        base = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
        steps = torch.arange(0, self._d, 2, dtype=torch.float64) / self._d
        self._frequencies = base**-steps

    def _shapes(self, width: int) -> dict[str, tuple[int, ...]]:
        vocabulary, inner = int(self._config["vocab_size"]), int(self._config["intermediate_size"])
        queries, keys = self._heads * self._d, self._key_heads * self._d
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (vocabulary, width),
            "model.norm.weight": (width,),
        }
        if not self._config.get("tie_word_embeddings"):
            shapes["lm_head.weight"] = (vocabulary, width)
        for n in range(self._layers):
            layer = f"model.layers.{n}"
            shapes |= {
                f"{layer}.input_layernorm.weight": (width,),
                f"{layer}.post_attention_layernorm.weight": (width,),
                f"{layer}.self_attn.q_proj.weight": (queries, width),
                f"{layer}.self_attn.k_proj.weight": (keys, width),
                f"{layer}.self_attn.v_proj.weight": (keys, width),
                f"{layer}.self_attn.o_proj.weight": (width, queries),
                f"{layer}.mlp.gate_proj.weight": (inner, width),
                f"{layer}.mlp.up_proj.weight": (inner, width),
                f"{layer}.mlp.down_proj.weight": (width, inner),
            }
        return shapes

    @property
    def parameters(self) -> int:
        """How many numbers the network has."""
        return sum(value.numel() for value in self._tensors.values())

    def to(self, dtype: torch.dtype) -> Llama:
        """The same network in another format."""
        return Llama(self._config, {name: value.to(dtype) for name, value in self._tensors.items()})

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """The logits (n, vocabulary) after each of n ``tokens``, and the past with them.

        ``past``: what an earlier call gave, None at the beginning. It is not changed.
        """
        x = self._tensors["model.embed_tokens.weight"][tokens]
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
            gate = F.silu(self._linear(inside, layer + "mlp.gate_proj"))
            up = gate * self._linear(inside, layer + "mlp.up_proj")
            x = x + self._linear(up, layer + "mlp.down_proj")
        head = "model.embed_tokens" if self._config.get("tie_word_embeddings") else "lm_head"
        return self._linear(self._norm(x, "model.norm"), head), grown

    def _attend(
        self,
        x: Tensor,
        layer: str,
        turn: tuple[Tensor, Tensor],
        visible: Tensor | None,
        past: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        def heads(name: str) -> Tensor:
            whole = self._linear(x, f"{layer}self_attn.{name}_proj")
            return whole.view(len(x), -1, self._d).transpose(0, 1)

        queries, keys, values = _turned(heads("q"), turn), _turned(heads("k"), turn), heads("v")
        if past is not None:
            keys, values = torch.cat((past[0], keys), 1), torch.cat((past[1], values), 1)
        shared = self._heads // self._key_heads  # queries that look at one head of keys
        grouped = queries.reshape(self._key_heads, shared * len(x), self._d)
        scores = (grouped @ keys.mT) * self._d**-0.5
        scores = scores.view(self._key_heads, shared, len(x), -1)
        if visible is not None:
            scores = scores.masked_fill(~visible, -torch.inf)
        weights = scores.softmax(-1).view(self._key_heads, shared * len(x), -1)
        attended = (weights @ values).view(self._heads, len(x), self._d)
        attended = attended.transpose(0, 1).reshape(len(x), -1)
        return self._linear(attended, f"{layer}self_attn.o_proj"), (keys, values)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        weight = self._tensors[f"{name}.weight"]
        return torch.mv(weight, x[0])[None] if len(x) == 1 else F.linear(x, weight)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        scale = torch.rsqrt((x * x).mean(-1, keepdim=True) + self._eps)
        return self._tensors[f"{name}.weight"] * (x * scale)


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions: (heads, n, d) turned by the angles' cosines and sines, each (n, d)."""
    first, second = x.chunk(2, -1)
    return x * turn[0] + torch.cat((-second, first), -1) * turn[1]
