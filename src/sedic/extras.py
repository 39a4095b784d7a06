"""Packages that only some work needs: the extras of pyproject.toml."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sedic.errors import MissingWeightsError

# The module that is imported, and the extra of sedic that installs it.
EXTRA_OF = {
    "accelerate": "papers",
    "diffusers": "papers",
    "gguf": "papers",
    "huggingface_hub": "papers",
    "peft": "papers",
    "tokenizers": "papers",
    "transformers": "papers",
    "jinja2": "bench",
    "matplotlib": "bench",
    "pyarrow": "bench",
    "torchmetrics": "bench",
    "fsspec": "batch",
    "ray": "ray",
    "rapidocr": "ocr",
    "onnxruntime": "ocr",
    "gradio": "web",
}


@contextmanager
def named() -> Iterator[None]:
    """Raise ``MissingWeightsError``, which names the extra, where one of its modules is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF:
            raise
        raise MissingWeightsError(
            f"this needs {module}, which is not installed: pip install 'sedic[{EXTRA_OF[module]}]'"
        ) from error
