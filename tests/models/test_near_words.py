"""Words outside a vocabulary: read as near ones that are inside, or left as they are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedic.describe import names, words
from sedic.models.mini import load_tokenizer
from sedic.models.near_words import parse_near_words, read_as, readable, table


def known(word: str) -> bool:
    return word in words.words()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a crimson macaw", "a red object"),
        ("Golden retriever in white", "yellow object in white"),
        ("leaves and reddish skies", "green and red area"),
        ("dark grey strip, sharp", "dark grey strip, sharp"),
        ('sail reading "14255"', 'object reading "14255"'),
        ("a picket fence", "a picket strip"),
    ],
)
def test_what_is_read(text: str, expected: str) -> None:
    assert readable(text, known) == expected


def test_measured_descriptions_are_read_as_they_are() -> None:
    said = " ".join(sorted(words.words()))
    assert readable(said, known) == said


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_is_read_and_reading_twice_changes_nothing(text: str) -> None:
    once = readable(text, known)
    assert readable(once, known) == once


def test_with_an_empty_vocabulary_nothing_changes() -> None:
    assert readable("a crimson macaw", lambda word: False) == "a crimson macaw"
    assert read_as("crimson", lambda word: False) is None


def test_all_that_the_table_says_is_in_the_embedded_vocabulary() -> None:
    weights = Path(str(files("sedic") / "weights" / "restorer.safetensors"))
    if not weights.is_file():
        pytest.skip("needs the embedded weights")
    tokenizer = load_tokenizer(weights)
    assert all(tokenizer.knows(word) for said in table().values() for word in said.split())


def test_the_last_word_of_every_name_is_read() -> None:
    last = {word.split()[-1] for word in names.load_names().words}
    unread = {
        word for word in last if word.isalpha() and len(word) > 2 and not read_as(word, known)
    }
    assert not unread


def test_the_first_of_two_lines_counts() -> None:
    assert parse_near_words("# b: c\nred: x, y\nblue: y\n") == {"x": "red", "y": "red"}
