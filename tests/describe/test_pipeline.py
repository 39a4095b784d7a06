"""The papers' encoder from end to end: words from an endpoint, names verified, boxes, masks, file.

All networks are random, so what is found is arbitrary; that nothing gets lost on the way is not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from skimage import data as samples

from sedic.coding.container import Container
from sedic.describe.segmentation import KEPT
from sedic.encoder import Encoder
from sedic.models import registry
from sedic.profile import Profile
from sedic.semantics import Rate

PICTURE = samples.astronaut()[:128, :192]
SAID = {
    "objects": [
        {"name": "red hat", "detail": "red hat, of felt, with a narrow brim"},
        {"name": "plane", "detail": "plane, white, far away"},
        {"name": "hat", "detail": "hat, another one"},
    ],
    "overall": "A red hat and a plane, in the style of a postcard.",
}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            message = {"role": "assistant", "content": json.dumps(SAID)}
            body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setenv("SEDIC_API_BASE", f"http://127.0.0.1:{httpd.server_port}/v1")
        yield
        httpd.shutdown()


@pytest.fixture
def finders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_detector: Path, tiny_sam: Path
) -> None:
    """The model folder, as if both had been fetched."""
    monkeypatch.setenv("SEDIC_MODELS", str(tmp_path))
    lock = {}
    for name, folder in (("grounding-dino-tiny", tiny_detector), ("sam-vit-base", tiny_sam)):
        (model,) = registry.select(name)
        shutil.copytree(folder, model.path)
        lock[name] = "revision"
        lock |= {f"{model.folder}/{path.name}": "0" * 64 for path in folder.iterdir()}
    (tmp_path / registry.LOCK).write_text(json.dumps(lock))


def test_words_of_a_language_model_become_a_file(endpoint: None, finders: None) -> None:
    rate = Rate(2_000)
    profile = Profile.load("mini")
    described = profile.describer("api", model="any").describe(PICTURE, rate)
    said, notes = described.description, described.notes
    fates = {line.partition(": ")[0]: line.partition(": ")[2] for line in notes if ": " in line}
    for item in SAID["objects"]:  # type: ignore[attr-defined]
        assert item["name"] in fates
    kept = [found.name for found in said.objects]
    assert kept == [name for name, fate in fates.items() if fate == KEPT and name in kept]
    assert all(found.mask.area > 0 for found in said.objects)
    data = Encoder(profile).compress(PICTURE, rate, said).data
    image = Container.parse(data).unpack(profile)
    assert image.overall == SAID["overall"]
    assert [found.name for found in image.objects] == kept
