"""Files that tell a freedesktop.org desktop about ``.sedic``: MIME type, viewer, thumbnailer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sedic.errors import OutputError
from sedic.files import make_folder, printable, write_atomically

MIME = "image/x-sedic"
MARK = "Written by `sedic desktop install`."  # files with this line are ours to replace or remove


def data_home() -> Path:
    """The folder of a user's desktop files: ``$XDG_DATA_HOME``, else ``~/.local/share``."""
    folder = os.environ.get("XDG_DATA_HOME", "")
    return Path(folder) if Path(folder).is_absolute() else Path.home() / ".local" / "share"


def program() -> list[str]:
    """The words of the command line that run this sedic."""
    path = shutil.which("sedic")
    return [path] if path else [sys.executable, "-m", "sedic"]


def entries(command: list[str]) -> dict[str, str]:
    """The files, by their path under ``data_home``; ``command`` runs sedic."""
    run = " ".join(_quoted(word) for word in command)
    return {
        "mime/packages/sedic.xml": f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- {MARK} -->
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{MIME}">
    <comment>Semantic picture</comment>
    <glob pattern="*.sedic"/>
    <magic priority="40">
      <match type="big16" value="0x5edc" offset="0"/>
    </magic>
  </mime-type>
</mime-info>
""",
        "thumbnailers/sedic.thumbnailer": f"""# {MARK}
[Thumbnailer Entry]
TryExec={_value(command[0])}
Exec={run} thumbnail --force -s %s %i %o
MimeType={MIME};
""",
        "applications/sedic-view.desktop": f"""# {MARK}
[Desktop Entry]
Type=Application
Name=Semantic pictures
Comment=Decode a .sedic file and show the picture
TryExec={_value(command[0])}
Exec={run} view %f
MimeType={MIME};
Icon=image-x-generic
NoDisplay=true
Terminal=false
""",
    }


def install(files: Mapping[str, str], home: Path, *, force: bool = False) -> list[Path]:
    """Write ``files`` under ``home`` and tell the desktop; returns their paths.

    Raises ``OutputError``, before anything is written, where a file of such a name is not ours and
    there is no ``force``.
    """
    paths = [home / name for name in files]
    for path in paths:
        if not force and path.exists() and not _is_ours(path):
            raise OutputError(f"{printable(path)} is not ours; use --force to overwrite it")
    for path, text in zip(paths, files.values(), strict=True):
        make_folder(path.parent)
        write_atomically(path, text.encode(), force=True)
    _update(home)
    return paths


def remove(files: Mapping[str, str], home: Path) -> list[Path]:
    """Remove what ``install`` wrote; returns the paths. Files that are not ours stay."""
    paths = [path for name in files if _is_ours(path := home / name)]
    try:
        for path in paths:
            path.unlink()
    except OSError as error:
        raise OutputError(f"cannot remove {printable(path)}: {error.strerror}") from error
    if paths:
        _update(home)
    return paths


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(1 << 10)
    except OSError:
        return False


def _update(home: Path) -> None:
    """Make the desktop read its folders again, with those of its programs that are installed."""
    for name, folder in (
        ("update-mime-database", "mime"),
        ("update-desktop-database", "applications"),
    ):
        path = shutil.which(name)
        if path and (home / folder).is_dir():
            subprocess.run([path, home / folder], check=False, capture_output=True, timeout=60)


def _quoted(word: str) -> str:
    """A word of a command in a desktop entry: quoted where that is needed, ``%`` doubled.

    A backslash is doubled once more, for the value of a key has escapes of its own.
    """
    if word and all(sign.isalnum() or sign in "/._-+:@" for sign in word):
        return word
    for sign in '\\"`$':
        word = word.replace(sign, "\\" + sign)
    return _value('"' + word.replace("%", "%%") + '"')


def _value(text: str) -> str:
    return text.replace("\\", "\\\\")
