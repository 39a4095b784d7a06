"""The names of classes: one for each, short, with kinds that add up."""

from __future__ import annotations

import numpy as np

from sedic.describe import names as table
from sedic.semantics import MAX_NAME_WORDS

NAMES = table.load_names()


def test_every_class_has_one_short_name() -> None:
    assert NAMES.members.shape[1] == 1000
    assert (NAMES.members.sum(axis=0) >= 1).all()
    assert np.equal(NAMES.depth, 0).sum() > 900
    assert all(1 <= len(word.split()) <= MAX_NAME_WORDS for word in NAMES.words)
    assert all(word == word.strip().lower() and word.isascii() for word in NAMES.words)


def test_classes_are_in_the_classifier_s_order() -> None:
    known = {88: "macaw", 207: "golden retriever", 284: "siamese cat", 437: "lighthouse",
             504: "coffee mug", 695: "padlock", 780: "schooner", 812: "space shuttle",
             895: "warplane", 954: "banana", 979: "valley", 999: "toilet paper"}  # fmt: skip
    for number, name in known.items():
        assert NAMES.members[NAMES.words.index(name), number] == 1


def test_kinds_lead_to_wider_kinds() -> None:
    line = [NAMES.words[n] for n in NAMES.line(NAMES.words.index("macaw"))]
    assert line == ["macaw", "parrot", "bird", "animal"]
    depth = [NAMES.depth[n] for n in NAMES.line(NAMES.words.index("macaw"))]
    assert depth[:2] == [0, 1] and depth == sorted(depth)


def test_a_kind_has_the_chances_of_its_names() -> None:
    classes = np.zeros(1000, np.float32)
    classes[[88, 89]] = 0.5, 0.25  # macaw, cockatoo
    nodes = NAMES.chances(classes)
    assert nodes[NAMES.words.index("macaw")] == 0.5
    assert nodes[NAMES.words.index("parrot")] == nodes[NAMES.words.index("animal")] == 0.75
    assert nodes[NAMES.words.index("dog")] == 0


def test_articles() -> None:
    def said(word: str, adjective: str = "") -> str:
        return NAMES.with_article(NAMES.words.index(word), adjective)

    assert said("macaw", "red") == "a red macaw"
    assert said("ostrich") == "an ostrich" and said("ostrich", "grey") == "a grey ostrich"
    assert said("sunglasses", "black") == "black sunglasses"


def test_the_table_s_form() -> None:
    names = table.parse_names(
        "# note\n\nboat <\nship < boat\nship: liner, ship, wreck?\nhay: hay*\n"
    )
    assert set(names.words) == {"boat", "ship", "liner", "wreck", "hay"}
    assert names.members.shape == (5, 4)
    assert names.members[names.words.index("boat")].tolist() == [1, 1, 1, 0]
    assert {names.words[n] for n in names.silent} == {"wreck"}
    assert {names.words[n] for n in names.bare} == {"hay"}
