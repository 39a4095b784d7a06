"""The page at work, in threads of the test process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from skimage import data as samples

if TYPE_CHECKING:
    from sedic.profile import Profile


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of 96 × 64 pixels: the face of a cat."""
    path = tmp_path_factory.mktemp("photo") / "My Cat.png"
    Image.fromarray(samples.chelsea()).resize((96, 64)).save(path)
    return path


@pytest.fixture(scope="session")
def address(mini: Profile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is; at most 10,000 pixels and a megabyte of upload."""
    pytest.importorskip("gradio", reason="needs the extra web")
    from sedic.web import Limits, server

    temporary = tmp_path_factory.mktemp("temporary")
    before, tempfile.tempdir = tempfile.tempdir, str(temporary)
    variables = _of_gradio()
    try:
        with server.running(
            mini, port=0, limits=Limits(pixels=10_000, upload_bytes=1 << 20)
        ) as url:
            assert [path.name.startswith("sedic-web-") for path in temporary.iterdir()] == [True]
            yield url
    finally:
        tempfile.tempdir = before
    assert _of_gradio() == variables
    left = list(temporary.rglob("*"))  # gradio's client leaves empty folders in this process
    assert not [path for path in left if path.is_file() or path.name.startswith("sedic-web")]


def _of_gradio() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("GRADIO")}
