"""Bytes of texts: the byte model, Huffman, and a language model in two ways.

    python benchmarks/captions.py [--model smollm2-135m] [--decode 3] [--ranks]

Four kinds of text: what LLaVA-1.5 says of the 24 Kodak pictures (test only: nothing was trained or
chosen on them), excerpts of image descriptions that no table and no choice here has seen, and
texts of the form of a SEDIC file (an overall text of at most 30 words, two details of at most 20)
and of a MISC file (50 words, three details of 10) cut from other such descriptions. Sizes are those
of real bytes, the model's with its check byte; the first ``--decode`` texts are decoded again, with
one thread and with two. ``--ranks`` adds the paper's ranks + deflate, a pass for eight tokens each.
Writes captions.json and captions.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from sedic.coding import huffman, rank_text, token_text
from sedic.lab.bench.circumstances import hardware
from sedic.lab.train.photos import shared_folder
from sedic.models.language import DEFAULT, LanguageModel, find_language_model
from sedic.profile import Profile

HELD_OUT, BLOCK = 20, 20  # every twentieth block of as many descriptions is measured on
EXCERPT = 400  # characters, at most, if sentences are shorter
COUNT = 16  # texts of each kind but Kodak's


def held_out() -> list[str]:
    """Image descriptions that are only measured on."""
    lines = (shared_folder() / "data/captions/iiw.jsonl").read_text().splitlines()
    return [
        json.loads(line)["text"].strip()
        for number, line in enumerate(lines)
        if number // BLOCK % HELD_OUT == 0
    ]


def excerpt(text: str) -> str:
    """The first sentences of a text."""
    piece, *rest = text.replace(". ", ".\0").split("\0")
    for sentence in rest:
        if len(piece) + len(sentence) > EXCERPT:
            break
        piece = f"{piece} {sentence}"
    return piece


def form(text: str, overall: int, details: int, words: int) -> str:
    """The first sentences of a text as an overall description and details of so many words."""
    sentences = [sentence.split() for sentence in text.replace(". ", ".\0").split("\0")]
    first = 1 + overall // 40  # sentences of the overall text
    lines = [[word for sentence in sentences[:first] for word in sentence][:overall]]
    lines += [sentence[:words] for sentence in sentences[first : first + details]]
    return "\n".join(" ".join(line) for line in lines)


def kinds() -> dict[str, list[str]]:
    """The texts to measure, by kind."""
    kodak = (shared_folder() / "data/captions/kodak_llava.jsonl").read_text().splitlines()
    texts = held_out()
    spread = texts[:: len(texts) // (2 * COUNT)]
    return {
        "LLaVA-1.5 on Kodak": [json.loads(line)["text"].strip() for line in kodak],
        "descriptions, held out": [excerpt(text) for text in spread[:COUNT]],
        "SEDIC's form, held out": [form(text, 30, 2, 20) for text in spread[COUNT : 2 * COUNT]],
        "MISC's form, held out": [form(text, 50, 3, 10) for text in spread[COUNT : 2 * COUNT]],
    }


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and its seconds of processor time."""
    began = time.process_time()
    return function(), time.process_time() - began


def model_rows(texts: list[str], model: LanguageModel, decoded: int) -> Iterator[tuple[str, float]]:
    coded, seconds = timed(lambda: [token_text.encode(text, model) for text in texts])
    yield "model", round(mean(map(len, coded)), 2)
    yield "model, seconds of CPU to encode", round(seconds / len(texts), 2)
    again = [token_text.decode(data, 1 << 12, model) for data in coded[:1]]  # gets ready
    spent: dict[int, list[float]] = {1: [], 2: []}
    for data in coded[:decoded]:
        for threads, taken in spent.items():
            torch.set_num_threads(threads)
            text, seconds = timed(lambda data=data: token_text.decode(data, 1 << 12, model))
            again.append(text)
            taken.append(seconds)
        torch.set_num_threads(1)
    assert again == [texts[0], *(text for text in texts[:decoded] for _ in spent)]
    if decoded:
        yield "model, texts decoded with 1 and with 2 threads", decoded
        for threads, taken in spent.items():
            yield f"model, seconds of CPU to decode, threads: {threads}", round(mean(taken), 2)


def measure(name: str, decoded: int, ranks: bool) -> dict[str, dict[str, float]]:
    model = find_language_model(name)
    report: dict[str, dict[str, float]] = {}
    for kind, texts in kinds().items():
        row: dict[str, float] = {
            "texts": len(texts),
            "characters": round(mean(map(len, texts)), 1),
            "huffman": round(mean(len(huffman.encode(text)) for text in texts), 2),
        }
        if "Kodak" in kind:  # the shipped table has read the descriptions
            row["primed"] = round(
                mean(len(Profile.load("mini").text_coder("primed").encode(text)) for text in texts),
                2,
            )
        if ranks:
            sizes = [len(rank_text.encode(text, model)) for text in texts]
            row["ranks + deflate (the paper's)"] = round(mean(sizes), 2)
        row |= dict(model_rows(texts, model, decoded))
        report[kind] = row
        print(kind, row, flush=True)
    return report


def page(name: str, report: dict[str, dict[str, float]], load: float) -> str:
    names = list(report)
    rows = {row: None for columns in report.values() for row in columns}
    lines = [
        f"| {row} | {' | '.join(str(report[kind].get(row, '-')) for kind in names)} |"
        for row in rows
    ]
    about = [
        "# Bytes of captions",
        "",
        "Mean bytes of a text; `benchmarks/captions.py` says how. The language model is",
        f"{name}, with one check byte a text. Its prompt was chosen on fourteen of the",
        "held-out descriptions, nothing on Kodak's captions. Seconds are without loading, on a",
        f"machine of {os.cpu_count()} cores ({hardware()['processor']}) with a load of {load}",
        "before; to encode, one thread.",
        "",
    ]
    head = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    return "\n".join([*about, *head, *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--model", default=DEFAULT, help="a name in `sedic models list`, or a folder"
    )
    parser.add_argument("--decode", type=int, default=3, help="texts of each kind to decode again")
    parser.add_argument("--ranks", action="store_true", help="also the paper's ranks + deflate")
    given = parser.parse_args()
    torch.set_num_threads(1)
    load = round(os.getloadavg()[0], 1)
    report = measure(given.model, given.decode, given.ranks)
    here = Path(__file__)
    here.with_suffix(".json").write_text(
        json.dumps({"model": given.model, "load": load, **report}, indent=1) + "\n"
    )
    here.with_suffix(".md").write_text(page(given.model, report, load))


if __name__ == "__main__":
    main()
