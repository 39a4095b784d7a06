"""Bytes of words: captions of a language model, and measured descriptions, of the Kodak pictures.

    python benchmarks/text.py

Writes text.json: mean bytes of each coder's real streams. The captions are LLaVA-1.5's; a scene is
everything that the measured description says of a picture (overall and up to three objects).
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

from sedic.describe.measured import describe
from sedic.lab.train.photos import shared_folder
from sedic.picture import load_picture
from sedic.profile import Profile


def main() -> None:
    profile = Profile.load("mini")
    data = shared_folder() / "data"
    lines = (data / "captions" / "kodak_llava.jsonl").read_text().splitlines()
    texts = {
        "captions": [json.loads(line)["text"].strip() for line in lines],
        "scenes": [describe(load_picture(p)).text for p in sorted((data / "kodak").glob("*.png"))],
    }
    report = {
        kind: {
            "texts": len(group),
            "mean characters": round(mean(map(len, group)), 1),
            **{
                coder: round(mean(len(profile.text_coder(coder).encode(text)) for text in group), 2)
                for coder in ("primed", "huffman")
            },
        }
        for kind, group in texts.items()
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
