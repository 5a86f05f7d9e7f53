from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.toml_lines import line_of

TEXT = """\
title = "T" # 1
"quoted key" = 1

[table]
key = 1 # 5
dotted.inner = 2
"a:b" = 3

[table.deeper]
key = 1 # 10

[[list]]
key = 1 # 13
rules = [ # 14
  { methods = ["GET"], scope = "x" }, # 15
  # a comment between
  { methods = ["PUT"], scope = "y" }, # 17
]
after = 1 # 19

[[list]]
key = 1 # 22
names = [
  "a",
  "b",
]
after = 1 # 27

[ spaced . out ]
key = 1 # 30
[[list.nested]]
key = 1 # 32
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("title", 1),
        ('"quoted key"', 2),
        ("table", 4),
        ("table.key", 5),
        ("table.dotted.inner", 6),
        ('table."a:b"', 7),
        ("table.deeper", 9),
        ("table.deeper.key", 10),
        ("list[0]", 12),
        ("list[0].key", 13),
        ("list[0].rules", 14),
        ("list[0].rules[0]", 15),
        ("list[0].rules[1]", 17),
        ("list[0].rules[1].scope", 17),
        ("list[0].after", 19),
        ("list[1]", 21),
        ("list[1].key", 22),
        ("list[1].names", 23),
        ("list[1].names[1]", 25),
        ("list[1].after", 27),
        ("spaced.out", 29),
        ("spaced.out.key", 30),
    ],
)
def test_a_key_stands_where_it_is_written(key, line):
    assert line_of(TEXT, key) == line


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("", 1),
        ("absent", 1),
        ("table.absent", 4),
        ("table.deeper.absent", 9),
        ("list[0].absent", 12),
        ("list[1].names[1]", 25),
        ("list[7].key", 12),
        ("title.deeper", 1),
    ],
)
def test_a_key_that_is_not_written_stands_where_its_nearest_ancestor_does(key, line):
    assert line_of(TEXT, key) == line


@pytest.mark.parametrize(
    "line",
    [
        'a = ["x"] # a note [with a bracket',
        'a = "[" # in a string',
        "a = '[['",
        'a = "# [no comment"',
        'a = { b = "[" }',
        "a = 1 # [[list]]",
        "# a = [",
        "a = [ # opened ]\n]",
        'a = ["]"]',
        'a = [["x"], ["y"]]',
        'a = [\n"x",\n["y"],\n]',
        'a = ["x",\n"y"]',
        'a = ["x",\n  "y" ] # note',
    ],
)
def test_brackets_in_notes_and_strings_do_not_shift_the_lines_after_them(line):
    text = f"{line}\nb = 1\n[table]\nkey = 2\n"
    above = line.count("\n") + 1
    assert line_of(text, "b") == above + 1
    assert line_of(text, "table.key") == above + 3


@FUZZ
@given(text=st.text("abc[]{}=.\"'#\n 01,", max_size=80), key=st.text('abc[]0123."', max_size=20))
def test_any_text_has_a_line_for_any_key(text, key):
    assert 1 <= line_of(text, key) <= max(1, len(text.splitlines()))


@FUZZ
@given(lines=st.lists(st.sampled_from(["", "# note [", "filler{} = '['", "[other{}]", "[[more]]"])))
def test_a_table_is_found_below_anything_that_is_not_it(lines):
    above = [line.format(number) for number, line in enumerate(lines)]
    text = "\n".join([*above, "[wanted]", "key = 1"])
    assert line_of(text, "wanted.key") == len(lines) + 2
    assert line_of(text, "wanted") == len(lines) + 1


@FUZZ
@given(
    entries=st.lists(st.sampled_from(['"x"', "[]", '["]"]', "{ a = 1 }", '"""\n["""']), min_size=1)
)
def test_a_key_is_found_below_an_array_of_any_length_and_shape(entries):
    text = "a = [\n" + ",\n".join(entries) + "\n]\nb = 1\n"
    assert line_of(text, "b") == text.count("\n")
