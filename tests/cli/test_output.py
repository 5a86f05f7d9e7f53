"""How verbs speak: columns that line up, and no stored name that drives the terminal."""

from __future__ import annotations

import json

import pytest

from latchgate.cli.output import Failed, print_fields, print_json, print_table


def test_fields_stand_in_two_columns(capsys):
    print_fields([("id", "k-1"), ("longer", None), ("list", ["a", "b"]), ("none", [])])
    assert capsys.readouterr().out == (
        "id      k-1\nlonger  -\nlist    a, b\nnone    none\n"
    )  # fmt: skip


def test_pairs_are_told_as_pairs(capsys):
    print_fields([("metadata", {"a": "b", "c": "d"}), ("empty", {})])
    assert capsys.readouterr().out == "metadata  a=b, c=d\nempty     -\n"


def test_a_table_is_as_wide_as_its_widest_cell(capsys):
    print_table(
        ("id", "created_at"), [{"id": "k-123", "created_at": "x"}, {"id": "k", "created_at": None}]
    )
    assert capsys.readouterr().out == "ID     CREATED AT\nk-123  x\nk      -\n"


def test_an_empty_table_is_its_titles(capsys):
    print_table(("id", "name"), [])
    assert capsys.readouterr().out == "ID  NAME\n"


def test_json_is_indented_and_whole(capsys):
    print_json({"a": ["\x1b[31m", "ü"], "b": None})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": ["\x1b[31m", "ü"], "b": None}
    assert "\x1b" not in out
    assert out.startswith('{\n  "a"')


HOSTILE = "\x1b[2J\r\x07\x9b31m\u202eevil\u2028"


@pytest.mark.parametrize(
    "value", [HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}], ids=["text", "list", "pairs"]
)
def test_no_value_drives_the_terminal(capsys, value):
    # ATTACKS D7.61: names and user agents with escape sequences.
    print_fields([("name", value)])
    print_table(("name",), [{"name": value}])
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert "\\x1b" in out


@pytest.mark.parametrize("value", ["two\nlines", ["two\nlines"], {"a": "two\nlines", "b\n": "c"}])
def test_no_value_forges_a_line(capsys, value):
    print_fields([("name", value), ("state", "revoked")])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_failure_ends_the_program_and_says_why_without_driving_the_terminal(capsys):
    with pytest.raises(SystemExit) as ended:
        raise Failed(f"because {HOSTILE}", code=2)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("latchgate: because ")
    assert all(char.isprintable() or char == "\n" for char in said.err)


def test_a_failure_exits_with_1_unless_told():
    with pytest.raises(SystemExit) as ended:
        raise Failed("x")
    assert ended.value.code == 1
