"""A running server tells of what comes: by webhook and e-mail, over failures and SIGKILL."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook
from tests.e2e.test_attacks_journal import approved_application
from tests.receiver import Receiver
from tests.world import Server, World, free_port, http_request, until

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
            'from = "latchgate@example.com"\noperator = "keys@example.com"\n'
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
            return sorted(one["attempts"] >= 1 for one in told["deliveries"]) == [True, True]

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
    # At least once: what was sent when the server was killed may come again.
    assert len(set(ids)) == 2
    assert min(ids.count(one) for one in ids) >= 2
    assert all(recipients == ["ada@example.com"] for recipients, _ in sink.received)
    assert any(f"latchgate key rotate {key.id}".encode() in text for _, text in sink.received)
    assert "secret" not in shown.json
    everything = json.dumps(told) + server.log + str(sink.received)
    assert made["secret"][6:] not in everything
    assert key.text not in everything


def asked_by(server, key, login):
    """Ask TeraCLOUD's REST API with a login and an application's key."""
    told = {
        "method": "GET",
        "target": "/v2/api/dataset",
        "host": "api.example",
        "headers": {"X-TeraCLOUD-API-KEY": key, "Authorization": f"Basic {login}"},
        "client": "127.0.0.1",  # in the clear from this machine alone
    }
    answer = http_request("POST", server.addresses["verify"] + "/", body=json.dumps(told).encode())
    return answer.json["allowed"]


def test_a_login_used_with_two_applications_is_told_of(server):
    server.start()
    with Receiver() as receiver:
        made = server.cli("webhook", "create", "--url", receiver.url, "--json").json
        sent = {"name": "shared", "kind": "applications"}
        alert = server.call("POST", "/manage/v1/alerts", sent)
        assert alert.status == 201, alert.body
        basic = server.call("POST", "/manage/v1/account/basic", {"login": "ada"})
        assert basic.status == 201, basic.body
        login = b64encode(f"ada:{basic.json['password']}".encode()).decode()
        paths = [approved_application(server) for _ in range(2)]
        keys = [server.call("POST", path, {}, token=token).json["api_key"] for path, token in paths]
        assert [asked_by(server, key, login) for key in keys] == [True, True]
        until(lambda: receiver.received, seconds=LONG, what="the alert")
    (got,) = receiver.received
    told = Webhook(made["secret"]).verify(got.body, got.headers)
    assert (told["type"], told["data"]["kind"]) == ("alert.raised", "applications")
    assert told["data"]["record"] == alert.json["id"]
    assert told["data"]["subject"] == basic.json["credential_id"]
    used = sorted(path.split("/")[4] for path, _ in paths)
    assert (told["data"]["value"], told["data"]["applications"]) == (2, used)


def test_what_is_no_tenants_reaches_the_operator_alone(server, sink):
    server.start()
    with Receiver() as receiver:
        ours = server.cli("webhook", "create", "--url", receiver.url, "--operator", "--json").json
        tenants = server.call("POST", "/manage/v1/webhooks", {"url": receiver.url}).json
        assert server.cli("webhook", "list", "--json").json["webhooks"][0]["whose"] == "operator"
        path, token = approved_application(server)
        key = server.call("POST", path, {}, token=token).json["api_key"]
        found = [{"token": key, "source": "test", "url": "https://code.example.com/1"}]
        reported = server.call("POST", "/manage/v1/leaks", {"tokens": found})
        assert reported.status < 300, reported.body
        until(lambda: receiver.received, seconds=LONG, what="the event")
        until(lambda: sink.received, seconds=LONG, what="the e-mail")
        none = server.call("GET", f"/manage/v1/webhooks/{tenants['id']}/deliveries")
    assert none.json["deliveries"] == []
    told = Webhook(ours["secret"]).verify(receiver.received[0].body, receiver.received[0].headers)
    assert (told["type"], told["data"]["tenant_id"]) == ("credential.leaked", None)
    ((recipients, text),) = sink.received
    assert recipients == ["keys@example.com"]
    assert key.encode() not in text + receiver.received[0].body


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
