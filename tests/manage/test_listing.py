"""Lists: every row once and in order whatever the sort, and a cursor that anybody may forge."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from functools import partial
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from latchgate.manage.errors import InvalidError
from latchgate.manage.listing import (
    NEVER,
    Listing,
    Query,
    by,
    equals,
    holding,
    page,
    truth,
)

TABLE = sa.Table(
    "thing",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),
)
LISTING = Listing(
    table=TABLE,
    searched=("name", "email"),
    filters={
        "name": equals(TABLE.c.name),
        "kind": equals(TABLE.c.name, "a", "b"),
        "active": truth(TABLE.c.active),
        "scope": holding(TABLE.c.scopes),
    },
    sorts={
        "created_at": by(TABLE.c.created_at),
        "name": by(TABLE.c.name),
        "email": by(TABLE.c.email),
        "expires_at": by(TABLE.c.expires_at),
    },
)
ORDER = random.Random(7)
ROWS = [
    {
        "id": f"i{number:02}",
        "tenant_id": "mine" if number % 5 else "theirs",
        "name": ORDER.choice(["a", "b", "B", "é", "100%", "a_b"]),
        "email": ORDER.choice([None, "x@y.example", "X@z.example"]),
        "active": bool(number % 2),
        "scopes": json.dumps(ORDER.sample(["s:a", "s:ab", "s:*"], 2)),
        "created_at": float(ORDER.randrange(4)) + 0.1,
        "expires_at": ORDER.choice([None, 5.5, 7.0]),
    }
    for number in range(60)
]
MINE: list[dict[str, Any]] = [row for row in ROWS if row["tenant_id"] == "mine"]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def connection(request):
    with contextlib.ExitStack() as undo:
        uri = "sqlite://"
        if request.param == "postgres":
            database = undo.enter_context(request.getfixturevalue("postgres").database())
            uri = database.socket_uri.replace("postgresql:", "postgresql+psycopg:")
        engine = sa.create_engine(uri)
        undo.callback(engine.dispose)
        TABLE.metadata.create_all(engine)
        made = undo.enter_context(engine.connect())
        made.execute(sa.insert(TABLE), ROWS)
        yield made


def ask(connection, **asked):
    return page(connection, LISTING, Query(**asked), TABLE.c.tenant_id == "mine", now=0.0)


def all_of(connection, **asked):
    out, after = [], None
    while True:
        rows, after = ask(connection, after=after, **asked)
        assert len(rows) <= asked.get("limit", 100)
        out += [row["id"] for row in rows]
        if after is None:
            return out


def place(row, name):
    """What a row is sorted by: text by its bytes, what has no time last."""
    found = row[name]
    if name in {"created_at", "expires_at"}:
        return found if found is not None else NEVER
    return (found or "").encode()


def sorted_by_hand(names):
    rows = sorted(MINE, key=lambda row: row["id"], reverse=names[-1].startswith("-"))
    for name in reversed(names):
        key = name.removeprefix("-")
        # Stable both ways: rows that are equal stay as they were.
        rows.sort(key=partial(place, name=key), reverse=name.startswith("-"))
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    "sort",
    [
        ("created_at",),
        ("-created_at",),
        ("name", "created_at"),
        ("-name", "created_at"),
        ("email", "-expires_at", "name"),
        ("-expires_at", "-email"),
    ],
)
@pytest.mark.parametrize("limit", [1, 7, 48, 1_000])
def test_pages_hold_each_row_once_and_in_order(connection, sort, limit):
    assert all_of(connection, sort=sort, limit=limit) == sorted_by_hand(sort)


def test_ties_are_broken_by_the_id_in_the_direction_of_the_last_field(connection):
    up, down = all_of(connection, sort=("name",)), all_of(connection, sort=("-name",))
    assert up == list(reversed(down))


@pytest.mark.parametrize(
    ("filters", "meets"),
    [
        ({"name": "a"}, lambda row: row["name"] == "a"),
        ({"active": "true"}, lambda row: row["active"]),
        ({"active": "false", "name": "b"}, lambda row: not row["active"] and row["name"] == "b"),
        ({"scope": "s:a"}, lambda row: "s:a" in json.loads(row["scopes"])),
        ({"scope": "s:*"}, lambda row: "s:*" in json.loads(row["scopes"])),
        ({"scope": "s:%"}, lambda _: False),
        ({"name": "' OR 1=1 --"}, lambda _: False),
    ],
)
def test_filters_are_exact(connection, filters, meets):
    found = all_of(connection, filters=filters)
    assert sorted(found) == sorted(row["id"] for row in MINE if meets(row))


@pytest.mark.parametrize(
    ("text", "names"),
    [("B", {"b", "B", "a_b"}), ("_", {"a_b"}), ("%", {"100%"}), ("nothing", set())],
)
def test_search_ignores_case_and_knows_no_wildcards(connection, text, names):
    rows, _ = ask(connection, q=text)
    assert {row["name"] for row in rows} == names


def test_search_looks_in_every_declared_column(connection):
    found = {row["id"] for row in ask(connection, q="Z.EXAMPLE")[0]}
    assert found == {row["id"] for row in MINE if row["email"] == "X@z.example"}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"sort": ("tenant_id",)}, "sort"),
        ({"sort": ("name", "-name")}, "sort"),
        ({"sort": ("--name",)}, "sort"),
        ({"sort": ("",)}, "sort"),
        ({"sort": ("name desc",)}, "sort"),
        ({"sort": ("created_at",) * 5}, "sort"),
        ({"filters": {"active": "yes"}}, "active"),
        ({"filters": {"kind": "c"}}, "kind"),
        ({"filters": {"tenant_id": "theirs"}}, "tenant_id"),
        ({"q": ""}, "q"),
        ({"q": "x" * 256}, "q"),
    ],
)
def test_what_cannot_be_taken_is_named(connection, asked, field):
    with pytest.raises(InvalidError) as refused:
        ask(connection, **asked)
    assert [named for named, _ in refused.value.faults] == [field]


# --- cursors, which anybody may forge (ATTACKS D7.64)


def forged(told):
    raw = told if isinstance(told, bytes) else json.dumps(told).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nothing",
        "é",
        "=",
        "A",
        "x" * 10_000,
        forged(b"\xff\xfe"),
        forged({}),
        forged([]),
        forged(["created_at", [], "i"]),
        forged(["created_at", [1.0, 2.0], "i"]),
        forged(["created_at", ["1"], "i"]),
        forged(["created_at", [None], "i"]),
        forged(["created_at", [True], "i"]),
        forged(["created_at", [{}], "i"]),
        forged(["created_at", [1.0], 7]),
        forged(["created_at", [1.0], "i", 1]),
        forged(["created_at", [1.0], "i\0"]),
        forged(b'["created_at", [1e999], "i"]'),
        forged(b'["created_at", [NaN], "i"]'),
        forged(b"[" * 5_000),
        forged(["name", ["a"], "i"]),
        forged(["-created_at", [1.0], "i"]),
        forged(["created_at) OR 1=1 --", [1.0], "i"]),
    ],
)
def test_a_forged_cursor_is_refused_by_name(connection, cursor):
    with pytest.raises(InvalidError) as refused:
        ask(connection, after=cursor)
    assert [field for field, _ in refused.value.faults] == ["after"]


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
        st.tuples(
            st.sampled_from(["created_at", "name"]),
            st.lists(st.one_of(st.floats(), st.text(max_size=9), st.integers()), max_size=2),
            st.text(max_size=9),
        ).map(lambda told: forged(msgspec.json.encode(told))),
    )
)
def test_no_cursor_breaks_a_list_or_leaves_the_tenant(connection, cursor):
    try:
        rows, _ = ask(connection, after=cursor)
    except InvalidError as error:
        ((field, _),) = error.faults
        assert field == "after"
    else:
        assert {row["tenant_id"] for row in rows} <= {"mine"}


def test_a_cursor_goes_with_the_sort_it_was_made_for(connection):
    _, cursor = ask(connection, limit=3, sort=("name",))
    with pytest.raises(InvalidError, match="sort="):
        ask(connection, limit=3, sort=("-name",), after=cursor)


def test_an_injected_id_is_only_a_value(connection):
    rows, _ = ask(connection, after=forged(["created_at", [-1.0], "' OR '1'='1"]))
    assert len(rows) == len(MINE)


# --- what is told


def test_the_parameters_are_those_that_are_declared():
    told = LISTING.parameters()
    assert list(told) == ["limit", "after", "q", "sort", "name", "kind", "active", "scope"]
    assert told["kind"] == {"type": "string", "enum": ["a", "b"]}
    assert told["active"] == {"type": "boolean"}
    assert "created_at, name, email, expires_at" in told["sort"]["description"]
