"""E-mail about a credential: to its owner, through the operator's server, and nothing injected."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import socket
import ssl
import threading
from email import message_from_bytes
from email.policy import SMTP

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from tests.certificates import Authority
from tests.world import free_port

from latchgate.core.event import Event
from latchgate.jobs import mail as mail_job
from latchgate.jobs.deliveries import WAITS, Deliveries
from latchgate.jobs.mail import Mailer, written
from latchgate.jobs.sending import SendError
from latchgate.manage.notifications import notify
from latchgate.store import schema

SENDER = "latchgate@example.com"
DATA = {"credential_id": "k3v9", "kind": "wayscloud.service_key", "name": "Uploader"}


def mail(recipient="ada@example.com", event=Event.CREDENTIAL_EXPIRING, **data):
    return written(SENDER, recipient, event, DATA | data, event_id="evt-1", at=1_900_000_000.0)


def test_it_says_what_happened_and_what_to_do():
    message = mail(expires_at="2030-03-17T17:46:40Z")
    assert message["To"] == "ada@example.com"
    assert message["Subject"] == "[Latchgate] A credential of yours expires soon"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == "<evt-1@example.com>"
    assert message.get_content_type() == "text/plain"
    text = message.get_content()
    assert "expires_at: 2030-03-17T17:46:40Z" in text
    assert "    latchgate key rotate k3v9\n" in text


@pytest.mark.parametrize(
    "recipient",
    ["a@b.example\r\nBcc: x@evil.example", "a@b.example, x@evil.example", "nobody", "", "a b@c"],
)
def test_what_is_no_address_is_written_to_nobody(recipient):
    with pytest.raises(SendError):
        mail(recipient)


def test_a_name_makes_neither_header_nor_line():
    name = "x\r\nBcc: y@evil.example\r\n\r\n.\r\nMAIL FROM:<z>\x1b[2J"
    message = mail(name=name)
    read = message_from_bytes(message.as_bytes(), policy=SMTP)
    assert sorted(read.keys()) == sorted(message.keys())
    assert "Bcc" not in read
    (line,) = [one for one in message.get_content().splitlines() if one.startswith("name:")]
    assert line.endswith("MAIL FROM:<z> [2J")


class Sink:
    """Keeps what a real SMTP server was given; refuses as it is told."""

    def __init__(self):
        self.received = []
        self.refusals = []
        self.farewell = "221 bye"
        self.logins = []

    async def handle_QUIT(self, _server, _session, _envelope):  # noqa: N802 - aiosmtpd's word
        return self.farewell

    async def handle_DATA(self, _server, session, envelope):  # noqa: N802 - aiosmtpd's word
        if self.refusals:
            return self.refusals.pop(0)
        self.received.append((envelope.rcpt_tos, envelope.content, session.ssl is not None))
        return "250 taken"

    def login(self, _server, _session, _envelope, _mechanism, told):
        self.logins.append((told.login, told.password))
        right = told.password == b"right words"
        return AuthResult(success=right, handled=right)


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


@pytest.fixture
def running(sink, authority):
    """Start an SMTP server with a certificate; returns where it listens."""
    started = []

    def start(**how):
        pair = authority.issue("mail")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        controller = Controller(
            sink,
            hostname="127.0.0.1",
            port=free_port(),
            tls_context=context,
            authenticator=sink.login,
            **how,
        )
        controller.start()
        started.append(controller)
        return controller.port

    yield start
    for one in started:
        one.stop()


def mailer(port, authority, tmp_path, *, tls="starttls", password=None):
    file = tmp_path / "mail-password"
    if password is not None:
        file.touch(0o600)
        file.write_text(f"{password}\n", encoding="utf-8")
    return Mailer(
        host="localhost" if tls != "none" else "127.0.0.1",
        port=port,
        tls=tls,
        username="latchgate" if password is not None else None,
        password_file=file if password is not None else None,
        sender=SENDER,
        operator=None,
        ca=authority.file,
    )


@pytest.mark.e2e
@pytest.mark.enable_socket
class TestSent:
    def test_with_starttls_and_a_password(self, sink, running, authority, tmp_path):
        port = running(require_starttls=True, auth_required=True)
        mailer(port, authority, tmp_path, password="right words").send(mail())
        ((recipients, content, tls),) = sink.received
        assert (recipients, tls) == (["ada@example.com"], True)
        assert b"latchgate key rotate k3v9" in content
        assert sink.logins == [(b"latchgate", b"right words")]
        with pytest.raises(SendError, match="535") as caught:
            mailer(port, authority, tmp_path, password="wrong words").send(mail())
        assert "wrong words" not in str(caught.value)

    def test_a_server_with_another_certificate_gets_no_password(
        self, sink, running, tmp_path, authority
    ):
        other = Authority(tmp_path / "other", "Another")
        port = running(require_starttls=True, auth_required=True)
        with pytest.raises(SendError):
            mailer(port, other, tmp_path, password="right words").send(mail())
        assert (sink.received, sink.logins) == ([], [])

    def test_what_was_taken_is_not_sent_again_for_a_bad_farewell(
        self, sink, running, authority, tmp_path
    ):
        sink.farewell = "421 too busy to say more"
        mailer(running(), authority, tmp_path, tls="none").send(mail())
        assert len(sink.received) == 1

    def test_a_server_that_never_comes_to_an_end_is_hung_up_on(
        self, authority, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(mail_job, "ALL_SECONDS", 0.5)
        ended = threading.Event()

        def trickle(bound):
            taken, _ = bound.accept()
            with taken, contextlib.suppress(OSError):
                taken.sendall(b"220 here\r\n")
                while not ended.wait(0.05):
                    taken.sendall(b"250-a\r\n")

        with socket.create_server(("127.0.0.1", 0)) as bound:
            thread = threading.Thread(target=trickle, args=(bound,), daemon=True)
            thread.start()
            try:
                sending = mailer(bound.getsockname()[1], authority, tmp_path, tls="none")
                with pytest.raises(SendError):
                    sending.send(mail())
            finally:
                ended.set()
                thread.join()

    def test_a_password_that_others_may_read_is_not_used(self, sink, running, authority, tmp_path):
        port = running(require_starttls=True, auth_required=True)
        sending = mailer(port, authority, tmp_path, password="right words")
        assert sending.password_file is not None
        sending.password_file.chmod(0o640)
        with pytest.raises(SendError):
            sending.send(mail())
        assert sink.logins == []

    def test_it_comes_from_the_queue_again_until_it_is_taken(
        self, sink, running, authority, tmp_path, site
    ):
        port = running()
        sending = mailer(port, authority, tmp_path, tls="none")
        site.work = dataclasses.replace(site.work, mail=sending)
        owner, table = site.world.owner, schema.user
        nameless = site.world.user(owner.tenant_id)
        with site.world.changing() as change:
            mine = table.c.id == owner.user_id
            change.execute(sa.update(table).where(mine).values(email="ada@example.com"))
            for user_id in (owner.user_id, nameless, None):
                notify(
                    change,
                    Event.CREDENTIAL_UNUSED,
                    "k3v9",
                    tenant_id=owner.tenant_id,
                    user_id=user_id,
                    data=DATA,
                    entropy=secrets.token_bytes,
                )
        sink.refusals = ["451 later"]
        Deliveries().run(site.work)
        delivery = schema.delivery
        (row,) = site.world.all(sa.select(delivery))
        assert (row.state, row.last_error) == ("pending", "the mail server answered 451")
        assert sink.received == []
        site.clock.now += WAITS[0]
        Deliveries().run(site.work)
        ((recipients, content, _),) = sink.received
        assert recipients == ["ada@example.com"]
        assert b"use it once before then" in content
        (row,) = site.world.all(sa.select(delivery))
        assert (row.state, row.attempts) == ("delivered", 2)
