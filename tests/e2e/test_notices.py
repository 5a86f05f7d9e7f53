"""A running server tells of what comes: by webhook and e-mail, over failures and SIGKILL."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook
from tests.receiver import Receiver
from tests.world import Server, World, free_port, until

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

DAY = 86_400
LONG = 60.0  # a limit, not a measure


class Sink:
    """Keeps what it is sent."""

    def __init__(self):
        self.port = 0
        self.received = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's word
        self.received.append((envelope.rcpt_tos, envelope.content))
        return "250 taken"


@pytest.fixture
def sink():
    made = Sink()
    controller = Controller(made, hostname="127.0.0.1", port=free_port())
    controller.start()
    made.port = controller.port
    yield made
    controller.stop()


@pytest.fixture
def server(tmp_path, sink):
    """A server that may send to this machine, and hands e-mail to the sink."""
    made = Server.made(tmp_path / "lg")
    with made.config.open("a", encoding="utf-8") as config:
        config.write(
            '\n[webhooks]\nallowed_networks = ["127.0.0.0/8"]\n'
            f'\n[mail]\nhost = "127.0.0.1"\nport = {sink.port}\ntls = "none"\n'
            'from = "latchgate@example.com"\n'
        )
    yield made
    made.kill()


def aged(server):
    """Make a key of 95 days that ends tomorrow, of a user with an e-mail address."""
    world = World.beside(server)
    try:
        now = world.clock()
        key = world.key(name="Uploader", expires_at=now + DAY)
        table, user = schema.credential, schema.user
        with world.changing() as change:
            old = sa.update(table).where(table.c.id == key.id)
            change.execute(old.values(created_at=now - 95 * DAY))
            owner = sa.update(user).where(user.c.id == key.owner.user_id)
            change.execute(owner.values(email="ada@example.com"))
        return key
    finally:
        world.close()


def test_a_warning_reaches_webhook_and_mailbox_over_a_failure_and_a_kill(server, sink):
    with Receiver(statuses=[500, 500]) as receiver:
        server.start()
        made = server.cli("webhook", "create", "--url", receiver.url, "--json").json
        until(lambda: server.call("GET", "/readyz").status == 200, seconds=LONG)
        server.kill()
        key = aged(server)
        server.start()
        until(lambda: len(receiver.received) >= 2, seconds=LONG, what="the first attempts")

        def tried():
            told = server.cli("webhook", "deliveries", made["id"], "--json").json
            return [one["attempts"] for one in told["deliveries"]] == [1, 1]

        until(tried, seconds=LONG, what="both failures written down")
        server.kill()
        server.start()
        until(lambda: len(receiver.received) >= 4, seconds=LONG, what="the second attempts")
        until(lambda: len(sink.received) >= 2, seconds=LONG, what="both e-mails")
        shown = server.call("GET", f"/manage/v1/webhooks/{made['id']}")
    told = [Webhook(made["secret"]).verify(one.body, one.headers) for one in receiver.received]
    by_type = {one["type"]: one for one in told}
    assert set(by_type) == {"credential.expiring", "credential.rotation_due"}
    assert by_type["credential.expiring"]["data"]["credential_id"] == key.id
    assert by_type["credential.expiring"]["data"]["warning_days"] == 1
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert {ids.count(one) for one in ids} == {2}
    assert all(recipients == ["ada@example.com"] for recipients, _ in sink.received)
    assert any(f"latchgate key rotate {key.id}".encode() in text for _, text in sink.received)
    assert "secret" not in shown.json
    everything = json.dumps(told) + server.log + str(sink.received)
    assert made["secret"][6:] not in everything
    assert key.text not in everything


def test_addresses_within_are_refused_where_they_can_be_told(tmp_path):
    server = Server.started(tmp_path / "lg")
    try:
        for url in (
            "https://127.0.0.1/",
            "https://[::1]/",
            "http://hooks.example/",
            "https://a@b/",
        ):
            answer = server.call("POST", "/manage/v1/webhooks", {"url": url})
            assert (answer.status, answer.json["errors"][0]["field"]) == (422, "url"), url
        made = server.call("POST", "/manage/v1/webhooks", {"url": "https://localhost:1/"})
        assert made.status == 201
        path = f"/manage/v1/webhooks/{made.json['id']}"
        assert server.call("POST", f"{path}/test").status == 202

        def error():
            (one,) = server.call("GET", f"{path}/deliveries").json["deliveries"]
            return one["last_error"]

        until(error, seconds=LONG, what="an attempt")
        assert "is not public" in error()
    finally:
        server.kill()
