"""What a guard believes, how it opens its verifier, and that every fault refuses."""

import asyncio
import concurrent.futures
import gc
import logging
import threading
from typing import Any

import pytest
from tests.world import World, raw_rows

from latchgate import Verifier
from latchgate.config import ConfigError
from latchgate.integrations.guard import Asked, Guard, doubt


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    (tmp_path / "latchgate.toml").write_text("")
    yield made
    made.close()


@pytest.fixture
def config(world):
    return world.database.with_name("latchgate.toml")


def asked(key=None, *more, peer="192.0.2.1", tls=False, **how):
    headers = tuple(key.headers.items()) if key is not None else ()
    return Asked("GET", "/v1/storage/a", (*headers, *more), peer=peer, tls=tls, **how)


class Told:
    """A verifier that only notes what it is asked: for what a guard makes of a connection."""

    def decide(self, _method, _target, _headers, **how):
        self.how = how


def origin(guard_of, *headers, **how):
    told: Any = Told()
    Guard(told, **guard_of).decide(asked(None, *headers, **how))
    return told.how["client"], told.how["tls"]


@pytest.mark.parametrize(
    ("trusted", "peer", "tls", "headers", "expected"),
    [
        # Nobody is trusted by default, TLS is the connection's.
        ([], "192.0.2.1", True, [("X-Forwarded-For", "10.0.0.1")], ("192.0.2.1", True)),
        ([], "192.0.2.1", False, [("X-Forwarded-Proto", "https")], ("192.0.2.1", False)),
        # A trusted peer that forwards nothing speaks for itself.
        (["192.0.2.0/24"], "192.0.2.1", True, [], ("192.0.2.1", True)),
        # What it forwards counts, from the right, over several lines.
        (
            ["192.0.2.0/24"],
            "192.0.2.1",
            False,
            [
                ("x-forwarded-for", "203.0.113.5, 198.51.100.7"),
                ("X-Forwarded-For", "192.0.2.8"),
                ("X-Forwarded-Proto", "https"),
            ],
            ("198.51.100.7", True),
        ),
        # Its own TLS to us says nothing of the client's.
        (["192.0.2.1"], "192.0.2.1", True, [("X-Forwarded-For", "10.1.1.1")], ("10.1.1.1", False)),
        (
            ["192.0.2.1"],
            "192.0.2.1",
            True,
            [("X-Forwarded-For", "10.1.1.1"), ("X-Forwarded-Proto", "https, http")],
            ("10.1.1.1", False),
        ),
        (
            ["::1"],
            "::ffff:192.0.2.1",
            False,
            [("X-Forwarded-For", "1.1.1.1")],
            ("::ffff:192.0.2.1", False),
        ),
        (
            ["192.0.2.1"],
            "::ffff:192.0.2.1",
            False,
            [("X-Forwarded-For", "1.1.1.1")],
            ("1.1.1.1", False),
        ),
        # A unix socket has no address: unknown, unless it is trusted to forward one.
        ([], "", False, [("X-Forwarded-For", "1.1.1.1")], (None, False)),
        ([], None, False, [("X-Forwarded-For", "1.1.1.1")], (None, False)),
        # gunicorn believes there whoever says https.
        ([], "", True, [("X-Forwarded-Proto", "https")], (None, False)),
        (["unix"], "", True, [("X-Forwarded-Proto", "https")], (None, False)),
        (["unix"], "", False, [("X-Forwarded-For", "1.1.1.1")], ("1.1.1.1", False)),
        (["unix"], "192.0.2.1", False, [("X-Forwarded-For", "1.1.1.1")], ("192.0.2.1", False)),
    ],
)
def test_forwarded_addresses_count_from_trusted_peers_only(trusted, peer, tls, headers, expected):
    assert origin({"trusted_proxies": trusted}, *headers, peer=peer, tls=tls) == expected


@pytest.mark.parametrize("hops", ["", "a", "1.2.3.4, ", "1.2.3.4, a", "unknown"])
def test_an_address_that_can_not_be_read_refuses(config, world, hops):
    guard = Guard(config=config, trusted_proxies=["192.0.2.1"])
    verdict = guard.decide(asked(world.key(), ("X-Forwarded-For", hops)))
    assert (verdict.allowed, verdict.status) == (False, 400)
    guard.close()


@pytest.mark.parametrize("peer", ["localhost", "<local>", "192.0.2.1:80"])
def test_a_peer_without_an_address_refuses(config, world, peer):
    guard = Guard(config=config)
    assert guard.decide(asked(world.key(), peer=peer)).status == 400
    guard.close()


def test_a_doubt_about_what_is_served_refuses_and_is_explained(config, world):
    guard = Guard(config=config)
    verdict = guard.decide(asked(world.key(), doubt="the two differ"))
    assert (verdict.allowed, verdict.status) == (False, 400)
    guard.close()
    (row,) = raw_rows(world.usage_database, "SELECT * FROM refusal")
    assert "the two differ" in str(row)


def test_a_scope_that_the_application_asks_for_is_decided_beside_the_policys(config, world):
    guard = Guard(config=config)
    reader = world.key(scopes=["storage:read"])
    everything = world.key("storage")
    assert guard.decide(asked(reader)).allowed
    refused = guard.decide(asked(reader), scope="storage:delete")
    assert refused.status == 403
    assert 'scope="storage:delete"' in dict(refused.headers)["WWW-Authenticate"]
    assert guard.decide(asked(everything), scope="storage:delete").allowed
    # Every scope of its services, not of others.
    assert guard.decide(asked(everything), scope="dns:manage").status == 403
    assert guard.decide(asked(world.key("storage", "dns")), scope="dns:manage").allowed
    guard.close()


def test_a_scope_is_never_held_by_nobody_on_a_public_path(config):
    guard = Guard(config=config)
    public = Asked("GET", "/healthz", (), peer="192.0.2.1", tls=False)
    assert guard.decide(public).allowed
    assert not guard.decide(public, scope="storage:read").allowed
    guard.close()


def test_a_fault_is_a_refusal_with_503(caplog):
    class Broken:
        def decide(self, *_args, **_how):
            msg = "made up"
            raise RuntimeError(msg)

    guard = Guard(Broken())  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        verdicts = [guard.decide(asked()) for _ in range(5)]
    assert {(one.allowed, one.status, one.decision_id) for one in verdicts} == {(False, 503, None)}
    assert len(caplog.records) == 1


def test_a_configuration_that_is_not_there_refuses_and_tells_whoever_opens(tmp_path):
    guard = Guard(config=tmp_path / "none.toml")
    assert guard.decide(asked()).status == 503
    with pytest.raises(ConfigError):
        guard.open()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"trusted_proxies": "10.0.0.1"}, r"give a list such as \['10.0.0.1'\]"),
        ({"trusted_proxies": ["10.0.0.1", "gate"]}, "'gate' is not an IP address or a CIDR"),
        ({"verifier": "a.toml"}, "give config='a.toml'"),
    ],
)
def test_a_wrong_parameter_is_named(how, told):
    with pytest.raises(ValueError, match=told):
        Guard(**how)


def test_a_verifier_that_was_given_stays_open(config, world):
    with Verifier(config) as verifier:
        guard = Guard(verifier)
        guard.close()
        assert guard.open() is verifier
        assert guard.decide(asked(world.key())).allowed


def test_opened_by_many_threads_it_is_one_verifier_and_closes_with_its_guard(config, world):
    guard = Guard(config=config)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda opening: opening.open(), [guard] * 8))
    assert len({id(one) for one in found}) == 1
    assert len(world.store.bell.listeners()) == 1
    found.clear()
    del guard
    gc.collect()
    assert world.store.bell.listeners() == []


def test_only_what_may_carry_a_password_leaves_the_event_loop():
    class Where(Told):
        def decide(self, *args, **how):
            super().decide(*args, **how)
            self.thread = threading.current_thread().name

    def decided_in(*headers):
        verifier: Any = Where()
        asyncio.run(Guard(verifier).decide_async(asked(None, *headers)))
        return verifier.thread

    here = threading.current_thread().name
    assert decided_in() == here
    assert decided_in(("Authorization", "bearer abc"), ("X-API-Key", "k")) == here
    for value in ("Basic YTpi", "basic YTpi", "Bearer", "", "Digest x"):
        assert decided_in(("authorization", value)).startswith("latchgate-decide")


@pytest.mark.parametrize(
    ("raw", "prefix", "path", "served"),
    [
        ("/a/b", "", "/a/b", True),
        ("/a/b%20%2F", "", "/a/b /", True),
        ("/a/b", "/a", "/b", True),
        ("/a/b", "/a", "/a/b", True),
        ("/a", "/a", "/", True),
        ("/a/%C3%A9", "", "/a/é", True),
        ("/a/b", "", "/a/c", False),
        ("/a/b", "", "/A/b", False),
        ("/a%252e", "", "/a.", False),
        ("/a/b", "/c", "/b", False),
        ("//a", "", "/a", False),
        ("http://x/a", "", "/a", False),
    ],
)
def test_the_raw_path_must_be_the_one_that_is_served(raw, prefix, path, served):
    assert (doubt(raw, prefix=prefix, path=path) is None) is served
