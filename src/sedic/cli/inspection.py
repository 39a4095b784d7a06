"""What ``inspect`` shows of a file, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sedic import profiles
from sedic.codec import settings_of
from sedic.coding.container import Container
from sedic.coding.token_text import TokenModel
from sedic.errors import SedicError
from sedic.rate import explain
from sedic.semantics import (
    Mask,
    SemanticImage,
)


def summary(container: Container, language: TokenModel | None = None) -> dict[str, Any]:
    """Everything about a file, JSON-ready. Words that cannot be read are ``None``, with why."""
    parts = container.parts()
    total = sum(parts.values())
    image, problem = _image(container, language)
    objects = None
    if image is not None:
        objects = [
            {
                "name": layer.name,
                "detail": layer.detail,
                "mask_share": round(layer.mask.area / (layer.mask.width * layer.mask.height), 4),
            }
            for layer in image.objects
        ]
    return {
        "format": 1,
        "method": container.method,
        "profile": container.profile,
        "fingerprint": container.fingerprint.hex(),
        "width": container.width,
        "height": container.height,
        "bytes": total,
        "bpp": 8 * total / (container.width * container.height),
        "parts": parts,
        "reference_codec": container.reference_codec,
        "text_coder": container.text_coder,
        "mask_coder": container.mask_coder,
        "seed": container.seed,
        "settings": _settings(container),
        "object_count": container.object_count,
        "overall": image.overall if image else None,
        "objects": objects,
        "problem": problem,
    }


def as_json_text(container: Container, language: TokenModel | None = None) -> str:
    """``summary`` as text."""
    return json.dumps(summary(container, language), indent=2, ensure_ascii=True)


def as_table(container: Container, language: TokenModel | None = None, *, verbose: bool) -> None:
    """Print ``summary``, on a terminal in colour; ``verbose`` adds masks and reasons."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    facts = summary(container, language)
    console.print(
        f"{facts['width']}x{facts['height']}, method {facts['method']}, profile {facts['profile']} "
        f"({facts['fingerprint']}), reference {facts['reference_codec']}",
        highlight=False,
    )
    table = Table("part", "bytes", "bpp", "share")
    for column in table.columns[1:]:
        column.justify = "right"
    pixels = container.width * container.height
    rows = [*facts["parts"].items(), ("file", facts["bytes"])]
    for name, size in rows:
        if name == "settings" and not size:
            continue
        if name == "file":
            table.add_section()
        table.add_row(name, str(size), f"{8 * size / pixels:.4f}", f"{size / facts['bytes']:.1%}")
    console.print(table)
    console.print(_decoder(container), highlight=False, markup=False)
    image, problem = _image(container, language)
    if image is None:
        console.print(f"words and masks cannot be read: {escape(str(problem))}")
        return
    console.print(f"overall: {escape(image.overall) or '(none)'}", highlight=False)
    for number, layer in enumerate(image.objects, 1):
        share = layer.mask.area / (layer.mask.width * layer.mask.height)
        console.print(f"object {number}, {share:.0%}: {escape(layer.detail)}", highlight=False)
        if verbose:
            console.print(thumbnail(layer.mask), highlight=False, markup=False)
    if verbose:
        for line in explain(container):
            console.print(f"- {line}", highlight=False, markup=False)


def _decoder(container: Container) -> str:
    """One line: the stages of the decoder, and the settings that are not the profile's."""
    try:
        profile = profiles.load(container.profile)
        settings = settings_of(container)
    except SedicError as error:
        return f"decoder: refuses this file: {error}"
    defaults = asdict(profile.settings(container.method))
    own = [
        f"{name} = {value}" for name, value in asdict(settings).items() if value != defaults[name]
    ]
    own += [f"seed = {container.seed}"] if container.seed else []
    steps = f"{container.object_count} x {settings.object_steps} + {settings.last_steps} steps"
    what = steps if profile.restores else "the reference image (this profile has no restorer)"
    return f"decoder: {what}; {', '.join(own) or 'all settings as the profile has them'}"


def thumbnail(mask: Mask, columns: int = 48) -> str:
    """A mask in half-block characters, at most ``columns`` wide."""
    import numpy as np

    cells = mask.array
    columns = min(columns, mask.width)
    rows = max(2, round(mask.height * columns / mask.width) // 2 * 2)
    y = (np.arange(rows) * mask.height // rows)[:, None]
    x = np.arange(columns) * mask.width // columns
    small = cells[y, x]
    blocks = " ▀▄█"
    return "\n".join(
        "".join(blocks[int(top) + 2 * int(low)] for top, low in zip(*pair, strict=True))
        for pair in zip(small[::2], small[1::2], strict=True)
    )


def _settings(container: Container) -> dict[str, Any] | None:
    """How the file wants to be restored, or nothing if it asks for what no decoder does."""
    try:
        return asdict(settings_of(container))
    except SedicError:
        return None


def check_words(container: Container) -> None:
    """``SedicError`` where the file was made with other tables, which make other words of it."""
    profile = profiles.load(container.profile)
    pinned = profile.weights.get(container.reference_codec)
    # Weights of cheng2020 are the caller's own: nothing here knows their fingerprint.
    if container.reference_codec != "cheng2020":
        reference = bytes.fromhex(pinned.sha256) if pinned else bytes(32)
        profile.check(container.fingerprint, reference, restored=False)


def _image(
    container: Container, language: TokenModel | None
) -> tuple[SemanticImage | None, str | None]:
    """What the file says, or why it cannot be told."""
    try:
        check_words(container)
        return container.unpack(language), None
    except SedicError as error:
        return None, str(error)
