"""What tests share: a real database with records, an engine over it, a running server, its client.

A `World` is one database in this process, made by the program's own `initialize`. A `Server` is
the real command in a process of its own. Both are ended by whoever made them.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import http.client
import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import msgspec
import psycopg
import sqlalchemy as sa
from tests import forked

from latchgate import providers
from latchgate.core.kinds.service_key import ENTROPY_BYTES
from latchgate.core.kinds.spec import Spec
from latchgate.core.location import Location, Postgres
from latchgate.core.model import Credential, Decision, Grant, Key, Noun, Record, Request, User
from latchgate.core.network import Networks, parse_address
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.scope import ALL, Scopes
from latchgate.manage import keys, setup
from latchgate.manage.actor import Caller
from latchgate.manage.keys import KeySpec
from latchgate.manage.policy import publish
from latchgate.manage.rehash import rehash
from latchgate.signin.jwks import fetch
from latchgate.signin.oidc import Assertions
from latchgate.signin.pool import Passwords
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store
from latchgate.store.migrate import migrate
from latchgate.store.postgres_feed import PostgresFeed, Standing
from latchgate.store.reads import read_records
from latchgate.store.sqlite import connect, driver
from latchgate.verify.bell_engine import BellEngine
from latchgate.verify.engine import Engine, EngineParts
from latchgate.verify.lease_engine import Lease, LeaseEngine

if TYPE_CHECKING:
    from tests.postgres_world import Databases

LATCHGATE = forked.LATCHGATE
BUILT_IN = providers.text(providers.BUILT_IN)
WAYSCLOUD = providers.text("wayscloud.toml")
FILES = {f"{name}.toml": providers.text(f"{name}.toml") for name in providers.SHIPPED}
ACTOR = Actor(name="local:test", tenant_id=None)
START_SECONDS = 30.0
_numbers = itertools.count(1)


def compiled(files: Mapping[str, str], version: int) -> Policy:
    """Compile published files with the program's own, as server and verifier do."""
    return with_built_in(files, BUILT_IN, version=version)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a key is made for."""

    tenant_id: str
    project_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key and its secret."""

    id: str
    text: str
    owner: Owner

    @property
    def headers(self) -> dict[str, str]:
        """The header that presents it."""
        return {"authorization": f"Bearer {self.text}"}


@functools.cache
def _template() -> tuple[Path, setup.FirstRecords]:
    """Make the first database once; tests start from copies of its files."""
    folder = Path(tempfile.mkdtemp(prefix="latchgate-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    migrate(folder / "latchgate.db", "main")
    migrate(folder / "latchgate-usage.db", "usage")
    store = Store(folder / "latchgate.db", clock=time.time)
    first = setup.initialize(
        store,
        compiled(FILES, 1),
        FILES,
        entropy=secrets.token_bytes,
        hash_password=lambda _text: "$argon2id$made-up",
    )
    store.close()
    return folder, first


class World:
    """One database with a tenant, a project, an administrator's role, a user and a token."""

    database: Location
    usage_database: Location
    _databases: Databases | None = None

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        databases: Databases | None = None,
    ) -> None:
        """Make it in files below `folder`; with `databases`, all but usage in PostgreSQL."""
        template, first = _template()
        folder.mkdir(parents=True, exist_ok=True)
        self.usage_database = folder / "latchgate-usage.db"
        self._databases = databases
        # With their modes, which SQLite gives to the files beside them too.
        shutil.copy(template / "latchgate-usage.db", self.usage_database)
        if databases is not None:
            self.database, first = databases.take(), databases.first
        else:
            self.database = folder / "latchgate.db"
            shutil.copy(template / "latchgate.db", self.database)
        self._attach(clock)
        self.admin = MadeKey(self._first_key(), first.token.reveal(), self.owner)

    @classmethod
    def beside(cls, server: Server) -> Self:
        """Work on the database of a running server, as one more process would."""
        world = cls.__new__(cls)
        world.database = server.folder / "latchgate.db"
        world.usage_database = server.folder / "latchgate-usage.db"
        world._databases = None
        world._attach(time.time)
        world.admin = MadeKey(world._first_key(), server.token, world.owner)
        return world

    def _attach(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.store = Store(self.database, clock=clock)
        self._engines: list[Engine] = []
        self._passwords: list[Passwords] = []
        self.rehashed: list[bool] = []  # whether a foreign hash was replaced, each time one was due
        self._assertions: list[Assertions] = []
        user, assigned = schema.user, schema.role_assignment
        first = sa.select(user.c.tenant_id, assigned).join(assigned).order_by(user.c.created_at)
        row = self.one(first.limit(1))
        self.owner = Owner(row.tenant_id, row.project_id, row.user_id)
        self.role_id = row.role_id

    def _first_key(self) -> str:
        table = schema.credential
        first = sa.select(table.c.id).where(table.c.kind == "latchgate.service_key")
        key_id: str = self.one(first.order_by(table.c.created_at).limit(1)).id
        return key_id

    def close(self) -> None:
        """Close what was opened."""
        for engine in self._engines:
            engine.close()
        self._engines.clear()
        for pool in self._passwords:
            pool.close()
        self._passwords.clear()
        for proving in self._assertions:
            proving.close()
        self._assertions.clear()
        self.store.close()
        if self._databases is not None and isinstance(self.database, Postgres):
            self._databases.give_back(self.database)

    # --- reading

    def one(self, statement: sa.Select[Any]) -> sa.Row[Any]:
        """Return the only row of a statement."""
        with self.store.reading() as connection:
            return connection.execute(statement).one()

    def all(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """Return every row of a statement."""
        with self.store.reading() as connection:
            return connection.execute(statement).all()

    def head(self) -> int:
        """Return the number of the last journal row."""
        n: int = self.one(sa.select(schema.journal_head.c.n)).n
        return n

    def journal(self) -> Sequence[sa.Row[Any]]:
        """Return every journal row."""
        return self.all(sa.select(schema.journal).order_by(schema.journal.c.n))

    # --- changing

    @contextlib.contextmanager
    def changing(self) -> Iterator[Change]:
        """Run one change as the test."""
        with self.store.change(ACTOR) as change:
            yield change

    def change(self, noun: Noun, record: str, *statements: sa.Executable) -> int:
        """Change one record through the store, with its journal row, and return the number."""
        with self.changing() as change:
            for statement in statements:
                change.execute(statement)
            return change.note("test.change", noun, record, tenant_id=None, detail={})

    def make(self, noun: Noun, table: sa.Table, prefix: str, **row: object) -> str:
        """Insert one record under a fresh id."""
        record = f"{prefix}-{next(_numbers)}"
        self.change(noun, record, sa.insert(table).values(id=record, version=0, **row))
        return record

    def tenant(self) -> str:
        """Make a tenant."""
        name = f"tenant {next(_numbers)}"
        return self.make(
            Noun.TENANT, schema.tenant, "t", name=name, active=True, created_at=self.clock()
        )

    def project(self, tenant_id: str) -> str:
        """Make a project."""
        row = {"tenant_id": tenant_id, "active": True, "created_at": self.clock()}
        name = f"project {next(_numbers)}"
        return self.make(Noun.PROJECT, schema.project, "p", name=name, **row)

    def role(self, tenant_id: str | None, scopes: Iterable[str]) -> str:
        """Make a role."""
        row: dict[str, object] = {"tenant_id": tenant_id, "name": "role", "implies": "[]"}
        row |= {"scopes": json.dumps(sorted(scopes)), "created_at": self.clock()}
        return self.make(Noun.ROLE, schema.role, "r", **row)

    def user(self, tenant_id: str) -> str:
        """Make a user."""
        row: dict[str, object] = {"tenant_id": tenant_id, "active": True, "sort": "main"}
        row |= {"api": True, "networks": None, "email": None, "created_at": self.clock()}
        name = f"user {next(_numbers)}"
        return self.make(Noun.USER, schema.user, "u", name=name, **row)

    def assign(self, user_id: str, project_id: str, role_id: str) -> None:
        """Give a user a role in a project."""
        row = {"user_id": user_id, "project_id": project_id, "role_id": role_id}
        self.change(Noun.USER, user_id, sa.insert(schema.role_assignment).values(**row))

    def somebody(self, *scopes: str, tenant_id: str | None = None) -> Owner:
        """Make a user with a project of their own and a role there; in a new tenant unless told."""
        tenant = tenant_id if tenant_id is not None else self.tenant()
        project, user = self.project(tenant), self.user(tenant)
        self.assign(user, project, self.role(tenant, scopes or ("*",)))
        return Owner(tenant, project, user)

    def key(
        self,
        *services: str,
        scopes: Iterable[str] | None = None,
        networks: Iterable[str] | None = None,
        expires_at: float | None = None,
        owner: Owner | None = None,
        parent: MadeKey | None = None,
        **spec: Any,
    ) -> MadeKey:
        """Make a key by rows: any scopes, any owner, any parent; `storage` unless told."""
        with self.changing() as change:
            return self.key_in(
                change,
                *services,
                scopes=scopes,
                networks=networks,
                expires_at=expires_at,
                owner=owner,
                parent=parent,
                **spec,
            )

    def key_in(
        self,
        change: Change,
        *services: str,
        scopes: Iterable[str] | None = None,
        networks: Iterable[str] | None = None,
        expires_at: float | None = None,
        owner: Owner | None = None,
        parent: MadeKey | None = None,
        **spec: Any,
    ) -> MadeKey:
        """Make a key as part of a change."""
        named = list(services or ("storage",))
        policy = _shipped()
        kind = policy.issued(f"{policy.services[named[0]].provider}.service_key")
        issued = kind.issue(Spec(service=named[0]), secrets.token_bytes(ENTROPY_BYTES))
        held = ALL if scopes is None else Scopes.of(scopes)
        who = owner or self.owner
        keys.insert(
            change,
            kind=kind,
            issued=issued,
            spec=KeySpec(**({"name": "made by a test", "services": named} | spec)),
            scopes=held,
            networks=Networks.of(networks) if networks is not None else None,
            expires_at=expires_at,
            owner=(who.tenant_id, who.project_id, who.user_id),
        )
        if parent is not None:
            table = schema.credential
            change.execute(
                sa.update(table).where(table.c.id == issued.id).values(parent_id=parent.id)
            )
        return MadeKey(issued.id, issued.secret.reveal(), who)

    def revoke(self, key: MadeKey) -> int:
        """Revoke a key as its tenant's administrator would."""
        return keys.revoke(self.store, self.acting(key), key.id)[1]

    def publish(self, files: Mapping[str, str]) -> int:
        """Write policy files as the next version without a check; returns the version."""
        with self.changing() as change:
            version, _ = publish(change, files)
        return version

    # --- deciding

    def acting(self, key: MadeKey, rights: Scopes = ALL) -> Caller:
        """Return a key's bearer as who acts; `rights` cuts what it may do."""
        wanted = [(Noun.CREDENTIAL, key.id), (Noun.USER, key.owner.user_id)]
        found = self._read(wanted)
        credential, owner = (found[one] for one in wanted)
        assert isinstance(credential, Credential)
        assert isinstance(owner, User)
        grant = Grant(credential=credential, owner=owner, rights=credential.scopes & rights)
        return Caller(grant, None)

    def _read(self, keys: Sequence[Key]) -> Mapping[Key, Record | None]:
        """Read records as verifiers do."""
        if isinstance(self.database, Postgres):
            with contextlib.closing(self._feed(self.database)) as feed:
                return feed.read(keys).records
        with contextlib.closing(connect(self.database, durable=True, read_only=True)) as reader:
            return read_records(reader, keys).records

    def _feed(self, database: Postgres) -> PostgresFeed:
        standing = Standing("test", os.getpid(), "0", trust=2.0, stale=False)
        return PostgresFeed(database, standing, limit=START_SECONDS)

    def passwords(self, ticks: Callable[[], float] = time.monotonic) -> Passwords:
        """Return what checks passwords; closed with the world."""
        pool = Passwords(
            ticks=ticks,
            entropy=secrets.token_bytes,
            on_renewal=lambda renewal: self.rehashed.append(rehash(self.store, renewal)),
        )
        self._passwords.append(pool)
        return pool

    def assertions(self, fetch: Callable[[str], bytes]) -> Assertions:
        """Return what checks statements of identity providers; closed with the world."""
        made = Assertions(ticks=time.monotonic, entropy=secrets.token_bytes, fetch=fetch)
        self._assertions.append(made)
        return made

    def engine(
        self,
        *,
        clock: Callable[[], float] | None = None,
        ticks: Callable[[], float] = time.monotonic,
        on_decision: Callable[[Decision, Request, float], None] | None = None,
        compile_policy: Callable[[dict[str, str], int], Policy] = compiled,
        fetch: Callable[[str], bytes] = fetch,
    ) -> Engine:
        """Return a new engine over the database; closed with the world."""
        parts = EngineParts(
            clock=clock or self.clock,
            ticks=ticks,
            entropy=secrets.token_bytes,
            compile_policy=compile_policy,
            passwords=self.passwords(),
            assertions=self.assertions(fetch),
            on_decision=on_decision or (lambda *_: None),
        )
        engine: Engine
        if isinstance(self.database, Postgres):
            engine = Following(Lease(self._feed(self.database), 2.0), **parts)
        else:
            engine = BellEngine(self.database, **parts)
        self._engines.append(engine)
        return engine


class Following(LeaseEngine):
    """Decides by all that was changed before, as an engine on SQLite does and tests expect."""

    def decide(self, request: Request) -> Decision:
        """Decide once the journal was followed to where it is."""
        head = self.head()
        until(lambda: self.position >= head, seconds=START_SECONDS, what="following")
        return super().decide(request)


@functools.cache
def _shipped() -> Policy:
    return compiled(FILES, 1)


def asking(
    key: MadeKey | None = None,
    *,
    method: str = "GET",
    target: str = "/v1/storage/bucket/object",
    headers: Mapping[str, str] | None = None,
    client: str | None = "192.0.2.1",
) -> Request:
    """Return a request as a door would read it."""
    presented = key.headers if key is not None else {}
    return Request(
        method=method,
        host="api.example",
        target=target,
        headers={**presented, **(headers or {})},
        client=parse_address(client) if client is not None else None,
    )


def chain_faults(database: Location) -> list[str]:
    """Check a journal's numbers and hashes as an auditor would: with nothing of the program.

    Each row's hash is SHA-256 over the hash before it and the row as JSON with sorted names.
    """
    columns = ["n", "at", "actor", "action", "noun", "record", "tenant_id", "detail"]
    columns += ["credential_id", "address"]
    with contextlib.closing(_looking_at(database)) as connection:
        rows = connection.execute(
            f"SELECT {', '.join(columns)}, previous, hash FROM journal ORDER BY n"  # noqa: S608
        ).fetchall()
        head = connection.execute("SELECT n, hash FROM journal_head").fetchall()
    faults: list[str] = []
    before = bytes(32)
    for wanted, row in enumerate(rows, 1):
        told = dict(zip(columns, row[: len(columns)], strict=True))
        for name in ("credential_id", "address"):
            if told[name] is None:
                del told[name]  # as in rows from before they were kept
        text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if row[0] != wanted:
            faults.append(f"number {row[0]} stands where {wanted} belongs")
        if row[-2] != before:
            faults.append(f"row {row[0]} does not follow the row before it")
        before = hashlib.sha256(before + text.encode()).digest()
        if row[-1] != before:
            faults.append(f"row {row[0]} was altered")
    if head != [(len(rows), before)]:
        faults.append("the head is not that of the last row")
    return faults


def _looking_at(database: Location) -> Any:
    if isinstance(database, Postgres):
        return psycopg.connect(database.uri.reveal())
    return driver.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)


def where(database: Location) -> str:
    """Return what names a database in a configuration."""
    return database.uri.reveal() if isinstance(database, Postgres) else str(database)


def mode(path: Path) -> int:
    """Return a file's permission bits."""
    return path.stat().st_mode & 0o777


def file_of(location: Location) -> Path:
    """Return the file that a database is; not one in PostgreSQL."""
    assert isinstance(location, Path)
    return location


def until(
    condition: Callable[[], object], *, seconds: float = 30.0, what: str = "a condition"
) -> None:
    """Wait until a condition holds; fails when it does not in time."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            msg = f"{what} did not come true within {seconds} s"
            raise AssertionError(msg)
        time.sleep(0.01)


# --- the real server


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names are lower case."""

    status: int
    pairs: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The headers by lower-case name."""
        return dict(self.pairs)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The stable code of a problem document; empty for any other answer."""
        told = self.json
        return str(told.get("code", "")) if isinstance(told, dict) else ""


def http_request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
    seconds: float = 30.0,
) -> Answer:
    """Send one HTTP request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=seconds)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(
            method,
            target or "/",
            body=body,
            headers=dict(headers or {}),
            encode_chunked=body is not None and not isinstance(body, bytes),
        )
        return read_answer(connection)
    finally:
        connection.close()


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    """Read the answer on a connection."""
    answer = connection.getresponse()
    pairs = tuple((name.lower(), value) for name, value in answer.getheaders())
    return Answer(answer.status, pairs, answer.read())


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago, and that the system gives nobody.

    Those that it gives by itself (port 0, connections out) lie from 32768 on.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True, slots=True)
class Run:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return msgspec.json.decode(self.out)


def environment(**more: str) -> dict[str, str]:
    """Return an environment without any setting of Latchgate's but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LATCHGATE")}
    return {**kept, "COLUMNS": "200", "NO_COLOR": "1", **more}


def latchgate(
    *args: str | bytes,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    seconds: float = 60.0,
) -> Run:
    """Run the command line as a person would; never a traceback, whatever was given."""
    done = forked.run(
        [*LATCHGATE, *args],
        cwd=cwd,
        env=environment(**(env or {})),
        stdin=stdin,
        seconds=seconds,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in out + err, err
    return Run(done.returncode, out, err)


@functools.cache
def _initialized() -> tuple[Path, dict[str, Any]]:
    """Run `latchgate init` once; servers start from copies of what it made."""
    folder = Path(tempfile.mkdtemp(prefix="latchgate-init-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    anywhere = "127.0.0.1:0"
    options = ["--listen", anywhere, "--console-listen", anywhere, "--verify-listen", anywhere]
    done = latchgate("init", "--config", str(folder / "latchgate.toml"), "--json", *options)
    assert done.code == 0, done.err
    return folder, done.json


@dataclass(slots=True)
class Server:
    """`latchgate serve` in a process group of its own, on ports that the system chose."""

    folder: Path
    token: str
    first: dict[str, Any]
    workers: int = 1
    command: tuple[str, ...] = LATCHGATE
    process: subprocess.Popen[bytes] | None = None
    addresses: dict[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, folder: Path, *, workers: int = 1) -> Self:
        """Make a configuration and its databases; the server is not started yet."""
        template, told = _initialized()
        shutil.copytree(template, folder)
        return cls(folder, told["token"], told, workers)

    @classmethod
    def over(cls, folder: Path, uri: str) -> Self:
        """Make a configuration whose records are in an empty PostgreSQL; not started yet."""
        folder.mkdir(parents=True)
        file, anywhere = str(folder / "latchgate.toml"), "127.0.0.1:0"
        options = ["--listen", anywhere, "--console-listen", anywhere, "--verify-listen", anywhere]
        done = latchgate("init", "--config", file, "--json", "--database", uri, *options)
        assert done.code == 0, done.err
        return cls(folder, done.json["token"], done.json)

    @classmethod
    def started(cls, folder: Path, *, workers: int = 1) -> Self:
        """Make a configuration and start `latchgate serve`."""
        server = cls.made(folder, workers=workers)
        server.start()
        return server

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "latchgate.toml"

    @property
    def log(self) -> str:
        """What was written to standard error since the first start."""
        return (self.folder / "serve.log").read_text()

    @property
    def pid(self) -> int:
        """The process that was started: the supervisor when there are several workers."""
        assert self.process is not None
        return self.process.pid

    def start(self, *more: str, pass_fds: Sequence[int] = ()) -> None:
        """Start serving and wait until every address answers."""
        said = self.folder / "serve.json"
        said.unlink(missing_ok=True)
        arguments = ["serve", "--config", str(self.config), "--json"]
        arguments += ["--workers", str(self.workers), *more]
        with said.open("wb") as out, (self.folder / "serve.log").open("ab") as log:
            self.process = forked.popen(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=environment(),
                start_new_session=True,
                pass_fds=pass_fds,
            )
        until(
            lambda: said.read_bytes().endswith(b"}\n") or self.ended,
            seconds=START_SECONDS,
            what="the start",
        )
        assert not self.ended, self.log
        self.addresses = msgspec.json.decode(said.read_bytes())

    @property
    def ended(self) -> bool:
        """Whether the started process is gone."""
        return self.process is None or self.process.poll() is not None

    def stop(self, name: signal.Signals = signal.SIGTERM, *, seconds: float = 20.0) -> int:
        """Signal the started process alone and wait for its end; returns its exit code."""
        process = self.process
        assert process is not None
        process.send_signal(name)
        try:
            return process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the whole process group at once, as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None

    def children(self) -> list[int]:
        """Return the worker processes."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(text) for text in listed.split()]

    def call(
        self,
        method: str,
        path: str,
        told: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call the API with a token, the administrator's unless told; `told` goes as JSON."""
        sent = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        body = None
        if told is not None:
            sent.setdefault("Content-Type", "application/json")
            body = msgspec.json.encode(told)
        return http_request(method, self.addresses["api"] + path, headers=sent, body=body)

    def create(self, *services: str, token: str | None = None, **spec: Any) -> dict[str, Any]:
        """Make a key through the API; returns what was answered."""
        asked = {"name": "made by a test", "services": list(services or ("storage",)), **spec}
        answer = self.call("POST", "/manage/v1/keys", asked, token=token)
        assert answer.status == 201, answer.body
        made: dict[str, Any] = answer.json
        return made

    def allows(
        self, key: str, *, method: str = "GET", target: str = "/v1/storage/bucket/object"
    ) -> bool:
        """Ask the verify address about one request."""
        return self.verdict(key, method=method, target=target)["allowed"] is True

    def verdict(
        self, key: str, *, method: str = "GET", target: str = "/v1/storage/bucket/object"
    ) -> dict[str, Any]:
        """Return what the verify address answers for one request."""
        asked = {
            "method": method,
            "target": target,
            "host": "api.example",
            "headers": {"Authorization": f"Bearer {key}"},
            "client": "192.0.2.1",
        }
        answer = http_request(
            "POST", self.addresses["verify"] + "/", body=msgspec.json.encode(asked)
        )
        assert answer.status == 200, answer.body
        told: dict[str, Any] = answer.json
        return told

    def cli(self, *args: str, stdin: bytes = b"", cwd: Path | None = None, **env: str) -> Run:
        """Run the command line against this server with its administrator's token."""
        told = {"LATCHGATE_URL": self.addresses["api"], "LATCHGATE_TOKEN": self.token}
        return latchgate(*args, env=told | env, stdin=stdin, cwd=cwd or self.folder)


def raw_rows(database: Location, statement: str) -> list[tuple[Any, ...]]:
    """Run one query on the driver, beside everything else."""
    if isinstance(database, Postgres):
        with psycopg.connect(database.uri.reveal(), autocommit=True) as looking:
            return looking.execute(statement.encode()).fetchall()
    connection: sqlite3.Connection = driver.connect(
        f"{database.absolute().as_uri()}?mode=ro", uri=True
    )
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def run(database: Location, statement: str) -> None:
    """Run one statement that changes something on the driver, beside everything else."""
    if isinstance(database, Postgres):
        with psycopg.connect(database.uri.reveal(), autocommit=True) as changing:
            changing.execute(statement.encode())
        return
    connection = driver.connect(str(database), isolation_level=None)
    try:
        connection.execute(statement)
    finally:
        connection.close()
