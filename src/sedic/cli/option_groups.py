"""Options of the command line in groups: one dataclass a group.

    @dataclass(frozen=True)
    class SubjectOptions:
        PANEL: ClassVar[str] = "What is measured"  # optional: the help shows the group under it

        seed: Annotated[int, typer.Option(min=0)] = 0

    @app.command()
    @grouped
    def steps(bpp: float = 0.045, *, subject: SubjectOptions) -> None: ...

The command gets ``--bpp`` and ``--seed``, and its function one ``SubjectOptions``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_args, get_type_hints

import typer.models


def grouped(command: Callable[..., Any]) -> Callable[..., Any]:
    """A function for typer in which every parameter that is a dataclass has become its fields."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {}
    parameters: dict[str, inspect.Parameter] = {}

    def add(name: str, default: Any, hint: Any) -> None:
        if name in parameters:
            raise TypeError(f"{command.__name__}: two options are named {name}")
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters[name] = inspect.Parameter(name, kind, default=default, annotation=hint)

    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if not is_dataclass(kind):
            add(name, parameter.default, kind)
            continue
        groups[name] = kind
        options = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            empty = inspect.Parameter.empty
            add(
                field.name,
                empty if field.default is MISSING else field.default,
                _in_panel(options[field.name], getattr(kind, "PANEL", None)),
            )

    @wraps(command)
    def run(**values: Any) -> Any:
        options = {
            name: kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        return command(**values, **options)

    del run.__wrapped__  # whose signature would be taken for ours
    run.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: p.annotation for name, p in parameters.items()}
    return run


def _in_panel(hint: Any, panel: str | None) -> Any:
    """The annotation of an option, which the help then shows in a panel of this title."""
    kind, *details = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    own = [one for one in details if isinstance(one, typer.models.ParameterInfo)]
    if panel is None or any(one.rich_help_panel for one in own):
        return hint
    placed = copy(own[0]) if own else typer.Option()
    placed.rich_help_panel = panel
    return Annotated[kind, placed]
