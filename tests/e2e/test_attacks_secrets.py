"""ATTACKS D7: secrets that a client puts where they don't belong are written down nowhere.

One run of a Latchgate and a gateway of their own: a fresh key for every place, then the server is
stopped, and every byte it left behind is searched: log, databases, their write-ahead logs.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from tests.e2e.stack import Gateway, Key, Latchgate
from tests.e2e.wire import Address, Wire, exchange, written

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OBJECT = "/v1/storage/b/o"


def told(uri: str = OBJECT, **change: str) -> list[tuple[str, str]]:
    """Return what nginx tells of a request."""
    pairs = {
        "X-Original-Method": "GET",
        "X-Original-URI": uri,
        "X-Original-Host": "localhost",
        "X-Original-Scheme": "https",
        "X-Real-IP": "192.0.2.1",
    }
    return list((pairs | change).items())


def forwarded(uri: str = OBJECT, **change: str) -> list[tuple[str, str]]:
    """Return what other gateways tell of a request."""
    pairs = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": uri,
        "X-Forwarded-Host": "localhost",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "192.0.2.1",
    }
    return list((pairs | change).items())


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def question(**change: object) -> bytes:
    asked = {"method": "GET", "target": OBJECT, "host": "localhost", "client": "192.0.2.1"}
    return json.dumps(asked | change).encode()


# Where a request's target may hold a key, as every door and the gateway get it.
TARGETS: dict[str, Callable[[str], str]] = {
    "object name": lambda key: f"/v1/storage/b/{key}",
    "path of no area": lambda key: f"/v1/nothing/{key}",
    "path of no provider": lambda key: f"/{key}/x",
    "ambiguous path": lambda key: f"/v1/storage//{key}",
    "dot segment behind it": lambda key: f"/v1/storage/{key}/../x",
    "matrix parameter": lambda key: f"/v1/storage/b/o;api_key={key}",
    "matrix parameter, encoded": lambda key: f"/v1/storage/b/o%3Bapi_key={key}",
    "matrix parameter of no area": lambda key: f"/dav/o;a=b;API_KEY={key};c=d",
    "query": lambda key: f"{OBJECT}?api_key={key}&x=1",
    "query of no area": lambda key: f"/nothing?{key}",
    "behind an equals sign": lambda key: f"/nothing/key={key}",
    "after other letters": lambda key: f"/nothing/x{key}",
    "first letter encoded": lambda key: f"/nothing/%{ord(key[0]):02x}{key[1:]}",
    "underscores encoded": lambda key: f"/nothing/{key.replace('_', '%5F')}",
    "long path": lambda key: f"/nothing/{'a/' * 1000}{key}",
    "twice": lambda key: f"/nothing/{key}/{key}",
    "slash inside, encoded": lambda key: f"/v1/storage/{key}%2Fx",
}  # fmt: skip

# Where its headers may.
HEADERS: dict[str, Callable[[str], list[tuple[str, str]]]] = {
    "User-Agent": lambda key: [("User-Agent", f"curl/7 {key}")],
    "Referer": lambda key: [("Referer", f"https://x.example/?k={key}")],
    "Cookie": lambda key: [("Cookie", f"session={key}")],
    "Origin": lambda key: [("Origin", f"https://{key}.example")],
    "Accept": lambda key: [("Accept", key)],
    "Content-Type": lambda key: [("Content-Type", key)],
    "X-Request-Id": lambda key: [("X-Request-Id", key)],
    "a header's name": lambda key: [(key.replace("_", "-"), "x")],
    "no Bearer": lambda key: [("Authorization", key)],
    "lower-case bearer": lambda key: [("Authorization", f"bearer {key}")],
    "two spaces": lambda key: [("Authorization", f"Bearer  {key}")],
    "wrong checksum": lambda key: [("Authorization", f"Bearer {key[:-1]}x")],
    "key and more": lambda key: [("Authorization", f"Bearer {key} trailing")],
    "another brand": lambda key: [("Authorization", f"Bearer x{key}")],
    "Basic, as the user": lambda key: [("Authorization", basic(f"{key}:"))],
    "Basic, as the password": lambda key: [("Authorization", basic(f"user:{key}"))],
    "another scheme": lambda key: [("Authorization", f"Token token={key}")],
    "Authorization twice": lambda key: [("Authorization", f"Bearer {key}")] * 2,
    "X-API-Key twice": lambda key: [("X-API-Key", key)] * 2,
    "X-API-Key with Bearer": lambda key: [("X-API-Key", f"Bearer {key}")],
    "Proxy-Authorization": lambda key: [("Proxy-Authorization", f"Bearer {key}")],
    "method override": lambda key: [("X-HTTP-Method-Override", key)],
}  # fmt: skip


# What a program may ask of the verify door, and what of it may be a key.
QUESTIONS: dict[str, Callable[[str], bytes]] = {
    "method": lambda key: question(method=key),
    "host": lambda key: question(host=key),
    "client": lambda key: question(client=key),
    "header": lambda key: question(headers={"Authorization": [key, key]}),
    "header name": lambda key: question(headers={key: "x"}),
    "unknown member": lambda key: question(**{key: 1}),
    "wrong type": lambda key: question(tls=key),
    "broken JSON": lambda key: question()[:-1] + f', "{key}'.encode(),
    "broken UTF-8": lambda key: question()[:-1] + f', "{key}": "'.encode() + b'\xff"}',
    "deep JSON": lambda key: b'{"' + key.encode() + b'":' + b"[" * 20_000,
    "not JSON": lambda key: key.encode(),
}


def new_key(**change: object) -> bytes:
    return json.dumps({"name": "n", "services": ["storage"]} | change).encode()


def explained(key: str) -> bytes:
    headers = {"Authorization": f"Bearer {key}"}
    asked = {"method": "GET", "url": f"http://localhost/nothing/{key}", "headers": headers}
    return json.dumps(asked).encode()


# What an operator may ask of the API.
CALLS: dict[str, Callable[[str], tuple[str, str, bytes]]] = {
    "key id": lambda key: ("GET", f"/manage/v1/keys/{key}", b""),
    "key id to revoke": lambda key: ("DELETE", f"/manage/v1/keys/{key}", b""),
    "decision id": lambda key: ("GET", f"/manage/v1/decisions/{key}", b""),
    "after": lambda key: ("GET", f"/manage/v1/keys?after={key}", b""),
    "limit": lambda key: ("GET", f"/manage/v1/keys?limit={key}", b""),
    "unknown parameter": lambda key: ("GET", f"/manage/v1/keys?{key}=1", b""),
    "unknown member": lambda key: ("POST", "/manage/v1/keys", new_key(**{key: 1})),
    "unknown service": lambda key: ("POST", "/manage/v1/keys", new_key(services=[key])),
    "unknown scope": lambda key: ("POST", "/manage/v1/keys", new_key(scopes=[key])),
    "wrong range": lambda key: ("POST", "/manage/v1/keys", new_key(allowed_ip_ranges=[key])),
    "wrong duration": lambda key: ("POST", "/manage/v1/keys", new_key(expires_in=key)),
    "broken JSON": lambda key: ("POST", "/manage/v1/keys", f'{{"{key}'.encode()),
    "broken UTF-8": lambda key: ("POST", "/manage/v1/keys", key.encode() + b"\xff"),
    "explained request": lambda key: ("POST", "/manage/v1/explain", explained(key)),
    "policy file": lambda key: (
        "PUT",
        "/manage/v1/policy",
        json.dumps({"files": {"x.toml": f"token = '{key}'"}}).encode(),
    ),
}

# What may come to any address, as it is.
RAW: dict[str, Callable[[str], str]] = {
    "garbage": lambda key: f"{key}\r\n\r\n",
    "a broken header": lambda key: f"GET {OBJECT} HTTP/1.1\r\nHost: a\r\nBad Name: {key}\r\n\r\n",
    "Host": lambda key: f"GET /nothing HTTP/1.1\r\nHost: {key}\r\n\r\n",
    "Host, lower case": lambda key: f"GET /x HTTP/1.1\r\nHost: {key.lower()}.example\r\n\r\n",
    "absolute form": lambda key: f"GET http://{key}/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "method": lambda key: f"{key} /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "as it should be": lambda key: (
        f"GET {OBJECT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
    ),
}

Case = tuple[str, str, Callable[[str], bytes]]  # a place, whose address, what is sent there


def by_target(name: str, target: Callable[[str], str]) -> Iterator[Case]:
    yield f"/nginx: {name}", "verify", lambda key: written("GET", "/nginx", told(target(key)))
    yield (
        f"/forwarded: {name}",
        "verify",
        lambda key: written("GET", "/forwarded", forwarded(target(key))),
    )
    yield (
        f"/envoy: {name}",
        "verify",
        lambda key: written("GET", "/envoy" + target(key), forwarded()[3:]),
    )
    yield (
        f"POST /: {name}",
        "verify",
        lambda key: written("POST", "/", [], question(target=target(key))),
    )
    for where in ("gateway", "api", "console", "verify"):
        yield f"{where}: {name}", where, lambda key: written("GET", target(key))


def by_header(name: str, headers: Callable[[str], list[tuple[str, str]]]) -> Iterator[Case]:
    yield f"gateway: {name}", "gateway", lambda key: written("GET", OBJECT, headers(key))
    yield f"api: {name}", "api", lambda key: written("GET", "/manage/v1/keys", headers(key))
    yield f"console: {name}", "console", lambda key: written("GET", "/x", headers(key))
    yield (
        f"/nginx: {name}",
        "verify",
        lambda key: written("GET", "/nginx", [*told(), *headers(key)]),
    )
    yield (
        f"/forwarded: {name}",
        "verify",
        lambda key: written("GET", "/forwarded", [*forwarded(), *headers(key)]),
    )


def by_gateway(name: str) -> Iterator[Case]:
    url, tell = ("/nginx", told) if name in dict(told()) else ("/forwarded", forwarded)
    yield f"{url}: {name}", "verify", lambda key: written("GET", url, tell(**{name: key}))


def by_question(name: str, body: Callable[[str], bytes]) -> Iterator[Case]:
    yield f"POST /: {name}", "verify", lambda key: written("POST", "/", [], body(key))


def by_call(name: str, token: str, call: Callable[[str], tuple[str, str, bytes]]) -> Iterator[Case]:
    def made(key: str) -> bytes:
        method, target, body = call(key)
        headers = [("Authorization", f"Bearer {token}"), ("Content-Type", "application/json")]
        return written(method, target, headers, body)

    yield f"api call: {name}", "api", made


def by_hand(name: str, data: Callable[[str], str]) -> Iterator[Case]:
    for where in ("gateway", "api", "console", "verify"):
        yield f"{where}: {name}", where, lambda key: data(key).encode()


def cases(token: str) -> Iterator[Case]:
    for name, target in TARGETS.items():
        yield from by_target(name, target)
    for name, headers in HEADERS.items():
        yield from by_header(name, headers)
    for name, _ in (*told()[:1], *told()[2:], *forwarded()[:1], *forwarded()[2:]):
        yield from by_gateway(name)
    for name, body in QUESTIONS.items():
        yield from by_question(name, body)
    for name, call in CALLS.items():
        yield from by_call(name, token, call)
    for name, data in RAW.items():
        yield from by_hand(name, data)


@dataclass
class Leaks:
    """What was left behind, and which key was put where."""

    latchgate: Latchgate
    gateway: Gateway
    placed: dict[str, Key] = field(default_factory=dict)
    left: dict[str, bytes] = field(default_factory=dict)

    def place(self) -> None:
        """Send every case with a fresh key in it."""
        addresses: dict[str, Address] = {
            "gateway": self.gateway.address,
            "api": self.latchgate.api,
            "console": self.latchgate.console,
            "verify": self.latchgate.verify,
        }
        for name, where, data in cases(self.latchgate.token):
            assert name not in self.placed
            key = self.placed[name] = self.latchgate.key()
            with Wire(addresses[where], timeout=5) as wire:
                wire.send(data(key.text))
                with suppress(ConnectionError):
                    assert wire.answer().status != 500, name


@pytest.fixture(scope="module")
def leaks(tmp_path_factory, echo) -> Leaks:
    """Every place tried, server and gateway stopped, and what they left."""
    folder = tmp_path_factory.mktemp("leaks")
    with Latchgate(folder / "latchgate") as server:
        server.serve(workers=2)
        with Gateway(
            folder / "gateway", verify=server.verify, objects=echo.address, llm=echo.address
        ) as gateway:
            gateway.start()
            found = Leaks(server, gateway)
            found.place()
            time.sleep(0.5)  # a batch of refusals is written every 0.2 s
            running = server.files()
        server.stop()
        stopped = server.files()
    assert any(name.endswith("-wal") for name in running)
    found.left = {f"running/{name}": data for name, data in running.items()}
    found.left |= {f"stopped/{name}": data for name, data in stopped.items()}
    found.left["access.log"] = gateway.access_log.encode()
    found.left["error.log"] = gateway.error_log.encode()
    return found


def test_d7_60_no_secret_is_written_down(leaks):
    found = []
    for place, key in leaks.placed.items():
        if place == "gateway: first letter encoded":
            continue  # nginx knows brands by their letters; its README says so
        secret = key.secret.encode()
        for needle in (secret, secret.lower()):
            found += [(place, name) for name, data in leaks.left.items() if needle in data]
    assert not found, "\n".join(f"{place} -> {name}" for place, name in found)


def test_d7_60_neither_is_one_in_base64(leaks):
    for place, key in leaks.placed.items():
        for text in (f"{key.text}:", f"user:{key.text}"):
            encoded = base64.b64encode(text.encode()).rstrip(b"=")[4:-4]
            for name, data in leaks.left.items():
                assert encoded not in data, (place, name)


def test_d7_60_what_init_showed_once_is_in_the_profile_alone(leaks):
    token = leaks.latchgate.token.encode()
    password = leaks.latchgate.first["admin"]["password"].encode()
    holding = {name.partition("/")[2] for name, data in leaks.left.items() if token in data}
    assert holding == {"profile.toml"}
    assert [name for name, data in leaks.left.items() if password in data] == []


def test_d7_60_refusals_were_kept_all_the_same(leaks):
    kept = b"".join(data for name, data in leaks.left.items() if "stopped/latchgate-usage" in name)
    assert kept.count(b"path_ambiguous") > 10
    assert b"***" in kept
    assert len(leaks.placed) > 200


def test_d7_61_every_line_of_the_log_is_json(leaks):
    lines = leaks.left["stopped/latchgate.stderr"].decode().splitlines()
    assert all({"event", "level", "timestamp"} <= json.loads(line).keys() for line in lines)


def test_d7_61_a_line_of_the_access_log_is_one_request(leaks):
    lines = leaks.left["access.log"].decode().splitlines()
    shape = re.compile(
        r'[0-9.]+ \[[0-9T:+-]+\] "[^"]*" \d{3} \d+ [0-9.]+ tenant="[^"]*" credential="[^"]*"'
        r' application="[^"]*" decision="[^"]*" "[^"]*"'
    )
    assert lines
    assert [line for line in lines if not shape.fullmatch(line)] == []


def test_d7_61_log_lines_can_not_be_forged(mirror, latchgate):
    forged = 'x" 200 0 tenant="t-evil'
    for agent in (forged, "a\x1b[31mred", "a\tb", "\xe9\xff", "\\x22", "a\x7fb"):
        with Wire(mirror.address) as wire:
            wire.send(written("GET", "/v1/storage/forged", [("User-Agent", agent)]))
            assert wire.answer().status in {400, 401}
    lines = [line for line in mirror.access_log.splitlines() if "/v1/storage/forged" in line]
    assert lines
    assert not [line for line in lines if 'tenant="t-evil' in line]
    assert all(line.isprintable() and line.isascii() for line in lines)
    assert "\x1b" not in latchgate.stderr


def test_d7_62_failed_tokens_cost_no_line_of_the_log(latchgate, verify):
    before = latchgate.stderr
    with Wire(verify) as wire:
        for number in range(2_000):
            key = f"wayscloud_storage_{number:x}_nobody"
            headers = [*told(), ("Authorization", f"Bearer {key}")]
            assert wire.ask("GET", "/nginx", headers).status == 401
    assert latchgate.stderr == before


def test_d7_63_nothing_of_the_api_opens_without_a_token(latchgate):
    document = latchgate.call("GET", "/manage/v1/openapi.json")
    open_paths = {"/healthz": 200, "/readyz": 200, "/manage/v1/openapi.json": 200}
    # Anybody may ask for an application; what asks for a developer's token says so itself.
    open_paths |= {"/manage/v1/application-requests": 422}
    seen = 0
    with Wire(latchgate.api) as wire:
        for path, operations in document["paths"].items():
            for method in operations:
                target = re.sub(r"\{[a-z_]+\}", "x", path)
                headers = [("Content-Type", "application/json")]
                answer = wire.ask(
                    method.upper(), target, headers, b"{}" if method != "get" else b""
                )
                assert answer.status == open_paths.get(path, 401), (method, path)
                seen += 1
    assert seen >= 11


def test_d7_63_a_customers_key_manages_nothing(latchgate, keys):
    with Wire(latchgate.api) as wire:
        for key in (keys.storage, keys.dns):
            headers = [("Authorization", f"Bearer {key.text}")]
            for target in ("/manage/v1/keys", "/manage/v1/policy", f"/manage/v1/keys/{key.id}"):
                assert wire.ask("GET", target, headers).status in {401, 403}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"services": ' + b"[" * 100_000,
        b'{"name": "' + b"a" * 2_000_000 + b'"}',
        b'{"name": "\xff"}',
        b"\xff\xfe",
        b"",
        b"null",
        b"1" * 5_000,
        b"1e999999",
    ],
    ids=range(10),
)
def test_d7_63_bodies_that_are_too_much(latchgate, body):
    logged = latchgate.stderr
    head = [("Authorization", f"Bearer {latchgate.token}"), ("Content-Type", "application/json")]
    (answer,) = exchange(
        latchgate.api, written("POST", "/manage/v1/keys", [*head, ("Connection", "close")], body)
    )
    assert answer.status in {400, 413, 422}
    assert answer.one("Content-Type") == "application/problem+json"
    assert latchgate.stderr == logged


def test_d7_65_nothing_is_the_same_in_two_installations(latchgate, stranger_first):
    first, second = latchgate.first, stranger_first
    assert first["token"] != second["token"]
    assert first["admin"]["password"] != second["admin"]["password"]
    assert len(second["admin"]["password"]) >= 20
    answer = exchange(
        latchgate.api,
        written("GET", "/manage/v1/keys", [("Authorization", f"Bearer {second['token']}")]),
        seconds=1,
    )
    assert answer[0].status == 401


@pytest.fixture
def stranger_first(tmp_path):
    """What another `init` printed."""
    return Latchgate(tmp_path / "stranger").first


def test_d7_65_init_changes_nothing_that_exists(latchgate):
    before = {
        name: data
        for name, data in latchgate.files().items()
        if name.endswith((".toml", ".stdout"))
    }
    failed = latchgate.run("init", "--config", str(latchgate.config), status=1)
    assert "already exists" in failed.stderr
    after = latchgate.files()
    assert {name: after[name] for name in before} == before


def test_d7_65_what_holds_secrets_is_its_owners_alone(latchgate):
    for path in latchgate.folder.rglob("*"):
        if path.suffix not in {".stdout", ".stderr"} and path.name != "__pycache__":
            assert not path.stat().st_mode & 0o077, path
