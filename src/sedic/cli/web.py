"""``sedic web``. Imports stay light."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated

import typer

from sedic.cli.console import busy, note
from sedic.cli.options import Device, Dtype, load_profile
from sedic.files import printable


def web(
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 lets others in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free one.")] = 7860,
    profile: Annotated[
        str, typer.Option(help="Which set of models: mini, sd21, sd15, or your own TOML file.")
    ] = "mini",
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1, help="Larger photographs are made smaller, larger .sedic files refused."
        ),
    ] = 1_500_000,
    max_upload: Annotated[int, typer.Option(min=1, help="Megabytes of an uploaded file.")] = 32,
    queue: Annotated[int, typer.Option(min=1, help="Requests that may wait.")] = 8,
    keep: Annotated[
        int, typer.Option(min=1, help="Minutes after which uploads and results are deleted.")
    ] = 10,
    browse: Annotated[bool, typer.Option("--browse", help="Open the page in a browser.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Serve a page for this computer's browser: drop pictures, see words and bytes.

    One request is worked on at a time. Nothing is sent elsewhere, and nothing is kept.
    """
    from sedic.web import Limits, server

    limits = replace(
        Limits(),
        pixels=max_pixels,
        upload_bytes=max_upload << 20,
        waiting=queue,
        keep_seconds=60 * keep,
    )
    owner = load_profile(profile, device=device, dtype=dtype)
    with ExitStack() as stack:
        with busy("starting"):
            running = server.running(owner, host=host, port=port, limits=limits)
            address = stack.enter_context(running)
        note(f"{printable(address)} (Ctrl-C ends it)")
        if host not in server.LOOPBACK:
            note("  whoever can reach this computer can use the page: it has no password")
        if browse:
            typer.launch(address)
        server.serve()
    note("ended; the visitors' files are deleted")
