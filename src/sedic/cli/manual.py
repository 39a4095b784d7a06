"""The manual page ``sedic(1)``, made from the help texts of the commands."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from sedic._version import __version__

# Sections that are not made from help texts.
_END = r"""
.SH EXIT STATUS
0: done. 1: it could not be done, and one line on standard error says why. 2: wrong usage.
130: interrupted; nothing that is unfinished was kept.
.SH SEE ALSO
The documentation in the package's repository: the format, the describers, radio links, batches.
"""


def page(program: Any, mark: str) -> str:
    """The page in the language of ``man``, for the command group ``program`` (of click's kind).

    ``mark`` becomes a comment in its first lines.
    """
    name = "sedic"
    context = program.context_class(program, info_name=name)
    text = inspect.cleandoc(program.help or "")
    first, _, rest = text.partition("\n\n")
    lines = [
        f'.\\" {mark}',
        f'.TH SEDIC 1 "" "sedic {__version__}" "User Commands"',
        ".SH NAME",
        f"sedic \\- {_escaped(first.rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B sedic",
        r"\fICOMMAND\fR [\fIARGUMENT\fR...]",
        ".PP",
        ".B sedic",
        r"\fICOMMAND\fR \fB\-\-help\fR",
        ".SH EXAMPLES",
        *_paragraphs(rest),
        ".SH OPTIONS",
        *_parameters(program, context),
        ".SH COMMANDS",
        *_commands(program, context),
    ]
    return "\n".join(lines) + _END


def _commands(group: Any, context: Any) -> Iterator[str]:
    """A section for every command, those of groups within groups included."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command.hidden:
            continue
        inner = command.context_class(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            yield from _commands(command, inner)
            continue
        yield f'.SS "{_escaped(inner.command_path)}"'
        usage = " ".join(command.collect_usage_pieces(inner))
        yield f"\\fB{_escaped(inner.command_path)}\\fR {_escaped(usage)}"
        yield ".PP"
        yield from _paragraphs(inspect.cleandoc(command.help or ""))
        yield from _parameters(command, inner)


def _parameters(command: Any, context: Any) -> Iterator[str]:
    """Arguments and options with their help, as a list with tags."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:  # a hidden one
            continue
        tag, text = record
        yield ".TP"
        yield f"\\fB{_escaped(tag)}\\fR"
        yield _escaped(" ".join(text.split())) or r"\&"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(part for part in text.split("\n\n") if part.strip()):
        if number:
            yield ".PP"
        yield _escaped(" ".join(paragraph.split()))


def _escaped(text: str) -> str:
    """Text that roff prints as it is: no escapes, no requests, hyphens that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{text}" if text.startswith((".", "'")) else text
