"""People: only where two looks agree, with a region about the face that is theirs alone."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from sedic.describe.named import NamedDescriber
from sedic.describe.people import MAX_PEOPLE, Person, confirmed, face_region, likely
from sedic.errors import MissingWeightsError
from sedic.models import classifier
from sedic.models.faces import Face
from sedic.semantics import Rate

PICTURE = np.zeros((320, 640, 3), np.uint8)


def looks(*answers: list[Face]):  # type: ignore[no-untyped-def]
    """A detector that gives these answers, one after the other."""
    left = list(answers)
    return lambda view, least: left.pop(0)


def test_a_face_counts_where_the_mirrored_look_shows_it_too() -> None:
    first = [Face(0.9, (32.0, 64.0, 96.0, 128.0)), Face(0.8, (32.0, 400.0, 96.0, 464.0))]
    second = [Face(0.7, (22.4, 358.4, 67.2, 403.2))]  # of 224 x 448 pixels, mirrored
    found = confirmed(PICTURE, looks(first, second))
    assert len(found) == 1 and found[0].chance == 0.7
    assert found[0].face == pytest.approx((0.1, 0.1, 0.3, 0.2))


def test_of_many_faces_the_largest_are_kept() -> None:
    boxes = [(0.0, 80.0 * n, 20.0 + 8 * n, 80.0 * n + 40) for n in range(6)]
    again = [(b[0] * 0.7, 448 - b[3] * 0.7, b[2] * 0.7, 448 - b[1] * 0.7) for b in boxes]
    found = confirmed(PICTURE, looks([Face(0.9, b) for b in boxes], [Face(0.9, b) for b in again]))
    assert [round(p.face[1] * 8) for p in found] == [5, 4, 3][:MAX_PEOPLE]


def test_a_person_is_likeliest_at_the_face_and_below_it() -> None:
    heat = likely(Person(0.9, (0.2, 0.45, 0.4, 0.55)), (60, 80), 0.75)
    assert heat.min() >= 0 and heat.max() <= 1
    assert heat[18, 40] > 0.8 and heat[40, 40] > 0.4
    assert heat[40, 40] > heat[2, 40] and heat[40, 2] < 0.1


@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 0.001, 0.001), (0.9, 0.9, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0)]
)
def test_every_face_has_a_cell(box: tuple[float, float, float, float]) -> None:
    assert face_region(Person(1.0, box), (7, 9)).any()


def test_a_person_is_an_object_of_the_description() -> None:
    try:
        classifier.checkpoint()
    except MissingWeightsError as error:
        pytest.skip(str(error))
    there = [Person(0.9, (0.15, 0.37, 0.37, 0.54))]
    describer = NamedDescriber(find_people=lambda picture: there, read=lambda picture: ())
    found = describer.describe(skimage.data.astronaut(), Rate(2000)).description
    person = found.objects[0]
    assert person.name == "person" and "a person in " in found.overall
    assert 0.15 < person.mask.area / (person.mask.width * person.mask.height) < 0.85
