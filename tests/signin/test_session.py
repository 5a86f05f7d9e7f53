"""Sessions: the secret known to the cookie alone, rotated, over in time, ended, journaled."""

from __future__ import annotations

import secrets
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from tests.world import World, raw_rows

from latchgate.core.model import Noun
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.errors import ConflictError


@pytest.fixture
def desk(tmp_path):
    """A world whose clock is moved by the test, and somebody in it."""
    at = [1_800_000_000.0]
    world = World(tmp_path, clock=lambda: at[0])
    who = world.somebody()
    yield SimpleNamespace(world=world, store=world.store, who=who, at=at)
    world.close()


def begin(desk, **more):
    told = {"methods": ("pwd",), "address": "192.0.2.1", "agent": "a browser"} | more
    return session.begin(
        desk.store,
        user_id=desk.who.user_id,
        tenant_id=desk.who.tenant_id,
        now=desk.at[0],
        entropy=secrets.token_bytes,
        **told,
    )


def resumed(desk, secret):
    return session.resume(desk.store, secret.reveal(), now=desk.at[0])


def test_whoever_has_the_cookie_is_signed_in_and_the_store_holds_only_its_digest(desk):
    made, secret = begin(desk)
    assert resumed(desk, secret) == made
    assert (made.user_id, made.methods) == (desk.who.user_id, ("pwd",))
    held = raw_rows(desk.world.database, "SELECT * FROM session")
    told = raw_rows(desk.world.database, "SELECT detail FROM journal")
    for stored in (*held, *told):
        assert secret.reveal() not in repr(stored)
    assert secret.reveal() not in repr((made, secret))


@pytest.mark.parametrize("text", ["", "x" * 32, "é" * 32, "x" * 10_000])
def test_a_cookie_of_nobody_is_nobodys(desk, text):
    begin(desk)
    assert session.resume(desk.store, text, now=desk.at[0]) is None


def test_it_ends_when_it_is_not_used_and_after_half_a_day_however_often_it_is(desk):
    _, idle = begin(desk)
    _, used = begin(desk)
    began = desk.at[0]
    for _ in range(3):
        desk.at[0] += session.IDLE_SECONDS - 1
        assert resumed(desk, used) is not None
    assert resumed(desk, idle) is None
    while desk.at[0] + 600 < began + session.LONGEST_SECONDS:
        desk.at[0] += 600
        assert resumed(desk, used) is not None
    desk.at[0] = began + session.LONGEST_SECONDS
    assert resumed(desk, used) is None


def test_another_proof_draws_another_secret_and_the_one_before_opens_nothing(desk):
    made, old = begin(desk)
    desk.at[0] += session.FRESH_SECONDS + 1
    assert not made.fresh(desk.at[0])
    renewed, new = session.renew(
        desk.store, made, methods=("pwd", "otp"), now=desk.at[0], entropy=secrets.token_bytes
    )
    assert renewed.fresh(desk.at[0])
    assert resumed(desk, new) == renewed
    assert (renewed.id, renewed.methods) == (made.id, ("pwd", "otp"))
    assert resumed(desk, old) is None


def test_one_that_was_signed_out_stays_so(desk):
    made, secret = begin(desk)
    assert session.end(desk.store, made.id, desk.at[0])
    assert resumed(desk, secret) is None
    assert not session.end(desk.store, made.id, desk.at[0])
    with pytest.raises(ConflictError):
        session.renew(
            desk.store, made, methods=("pwd",), now=desk.at[0], entropy=secrets.token_bytes
        )


def test_all_but_one_are_ended_and_nobody_elses(desk):
    kept, cookie = begin(desk)
    others = [begin(desk)[1] for _ in range(2)]
    mine, desk.who = desk.who, desk.world.somebody()
    _, foreign = begin(desk)
    ended = session.end_all(desk.store, mine.user_id, actor=kept.actor("192.0.2.1"), keep=kept.id)
    assert ended == 2
    assert [resumed(desk, one) for one in others] == [None, None]
    assert resumed(desk, cookie)
    assert resumed(desk, foreign)


def test_a_session_is_not_ended_by_another_user(desk):
    mine, cookie = begin(desk)
    desk.who = desk.world.somebody()
    other, _ = begin(desk)
    assert not session.end_one(desk.store, other, mine.id, address=None)
    assert resumed(desk, cookie)


@pytest.mark.parametrize(("noun", "table"), [("user", "user"), ("tenant", "tenant")])
def test_nobody_is_signed_in_while_the_user_or_the_tenant_is_disabled(desk, noun, table):
    _, secret = begin(desk)
    held = getattr(schema, table)
    record = desk.who.user_id if noun == "user" else desk.who.tenant_id
    switch = sa.update(held).where(held.c.id == record).values(active=False)
    desk.world.change(Noun(noun), record, switch)
    assert resumed(desk, secret) is None
    with pytest.raises(ConflictError):
        begin(desk)


def test_a_list_shows_what_stands_without_any_secret(desk):
    made, _ = begin(desk, agent="Browser\r\n\x00 1.0" + "x" * 500)
    gone, _ = begin(desk)
    session.end(desk.store, gone.id, desk.at[0])
    (shown,) = session.listed(desk.store, desk.who.user_id, now=desk.at[0])
    assert (shown.id, shown.address, shown.methods) == (made.id, "192.0.2.1", ("pwd",))
    assert shown.agent.startswith("Browser 1.0")
    assert len(shown.agent) == 200


def test_those_that_are_over_for_a_day_are_forgotten(desk):
    old, _ = begin(desk)
    session.end(desk.store, old.id, desk.at[0])
    desk.at[0] += 86_400
    made, cookie = begin(desk)
    session.trim(desk.store, now=desk.at[0])
    assert raw_rows(desk.world.database, "SELECT id FROM session") == [(made.id,)]
    assert resumed(desk, cookie)
    desk.at[0] += session.LONGEST_SECONDS + 86_400
    session.trim(desk.store, now=desk.at[0])
    assert raw_rows(desk.world.database, "SELECT id FROM session") == []


def test_beginning_renewing_and_ending_are_in_the_journal_with_who_and_where(desk):
    made, _ = begin(desk)
    session.renew(desk.store, made, methods=("pwd",), now=desk.at[0], entropy=secrets.token_bytes)
    session.end(desk.store, made.id, desk.at[0], address="192.0.2.9")
    rows = [row for row in desk.world.journal() if row.noun == "session"]
    assert [row.action for row in rows] == ["session.begin", "session.renew", "session.end"]
    assert {row.record for row in rows} == {made.id}
    assert {row.tenant_id for row in rows} == {desk.who.tenant_id}
    assert rows[0].address == "192.0.2.1"
    assert rows[-1].address == "192.0.2.9"
    assert '"why":"sign-out"' in rows[-1].detail
