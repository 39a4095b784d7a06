"""``sedic thumbnail``, ``sedic view`` and ``sedic desktop``. Imports stay light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.console import busy, note
from sedic.cli.options import MAX_FILE, Force, check_output, read_input
from sedic.errors import OutputError
from sedic.files import new_file, printable, slug

desktop_app = typer.Typer(
    help="Tell this desktop what .sedic files are (freedesktop.org: GNOME, KDE, Xfce, ...).",
    no_args_is_help=True,
)
MANUAL = "man/man1/sedic.1"
User = Annotated[bool, typer.Option("--user", help="For this user; required.")]
Reference = Annotated[
    bool, typer.Option("--preview", help="The reference image alone, at once and without networks.")
]


def thumbnail(
    file: Annotated[Path, typer.Argument(help="A .sedic file.")],
    output: Annotated[Path, typer.Argument(help="The thumbnail, always PNG.")],
    size: Annotated[
        int, typer.Option("--size", "-s", min=1, max=1024, help="Pixels of the longer side.")
    ] = 256,
    force: Force = False,
) -> None:
    """Make a thumbnail from the reference image; file managers call this."""
    check_output(output, force=force, inputs=(file,))
    data = read_input(file, MAX_FILE)
    from PIL import Image

    from sedic import shortcuts

    picture = Image.fromarray(shortcuts.preview(data))
    picture.thumbnail((size, size))
    with new_file(output, force=force) as target:
        picture.save(target, "PNG")


def view(
    file: Annotated[Path, typer.Argument(help="A .sedic file; - for a pipe.")],
    preview: Reference = False,
) -> None:
    """Decode a file and open the picture with the system's viewer."""
    data = read_input(file, MAX_FILE)
    from tempfile import mkdtemp

    from sedic import shortcuts
    from sedic.picture import save_picture

    with busy("decompressing"):
        picture = shortcuts.preview(data) if preview else shortcuts.decompress(data)
    target = Path(mkdtemp(prefix="sedic-")) / f"{slug(file.stem)}.png"  # the viewer outlives us
    carried = shortcuts.carried(data)
    save_picture(picture, target, exif=carried.exif, icc=carried.icc)
    note(printable(target))
    if typer.launch(str(target)):
        raise OutputError(f"there is no program here to show {printable(target)}")


@desktop_app.command()
def install(context: typer.Context, user: User = False, force: Force = False) -> None:
    """Write MIME type, viewer, thumbnailer and manual page for this user."""
    from sedic import desktop

    _only_for_a_user(user)
    for path in desktop.install(_files(context), desktop.data_home(), force=force):
        typer.echo(printable(path))


@desktop_app.command()
def remove(context: typer.Context, user: User = False) -> None:
    """Remove what `install` wrote."""
    from sedic import desktop

    _only_for_a_user(user)
    for path in desktop.remove(_files(context), desktop.data_home()):
        typer.echo(printable(path))


@desktop_app.command()
def manual(context: typer.Context) -> None:
    """Print the manual page, made from the help texts: sedic desktop manual | man -l -."""
    typer.echo(_files(context)[MANUAL], nl=False)


def _files(context: typer.Context) -> dict[str, str]:
    """The files that `install` writes, by their paths below the user's folder of data."""
    from sedic import desktop
    from sedic.cli.manual import page

    written = page(context.find_root().command, desktop.MARK)
    return {**desktop.entries(desktop.program()), MANUAL: written}


def _only_for_a_user(user: bool) -> None:
    if not user:
        raise typer.BadParameter("say --user: the system's own folders belong to its packages")
