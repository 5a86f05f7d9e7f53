"""A Latchgate with many keys in it, and the questions that gateways ask about them.

Rule of this file: nothing is made easier than an operator's own database would be. Keys are issued
by the kind itself and stand in the journal, belong to many users, and every one asks for
its own path; a few users' addresses repeat, as they do behind a real gateway.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from benchmarks.machine import ROOT, UnableError

from latchgate import providers
from latchgate.config import Config, load
from latchgate.core.kinds import IssuedKind
from latchgate.core.kinds.service_key import ENTROPY_BYTES, ServiceKey
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.secret import CHECKSUM_LENGTH, checksum
from latchgate.manage.policy import publish, published
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store, chain
from latchgate.store.sqlite import driver

HOST = "api.example.com"
USERS = 1_000
ADDRESSES_PER_USER = 4
EXPIRED = 5_000
CHANGES_PER_SECOND = 10
_CHUNK = 10_000
_LONG = 1_000  # of 8 kB each
_SERVICES = ("storage", "storage", "storage", "llm", "dns")
# Of the areas that are asked for; the others lie beside them, below the same first segment.
_PATHS = ('path = "/v1/storage"', 'path = "/v1/chat/completions"', 'path = "/v1/dns"')
_AREA = """\
path = "/v1/more-{number}"
service = "storage"
accepts = ["service_key"]
rules = [{{ methods = ["GET"], scope = "storage:read" }}]
"""
_ENVIRONMENTS = (None, "dev", "staging", "production")
_ACTOR = Actor(name="local:benchmark", tenant_id=None)


class Question(NamedTuple):
    """One request of an API's client, as its gateway tells of it."""

    method: str
    target: str
    address: str
    authorization: str

    def spelled(self) -> bytes:
        """Return what nginx sends with deploy/nginx/latchgate-server.conf."""
        presented = f"Authorization: {self.authorization}\r\n" if self.authorization else ""
        return (
            "GET /nginx/short HTTP/1.1\r\n"
            "Host: latchgate\r\n"
            f"X-Original-Method: {self.method}\r\n"
            f"X-Original-URI: {self.target}\r\n"
            f"X-Original-Host: {HOST}\r\n"
            "X-Original-Scheme: https\r\n"
            f"X-Real-IP: {self.address}\r\n"
            f"{presented}"
            "User-Agent: python-requests/2.34.2\r\n"
            "Accept: */*\r\n"
            "\r\n"
        ).encode()

    def sent(self) -> bytes:
        """Return what the client sent to a gateway that has a load balancer before it."""
        return (
            f"{self.method} {self.target} HTTP/1.1\r\n"
            f"Host: {HOST}\r\n"
            f"X-Forwarded-For: {self.address}\r\n"
            f"Authorization: {self.authorization}\r\n"
            "User-Agent: python-requests/2.34.2\r\n"
            "Accept: */*\r\n"
            "\r\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class Stock:
    """The database, and files of questions in random order, by what their answer is for."""

    config: Config
    sample: Question
    questions: Path  # as JSON, for a program that decides by itself
    accepted: Path
    everywhere: Path  # as accepted, but each from an address of its own
    sent: Path  # as accepted, but what clients send to a gateway
    refused: Mapping[str, Path]
    seconds: float


def stock(folder: Path, keys: int, *, unused: int = 0, areas: int | None = None) -> Stock:
    """Make a Latchgate with `keys` keys that verify, and files of questions about them.

    `unused` more are stored that nobody asks with. With `areas`, its policy has that number of
    them; else it is the one that is shipped.
    """
    begun = time.monotonic()
    config = _initialized(folder)
    rng = random.Random(1)
    store = Store(config.database, clock=time.time)
    try:
        if areas is not None:
            with store.change(_ACTOR) as change:
                publish(change, {"wayscloud.toml": _with_areas(areas)})
        kind, policy = _policy(store)
        with store.change(_ACTOR) as change:
            book = _Book(change, kind, policy, rng)
            book.users()
            good = list(book.keys(keys, expired=False))
            late = list(book.keys(min(keys, EXPIRED), expired=True))
            book.close()
    finally:
        store.close()
    _fill(config, unused)
    for asked in (good, late):
        rng.shuffle(asked)
    refused = _refused(good, kind, rng) | {"expired": late}
    far = [one._replace(address=_far(i, rng)) for i, one in enumerate(good)]
    questions = folder / "questions.json"
    questions.write_text(json.dumps(good))
    return Stock(
        config=config,
        sample=good[0],
        questions=questions,
        accepted=_written(folder / "accepted", good),
        everywhere=_written(folder / "everywhere", far),
        sent=_written(folder / "sent", good, Question.sent),
        refused={
            name: _written(folder / name.replace(" ", "-"), asked)
            for name, asked in refused.items()
        },
        seconds=time.monotonic() - begun,
    )


@contextlib.contextmanager
def changing(stock: Stock) -> Iterator[None]:
    """Make keys in the meantime, as another worker of the same server would."""
    ended = threading.Event()
    worker = threading.Thread(target=_make_keys, args=(stock.config, ended), daemon=True)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def _make_keys(config: Config, ended: threading.Event) -> None:
    rng = random.Random()
    store = Store(config.database, clock=time.time)
    try:
        kind, policy = _policy(store)
        while not ended.wait(1 / CHANGES_PER_SECOND):
            with store.change(_ACTOR) as change:
                book = _Book(change, kind, policy, rng)
                list(book.keys(1, expired=False))
                book.close()
    finally:
        store.close()


def _policy(store: Store) -> tuple[IssuedKind, Policy]:
    version, _, files = published(store)
    policy = with_built_in(files, providers.text(providers.BUILT_IN), version=version)
    kind = policy.kinds["wayscloud.service_key"]
    assert isinstance(kind, ServiceKey)
    return kind, policy


def _initialized(folder: Path) -> Config:
    file = folder / "latchgate.toml"
    command = [sys.executable, "-m", "latchgate", "init", "--config", str(file), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnableError(f"latchgate init failed: {done.stderr}")
    return load(file)


def _with_areas(number: int) -> str:
    """Return WAYSCloud's policy with those areas that are asked for, and others up to a number."""
    head, *areas = providers.text("wayscloud.toml").split("\n[[areas]]\n")
    asked = [one for one in areas if one.startswith(_PATHS)]
    more = [_AREA.format(number=i) for i in range(number - len(asked))]
    return "\n[[areas]]\n".join([head, *more, *asked])


def _fill(config: Config, number: int) -> None:
    """Store keys as rows, without journal: what decisions read is there, and it takes seconds."""
    told = {"id": "substr(lower(hex(randomblob(8))), 1, 12)", "digest": "randomblob(32)"}
    names = [column.name for column in schema.credential.c]
    rows = ", ".join(told.get(name, f"c.{name}") for name in names)
    with contextlib.closing(driver.connect(str(config.database))) as connection, connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"  # noqa: S608 - columns of our own
            f" INSERT OR IGNORE INTO credential ({', '.join(names)}) SELECT {rows} FROM"
            " (SELECT * FROM credential WHERE kind = 'wayscloud.service_key' LIMIT 1) AS c, n"
            " WHERE i <= ?",
            (number, number),
        )


class _Book:
    """Records and their journal rows, written in one transaction and many at a time."""

    def __init__(
        self, change: Change, kind: IssuedKind, policy: Policy, rng: random.Random
    ) -> None:
        self._change = change
        self._kind = kind
        self._policy = policy
        self._rng = rng
        self._rows: dict[sa.Table, list[dict[str, Any]]] = {}
        head = change.execute(sa.select(schema.journal_head)).mappings().one()
        self._n, self._hash = head["n"], bytes(head["hash"])
        self._tenant = change.execute(sa.select(schema.tenant.c.id)).scalar_one()
        self._project = change.execute(sa.select(schema.project.c.id)).scalar_one()
        self._users = [f"u-bench{number:011d}" for number in range(USERS)]

    def users(self) -> None:
        """Write the keys' owners and the role they all have."""
        role = "r-bench00000000000"
        scopes = sorted(set().union(*(self._policy.scopes_of(name) for name in _SERVICES)))
        row = {"id": role, "tenant_id": self._tenant, "name": "customer", "implies": "[]"}
        row |= {"scopes": json.dumps(scopes), "created_at": self._change.at}
        self._note(schema.role, "role.create", Noun.ROLE, row)
        for user in self._users:
            row = {"id": user, "tenant_id": self._tenant, "name": user, "active": True}
            row |= {"sort": "main", "api": True, "networks": None, "email": None}
            row["created_at"] = self._change.at
            self._note(schema.user, "user.create", Noun.USER, row)
            assigned = {"user_id": user, "project_id": self._project, "role_id": role}
            self._rows.setdefault(schema.role_assignment, []).append(assigned)
        self._flush()

    def keys(self, count: int, *, expired: bool) -> Iterator[Question]:
        """Write keys, and yield a question for each."""
        at = self._change.at
        scopes = {name: json.dumps(sorted(self._policy.scopes_of(name))) for name in _SERVICES}
        for i in range(count):
            service = _SERVICES[i % len(_SERVICES)]
            key_id, text, digest, hint = _issued(self._kind, self._rng, service)
            bound = i % 4 == 0
            row = {
                "id": key_id,
                "kind": self._kind.name,
                "tenant_id": self._tenant,
                "project_id": self._project,
                "owner_id": self._users[i % USERS],
                "parent_id": None,
                "name": f"key {i}",
                "description": "",
                "services": json.dumps([service]),
                "scopes": scopes[service],
                "networks": json.dumps(["10.0.0.0/8", "2001:db8::/32"]) if bound else None,
                "environment": _ENVIRONMENTS[i % 4],
                "external_id": f"customer-{i % USERS}" if i % 5 == 0 else None,
                "metadata": "{}",
                "hint": hint,
                "created_at": at - 86_400,
                "created_by": _ACTOR.name,
                "issues": False,
                "expires_at": at - 60 if expired else at + 7_776_000 if i % 10 == 0 else None,
                "revoked_at": None,
            }
            self._note(schema.credential, "key.create", Noun.CREDENTIAL, row)
            row["digest"] = digest
            address = i % (USERS * ADDRESSES_PER_USER)
            method, target = _asked(service, i)
            where = f"10.{address >> 8 & 255}.{address & 255}.{i % 4 + 1}"
            yield Question(method, target, where, f"Bearer {text}")
            if i % _CHUNK == _CHUNK - 1:
                self._flush()
        self._flush()

    def _note(self, table: sa.Table, action: str, noun: Noun, row: dict[str, Any]) -> None:
        """Take the next journal number for a row, chained as Change.note() does one by one."""
        self._n += 1
        journal = {
            "n": self._n,
            "at": self._change.at,
            "actor": _ACTOR.name,
            "action": action,
            "noun": str(noun),
            "record": row["id"],
            "tenant_id": self._tenant,
            "detail": json.dumps(row, sort_keys=True, separators=(",", ":")),
            "credential_id": None,
            "address": None,
        }
        row["version"] = self._n
        previous, self._hash = self._hash, chain(self._hash, journal)
        journal |= {"previous": previous, "hash": self._hash}
        self._rows.setdefault(table, []).append(row)
        self._rows.setdefault(schema.journal, []).append(journal)

    def _flush(self) -> None:
        for table, rows in self._rows.items():
            if rows:
                self._change.connection.execute(sa.insert(table), rows)
        self._rows.clear()

    def close(self) -> None:
        """Move the journal's head to the last row written."""
        head = sa.update(schema.journal_head).values(n=self._n, hash=self._hash)
        self._change.execute(head)


def _issued(kind: IssuedKind, rng: random.Random, service: str) -> tuple[str, str, bytes, str]:
    issued = kind.issue(Spec(service=service), rng.randbytes(ENTROPY_BYTES))
    return issued.id, issued.secret.reveal(), issued.digest, issued.hint


def _asked(service: str, i: int) -> tuple[str, str]:
    if service == "llm":
        return "POST", "/v1/chat/completions"
    if service == "dns":
        return "GET", f"/v1/dns/zones/zone-{i}.example/records"
    method = ("GET", "GET", "PUT", "GET", "DELETE")[i % 7 % 5]
    query = "?versionId=3" if i % 3 == 0 else ""
    return method, f"/v1/storage/bucket-{i % 977}/2026/photo-{i}.jpg{query}"


def _refused(
    good: list[Question], kind: IssuedKind, rng: random.Random
) -> dict[str, list[Question]]:
    """Return questions like good ones, each sort with one thing wrong."""
    return {
        "unknown key": [_with(one, _issued(kind, rng, "storage")[1]) for one in good],
        "wrong secret": [
            _with(one, _other_secret(one.authorization[7:], kind, rng)) for one in good
        ],
        "malformed": [one._replace(authorization=_broken(one, i)) for i, one in enumerate(good)],
        "nothing presented": [one._replace(authorization="") for one in good],
        # Neither may be what it isn't: a key of one service is asked for another's scope.
        "another service": [one._replace(target=_elsewhere(one, i)) for i, one in enumerate(good)],
        "no area": [one._replace(target=f"/nowhere/{i}") for i, one in enumerate(good)],
        "long path": [
            one._replace(target=f"/nowhere/{i}{'/x' * 4_000}") for i, one in enumerate(good[:_LONG])
        ],
    }


def _elsewhere(question: Question, i: int) -> str:
    dns = question.target.startswith("/v1/dns/")
    return f"/v1/storage/bucket-{i}/photo.jpg" if dns else f"/v1/dns/zones/zone-{i}.example/records"


def _with(question: Question, key: str) -> Question:
    return question._replace(authorization=f"Bearer {key}")


def _other_secret(key: str, kind: IssuedKind, rng: random.Random) -> str:
    """Return the key's public part with another key's secret, and a checksum that is right."""
    brand, service, key_id, _ = key.split("_", 3)
    other = _issued(kind, rng, service)[1].split("_", 3)[3][:-CHECKSUM_LENGTH]
    body = f"{brand}_{service}_{key_id}_{other}"
    return body + checksum(body)


def _broken(question: Question, i: int) -> str:
    good = question.authorization
    return (
        good[:-1] + ("0" if good[-1] != "0" else "1"),  # mistyped: its checksum is wrong
        good[7:],  # no scheme
        good.replace("Bearer ", "Bearer  "),
        good.replace("Bearer ", "bearer "),
        good[:30],  # cut short
    )[i % 5]


def _far(i: int, rng: random.Random) -> str:
    """Return one of 16 million addresses that every key here may be used from."""
    return f"10.{rng.randrange(256)}.{rng.randrange(256)}.{i % 256}"


def _written(
    path: Path,
    questions: list[Question],
    spelled: Callable[[Question], bytes] = Question.spelled,
) -> Path:
    path.write_bytes(b"".join(map(spelled, questions)))
    return path
