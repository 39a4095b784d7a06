"""What ``sedic inspect`` prints of a file."""

from __future__ import annotations

import json
from dataclasses import asdict

from sedic.coding.container import Container
from sedic.decoder import Decoder
from sedic.errors import SedicError
from sedic.inspection import carried_facts, read_words, summary
from sedic.profile import Profile
from sedic.rate import explain
from sedic.semantics import Mask


def as_json_text(data: bytes, profile: Profile) -> str:
    """``summary`` as text."""
    return json.dumps(summary(data, profile), indent=2, ensure_ascii=True)


def print_table(data: bytes, profile: Profile, *, verbose: bool) -> None:
    """Print ``summary``, on a terminal in colour; ``verbose`` adds masks and reasons."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    container = Container.parse(data)
    facts = summary(data, profile)
    console.print(
        f"{facts['width']}x{facts['height']}, method {facts['method']}, profile {facts['profile']} "
        f"({facts['mark']}), reference {facts['reference_codec']}",
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
    for line in _carried_lines(container):
        console.print(line, highlight=False, markup=False)
    console.print(_decoder(data, profile), highlight=False, markup=False)
    image, problem = read_words(data, profile)
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
        for line in explain(container, profile):
            console.print(f"- {line}", highlight=False, markup=False)


def _carried_lines(container: Container) -> list[str]:
    """What travels with the picture, a line for each thing that does."""
    facts = carried_facts(container)
    place = "with" if facts["gps"] else "without"
    texts = (
        ("alpha", "a mask of where the picture is opaque"),
        ("exif", f"EXIF of {facts['exif']} entries, {place} GPS"),
        ("icc", f"a colour profile of {facts['icc']} bytes"),
        ("ground", f"the colour of its ground, red, green, blue = {facts['ground']}"),
    )
    return [f"travels with it: {text}" for name, text in texts if facts[name]]


def _decoder(data: bytes, profile: Profile) -> str:
    """One line: the stages of the decoder, and the settings that are not the profile's."""
    container = Container.parse(data)
    try:
        settings = Decoder(profile).settings(data)
    except SedicError as error:
        return f"decoder: refuses this file: {error}"
    defaults = asdict(profile.settings(container.method))
    lines = [
        f"{name} = {value}" for name, value in asdict(settings).items() if value != defaults[name]
    ]
    lines += [f"seed = {container.seed}"] if container.seed else []
    steps = f"{container.object_count} x {settings.object_steps} + {settings.last_steps} steps"
    what = steps if profile.restores else "the reference image (this profile has no restorer)"
    if settings.changes_nothing:
        what = "the reference image as it is"
    return f"decoder: {what}; {', '.join(lines) or 'all settings as the profile has them'}"


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
