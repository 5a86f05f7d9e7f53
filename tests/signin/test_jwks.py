"""Key sets: few fetches whatever is asked for, and bounded when one is made."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from concurrent.futures import Future

import pytest
from tests.identity_provider import IdentityProvider, new_key

from latchgate.signin import jwks
from latchgate.signin.jwks import (
    ALLOWANCE,
    FRESH_SECONDS,
    MAX_BYTES,
    REFILL_SECONDS,
    STALE_SECONDS,
    FetchError,
    KeySets,
    fetch,
)

ADDRESS = "https://id.example.com/certs"
FIRST, SECOND = new_key("ES256", "first"), new_key("ES256", "second")


def document(*keys):
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


class Issuer:
    """What an address answers, and a clock that stands still until it is moved."""

    def __init__(self, *keys):
        self.answer: bytes | None = document(*keys)
        self.asked = 0
        self.now = 1_000.0
        self.sets = KeySets(fetch=self.fetch, ticks=lambda: self.now)

    def fetch(self, address):
        assert address == ADDRESS
        self.asked += 1
        if self.answer is None:
            raise FetchError("nobody answers")
        return self.answer

    def keys(self, key_id):
        """Return the ids that are known once all fetches that this started have ended."""
        found = self.sets.find(ADDRESS, key_id)
        if isinstance(found, Future):
            found.result(30)
            found = self.sets.held(ADDRESS)
        self.sets._pool.submit(lambda: None).result(30)
        return None if found is None else {key.id for key in found}


@pytest.fixture
def issuer():
    made = Issuer(FIRST)
    yield made
    made.sets.close()


def test_keys_are_fetched_once_and_then_remembered(issuer):
    for _ in range(50):
        assert issuer.keys("first") == {"first"}
    assert issuer.keys(None) == {"first"}
    assert issuer.asked == 1


def test_a_new_key_id_has_the_set_fetched_anew(issuer):
    assert issuer.keys("first") == {"first"}
    issuer.answer = document(FIRST, SECOND)
    assert issuer.keys("second") == {"first", "second"}
    issuer.answer = document(SECOND)
    issuer.now += FRESH_SECONDS
    issuer.keys("second")
    settle(issuer)
    assert issuer.keys("second") == {"second"}


def settle(issuer):
    """Wait for a fetch in the background."""
    while issuer.sets._sets[ADDRESS].under_way is not None:
        issuer.sets._pool.submit(lambda: None).result(30)


def test_thirty_made_up_key_ids_cost_no_more_than_the_allowance(issuer):
    for number in range(30):
        assert issuer.keys(f"made-up-{number}") == {"first"}
    assert issuer.asked == ALLOWANCE <= 5
    # What one of them used up comes back, and a key that is really new is found then.
    issuer.answer = document(FIRST, SECOND)
    assert issuer.keys("second") == {"first"}
    issuer.now += REFILL_SECONDS
    assert issuer.keys("second") == {"first", "second"}
    assert issuer.asked == ALLOWANCE + 1


def test_many_at_once_wait_for_one_fetch():
    gate = threading.Event()
    asked: list[str] = []

    def slow(address):
        asked.append(address)
        assert gate.wait(30)
        return document(FIRST)

    sets = KeySets(fetch=slow, ticks=lambda: 1.0)
    found = [sets.find(ADDRESS, "first") for _ in range(20)]
    gate.set()
    waited = {one for one in found if isinstance(one, Future)}
    assert len(waited) == 1
    waited.pop().result(30)
    assert asked == [ADDRESS]
    sets.close()


def test_when_nobody_answers_keys_go_on_for_a_bounded_time(issuer):
    assert issuer.keys("first") == {"first"}
    issuer.answer = None
    issuer.now += FRESH_SECONDS
    assert issuer.keys("first") == {"first"}
    settle(issuer)
    issuer.now += STALE_SECONDS - FRESH_SECONDS - 1
    assert issuer.keys("first") == {"first"}
    settle(issuer)
    issuer.now += 1
    assert issuer.keys("first") is None
    issuer.answer = document(FIRST)
    issuer.now += REFILL_SECONDS
    assert issuer.keys("first") == {"first"}


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"keys":5}', b"\xff"])
def test_what_is_no_key_set_changes_nothing(issuer, answer):
    assert issuer.keys("first") == {"first"}
    issuer.answer = answer
    assert issuer.keys("other") == {"first"}


def test_a_fault_while_fetching_is_no_key_and_no_crash(issuer, caplog):
    issuer.fetch = None
    issuer.sets._fetch = lambda _address: 1 // 0
    assert issuer.keys("first") is None
    assert "could not be read" in caplog.text


@pytest.mark.e2e
@pytest.mark.enable_socket
class TestFetch:
    """One fetch, from a real server."""

    @pytest.fixture
    def provider(self):
        made = IdentityProvider()
        yield made
        made.close()

    def test_what_is_served_is_fetched(self, provider):
        provider.publish(FIRST)
        assert [key["kid"] for key in json.loads(fetch(provider.jwks_uri))["keys"]] == ["first"]

    @pytest.mark.parametrize("status", [204, 206, 301, 302, 307, 308, 401, 404, 500])
    def test_anything_but_a_plain_answer_is_refused_and_redirects_lead_nowhere(
        self, provider, status
    ):
        provider.answer = (status, {"Location": f"{provider.url}/elsewhere"}, b"")
        with pytest.raises(FetchError, match=str(status)):
            fetch(provider.jwks_uri)
        assert len(provider.asked) == 1

    def test_d6_53_an_answer_that_is_long_or_packed_is_refused(self, provider):
        provider.answer = (200, {}, b" " * (MAX_BYTES + 1))
        with pytest.raises(FetchError, match="longer"):
            fetch(provider.jwks_uri)
        packed = gzip.compress(b" " * 10_000_000)
        provider.answer = (200, {"Content-Encoding": "gzip"}, packed)
        with pytest.raises(FetchError, match="compressed"):
            fetch(provider.jwks_uri)

    def test_proxies_and_passwords_of_the_environment_are_not_used(self, provider, monkeypatch):
        provider.publish(FIRST)
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert fetch(provider.jwks_uri)

    def test_a_server_that_never_ends_its_answer_is_given_up(self, monkeypatch):
        monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(FetchError):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/certs")

    def test_a_server_that_is_not_there_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(FetchError):
            fetch(f"http://127.0.0.1:{port}/certs")


def test_sets_are_bounded_and_the_one_asked_for_first_goes(monkeypatch):
    monkeypatch.setattr(jwks, "MAX_SETS", 2)
    sets = KeySets(fetch=lambda _address: document(FIRST), ticks=lambda: 0.0)
    for address in ("a", "b", "c"):
        found = sets.find(address, "first")
        assert isinstance(found, Future)
        found.result(30)
    assert sets.held("a") is None
    assert sets.held("b") is not None
    assert sets.held("c") is not None
    sets.close()
