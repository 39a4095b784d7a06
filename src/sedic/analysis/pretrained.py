"""Loading what transformers' ``from_pretrained`` can: by default only what is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from sedic.files import printable
from sedic.semantics import SedicError


class Loadable(Protocol):
    """A class of transformers: a model, a tokenizer, a processor or a configuration."""

    def from_pretrained(self, source: str, **options: Any) -> Any: ...


def load(kind: Loadable, source: str | Path, *, download: bool = False, **options: Any) -> Any:
    """``kind`` from a folder or a model id; the network is used only with ``download``.

    Weights come from safetensors files, code never from the model's folder. Raises ``SedicError``
    where the files are missing or are not what ``kind`` needs.
    """
    if hasattr(kind, "config_class") or hasattr(kind, "base_model_prefix"):
        options["use_safetensors"] = True  # the other format runs code when it is read
    try:
        return kind.from_pretrained(str(source), local_files_only=not download, **options)
    except Exception as error:  # a dozen libraries, each with its own
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
        hint = "" if download else "; give a folder that holds it, or allow downloads"
        raise SedicError(
            f"cannot load {getattr(kind, '__name__', kind)} from {printable(source)}"
            f"{hint} ({reason})"
        ) from error
