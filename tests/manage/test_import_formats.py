from __future__ import annotations

import json

import pytest

from latchgate.manage.import_formats import FormatError, csv_lines, htpasswd, jsonl, keystone
from latchgate.manage.import_lines import ImportLine, LineError, made_line


def read(form, text: str, columns=None) -> dict[int, ImportLine | str]:
    return dict(form(text.splitlines(keepends=True), columns or {}))


def test_json_lines_are_counted_as_an_editor_counts_them_and_wrong_ones_are_told():
    text = (
        '{"secret":"s","scopes":["a:b"]}\n\nno\n{"secret":"s","colour":"red"}\n{"secret":5}\n[]\n'
    )
    told = read(jsonl, text)
    assert told[1] == ImportLine(secret="s", scopes=("a:b",))
    assert told[3] == "is not a JSON object"
    assert "no field 'colour'" in str(told[4])
    assert str(told[5]).startswith("secret: Expected")
    assert set(told) == {1, 3, 4, 5, 6}


def test_members_are_renamed_where_that_was_asked():
    line = ImportLine(secret="s", owner="ada")
    assert read(jsonl, '{"token":"s","user":"ada"}', {"token": "secret", "user": "owner"}) == {
        1: line
    }
    assert read(csv_lines, "token,user\ns,ada\n", {"token": "secret", "user": "owner"}) == {2: line}


def test_csv_has_lists_json_and_quoted_breaks():
    text = (
        "secret,scopes,metadata,unrestricted,description\n"
        's,a:b;a:c,"{""plan"":""pro""}",true,"two\nlines"\nt,,,,\nu,x\nv,,{,,\nw,,,maybe,\n'
    )
    told = read(csv_lines, text)
    assert told[2] == ImportLine(
        secret="s",
        scopes=("a:b", "a:c"),
        metadata={"plan": "pro"},
        unrestricted=True,
        description="two\nlines",
    )
    assert told[4] == ImportLine(secret="t")
    assert told[5] == "has 2 values; the first line names 5"
    assert told[6] == "metadata: is not JSON"
    assert told[7] == "unrestricted: must be true or false"


@pytest.mark.parametrize("text", ["", "secret,secret\n", "secret,colour\n"])
def test_csv_without_a_line_of_names_is_no_file(text):
    with pytest.raises(FormatError):
        read(csv_lines, text)


def test_htpasswd_is_login_and_hash():
    told = read(htpasswd, "# people\nada:$2y$05$x\nbob:{SHA}y=:more\n\nnobody\n")
    assert told[2] == ImportLine(login="ada", hash="$2y$05$x")
    assert told[3] == ImportLine(login="bob", hash="{SHA}y=")
    assert told[5] == "is not written LOGIN:HASH"


def test_keystone_names_become_ours():
    record: dict[str, object] = {
        "id": "c" * 32,
        "name": "backup",
        "description": None,
        "user_id": "u",
        "project_id": "p",
        "secret_hash": "$2b$12$x",
        "roles": [{"id": "1", "name": "member", "domain_id": None}],
        "access_rules": [{"id": "2", "service": "s", "method": "GET", "path": "/v1"}],
        "expires_at": "2027-02-12T20:52:43.000000",
        "unrestricted": False,
        "links": {},
    }
    (line,) = read(keystone, json.dumps(record)).values()
    assert isinstance(line, ImportLine)
    assert (line.hash, line.owner) == ("$2b$12$x", "u")
    assert (line.project, line.roles) == ("p", ("member",))
    assert line.expires_at == "2027-02-12T20:52:43.000000Z"
    assert line.access_rules is not None
    assert line.access_rules[0].path == "/v1"
    assert read(keystone, "[]")[1] == "is not a JSON object"


@pytest.mark.parametrize(
    ("field", "told", "problem"),
    [
        ("id", "a b", "id: must be 1 to 128 letters, digits and . ~ -"),
        ("external_id", "a b", "external_id: must be visible ASCII characters"),
        ("name", "a\x07b", "name: holds characters that may not be in it"),
    ],
)
def test_a_text_of_the_wrong_spelling_is_told_in_words(field, told, problem):
    with pytest.raises(LineError) as error:
        made_line({field: told})
    assert str(error.value) == problem
