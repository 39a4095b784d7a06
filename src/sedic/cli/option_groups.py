"""Options that several commands share, as dataclasses.

    @dataclass(frozen=True)
    class SubjectOptions:
        seed: Annotated[int, typer.Option(min=0)] = 0

    @app.command()
    @grouped
    def steps(bpp: float = 0.045, *, subject: SubjectOptions) -> None: ...

The command gets ``--bpp`` and ``--seed``, and its function one ``SubjectOptions``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


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
                options[field.name],
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
