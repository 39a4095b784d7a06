"""Converts a Llama-class language model in a GGUF file to a folder that ``language`` loads.

GGUF is the format of llama.cpp: quantised tensors, the configuration and the tokenizer in one file.
The tensors become float16 here, by additions and multiplications that every machine rounds alike,
so that the same file is the same model everywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sedic import extras
from sedic.errors import SedicError
from sedic.files import printable, write_atomically
from sedic.models.language import PROMPT_FILE

_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_ENDS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_CONTROL = 3  # GGUF's type of a token that is no text


def convert(source: Path, folder: Path, end: str, prompt: str) -> None:
    """Write config.json, model.safetensors, tokenizer.json and the prompt to ``folder``.

    ``end``: the token after a text; ``prompt``: what the model reads before one. ``SedicError``
    where the file is another kind of model, or the package ``gguf`` is missing.
    """
    with extras.named():
        from gguf import GGUFReader
    from safetensors.numpy import save

    try:
        reader = GGUFReader(source)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        config = _config(fields)
        tensors = dict(_tensor(tensor, config) for tensor in reader.tensors)
        tokenizer = _tokenizer(fields, end)
    except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
        reason = printable(error)[:100]
        raise SedicError(f"{printable(source)}: no Llama model in GGUF ({reason})") from error
    config["tie_word_embeddings"] = "lm_head.weight" not in tensors
    files = {
        "config.json": json.dumps(config, indent=2).encode(),
        "tokenizer.json": tokenizer.encode(),
        "tokenizer_config.json": json.dumps(
            {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end}
        ).encode(),
        PROMPT_FILE: prompt.encode(),
        "model.safetensors": save(tensors, {"format": "pt"}),
    }
    for name, data in files.items():
        write_atomically(folder / name, data, force=True)


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    if fields["general.architecture"] != "llama" or fields["tokenizer.ggml.model"] != "gpt2":
        raise ValueError("another architecture or tokenizer")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": fields["llama.rope.freq_base"],
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
    }


def _tensor(tensor: Any, config: dict[str, Any]) -> tuple[str, npt.NDArray[np.float16]]:
    """A tensor under transformers' name, in float16."""
    from gguf.quants import dequantize

    values = np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
    if tensor.name in _ENDS:
        return _ENDS[tensor.name], values.astype(np.float16)
    _, number, name, kind = tensor.name.split(".")
    if name in ("attn_q", "attn_k"):
        # llama.cpp rotates pairs of neighbouring channels, transformers channels i and i + d / 2.
        heads = config["num_attention_heads" if name == "attn_q" else "num_key_value_heads"]
        pairs = values.reshape(heads, -1, 2, values.shape[1])
        values = pairs.swapaxes(1, 2).reshape(values.shape)
    return f"model.layers.{int(number)}.{_NAMES[name]}.{kind}", values.astype(np.float16)


def _tokenizer(fields: dict[str, Any], end: str) -> str:
    """``tokenizer.json``: byte-level pairs, every digit on its own (llama.cpp's kind "smollm")."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    if fields["tokenizer.ggml.pre"] != "smollm":
        raise ValueError(f"a tokenizer of kind {fields['tokenizer.ggml.pre']}")
    pieces: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(line.split(" ")) for line in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    control = [piece for piece, kind in zip(pieces, kinds, strict=True) if kind == _CONTROL]
    if end not in control:
        raise ValueError(f"no token {end}")
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in control])
    return str(tokenizer.to_str())
