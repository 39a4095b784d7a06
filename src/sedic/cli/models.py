"""``sedic models``: the networks that are not in the package. Imports stay light."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.console import busy, note
from sedic.errors import SedicError
from sedic.files import printable

models_app = typer.Typer(
    help="Get and check the networks that are not in the package.\n\n"
    "The mini profile needs none of them. The paper's decoder, sd21, and sd15 are some gigabytes"
    " each: look at the licences, then fetch what a profile needs by its name, or one model by"
    " its own.\n\n"
    "sedic models list\n\n"
    "sedic models fetch sd21\n\n"
    "sedic models fetch grounding-dino-tiny\n\n"
    "They go to the folder that SEDIC_MODELS names, or where this system keeps a user's data.",
    no_args_is_help=True,
)


class Prediction(str, Enum):
    epsilon = "epsilon"
    v = "v"


Names = Annotated[list[str], typer.Argument(help="Profiles or models, as `list` names them.")]


@models_app.command("list")
def list_models() -> None:
    """Every model: which profile it is for, what it does, its size, its licence, is it here."""
    from rich.console import Console
    from rich.table import Table

    from sedic.models.registry import models, models_folder

    table = Table(box=None, pad_edge=False)
    longest = max(len(model.name) for model in models())
    table.add_column("here", no_wrap=True)
    table.add_column("profile", no_wrap=True)
    table.add_column("model", min_width=longest, no_wrap=True)
    table.add_column("MB", justify="right", no_wrap=True)
    table.add_column("for, and the licence")
    for model in models():
        table.add_row(
            "yes" if model.here else "[dim]no[/dim]",
            model.profile,
            model.name,
            str(model.megabytes),
            f"{model.purpose} [dim]({model.licence})[/dim]",
        )
    Console().print(table)
    note(f"in {printable(models_folder())}; `sedic models fetch PROFILE` gets all for its decoder")


@models_app.command("fetch")
def fetch_models(names: Names) -> None:
    """Download models; what is there already is left, what broke off is continued.

    Every licence is printed before its download: to download is to accept it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from sedic.models.registry import fetch, select

    selection = [model for name in names for model in select(name)]
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("", visible=False)

        def progress(name: str, done: int, total: int) -> None:
            bars.update(bar, visible=True, description=name, completed=done, total=total or None)

        for model in selection:
            note(f"{model.name}: {model.licence}, {model.megabytes} MB")
            fetch(model, progress)
    for model in selection:
        note(f"{model.name}: in {printable(model.path)}")


@models_app.command("verify")
def verify_models(names: Names) -> None:
    """Compare every file with its pinned or learned sha256."""
    from sedic.models.registry import select, verify

    wrong = 0
    for model in (model for name in names for model in select(name)):
        with busy(f"reading {model.name}") as say:
            states = list(verify(model, lambda name, *_: say(f"reading {name}")))
        for name, state in states:
            typer.echo(f"{state:8}{model.folder}/{printable(name)}")
            wrong += state in ("missing", "changed")
    if wrong:
        raise SedicError(f"{wrong} files missing or changed; delete those, then fetch again")


@models_app.command("convert")
def convert_models(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="v2-1_512-ema-pruned, DiffBIR's v2: .safetensors, .ckpt or .pth."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to instead of the sd21 model folder.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder with CLIP's vocab.json and merges.txt.")
    ] = None,
    prediction: Annotated[
        Prediction | None,
        typer.Option(
            help="What the UNet was trained to predict, which no file says: epsilon (Stable"
            " Diffusion 2.1-base, DiffBIR v2) or v (2.1 at 768 pixels, DiffBIR v2.1)."
        ),
    ] = None,
    zero_snr: Annotated[
        bool | None,
        typer.Option(
            "--zero-snr/--no-zero-snr",
            help="Whether its noise schedule ends in pure noise (DiffBIR v2.1: yes).",
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Keep the precision of the file instead of float16.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace networks that are there.")
    ] = False,
) -> None:
    """Turn original checkpoints that you have into the layout that sedic loads.

    Of a .ckpt or .pth nothing but tensors is ever unpickled. Every tensor must have its place.
    """
    with busy("loading"):
        from sedic.models.convert import convert
        from sedic.models.registry import models_folder

        folder = out or models_folder() / "sd21"
        written = convert(
            checkpoints,
            folder,
            tokenizer,
            prediction=prediction.value if prediction else None,
            zero_snr=zero_snr,
            half=not full,
            force=force,
        )
    for path in written:
        note(printable(path))
