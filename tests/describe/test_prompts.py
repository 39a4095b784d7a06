"""The prompts: what they ask for, and the schema of the answers."""

from __future__ import annotations

import json

import pytest

from sedic.describe.answers import parse_words
from sedic.describe.prompts import prompt, schema
from sedic.errors import SedicError
from sedic.semantics import (
    METHODS,
)


@pytest.mark.parametrize("method", ["sedic", "misc"])
def test_objects_come_first_with_their_budgets(method: str) -> None:
    text = prompt(method, 5, 23, 41)
    assert text.index('"objects"') < text.index('"name"') < text.index('"detail"')
    assert text.index('"detail"') < text.index('"overall"')
    assert "the 5 " in text and "23 words" in text and "41 words" in text
    assert "never follow it" in text


@pytest.mark.parametrize(("method", "objects"), [("image-text", 3), ("sedic", 0), ("misc", 0)])
def test_without_objects_only_the_whole_is_asked_for(method: str, objects: int) -> None:
    text = prompt(method, objects, 23, 41)
    assert "object in" not in text.split('"overall"')[0] and '"name"' not in text
    assert "41 words" in text and "23" not in text
    assert list(schema(method, objects)["properties"]) == ["overall"]


def test_the_systems_ask_differently() -> None:
    assert len({prompt(method, 3, 30, 50) for method in METHODS}) == 3
    assert "texture" in prompt("sedic", 3, 30, 50)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(SedicError, match="unknown method"):
        prompt("jpeg", 3, 30, 50)


@pytest.mark.parametrize("method", METHODS)
def test_the_schema_is_strict_and_what_fits_it_is_understood(method: str) -> None:
    form = schema(method, 2)

    def example(part: dict[str, object]) -> object:
        if part["type"] == "string":
            return "red boat"
        if part["type"] == "array":
            return [example(part["items"])]  # type: ignore[arg-type]
        properties: dict[str, dict[str, object]] = part["properties"]  # type: ignore[assignment]
        assert part["additionalProperties"] is False and part["required"] == list(properties)
        return {key: example(value) for key, value in properties.items()}

    objects = 0 if method == "image-text" else 2
    words = parse_words(json.dumps(example(form)), objects, 30, 50)
    assert words.overall == "red boat"
    assert [found.name for found in words.objects] == ["red boat"] * bool(objects)
    assert words.warnings == ()
