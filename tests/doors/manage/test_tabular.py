"""CSV that no spreadsheet runs, and the format that was asked for."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from latchgate.doors.manage.tabular import Format, answer, wanted
from latchgate.manage.errors import InvalidError
from latchgate.manage.usage import Table


def written(*cells):
    columns = tuple(f"c{at}" for at in range(len(cells)))
    told = answer(Table(columns, [dict(zip(columns, cells, strict=True))]), Format.CSV, None)
    return bytes(told.body).decode()


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_whatever_is_in_a_cell_is_read_back_and_begins_no_formula(cells):
    _, read = list(csv.reader(io.StringIO(written(*cells), newline="")))
    for cell, back in zip(cells, read, strict=True):
        assert back in {cell, f"'{cell}"}
        assert back[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}


def test_quotes_commas_and_lines_are_written_as_rfc_4180_says():
    assert written('a "b"', "c,d", "e\nf", None, 7) == (
        'c0,c1,c2,c3,c4\r\n"a ""b""","c,d","e\nf",,7\r\n'
    )


@pytest.mark.parametrize(
    ("accept", "told", "format_"),
    [
        ("", None, "json"),
        ("*/*", None, "json"),
        ("text/csv", None, "csv"),
        ("TEXT/CSV; q=1, application/json", None, "csv"),
        ("text/html, application/jsonl", None, "jsonl"),
        ("text/csv", "json", "json"),
    ],
)
def test_the_parameter_goes_before_what_is_accepted(accept, told, format_):
    headers = [(b"accept", accept.encode())]
    assert wanted(Request({"type": "http", "headers": headers}), told) == format_


def test_a_format_that_is_none_is_refused():
    with pytest.raises(InvalidError):
        wanted(Request({"type": "http", "headers": []}), "xml")
