"""What benchmarks/worst.py asks: each case a list of questions, and the status that answers them.

Rule of this file: a case differs from the accepted request in one thing alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import sqlalchemy as sa
from tests.world import MadeKey, Owner, World

from latchgate.core.model import Noun
from latchgate.core.secret import BASE62, CHECKSUM_LENGTH, CROCKFORD_LOWER, checksum
from latchgate.store import schema

KEYS = 20  # questions go round among so many
PLACES = 50
ACCEPTED = "accepted"
_TARGET = "/v1/storage/bucket/object-{}"
_HOST, _CLIENT = "api.example", "192.0.2.1"


class Case(msgspec.Struct):
    """One thing that may be asked: `answer` begins every answer to its `questions`.

    `beside` names what it is compared with, `policy` the policy of the engine that is asked. A case
    that is `fresh` has no question asked twice; each `connects` on a connection of its own.
    """

    name: str
    questions: list[str]
    answer: str
    beside: str = ACCEPTED
    policy: str = "shipped"
    fresh: bool = False
    connects: bool = False


def question(
    authorization: str | None,
    *,
    method: str = "GET",
    target: str = _TARGET.format(0),
    client: str = _CLIENT,
    more: str = "",
) -> str:
    """Return one question as the shipped configuration of nginx asks it."""
    credential = f"Authorization: {authorization}\r\n" if authorization is not None else ""
    return (
        f"GET /nginx HTTP/1.1\r\nHost: 127.0.0.1:8422\r\nX-Original-Method: {method}\r\n"
        f"X-Original-URI: {target}\r\nX-Original-Host: {_HOST}\r\nX-Original-Scheme: https\r\n"
        f"X-Real-IP: {client}\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n{credential}{more}\r\n"
    )


def worlds(folder: Path) -> dict[str, World]:
    """Make a database for each policy."""
    found = {"shipped": World(folder / "shipped")}
    for areas in (5, 500):
        world = found[f"areas-{areas}"] = World(folder / f"areas-{areas}")
        world.publish({"wayscloud.toml": _policy(areas)})
    return found


def _policy(areas: int) -> str:
    text = 'provider = "wayscloud"\ntitle = "Many"\ndialect = "wayscloud"\n'
    text += '[kinds.service_key]\nbrand = "wayscloud"\nkey_header = "X-API-Key"\n'
    text += '[services.storage]\ntitle = "Storage"\n[services.storage.scopes]\n'
    text += '"storage:read" = "Read"\n'
    for i in range(areas):
        text += f'[[areas]]\npath = "/v1/area-{i:03d}"\naccepts = ["service_key"]\n'
        text += 'service = "storage"\n'
        text += 'rules = [{ methods = ["GET"], signed_in = true }]\n'
    return text


class Cases:
    """The cases over some worlds: `count` questions each, `fresh` where none may come twice."""

    def __init__(self, found: dict[str, World], *, count: int, fresh: int) -> None:
        self._worlds = found
        self._world = found["shipped"]
        self._count, self._fresh = count, fresh
        self._rng = random.Random(10)
        self._good = [self._world.key() for _ in range(KEYS)]

    def all(self) -> Iterator[Case]:
        """Return each case; the first is what others are compared with."""
        yield from self._accepted()
        yield from self._unproven()
        yield from self._fallen()
        yield from self._elsewhere()
        yield from self._areas()

    def _asked(
        self, name: str, answer: str, ask: Callable[[int], str], *, fresh: bool = False
    ) -> Case:
        number = self._fresh if fresh else self._count
        asked = [ask(i) for i in range(number)]
        return Case(name, asked, f"HTTP/1.1 {answer}", fresh=fresh)

    def _with(self, name: str, answer: str, keys: list[MadeKey], **parts: str) -> Case:
        def ask(i: int) -> str:
            target = parts.get("target", _TARGET).format(i % PLACES)
            bearer = f"Bearer {keys[i % len(keys)].text}"
            return question(bearer, **{**parts, "target": target})

        return self._asked(name, answer, ask)

    def _keys(self, **spec: object) -> list[MadeKey]:
        return [self._world.key(**spec) for _ in range(KEYS)]  # type: ignore[arg-type]

    def _accepted(self) -> Iterator[Case]:
        good, networks = self._good, [f"10.{i}.0.0/16" for i in range(99)]
        yield self._with(ACCEPTED, "200", good)
        many = self._keys(networks=[*networks, "192.0.2.0/24"])
        yield self._with("accepted: 100 networks, the last one fits", "200", many)
        mixed = [f"10.{i}.{i}.0/{20 + i % 9}" for i in range(99)]
        yield self._with(
            "accepted: 100 networks of many lengths",
            "200",
            self._keys(networks=[*mixed, "192.0.2.0/24"]),
        )
        scopes = [*(f"storage:scope-{i}" for i in range(199)), "storage:read"]
        yield self._with("accepted: 200 scopes", "200", self._keys(scopes=scopes))
        yield self._with("accepted: IPv6 client", "200", good, client="2001:db8::17")
        far = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(1 << 17)]
        self._rng.shuffle(far)

        def from_afar(i: int) -> str:
            return question(f"Bearer {good[i % KEYS].text}", client=far[i])

        yield self._asked("accepted: each from an address of its own", "200", from_afar, fresh=True)
        yield self._with(
            "accepted: percent-encoded path", "200", good, target="/v1/storage/b%C3%BCcher/a%20{}"
        )
        yield self._with(
            "accepted: query of 2 KiB", "200", good, target=f"{_TARGET}?list={'x' * 2_048}"
        )
        yield self._with(
            "accepted: path of 4 KiB", "200", good, target=f"{_TARGET}/{'segment/' * 500}end"
        )

        def elsewhere(i: int) -> str:
            return question(f"Bearer {good[i % KEYS].text}", target=_TARGET.format(f"new-{i}"))

        yield self._asked("accepted: ever-changing paths", "200", elsewhere, fresh=True)
        yield self._with("accepted: a header of 8 KiB", "200", good, more=f"X-A: {'x' * 8192}\r\n")

    def _unproven(self) -> Iterator[Case]:
        good, rng = self._good, self._rng
        unknown = [_forged(key.text, rng, known=False) for key in good]
        yield self._text("unknown key", "401", unknown)

        def ever_new(i: int) -> str:
            return question(f"Bearer {_forged(good[i % KEYS].text, rng, known=False)}")

        yield self._asked("unknown keys, ever new", "401", ever_new, fresh=True)
        yield self._text(
            "wrong secret", "401", [_forged(key.text, rng, known=True) for key in good]
        )

        def guessed(i: int) -> str:
            return question(f"Bearer {_forged(good[i % KEYS].text, rng, known=True)}")

        yield self._asked("wrong secrets, ever new", "401", guessed, fresh=True)
        yield self._text("malformed: checksum wrong", "401", [_mistyped(key.text) for key in good])
        yield self._asked("malformed: no scheme", "401", lambda i: question(good[i % KEYS].text))
        yield self._text("malformed: 8 KiB of key", "401", [key.text + "x" * 8192 for key in good])
        yield self._asked("missing credential", "401", lambda _: question(None))
        yield self._asked(
            "another's credential", "401", lambda _: question("Bearer ucat_" + "0A" * 13)
        )
        yield self._asked("Basic where none is taken", "401", lambda _: question("Basic YTpi"))

    def _text(self, name: str, answer: str, texts: list[str]) -> Case:
        return self._asked(name, answer, lambda i: question(f"Bearer {texts[i % len(texts)]}"))

    def _fallen(self) -> Iterator[Case]:
        world = self._world
        past = world.clock() - 60
        yield self._with("expired", "401", self._keys(expires_at=past))
        revoked = self._keys()
        for key in revoked:
            world.revoke(key)
        yield self._with("revoked", "401", revoked)
        owner = world.somebody()
        whose = self._keys(owner=owner)
        self._suspend(owner)
        yield self._with("suspended owner", "401", whose)
        scopes = [*(f"storage:scope-{i}" for i in range(199)), "storage:write"]
        yield self._with("scope missing, 200 others", "403", self._keys(scopes=scopes))
        yield self._with("service not granted", "403", world_keys(world, "dns"))
        networks = [f"10.{i}.0.0/16" for i in range(100)]
        yield self._with("network not allowed, of 100", "403", self._keys(networks=networks))

    def _suspend(self, owner: Owner) -> None:
        table = schema.user
        off = sa.update(table).where(table.c.id == owner.user_id).values(active=False)
        self._world.change(Noun.USER, owner.user_id, off)

    def _elsewhere(self) -> Iterator[Case]:
        good = self._good
        yield self._with("no area", "403", good, target="/v2/nothing/{}")

        def lost(i: int) -> str:
            return question(f"Bearer {good[i % KEYS].text}", target=f"/v1/nothing/{i}")

        yield self._asked("no area, ever-changing paths", "403", lost, fresh=True)
        yield self._with("method not allowed", "403", good, method="PATCH")
        yield self._with("path ambiguous", "403", good, target="/v1/storage/../{}")
        yield self._with("path not decodable", "403", good, target="/v1/storage/%zz/{}")
        yield self._with(
            "path of 4 KiB, percent-encoded twice",
            "403",
            good,
            target=f"/v1/storage/{{}}{'/%2541' * 800}",
        )
        yield self._with("no client address", "403", good, client="nowhere")
        opened = self._with("accepted, connection included", "200", good)
        opened.connects = True
        yield opened
        over = self._with("head over 64 KiB", "431", good, more=f"X-A: {'x' * 70_000}\r\n")
        over.connects, over.beside = True, opened.name
        yield over

    def _areas(self) -> Iterator[Case]:
        for new in ("", ", ever-changing paths"):
            first = f"5 areas{new}"
            for areas in (5, 500):
                policy = f"areas-{areas}"
                # Each key asks in five areas, and any hundred questions are of every key.
                keys = [self._worlds[policy].key() for _ in range(KEYS)]

                def ask(
                    i: int, areas: int = areas, keys: list[MadeKey] = keys, new: str = new
                ) -> str:
                    whose = i // 5 % len(keys)
                    area = (25 * whose + i % 5) % areas
                    target = f"/v1/area-{area:03d}/object/{i if new else i % 500:06d}"
                    return question(f"Bearer {keys[whose].text}", target=target)

                found = self._asked(f"{areas} areas{new}", "200", ask, fresh=bool(new))
                found.policy, found.beside = policy, first
                yield found


def world_keys(world: World, service: str) -> list[MadeKey]:
    """Make keys of one service."""
    return [world.key(service) for _ in range(KEYS)]


def _forged(text: str, rng: random.Random, *, known: bool) -> str:
    """Return a key with a secret of nobody's, and an id of nobody's too where it isn't `known`."""
    brand, service, key_id, secret = text.split("_", 3)
    if not known:
        key_id = "".join(rng.choices(CROCKFORD_LOWER, k=len(key_id)))
    drawn = "".join(rng.choices(BASE62, k=len(secret) - CHECKSUM_LENGTH))
    body = f"{brand}_{service}_{key_id}_{drawn}"
    return body + checksum(body)


def _mistyped(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")
