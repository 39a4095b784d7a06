"""Finds the scene in a model's answer: the JSON object with "objects" and "overall".

It may stand in prose, in code fences, in a tool call, inside another object, or as a string inside
one. There may be several: drafts, examples, placeholders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sedic.describe.answer_text import is_placeholder

Scene = dict[str, Any]

OBJECT_BEGINS = re.compile(r'\{\s*["}]')
_DEEPEST = 8  # objects and lists around a scene
_MOST_PARTS = 10_000  # values that are examined
_MOST_TRIED = 1 << 22  # characters that were parsed and are no JSON, in all
_ONE_TRY = 256  # characters that each attempt to parse counts in addition
_OVERALL_ALONE = ("description", "caption", "overall_description")
_CALL = ("arguments", "parameters", "input", "function")


def find_scene(text: str, wants_objects: bool) -> Scene | None:
    """The last of the most complete scenes in ``text``, not yet checked; None where there is none.

    A scene has "objects", "overall" or both. It is complete if its overall description is no
    placeholder and, if ``wants_objects``, it has a list of objects, which may be empty.
    """
    scenes = [part for part in _parts(json_values(text), 0) if is_scene(part)]
    if not scenes:
        return _overall_alone(text)
    return max(
        enumerate(scenes), key=lambda item: (_completeness(item[1], wants_objects), item[0])
    )[1]


def find_objects(text: str) -> list[Scene]:
    """The undamaged objects in a ``text`` whose scene is damaged."""
    return [
        part
        for part in _parts(json_values(text), 0)
        if isinstance(part.get("name"), str)
        and isinstance(part.get("detail"), str)
        and not any(key in part for key in _CALL)
    ]


def is_scene(value: Scene) -> bool:
    return "objects" in value or "overall" in value


def json_values(text: str) -> list[Scene]:
    """The outermost complete JSON objects in ``text``, in their order.

    Reading stops after 4 million characters that turned out to be no JSON, so that hostile text
    takes about a second at most.
    """
    decoder = json.JSONDecoder(strict=False)  # line breaks inside texts are common
    scenes: list[Scene] = []
    left = _MOST_TRIED
    start = OBJECT_BEGINS.search(text)
    while start and left > 0:
        try:
            # From a copy, because an error counts the lines before its position.
            value, length = decoder.raw_decode(text[start.start() :])
            scenes.append(value)
        except json.JSONDecodeError as error:
            left -= error.pos + _ONE_TRY
            length = 1
        except (ValueError, RecursionError):  # a number of 5000 digits, too deep
            left -= len(text) - start.start()
            length = 1
        start = OBJECT_BEGINS.search(text, start.start() + length)
    return scenes


def _parts(values: list[Any], depth: int) -> Iterator[Scene]:
    """The objects among ``values`` and inside them, but not those inside a scene."""
    stack = [(value, depth) for value in reversed(values)]
    for _ in range(_MOST_PARTS):
        if not stack:
            return
        value, depth = stack.pop()
        if isinstance(value, dict):
            lowered = {str(key).casefold(): part for key, part in value.items()}
            yield lowered
            inner = [] if is_scene(lowered) else list(value.values())
        elif isinstance(value, list):
            inner = value
        elif isinstance(value, str) and value.lstrip()[:1] in ("{", "[", "`"):
            inner = json_values(value)
        else:
            continue
        if depth < _DEEPEST:
            stack += [(part, depth + 1) for part in reversed(inner)]


def _overall_alone(text: str) -> Scene | None:
    """A scene for an object such as {"description": "..."}: one text under a usual key."""
    for part in reversed(list(_parts(json_values(text), 0))):
        for key in _OVERALL_ALONE:
            if list(part) == [key] and isinstance(part[key], str):
                return {"overall": part[key]}
    return None


def _completeness(scene: Scene, wants_objects: bool) -> int:
    overall, objects = scene.get("overall"), scene.get("objects")
    whole = isinstance(overall, str) and not is_placeholder(overall)
    if not wants_objects or not isinstance(objects, list):
        return int(whole)
    names = [item.get("name") for item in objects if isinstance(item, dict)]
    named = any(isinstance(name, str) and not is_placeholder(name) for name in names)
    if objects and not named:
        return int(whole)
    return int(whole) + (2 if named else 1)
