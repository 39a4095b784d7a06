"""Bytes of captions: the byte model, Huffman, and a language model in two ways.

    python benchmarks/captions.py train FOLDER [--minutes 12]
    python benchmarks/captions.py measure FOLDER

``train`` makes in FOLDER, from nineteen twentieths of the image descriptions (iiw.jsonl), a
byte-level BPE tokenizer of 2,048 tokens with a Llama-class model of a million parameters, which
is not shipped. ``measure`` codes the first sentences of other descriptions (about as long as what a
file holds), and the Kodak captions of LLaVA-1.5, which nothing was trained or chosen on, and writes
captions.json and captions.md. Sizes are those of real bytes; the model's are decoded again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from sedic.coding import huffman, primed, rank_text, token_text
from sedic.lab.train.photos import shared_folder
from sedic.lab.train.text_table import Corpus, count
from sedic.models.language import LanguageModel

BLOCK = 20  # lines: neighbours often describe the same picture
HELD_OUT = 20  # one block in so many
MEASURED = 3  # one held-out description in so many
EXCERPT = 400  # characters, at most, if sentences are shorter
VOCABULARY, CONTEXT = 2048, 512
BATCH, RATE = 16, 4e-3
END = "<|endoftext|>"


def descriptions() -> tuple[list[str], list[str]]:
    """The texts to learn from, and those to measure on."""
    lines = (shared_folder() / "data/captions/iiw.jsonl").read_text().splitlines()
    split: tuple[list[str], list[str]] = ([], [])
    for number, line in enumerate(lines):
        split[number // BLOCK % HELD_OUT == 0].append(json.loads(line)["text"].strip())
    return split


def excerpts(text: str) -> Iterator[str]:
    """A text in pieces of whole sentences."""
    piece = ""
    for sentence in text.replace(". ", ".\0").split("\0"):
        if piece and len(piece) + len(sentence) > EXCERPT:
            yield piece
            piece = ""
        piece = f"{piece} {sentence}".strip()
    yield piece


def train(folder: Path, minutes: float) -> None:
    """The tokenizer and the language model."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    texts = [piece for text in descriptions()[0] for piece in excerpts(text)]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, VOCABULARY, special_tokens=[END], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token=END)
    end = tokenizer.eos_token_id
    sequences = sorted(([end, *ids, end][:CONTEXT] for ids in tokenizer(texts).input_ids), key=len)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=end,
            eos_token_id=end,
        )
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), RATE, (0.9, 0.99), weight_decay=0.1, fused=True
    )
    draw, began, step, done = random.Random(0), time.process_time(), 0, 0.0
    while (done := (time.process_time() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / 50, 0.5 * (1 + math.cos(math.pi * done)))
        first = draw.randrange(len(sequences) - BATCH + 1)
        loss = _loss(model, sequences[first : first + BATCH])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            print(f"{done:.0%}, step {step}: {loss.item() / math.log(2):.3f} bits a token")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    told = {"parameters": parameters, "steps": step, "processor minutes": minutes}
    (folder / "training.json").write_text(json.dumps(told))


def _loss(model: torch.nn.Module, sequences: list[list[int]]) -> Tensor:
    width = max(map(len, sequences))
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids in sequences])
    known = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in sequences])
    with torch.autocast("cpu", torch.bfloat16):
        loss: Tensor = model(ids, labels=ids.masked_fill(known == 0, -100)).loss
    return loss


def same_reading() -> primed.Model:
    """The primed coder as if it had read the same texts: their counts, the shipped confidences."""
    confidence = np.array(primed.default_model().confidence)
    return primed.Model(count([Corpus("descriptions", tuple(descriptions()[0]), 1)]), confidence)


def measure(folder: Path) -> None:
    """captions.json and captions.md beside this script."""
    model = LanguageModel(folder)
    kodak = (shared_folder() / "data/captions/kodak_llava.jsonl").read_text().splitlines()
    texts = {
        "image descriptions, held out": [
            next(excerpts(text)) for text in descriptions()[1][::MEASURED]
        ],
        "LLaVA-1.5 on Kodak": [json.loads(line)["text"].strip() for line in kodak],
    }
    table = same_reading()
    report: dict[str, dict[str, float]] = {}
    for name, group in texts.items():
        report[name] = {"texts": len(group), "characters": round(mean(map(len, group)), 1)}
        coders: dict[str, Callable[[str], bytes]] = {
            "huffman": huffman.encode,
            "ranks + deflate (the paper's)": lambda text: rank_text.encode(text, model),
            "model": lambda text: arithmetic(text, model),
        }
        for coder, encode in coders.items():
            report[name][coder] = round(mean(len(encode(text)) for text in group), 2)
            print(name, coder, report[name][coder], flush=True)
        report[name]["model, without its 6 bytes of checks"] = round(report[name]["model"] - 6, 2)
        report[name]["primed, read the same texts"] = round(mean(primed_bytes(group, table)), 2)
        if name != "image descriptions, held out":  # the shipped table has read all of those
            report[name]["primed, as shipped"] = round(
                mean(len(primed.encode(text)) for text in group), 2
            )
    told = json.loads((folder / "training.json").read_text())
    here = Path(__file__)
    here.with_suffix(".json").write_text(json.dumps({"model": told, **report}, indent=1) + "\n")
    here.with_suffix(".md").write_text(_page(told, report))


def arithmetic(text: str, model: LanguageModel) -> bytes:
    data = token_text.encode(text, model)
    assert token_text.decode(data, 1 << 12, model) == text
    return data


def primed_bytes(texts: list[str], table: primed.Model) -> Iterator[int]:
    """Bytes of each text's stream under another table than the shipped one."""
    for text in texts:
        encoder, predictor = primed.RangeEncoder(), primed.Predictor(table)
        for symbol in text.encode() + bytes([primed.LINE_FEED, primed.END]):
            encoder.encode(symbol, predictor.weights())
            predictor.update(symbol)
        yield len(encoder.finish())


def _page(told: dict[str, float], report: dict[str, dict[str, float]]) -> str:
    names = list(report)
    rows = {row: None for columns in report.values() for row in columns}
    lines = [
        f"| {row} | {' | '.join(str(report[name].get(row, '-')) for name in names)} |"
        for row in rows
    ]
    return "\n".join(
        [
            "# Bytes of captions",
            "",
            "Mean bytes of a text; `benchmarks/captions.py` says how. The language model is a",
            f"small one made here ({told['parameters'] / 1e6:.1f} M parameters, trained on the",
            f"image descriptions for {told['steps']} steps, {told['processor minutes']} minutes of",
            "one core): far from the paper's 7 B parameters, which wrote the captions.",
            "It has not read what is measured, and nothing of LLaVA's.",
            "",
            f"| | {' | '.join(names)} |",
            "|---|" + "---|" * len(names),
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=12, help="of processor time")
    given = parser.parse_args()
    if given.command == "measure":
        measure(given.folder)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    train(given.folder, given.minutes)


if __name__ == "__main__":
    main()
