"""A language model's words on their way into a file, from a real server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from sedic.describe.description import DescriberResult, Description
from sedic.errors import SedicError
from sedic.profile import Profile
from sedic.semantics import (
    Rate,
)

PICTURE = np.zeros((64, 96, 3), np.uint8)
SCENE = {"objects": [{"name": "bus", "detail": "bus, red"}], "overall": "A street at night."}


def describe(describer: str, model: str, method: str, rate: Rate) -> DescriberResult:
    return Profile.load("mini").describer(describer, model=model).describe(PICTURE, rate, method)


class Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": json.dumps(SCENE)}
        body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), Answers) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setenv("SEDIC_API_BASE", f"http://127.0.0.1:{httpd.server_port}/v1")
        monkeypatch.setenv("SEDIC_MODELS", str(tmp_path))  # where there are none
        yield
        httpd.shutdown()


@pytest.mark.parametrize(
    ("method", "model"), [("sedic", "grounding-dino-tiny"), ("misc", "clip-vit-base-patch16")]
)
def test_what_nothing_can_find_is_not_sent_and_a_line_says_so(
    server: None, method: str, model: str
) -> None:
    found = describe("api", "any", method, Rate(1_000))
    assert found.description == Description(SCENE["overall"])
    assert any(f"sedic models fetch {model}" in line for line in found.notes)


def test_a_caption_needs_no_finder(server: None) -> None:
    rate = Rate(1_000, max_objects=0)
    found = describe("api", "any", "image-text", rate)
    assert found.description.overall == SCENE["overall"]
    assert not any("fetch" in line for line in found.notes)


def test_a_local_model_that_is_not_here_is_named(server: None) -> None:
    with pytest.raises(SedicError, match="sedic models fetch smolvlm2-500m"):
        describe("local", "", "image-text", Rate(1_000, max_objects=0))


def test_words_that_the_decoder_would_cut_are_not_sent(
    server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "A street at night with " + "bicycles and lamps and " * 20 + "rain."
    monkeypatch.setitem(SCENE, "overall", long)
    rate = Rate(1_000, max_objects=0, overall_words=100)
    found = describe("api", "any", "image-text", rate).description
    tokenizer = Profile.load("mini").tokenizer
    assert long.startswith(found.overall) and len(found.overall) < len(long)
    words = len(found.overall.split())
    assert len(tokenizer(found.overall).input_ids) <= 77
    assert len(tokenizer(" ".join(long.split()[: words + 1])).input_ids) > 77
