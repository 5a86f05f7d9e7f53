"""One message to one URL: signed, to the address that was looked at, and nowhere else."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time

import pytest
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError
from tests.certificates import Authority
from tests.receiver import Receiver

from latchgate.core.destination import read_destination
from latchgate.core.network import Networks, parse_address
from latchgate.jobs import sending
from latchgate.jobs.sending import SendError, post, signed
from latchgate.signin import outgoing

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OWN = Networks.of(["127.0.0.0/8"])
NOWHERE = Networks.of([])
BODY = b'{"type":"webhook.test"}'


def send(url, *, allowed=OWN, names=None, headers=None):
    asked = []

    def look_up(host, _port):
        asked.append(host)
        return [parse_address(one) for one in (names or {}).get(host, ["127.0.0.1"])]

    to = read_destination(url, allowed)
    status = post(to, BODY, headers or {}, allowed=allowed, look_up=look_up)
    assert len(asked) == (to.address is None)
    return status


def test_a_receiver_of_the_specification_takes_the_signature():
    key, former = b"k" * 32, b"f" * 32
    with Receiver() as receiver:
        headers = signed("evt-1", int(time.time()), BODY, [key, former])
        assert send(receiver.url, headers=headers) == 200
    (got,) = receiver.received
    assert (got.path, got.body) == ("/hook?a=b", BODY)
    assert got.headers["content-type"] == "application/json"
    for one in (key, former):
        assert Standard("whsec_" + base64.b64encode(one).decode()).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Standard("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Standard("whsec_" + base64.b64encode(key).decode()).verify(got.body + b" ", got.headers)


def test_a_redirect_is_an_answer_and_is_not_followed():
    with Receiver() as aim, Receiver(statuses=[307], location=aim.url) as receiver:
        assert send(receiver.url) == 307
        assert aim.received == []


def test_a_name_is_sent_to_at_the_address_that_was_looked_at():
    with Receiver() as receiver:
        url = f"http://hooks.example:{receiver.port}/x"
        assert send(url, names={"hooks.example": ["127.0.0.1"]}) == 200
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["::1"], ["169.254.169.254"]]
)
def test_a_name_with_any_address_within_is_not_sent_to(addresses):
    with Receiver() as receiver:
        url = f"https://hooks.example:{receiver.port}/"
        with pytest.raises(SendError, match="not public"):
            send(url, names={"hooks.example": addresses})
    assert receiver.received == []


def test_nothing_within_is_sent_to_unless_the_operator_says_so():
    with Receiver() as receiver, pytest.raises(SendError, match=r"127\.0\.0\.1 is not public"):
        send(f"https://hooks.example:{receiver.port}/", allowed=NOWHERE)
    assert receiver.received == []


def test_the_certificate_must_be_the_names(tmp_path, monkeypatch):
    authority = Authority(tmp_path / "authority")
    pair = authority.issue("hooks.example", hosts=("hooks.example",))
    with Receiver(pair=pair) as receiver:
        url = f"https://{{}}:{receiver.port}/"
        outgoing.authorities.cache_clear()
        with pytest.raises(SendError, match="certificate"):
            send(url.format("hooks.example"))
        context = ssl.create_default_context(cafile=authority.file)
        monkeypatch.setattr(sending, "_authorities", lambda: context)
        assert send(url.format("hooks.example")) == 200
        with pytest.raises(SendError, match="certificate"):
            send(url.format("other.example"))


def test_the_next_address_is_tried_where_nobody_listens():
    with Receiver() as receiver:
        url = f"http://hooks.example:{receiver.port}/"
        assert send(url, names={"hooks.example": ["127.0.0.2", "127.0.0.1"]}) == 200
        with pytest.raises(SendError, match="no connection"):
            send(url, names={"hooks.example": ["127.0.0.2"]})


def test_a_receiver_that_never_ends_its_headers_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(sending, "SEND_SECONDS", 0.5)
    with Receiver(trickle=True) as receiver, pytest.raises(SendError, match="longer than"):
        send(receiver.url)


def test_an_answer_without_end_is_not_read_to_its_end():
    hung_up = threading.Event()

    def pour(bound):
        taken, _ = bound.accept()
        with taken:
            taken.recv(65_536)
            taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
            try:
                while True:
                    taken.sendall(b"a" * 65_536)
            except OSError:
                hung_up.set()

    with socket.create_server(("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=pour, args=(bound,), daemon=True)
        thread.start()
        assert send(f"http://127.0.0.1:{bound.getsockname()[1]}/") == 200
        assert hung_up.wait(30)
        thread.join()


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert send(receiver.url) == 200
        assert proxy.received == []


def test_what_a_receiver_says_is_in_no_error():
    with Receiver(statuses=[500]) as receiver:
        assert send(receiver.url) == 500


def test_a_name_that_nobody_knows_is_told_as_such(monkeypatch):
    def unknown(*_args, **_named):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SendError, match="not known"):
        sending.resolve("nobody.invalid", 443)
