"""``sedic packets``: a file as radio packets, and back. Imports stay light."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.console import note
from sedic.cli.options import MAX_FILE, STANDARD, Force, read_input, write_output
from sedic.errors import DamagedFileError, LimitError, UnsuitableInputError
from sedic.files import make_folder, printable, read_bounded, refuse_overwrite, write_atomically

packets_app = typer.Typer(
    help="Cut a .sedic file into radio packets, and put it together from those that arrive.\n\n"
    "sedic packets split photo.sedic folder --mtu 222 --parity 1\n\n"
    "sedic packets join folder photo.sedic",
    no_args_is_help=True,
)


@packets_app.command()
def split(
    file: Annotated[Path, typer.Argument(help="A .sedic file; - for a pipe.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write the packets to, one file each.")],
    mtu: Annotated[int, typer.Option(help="Bytes that one packet may have.")] = 222,
    parity: Annotated[int, typer.Option(help="Packets that may get lost.")] = 1,
    bare: Annotated[bool, typer.Option("--bare", help="The file is a bare one.")] = False,
    force: Force = False,
) -> None:
    """Cut a file into packets, and add some so that any few may get lost."""
    from sedic import packets

    data = read_input(file, MAX_FILE)
    parts = packets.split(data, mtu, parity, bare=bare)
    paths = [folder / f"packet-{index:03}.bin" for index in range(len(parts))]
    for path in paths:
        refuse_overwrite(path, force=force)
    make_folder(folder)
    for path, part in zip(paths, parts, strict=True):
        write_atomically(path, part, force=force)
    note(
        f"{printable(folder)}: {len(parts)} packets of {len(parts[0])} bytes;"
        f" any {len(parts) - parity} of them suffice"
    )


@packets_app.command()
def join(
    folder: Annotated[Path, typer.Argument(help="Folder with the packets, one file each.")],
    file: Annotated[Path, typer.Argument(help="The .sedic file to write; - for a pipe.")],
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="If too few arrived, write the first bytes of the file as far as they go.",
        ),
    ] = False,
    force: Force = False,
) -> None:
    """Put a file together from the packets that arrived, in any order."""
    from sedic import packets

    if file != STANDARD:
        refuse_overwrite(file, force=force)
    try:
        sizes = {path: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    except OSError as error:
        raise UnsuitableInputError(
            f"cannot read the folder {printable(folder)}: {error.strerror}"
        ) from error
    if len(sizes) > packets.MAX_PACKETS:
        raise LimitError(f"{printable(folder)}: more than {packets.MAX_PACKETS} files")
    small = [path for path, size in sorted(sizes.items()) if size <= packets.MAX_MTU]
    files = packets.join_all(read_bounded(path, packets.MAX_MTU) for path in small)
    if not files:
        raise DamagedFileError(f"{printable(folder)}: no packet arrived undamaged")
    best = files[0]
    for other in islice(files, 1, 4):
        complete = "complete" if other.data is not None else f"{other.needed} packets missing"
        note(f"also here, left out: file {other.identity:02x}, {complete}")
    if best.data is not None:
        write_output(file, best.data, force=force)
        kind = "bare file" if best.bare else "file"
        note(f"{printable(file)}: {len(best.data)} bytes, {kind} {best.identity:02x}")
        return
    if best.needed:
        problem = f"{best.needed} more of its packets are needed; missing: " + ", ".join(
            map(str, best.missing)
        )
    else:
        problem = "its packets do not fit together"
    if not (partial and best.leading):
        raise DamagedFileError(f"file {best.identity:02x} is not complete: {problem}")
    write_output(file, best.leading, force=force)
    note(f"{printable(file)}: the first {len(best.leading)} bytes; {problem}")
