"""The texts that the text coder is primed on have every name, in sentences the describer says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from sedic.describe import names as table
from sedic.describe import words
from sedic.lab.train import named_texts


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text().splitlines()]


def test_every_name_that_is_ever_said_is_spelt(tmp_path: Path) -> None:
    named_texts.spell_names(tmp_path / "names.jsonl")
    names = table.load_names()
    began = {text.split("\n")[1].split(" in ")[0] for text in texts(tmp_path / "names.jsonl")}
    silent = {names.words[node] for node in names.silent}
    assert began >= set(names.words) - silent
    assert len(texts(tmp_path / "names.jsonl")) == len(names.words) - len(names.silent)


def test_described_photographs_hold_known_words_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photos" / "cat.png"
    path.parent.mkdir()
    Image.fromarray(np.ascontiguousarray(skimage.data.chelsea()[::2, ::2])).save(path)
    monkeypatch.setattr(named_texts.photos, "draw", lambda folders, count: [path])
    for out in (tmp_path / "a.jsonl", tmp_path / "b.jsonl"):
        named_texts.describe_photos([path.parent], out)
    assert texts(tmp_path / "a.jsonl") == texts(tmp_path / "b.jsonl")
    known = words.words() | set(" ".join(table.load_names().words).split())
    for text in texts(tmp_path / "a.jsonl"):
        assert set(text.replace(",", "").split()) <= known
        overall, *details = text.split("\n")
        assert details and (not overall or details[0].split(" in ")[0] in overall)
