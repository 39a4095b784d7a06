"""Loads models with transformers' ``from_pretrained``, by default without the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sedic.errors import SedicError
from sedic.files import printable


def load_pretrained(kind: Any, source: str | Path, *, download: bool = False) -> Any:
    """``kind``, a class of transformers, from a folder or a model id.

    The network is used only with ``download``. Weights come from safetensors files (the other
    format runs code when it is read), and code never from the model's folder. Raises
    ``SedicError`` where the files are missing, or are not what ``kind`` needs, or not all of it.
    """
    from transformers.modeling_utils import PreTrainedModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    is_model = isinstance(kind, type) and issubclass(kind, PreTrainedModel)
    options = {"use_safetensors": True, "output_loading_info": True} if is_model else {}
    try:
        loaded = kind.from_pretrained(str(source), local_files_only=not download, **options)
    except Exception as error:  # a dozen libraries, each with its own
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
        hint = "" if download else "; name a folder that holds it, or allow downloads"
        raise SedicError(
            f"cannot load {kind.__name__} from {printable(source)}{hint} ({reason})"
        ) from error
    if not is_model:
        return loaded
    model, info = loaded
    if info["missing_keys"]:  # transformers would go on with random numbers
        missing = sorted(info["missing_keys"])
        raise SedicError(
            f"{printable(source)} is no whole {kind.__name__}: {missing[0]} is missing"
            + (f", and {len(missing) - 1} more" if missing[1:] else "")
        )
    return model
