"""``sedic train``: the commands that make the embedded weights. Imports stay light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from sedic.cli.console import busy, note
from sedic.cli.option_groups import grouped
from sedic.files import make_folder

R = TypeVar("R")

train_app = typer.Typer(help="Train what sedic ships.", no_args_is_help=True)

PINNING = "to ship it: copy it and its card to src/sedic/weights, and its sha256 to profiles/*.toml"


@train_app.command("text")
def train_text(
    out: Annotated[Path, typer.Option(help="Folder for the table and its card.")] = Path(
        "runs/text"
    ),
    corpus: Annotated[
        list[str] | None,
        typer.Option(help='PATH:WEIGHT of JSON lines {"text": ...} instead of the default ones.'),
    ] = None,
) -> None:
    """Prime the text coder.

    By default on the shared image descriptions, on measured and named descriptions of the shared
    photographs, which are made first (a few minutes), and on all names.
    """
    from sedic.lab.train import named_texts, text_table
    from sedic.lab.train.photos import shared_folder

    make_folder(out)
    with busy("reading") as say:
        if corpus:
            pairs = [item.rpartition(":") for item in corpus]
            if not all(path and weight.isdecimal() for path, _, weight in pairs):
                raise typer.BadParameter("--corpus takes PATH:WEIGHT, as in captions.jsonl:1")
            corpora = [(Path(path), int(weight)) for path, _, weight in pairs]
        else:
            data = shared_folder() / "data"
            measured = out / "measured.jsonl"
            if not measured.is_file():
                text_table.describe_photos(
                    [data / "photos"],
                    measured,
                    progress=lambda n: say(f"described {n} photographs"),
                )
            named = named_texts.corpora(out, lambda n: say(f"composed for {n} photographs"))
            corpora = [(data / "captions" / "iiw.jsonl", 1), (measured, 1), *named]
        rate = text_table.build_table(corpora, out / "text.safetensors.xz", say)
    note(f"{out}: {rate:.3f} bits a character on held-out texts")
    note(PINNING)


@train_app.command("masks")
def train_masks(
    out: Annotated[Path, typer.Option(help="Folder for the table and its card.")] = Path(
        "runs/masks"
    ),
) -> None:
    """Prime the mask coder on the masks that are found in the shared photographs."""
    from sedic.lab.train import mask_table
    from sedic.lab.train.photos import photo_folders

    folders = photo_folders()
    make_folder(out)
    with busy("describing photographs") as say:
        mask_table.train(
            folders, out / "masks.safetensors", progress=lambda n: say(f"described {n} photographs")
        )
    note(PINNING)


@dataclass(frozen=True)
class RunOptions:
    """The folder of a training run, and changes to its recipe."""

    out: Annotated[Path, typer.Option(help="Folder of the run; a run that is there goes on.")]
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps in all.")] = None
    batch: Annotated[int | None, typer.Option(min=1, help="Crops in a step.")] = None
    crop: Annotated[
        int | None, typer.Option(min=64, help="Side of a crop, pixels, a multiple of 64.")
    ] = None
    learning_rate: Annotated[float | None, typer.Option(min=0.0)] = None
    seed: Annotated[int | None, typer.Option(min=0)] = None
    device: Annotated[
        str, typer.Option(help="Where the networks learn: cpu, cuda, or auto for the fastest.")
    ] = "cpu"

    def changed(self, recipe: R, **more: Any) -> R:
        """The recipe with what was given on the command line."""
        if self.crop is not None and self.crop % 64:
            raise typer.BadParameter("--crop is a multiple of 64")
        settings = asdict(self) | more
        del settings["out"], settings["device"]
        changes = {name: value for name, value in settings.items() if value is not None}
        return replace(recipe, **changes)  # type: ignore[type-var]


class Trainable(str, Enum):
    compact = "compact"
    cheng2020 = "cheng2020"


class Loss(str, Enum):
    perceptual = "perceptual"
    mse = "mse"
    semantic = "semantic"


@train_app.command("reference")
@grouped
def train_reference(
    *,
    options: RunOptions,
    network: Annotated[
        Trainable, typer.Option(help="cheng2020: the SEDIC paper's fine-tuning, needs --start.")
    ] = Trainable.compact,
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin with (a CompressAI checkpoint).")
    ] = None,
    loss: Annotated[
        Loss | None,
        typer.Option(
            help="perceptual = MSE + LPIPS-squeeze (compact's default); mse = MSE alone; semantic ="
            " Image-Text Coding's, with captions: needs --clip."
        ),
    ] = None,
    clip: Annotated[
        Path | None, typer.Option(help="Folder of a transformers CLIPModel with its tokenizer.")
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(
            help='JSON lines {"image": ..., "text": ...} for the semantic loss'
            " (default: measured descriptions)."
        ),
    ] = None,
    decoder_only: Annotated[
        bool,
        typer.Option(help="With --start, of compact: files keep their sizes, and decode better."),
    ] = False,
    texture: Annotated[
        bool,
        typer.Option(
            help="compact's loss of texture: noise for the decoder, statistics where there are no"
            " edges, more weight for faces (needs sedic[faces])."
        ),
    ] = False,
) -> None:
    """Train the reference codec on the shared photographs.

    Ctrl-C loses nothing: the same command goes on. The weights and their model card end up in the
    run's folder, the curve in its log.jsonl.
    """
    from sedic.lab.train.reference_codec import train
    from sedic.lab.train.reference_recipe import ReferenceRecipe, sedic_recipe

    recipe = ReferenceRecipe() if network is Trainable.compact else sedic_recipe()
    if loss is not None:
        recipe = recipe.with_loss(loss.value)
    if texture:
        if loss is not None or network is not Trainable.compact:
            raise typer.BadParameter("--texture is a loss of its own, for compact")
        recipe = recipe.for_texture()
    recipe = options.changed(recipe, decoder_only=decoder_only)
    device = options.device
    _finish(lambda progress: train(recipe, options.out, progress, start, clip, captions, device))


@train_app.command("average")
def train_average(
    weights: Annotated[
        list[str], typer.Argument(metavar="PATH:SHARE...", help="Two weight files or more.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")],
) -> None:
    """Average the weights of several runs of the reference codec compact, as in a:0.3 b:0.7."""
    from sedic.lab.train.average import average

    pairs = [item.rpartition(":") for item in weights]
    try:
        sources = [(Path(path), float(share)) for path, _, share in pairs]
    except ValueError:
        sources = []
    if not sources or not all(
        path and 0 < share < 1e6 for (path, _, _), (_, share) in zip(pairs, sources, strict=True)
    ):
        raise typer.BadParameter("give PATH:SHARE, as in run1.safetensors:0.3 run2.safetensors:0.7")
    note(f"{average(sources, out)}: done")
    note(PINNING)


@train_app.command("vae")
@grouped
def train_vae(*, options: RunOptions) -> None:
    """Train the embedded VAE on the shared photographs.

    Ctrl-C loses nothing: the same command goes on.
    """
    from sedic.lab.train.vae import VaeRecipe, train

    recipe = options.changed(VaeRecipe())
    _finish(lambda progress: train(recipe, options.out, progress, options.device))


@train_app.command("restorer")
@grouped
def train_restorer(
    *,
    options: RunOptions,
    vae: Annotated[
        Path | None, typer.Option(help="Weights of another VAE than the embedded one.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="A restorer to go on from, for another reference codec.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Weights of another compact than the embedded ones.")
    ] = None,
) -> None:
    """Train the embedded restorer (Algorithm 1's UNet, ControlNet and text encoder).

    The photographs are described first (about five minutes on one core, once for a folder).
    Ctrl-C loses nothing: the same command goes on.
    """
    from sedic.lab.train.restorer import RestorerRecipe, train

    recipe = options.changed(RestorerRecipe())
    _finish(
        lambda progress: train(recipe, options.out, progress, vae, start, reference, options.device)
    )


def _finish(run: Callable[[Any], Path]) -> None:
    """Run a training with a progress bar, and say what to do with the result."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task("starting")

        def progress(done: int, total: int, text: str) -> None:
            bars.update(bar, completed=done, total=total, description=text)

        weights = run(progress)
    note(f"{weights}: done")
    note(PINNING)
