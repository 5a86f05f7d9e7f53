from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate.doors.upcloud.xml import MAX_DEPTH, XmlError, read_xml, write_xml

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)


def test_a_list_is_one_however_few_elements_it_has():
    for inner, roles in (("", []), ("<role>a</role>", ["a"]), ("<role/><role>b</role>", ["", "b"])):
        body = f"<account><roles>{inner}</roles></account>".encode()
        assert read_xml(body) == ("account", {"roles": {"role": roles}})
    for inner, scopes in (("", []), ("<scope>a</scope>", ["a"])):
        body = f"<token><scopes>{inner}</scopes></token>".encode()
        assert read_xml(body) == ("token", {"scopes": scopes})


def test_what_is_read_keeps_its_blanks_references_and_sections():
    body = b"<a>\n <b> x &lt;&#x42;<![CDATA[<c/>]]> </b><!-- no --><?no no?></a>"
    assert read_xml(body) == ("a", {"b": " x <B<c/> "})


def test_depth_is_bounded_where_it_is_reached():
    deep = "<a>" * MAX_DEPTH, "</a>" * MAX_DEPTH
    assert read_xml("".join(deep).encode())[0] == "a"
    with pytest.raises(XmlError, match="deeper"):
        read_xml(f"<a>{''.join(deep)}</a>".encode())


@given(name=TEXT, roles=st.lists(TEXT, max_size=3), scopes=st.lists(TEXT, max_size=3))
def test_what_is_written_is_read_again(name, roles, scopes):
    value = {"name": name, "roles": {"role": roles}, "scopes": scopes}
    assert read_xml(write_xml("token", value)) == ("token", value)


@given(st.binary(max_size=200))
def test_bytes_are_a_document_or_an_error_that_says_so(body):
    try:
        read_xml(body)
    except XmlError as error:
        assert str(error)  # noqa: PT017 - any other exception fails the test


def test_switches_numbers_and_control_characters_are_written_as_text():
    assert write_xml("a", {"b": True, "c": 0.0, "d": "x\x00\r\ny"}) == (
        b'<?xml version="1.0" encoding="utf-8"?><a><b>true</b><c>0.0</c><d>x   y</d></a>'
    )
