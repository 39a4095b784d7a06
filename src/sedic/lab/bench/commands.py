"""Rival codecs that are run by their command lines."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sedic.errors import SedicError
from sedic.files import printable, read_bounded
from sedic.picture import Picture, load_picture, pad_to_multiple, save_picture

Command = tuple[str, ...]

SECONDS = 600  # a command that takes longer is killed
_MAX_BYTES = 1 << 26
_QUALITY = re.compile(r"\{quality(?:=(\d{1,4})\.\.(\d{1,4}))?\}")


@dataclass(frozen=True)
class CommandCoder:
    """A codec as commands, run one after the other, without a shell, in a folder of their own.

    In every argument ``{input}``, ``{output}``, ``{quality}``, ``{width}`` and ``{height}`` are
    replaced. The first command of ``encode`` reads a PNG picture, the last one writes the file
    (named with ``suffix``) that counts; ``decode`` gets that file and nothing else, and writes a
    PNG. Sides are padded to multiples of ``multiple`` and cropped again.
    """

    name: str
    encode_commands: tuple[Command, ...]
    decode_commands: tuple[Command, ...]
    qualities: Sequence[int]
    suffix: str = ".bin"
    multiple: int = 1
    seconds: float = SECONDS

    @property
    def how(self) -> str:
        """The encoder's commands, programs without their folders."""
        return " && ".join(
            shlex.join((Path(program).name, *arguments))
            for program, *arguments in self.encode_commands
        )

    @classmethod
    def parse(cls, text: str) -> CommandCoder:
        r"""From ``name:encode command:decode command``; a colon inside a part is written ``\:``.

        The encoder's command says how the quality may be set, the coarsest first:
        ``{quality=51..0}``; plain ``{quality}`` is 0 to 100, and a command without it has one
        point. Both commands need ``{input}`` and ``{output}``. Raises ``SedicError``.
        """
        parts = [part.replace(r"\:", ":").strip() for part in re.split(r"(?<!\\):", text)]
        if len(parts) != 3 or not all(parts):
            raise SedicError(
                "a rival is given as name:encode command:decode command (a colon inside as \\:)"
            )
        name, *lines = parts
        ranges = {match.groups() for match in _QUALITY.finditer(lines[0])}
        if len(ranges) > 1:
            raise SedicError(f"rival {printable(name)}: two different {{quality}} ranges")
        first, last = next(iter(ranges), ("0", "0"))
        coarsest, finest = int(first or 0), int(last or 100)
        step = 1 if finest >= coarsest else -1
        commands = []
        for line in lines:
            try:
                arguments = shlex.split(_QUALITY.sub("{quality}", line))
            except ValueError as error:
                raise SedicError(f"rival {printable(name)}: {error} in {line!r}") from error
            for needed in ("{input}", "{output}"):
                if not any(needed in argument for argument in arguments):
                    raise SedicError(f"rival {printable(name)}: {needed} is missing in {line!r}")
            commands.append((tuple(arguments),))
        encode, decode = commands
        return cls(name, encode, decode, range(coarsest, finest + step, step))

    def encode(self, picture: Picture, quality: int) -> bytes:
        """The file's bytes; ``SedicError`` if a command fails, takes too long or writes nothing."""
        padded = pad_to_multiple(picture, self.multiple)
        with tempfile.TemporaryDirectory(prefix="sedic-") as name:
            folder = Path(name)
            source, target = folder / "picture.png", folder / f"coded{self.suffix}"
            save_picture(padded, source)
            self._run(self.encode_commands, source, target, padded.shape[:2], quality)
            return read_bounded(target, _MAX_BYTES)

    def decode(self, data: bytes, width: int, height: int) -> Picture:
        """The picture, (height, width, 3) uint8, from the file's bytes alone."""
        sides = tuple(side + -side % self.multiple for side in (height, width))
        with tempfile.TemporaryDirectory(prefix="sedic-") as name:
            folder = Path(name)
            source, target = folder / f"coded{self.suffix}", folder / "picture.png"
            source.write_bytes(data)
            self._run(self.decode_commands, source, target, sides)
            picture = load_picture(target)
        if picture.shape != (*sides, 3):
            raise SedicError(f"{self.name} gave back a picture of another size")
        return picture[:height, :width]

    def _run(
        self,
        commands: tuple[Command, ...],
        source: Path,
        target: Path,
        sides: tuple[int, ...],
        quality: int | None = None,
    ) -> None:
        values = {
            "{input}": str(source),
            "{output}": str(target),
            "{quality}": str(quality),
            "{height}": str(sides[0]),
            "{width}": str(sides[1]),
        }
        for command in commands:
            run([_filled(argument, values) for argument in command], target.parent, self.seconds)
        if not target.is_file() or target.stat().st_size == 0:
            raise SedicError(f"{self.name}: {printable(commands[-1][0])} wrote nothing")


def run(arguments: Sequence[str], folder: Path, seconds: float) -> None:
    """Run a program in ``folder``, with no input and no shell, and wait for it.

    ``SedicError`` if it cannot be started, fails (with the end of its output) or takes longer
    than ``seconds``; then, and on Ctrl-C, it is ended with all that it started.
    """
    program = printable(Path(arguments[0]).name)
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise SedicError(f"cannot run {program}: {error.strerror or error}") from error
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise SedicError(f"{program} took more than {seconds:g} s") from error
        finally:
            _end(process)
        if status != 0:
            output.seek(0, os.SEEK_END)
            output.seek(max(0, output.tell() - 2000))
            words = output.read().decode(errors="replace").split()
            last = printable(" ".join(words))[-200:]
            raise SedicError(f"{program} failed ({status}): {last or 'it wrote nothing'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that still runs, with its children where the system has process groups."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _filled(argument: str, values: dict[str, str]) -> str:
    """``argument`` with its placeholders replaced, all at once: values are not searched again."""
    return re.sub("|".join(map(re.escape, values)), lambda m: values[m[0]], argument)
