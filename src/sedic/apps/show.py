"""What ``inspect`` shows of a file, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

from sedic import profiles
from sedic.coding.container import Container
from sedic.rate import explain
from sedic.semantics import Mask, SedicError, SemanticImage


def summary(container: Container) -> dict[str, Any]:
    """Everything about a file, JSON-ready. Words that cannot be read are ``None``, with why."""
    parts = container.parts()
    total = sum(parts.values())
    image, problem = _image(container)
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
        "object_count": container.object_count,
        "overall": image.overall if image else None,
        "objects": objects,
        "problem": problem,
    }


def as_json_text(container: Container) -> str:
    """``summary`` as text."""
    return json.dumps(summary(container), indent=2, ensure_ascii=True)


def as_table(container: Container, *, verbose: bool) -> None:
    """Print ``summary``, on a terminal in colour; ``verbose`` adds masks and reasons."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    facts = summary(container)
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
        if name == "file":
            table.add_section()
        table.add_row(name, str(size), f"{8 * size / pixels:.4f}", f"{size / facts['bytes']:.1%}")
    console.print(table)
    image, problem = _image(container)
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


def _image(container: Container) -> tuple[SemanticImage | None, str | None]:
    """What the file says, or why it cannot be told: other tables would make other words of it."""
    try:
        profile = profiles.load(container.profile)
        pinned = profile.weights.get(container.reference_codec)
        ours = profile.fingerprint(bytes.fromhex(pinned.sha256) if pinned else bytes(32))[:2]
        # Weights of cheng2020 are the caller's own: nothing here knows their fingerprint.
        if container.fingerprint != ours and container.reference_codec != "cheng2020":
            there = container.fingerprint.hex()
            return None, f"made with other weights (fingerprint {there}; here: {ours.hex()})"
        return container.unpack(), None
    except SedicError as error:
        return None, str(error)
