"""The queue: who hears of what, tried again ever later, kept over a crash."""

from __future__ import annotations

import dataclasses
import json
import secrets
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from tests.receiver import Receiver
from tests.world import FILES, compiled

from latchgate.core.event import Event
from latchgate.core.scope import Scopes
from latchgate.jobs import deliveries
from latchgate.jobs.deliveries import KEEP_SECONDS, WAITS, Deliveries
from latchgate.keyring import master
from latchgate.manage import delivery_queue, webhooks
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError, StaleError
from latchgate.manage.lifetimes import DAY
from latchgate.manage.listing import Query
from latchgate.manage.notifications import notify
from latchgate.manage.records import IfMatch
from latchgate.manage.webhooks import WebhookPatch, WebhookSpec, Whose
from latchgate.store import schema
from latchgate.store.errors import ConflictError

POLICY = compiled(FILES, 1)
HERE = "the administrator's tenant"
served = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture
def admin(site):
    return site.world.acting(site.world.admin)


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


def make(site, caller, url="https://hooks.example/x", **told):
    return webhooks.create(
        site.world.store,
        caller,
        WebhookSpec(url=url, **told),
        master=lambda: master.load(site.work.master_key),
        allowed=site.work.webhook_networks,
        now=site.clock.now,
        entropy=secrets.token_bytes,
    )


def happen(site, event=Event.CREDENTIAL_EXPIRING, tenant_id=HERE, user_id=None, **data):
    with site.world.changing() as change:
        return notify(
            change,
            event,
            "k1",
            tenant_id=site.world.owner.tenant_id if tenant_id is HERE else tenant_id,
            user_id=user_id,
            data=data,
            entropy=secrets.token_bytes,
        )


def run(site, job=None):
    (job or Deliveries()).run(site.work)


def rows(site):
    table = schema.delivery
    return site.world.all(sa.select(table).order_by(table.c.at, table.c.id))


def seen(site, caller, made, **query):
    store = site.world.store
    return webhooks.deliveries(store, caller, made.id, Query(**query), now=site.clock.now)[0]


def test_each_webhook_of_the_tenant_hears_what_it_asked_for(site, admin):
    every, _ = make(site, admin)
    some, _ = make(site, admin, events=[Event.CREDENTIAL_DISABLED])
    off, _ = make(site, admin)
    patch = WebhookPatch(active=False)
    webhooks.change_webhook(
        site.world.store, admin, off.id, patch, allowed=site.work.webhook_networks
    )
    happen(site)
    happen(site, Event.CREDENTIAL_DISABLED)
    happen(site, tenant_id=site.world.tenant())
    assert deliveries.route(site.work) == 3
    assert deliveries.route(site.work) == 0
    assert sorted(row.target for row in rows(site)) == sorted([every.id, every.id, some.id])


def test_a_secret_is_shown_once_and_is_nowhere_else(site, admin):
    made, secret = make(site, admin, "https://8.8.8.8/x")
    assert secret is not None
    text = secret.reveal()
    assert text.startswith("whsec_")
    shown = webhooks.shown(site.world.store, admin, made.id)
    assert text[6:] not in repr((made, shown, site.world.journal()))
    assert text[6:].encode() not in site.world.database.read_bytes()
    assert "sealed" not in site.world.journal()[-1].detail
    assert site.work.redact(f"it is {text}.") == "it is whsec_***."


def test_another_tenant_sees_no_webhook_of_ours(site, admin):
    made, _ = make(site, admin)
    other = site.world.acting(site.world.key("manage", owner=site.world.somebody("*")))
    store = site.world.store
    assert webhooks.listed(store, other, Query(), now=site.clock.now) == ([], None)
    for act in (webhooks.shown, webhooks.delete):
        with pytest.raises(NotFoundError):
            act(store, other, made.id)
    with pytest.raises(NotFoundError):
        webhooks.test(store, other, made.id, entropy=secrets.token_bytes)
    with pytest.raises(NotFoundError):
        seen(site, other, made)


def test_the_operators_webhooks_hear_of_what_is_no_tenants_and_of_nothing_else(site, admin):
    tenants, _ = make(site, admin)
    operators, _ = make(site, admin, whose=Whose.OPERATOR)
    assert (tenants.whose, operators.whose) == ("tenant", "operator")
    happen(site, Event.ALERT_RAISED, tenant_id=None)
    assert deliveries.route(site.work) == 1
    assert [row.target for row in rows(site)] == [operators.id]
    happen(site)
    assert deliveries.route(site.work) == 1
    assert sorted(row.target for row in rows(site)) == sorted([operators.id, tenants.id])


def test_the_operators_webhooks_are_for_holders_of_the_operators_scope(site, admin):
    made, _ = make(site, admin, whose=Whose.OPERATOR)
    store = site.world.store
    scopes = Scopes.of(["manage:webhooks.read", "manage:webhooks.write"])
    tenants = site.world.acting(site.world.admin, scopes)  # the same tenant's, even so
    with pytest.raises(ForbiddenError, match=r"operator:webhooks\.write"):
        make(site, tenants, whose=Whose.OPERATOR)
    assert webhooks.listed(store, tenants, Query(), now=site.clock.now) == ([], None)
    for act in (webhooks.shown, webhooks.delete):
        with pytest.raises(NotFoundError):
            act(store, tenants, made.id)
    only = Query(filters={"whose": "tenant"})
    assert webhooks.listed(store, admin, only, now=site.clock.now) == ([], None)
    other = site.world.acting(site.world.key("manage", owner=site.world.somebody("*")))
    webhooks.delete(store, other, made.id)  # an operator of another tenant is one too
    assert site.world.journal()[-1].tenant_id is None


def test_the_operator_is_written_to_where_the_configuration_says(site):
    happen(site, Event.ALERT_RAISED, tenant_id=None)
    happen(site)
    with_mail = dataclasses.replace(site.work, mail=SimpleNamespace(operator="a@b.example"))
    assert deliveries.route(with_mail) == 2
    (row,) = rows(site)
    assert (row.channel, row.target) == ("mail", deliveries.OPERATOR)


def test_a_webhook_is_changed_at_the_version_that_is_meant(site, admin):
    made, _ = make(site, admin)
    store, allowed = site.world.store, site.work.webhook_networks
    patch = WebhookPatch(description="chat", events=[Event.ALERT_RAISED])
    at = IfMatch(frozenset({made.version}))
    changed = webhooks.change_webhook(store, admin, made.id, patch, allowed=allowed, match=at)
    assert (changed.description, changed.events, changed.url) == (
        "chat",
        ["alert.raised"],
        made.url,
    )
    with pytest.raises(StaleError):
        webhooks.delete(store, admin, made.id, match=at)
    bad = WebhookPatch(url="https://10.0.0.1/")
    with pytest.raises(InvalidError, match="url"):
        webhooks.change_webhook(store, admin, made.id, bad, allowed=allowed)
    off = WebhookPatch(active=False)
    webhooks.change_webhook(store, admin, made.id, off, allowed=allowed)
    with pytest.raises(ForbiddenError):
        webhooks.test(store, admin, made.id, entropy=secrets.token_bytes)
    webhooks.delete(store, admin, made.id)
    actions = [row.action for row in site.world.journal()[-4:]]
    assert actions == ["webhook.create", "webhook.change", "webhook.change", "webhook.delete"]


class TestServed:
    pytestmark = served

    def test_an_event_arrives_with_what_happened(self, site, admin, receiver):
        made, _ = make(site, admin, receiver.url)
        event = happen(site, credential_id="k1")
        run(site)
        (got,) = receiver.received
        told = json.loads(got.body)
        assert told == {
            "id": event,
            "type": "credential.expiring",
            "timestamp": "2030-03-17T17:46:40Z",
            "data": {"credential_id": "k1", "record": "k1", "tenant_id": admin.tenant_id},
        }
        assert got.headers["webhook-id"] == event
        (one,) = seen(site, admin, made)
        assert (one.state, one.attempts, one.event) == ("delivered", 1, "credential.expiring")
        shown = webhooks.shown(site.world.store, admin, made.id)
        assert (shown.last_status, shown.last_at) == ("200", site.clock.now)
        assert shown.version == made.version

    def test_one_that_fails_is_tried_again_ever_later_and_then_no_more(self, site, admin, receiver):
        made, _ = make(site, admin, receiver.url)
        receiver.statuses = [500] * (len(WAITS) + 1)
        happen(site)
        for tried, wait in enumerate(WAITS, 1):
            run(site)
            site.clock.now += wait - 1
            run(site)
            assert len(receiver.received) == tried
            site.clock.now += 1
        run(site)
        (one,) = seen(site, admin, made)
        assert (one.state, one.attempts) == ("failed", len(WAITS) + 1)
        assert one.last_error == "it answered 500"
        assert len({got.body for got in receiver.received}) == 1
        assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
        site.clock.now += 10 * WAITS[-1]
        run(site)
        assert len(receiver.received) == len(WAITS) + 1

    def test_a_crash_after_sending_repeats_the_same_event(self, site, admin, receiver, monkeypatch):
        made, _ = make(site, admin, receiver.url)
        happen(site)
        with monkeypatch.context() as patched:
            patched.setattr(deliveries, "settle", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run(site)
        assert seen(site, admin, made)[0].state == "pending"
        run(site)
        assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
        assert len(receiver.received) == 2
        assert seen(site, admin, made)[0].state == "delivered"

    def test_one_that_says_that_it_is_gone_is_switched_off(self, site, admin, receiver):
        made, _ = make(site, admin, receiver.url)
        receiver.statuses = [410]
        happen(site)
        run(site)
        assert webhooks.shown(site.world.store, admin, made.id).active is False
        assert site.world.journal()[-1].action == "webhook.gone"
        assert seen(site, admin, made)[0].state == "failed"
        happen(site)
        run(site)
        assert len(receiver.received) == 1

    def test_a_test_goes_to_one_webhook_alone(self, site, admin, receiver):
        make(site, admin, receiver.url.replace("/hook", "/other"))
        made, _ = make(site, admin, receiver.url, events=[Event.CREDENTIAL_DISABLED])
        queued = webhooks.test(site.world.store, admin, made.id, entropy=secrets.token_bytes)
        assert queued.state == "pending"
        run(site)
        (got,) = receiver.received
        assert (got.path, json.loads(got.body)["type"]) == ("/hook?a=b", "webhook.test")

    def test_a_new_secret_signs_beside_the_old_one_for_a_day(self, site, admin, receiver):
        made, _ = make(site, admin, receiver.url)
        webhooks.renew_secret(
            site.world.store,
            admin,
            made.id,
            master=lambda: master.load(site.work.master_key),
            entropy=secrets.token_bytes,
        )
        happen(site)
        run(site)
        site.clock.now += webhooks.FORMER_SECONDS
        happen(site)
        run(site)
        both, one = (got.headers["webhook-signature"].split() for got in receiver.received)
        assert (len(both), len(one)) == (2, 1)

    def test_a_name_that_moves_within_after_it_was_made_is_not_followed(
        self, site, admin, receiver
    ):
        site.names["rebound.example"] = ["8.8.8.8"]
        made, _ = make(site, admin, f"https://rebound.example:{receiver.port}/")
        site.names["rebound.example"] = ["10.0.0.1", "127.0.0.1"]
        happen(site)
        run(site)
        (one,) = seen(site, admin, made)
        assert one.last_error == "the host's address 10.0.0.1 is not public; nothing is sent to it"
        assert receiver.received == []

    def test_a_webhook_whose_secret_cannot_be_opened_waits(self, site, admin, receiver):
        made, _ = make(site, admin, receiver.url)
        site.work.master_key.unlink()
        happen(site)
        run(site)
        assert "master key" in (seen(site, admin, made)[0].last_error or "")
        master.create(site.work.master_key, secrets.token_bytes)
        site.clock.now += WAITS[0]
        run(site)
        assert "draw a new one" in (seen(site, admin, made)[0].last_error or "")
        assert receiver.received == []

    def test_what_is_old_goes_and_what_waits_stays(self, site, admin, receiver):
        make(site, admin, receiver.url)
        happen(site)
        job = Deliveries()
        run(site, job)
        site.clock.now += KEEP_SECONDS + 1
        happen(site)
        run(site, job)
        assert (len(rows(site)), len(site.told())) == (1, 2)
        site.clock.now += DAY
        run(site, job)
        assert (len(rows(site)), len(site.told())) == (1, 1)


def test_a_slow_webhook_leaves_room_for_others(site, admin):
    slow, _ = make(site, admin)
    with site.world.changing() as change:
        fields = {"tenant_id": admin.tenant_id, "user_id": None, "entropy": secrets.token_bytes}
        told = notify(change, Event.ALERT_RAISED, "k1", data={}, **fields)
        for _ in range(1_500):
            delivery_queue.add(change, told, "webhook", slow.id, entropy=secrets.token_bytes)
        delivery_queue.add(change, told, "webhook", "quick", entropy=secrets.token_bytes)
    chosen = [row["target"] for row in deliveries._due(site.work)]
    assert sorted(chosen) == ["quick", slow.id, slow.id]


def test_each_tenants_first_comes_before_anothers_second(site, admin):
    busy = [(admin.tenant_id, f"slow-{at}") for at in range(40)]
    places = [*busy, (site.world.tenant(), "quick")]
    with site.world.changing() as change:
        for tenant_id, target in places:
            fields = {"tenant_id": tenant_id, "user_id": None, "entropy": secrets.token_bytes}
            told = notify(change, Event.ALERT_RAISED, "k1", data={}, **fields)
            delivery_queue.add(change, told, "webhook", target, entropy=secrets.token_bytes)
    chosen = [row["target"] for row in deliveries._due(site.work)]
    assert "quick" in chosen[:2]
    assert len(chosen) == deliveries.OF_ONE + 1


def test_what_waits_for_one_place_has_a_bound(site, admin, monkeypatch, caplog):
    monkeypatch.setattr(delivery_queue, "MAX_WAITING", 3)
    made, _ = make(site, admin)
    for _ in range(5):
        happen(site)
    assert deliveries.route(site.work) == 5
    assert deliveries.route(site.work) == 0
    assert [row.state for row in rows(site)] == ["pending"] * 3
    assert f"too much waits for {made.id}" in caplog.text
    with pytest.raises(ConflictError):
        webhooks.test(site.world.store, admin, made.id, entropy=secrets.token_bytes)


@pytest.mark.parametrize("gone", [{"active": False}, {"deleted_at": 1.0}])
def test_users_who_are_disabled_or_gone_are_not_written_to(site, gone):
    user, table = site.world.owner.user_id, schema.user
    values = {"email": "a@b.example", **gone}
    with site.world.changing() as change:
        change.execute(sa.update(table).where(table.c.id == user).values(values))
    happen(site, user_id=user)
    with_mail = dataclasses.replace(site.work, mail=SimpleNamespace(operator=None))
    assert deliveries.route(with_mail) == 1
    assert rows(site) == []


def test_what_waits_is_kept_however_old_it_is(site, admin):
    make(site, admin)
    event = happen(site)
    deliveries.route(site.work)
    site.clock.now += 2 * KEEP_SECONDS
    deliveries.trim(site.work)
    assert [row.notification_id for row in rows(site)] == [event]
    assert len(site.told()) == 1


def test_mail_that_nobody_sends_any_more_is_given_up(site):
    user = site.world.owner.user_id
    table = schema.user
    with site.world.changing() as change:
        change.execute(sa.update(table).where(table.c.id == user).values(email="a@b.example"))
    happen(site, user_id=user)
    with_mail = dataclasses.replace(site.work, mail=object())
    assert deliveries.route(with_mail) == 1
    run(site)
    (row,) = rows(site)
    assert (row.channel, row.state) == ("mail", "failed")
