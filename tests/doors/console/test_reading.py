"""Forms as the shapes that the rules take, and their faults beside their fields."""

import msgspec
import pytest

from latchgate.doors.console.reading import Own, by_field, lines, or_none, read_spec
from latchgate.manage.errors import InvalidError


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    days: list[int] = []


def test_fields_become_a_shape_and_those_that_are_none_are_left_out():
    assert read_spec(Shape, {"name": "x", "days": None}) == Shape("x")
    assert read_spec(Shape, {"name": "x", "days": [1]}) == Shape("x", [1])


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"name": 1}, "name"),
        ({"name": "x", "days": [1, "2"]}, "days"),
        ({"days": []}, "form"),
        ({"name": "x", "other": 1}, "form"),
    ],
)
def test_a_wrong_field_is_named(told, field):
    with pytest.raises(InvalidError) as refused:
        read_spec(Shape, told)
    assert list(by_field(refused.value)) == [field]


def test_faults_stand_with_their_field_whatever_part_of_it_they_name():
    error = InvalidError(
        [("networks[3]", "no network"), ("networks", "too many"), ("terms.until", "past")]
    )
    assert by_field(error) == {"networks": ["no network", "too many"], "terms": ["past"]}


@pytest.mark.parametrize(
    ("text", "found"), [(None, None), ("", None), (" \t", None), (" a ", "a"), ("0", "0")]
)
def test_an_empty_field_is_none(text, found):
    assert or_none(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, None),
        ("\r\n , ", None),
        ("a\r\nb", ["a", "b"]),
        (" a , b,\n\nc ", ["a", "b", "c"]),
    ],
)
def test_lines_and_commas_part_what_is_listed(text, found):
    assert lines(text) == found


def test_what_a_page_says_itself_is_told_apart_from_the_rules_words():
    assert Own("Größe") == "Größe"
    assert Own("x").own
    assert not hasattr("x", "own")
