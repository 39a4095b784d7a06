"""What words are worth: places in search, and the table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sedic.lab.bench.experiments.word_worth import (
    LIMITS,
    METRICS,
    WORDS,
    Outcome,
    page,
    ranks,
    table,
)


def test_places_follow_the_words_that_are_held() -> None:
    texts = ["a red macaw", "two macaws", "", "a grey sky"]
    queries = ["a red macaw on a branch", "macaws", "a boat", "grey sky above macaws"]
    assert ranks(texts, queries) == [1, 1.5, 3.5, 1]


@given(st.integers(1, 20))
def test_without_words_every_place_is_as_likely(count: int) -> None:
    assert ranks([""] * count, ["a cat"] * count) == [(count + 1) / 2] * count


def test_the_table_has_means_and_the_places_of_each_describer() -> None:
    outcomes = []
    for picture, text in enumerate(("a cat", "a dog")):
        for limit in LIMITS:
            for words in WORDS:
                values = dict.fromkeys(METRICS, 0.25 + picture / 2)
                if not picture:
                    values["restored, same class"] = 1.0
                sent = text if words else ""
                outcomes.append(Outcome(picture, limit, words, 2 * words, sent, values))
    said = [{"named": "a cat", "measured": "dark"}, {"named": "a dog", "measured": "dark"}]
    rows = table(outcomes, said).splitlines()
    assert len(rows) == 2 + len(LIMITS) * len(WORDS)
    assert "| 100 | 0 | 0.0 | 0.500 |" in rows[2] and rows[2].endswith("| 1.000 | 1.5 | 1.5 |")
    assert "| 100 | 12 | 24.0 |" in rows[3] and rows[3].endswith("| 1.000 | 1.0 | 1.5 |")
    assert "2 held-out photographs" in page(outcomes, said, "sedic bench small --words")
