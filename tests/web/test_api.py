"""The endpoints for programs, called with gradio's own client."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import sedic
from sedic.provenance import read_provenance

if TYPE_CHECKING:
    from gradio_client import Client

    from sedic.profile import Profile


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    from gradio_client import Client

    folder = tmp_path_factory.mktemp("downloads")
    made = Client(address, verbose=False, download_files=str(folder), analytics_enabled=False)
    yield made
    made.close()


def file(path: Path) -> Any:
    from gradio_client import handle_file

    return handle_file(str(path))


def test_endpoints_have_names(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    taken = {name: [p["parameter_name"] for p in one["parameters"]] for name, one in named.items()}
    assert taken == {
        "/compress": ["photo", "max_bytes"],
        "/decode": ["file"],
        "/edit": ["file", "number", "words"],
    }


def test_compress_decode_and_edit(client: Client, photo: Path, tmp_path: Path) -> None:
    coded, picture, facts = client.predict(file(photo), 300, api_name="/compress")
    data = Path(coded).read_bytes()
    assert Path(coded).name == "my-cat.sedic" and len(data) <= 300
    assert facts["bytes"] == sum(facts["parts"].values()) == len(data)
    decoded = sedic.decompress(data)
    assert np.array_equal(np.asarray(Image.open(picture)), decoded)
    made = read_provenance(Path(picture))
    assert made is not None and made.file_bytes == len(data)

    again, picture, same = client.predict(file(Path(coded)), api_name="/decode")
    assert Path(again).read_bytes() == data and same == facts
    assert np.array_equal(np.asarray(Image.open(picture)), decoded)

    other, _, new = client.predict(file(Path(coded)), 0, "A grey <evening>.", api_name="/edit")
    assert new["overall"] == sedic.read(Path(other).read_bytes()).overall == "A grey <evening>."


def test_errors_are_lines(client: Client, photo: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.sedic"
    hostile.write_bytes(b"\x5e\xdc<script>alert(1)</script>")
    large = tmp_path / "large.sedic"
    large.write_bytes(sedic.compress(np.zeros((128, 160, 3), np.uint8), max_bytes=300, objects=0))
    notes = tmp_path / "notes.png"
    notes.write_text("no picture")
    for arguments, name, said in (
        ((file(hostile),), "/decode", "checksum"),
        ((file(large),), "/decode", "160 × 128 pixels; this page decodes at most 10,000"),
        ((file(notes), 300), "/compress", "not a picture"),
        ((file(photo), 4001), "/compress", "4000"),
        ((file(hostile), 1, "x"), "/edit", "checksum"),
    ):
        with pytest.raises(Exception, match=said) as caught:
            client.predict(*arguments, api_name=name)
        assert "\n" not in str(caught.value) and "/tmp" not in str(caught.value)


@pytest.mark.slow
def test_files_are_deleted_after_a_while(mini: Profile, photo: Path) -> None:
    from gradio_client import Client

    from sedic.web import Limits, server

    with server.running(mini, port=0, limits=Limits(keep_seconds=30)) as other:
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        client = Client(other, verbose=False, download_files=False, analytics_enabled=False)
        client.predict(file(photo), 200, api_name="/compress")
        assert len(list(folder.rglob("*.sedic"))) == 1
        end = time.monotonic() + 120
        while time.monotonic() < end and any(path.is_file() for path in folder.rglob("*")):
            time.sleep(1)
        assert not [path for path in folder.rglob("*") if path.is_file()]
        client.close()
    assert not folder.exists()
