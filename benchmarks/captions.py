"""Bytes of captions: the byte model, Huffman, and a language model in two ways.

    python benchmarks/captions.py train FOLDER [--minutes 8]
    python benchmarks/captions.py measure FOLDER

``train`` makes in FOLDER, from nineteen twentieths of the image descriptions (iiw.jsonl), a
byte-level BPE tokenizer of 2,048 tokens with a Llama-class model of two million parameters, and a
table of the primed coder that has read the same texts. Neither is shipped. ``measure`` codes the
rest of the descriptions, and the Kodak captions of LLaVA-1.5, which nothing was trained or chosen
on, and writes captions.json and captions.md. Sizes are those of real bytes, decoded again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from torch import Tensor

from sedic.training.photos import shared_folder

BLOCK = 20  # lines: neighbours often describe the same picture
HELD_OUT = 20  # one block in so many
VOCABULARY, CONTEXT = 2048, 512
BATCH, RATE = 16, 3e-3
END = "<|endoftext|>"


def descriptions() -> tuple[list[str], list[str]]:
    """The texts to learn from, and those to measure on."""
    lines = (shared_folder() / "data/captions/iiw.jsonl").read_text().splitlines()
    split: tuple[list[str], list[str]] = ([], [])
    for number, line in enumerate(lines):
        split[number // BLOCK % HELD_OUT == 0].append(json.loads(line)["text"].strip())
    return split


def train(folder: Path, minutes: float) -> None:
    """The tokenizer and the language model."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    texts, held_out = descriptions()
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, VOCABULARY, special_tokens=[END], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token=END)
    end = tokenizer.eos_token_id
    sequences = sorted(([end, *ids, end][:CONTEXT] for ids in tokenizer(texts).input_ids), key=len)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=6,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=end,
            eos_token_id=end,
            attention_dropout=0.1,
        )
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), RATE, (0.9, 0.99), weight_decay=0.1, fused=True
    )
    draw, began, step, done = random.Random(0), time.process_time(), 0, 0.0
    while (done := (time.process_time() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / 100, 0.5 * (1 + math.cos(math.pi * done)))
        first = draw.randrange(len(sequences) - BATCH + 1)
        loss = _loss(model, sequences[first : first + BATCH])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            print(
                f"{step} steps, {done:.0%}: {loss.item() / math.log(2):.3f} bits a token",
                flush=True,
            )
    model.eval()
    ends = [[end, *ids, end][:CONTEXT] for ids in tokenizer(held_out).input_ids]
    with torch.no_grad():
        bits = sum(float(_loss(model, [ids])) * (len(ids) - 1) for ids in ends) / math.log(2)
    print(f"{step} steps; held out {bits / sum(map(len, held_out)):.3f} bits a character")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps({"steps": step, "minutes": minutes}))


def _loss(model: torch.nn.Module, sequences: list[list[int]]) -> Tensor:
    width = max(map(len, sequences))
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids in sequences])
    known = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in sequences])
    with torch.autocast("cpu", torch.bfloat16, enabled=model.training):
        loss: Tensor = model(ids, labels=ids.masked_fill(known == 0, -100)).loss
    return loss


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=8, help="of processor time")
    given = parser.parse_args()
    if given.command == "train":
        given.folder.mkdir(parents=True, exist_ok=True)
        train(given.folder, given.minutes)


if __name__ == "__main__":
    main()
