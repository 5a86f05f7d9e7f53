"""Real PostgreSQL servers for tests, each ended when nobody who uses it is left.

A server listens on a unix socket, where everybody is believed, and on a free port of 127.0.0.1 for
who has the password. Latchgate is `latchgate` there, who owns its databases and may do nothing
else. As root all runs as the user `postgres`, in folders of that user: the server refuses root.

One server is `shared` by all processes of a test run. Who stops, breaks or configures one makes one
of its own from the files of that: `with Postgres.made(like=postgres) as server`. Each is watched by
a process that waits for a file's lock: held by the users, it is let go of however they end.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import pwd
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psycopg
from psycopg import sql

HOST = "127.0.0.1"
SUPERUSER = "postgres"
ROLE = "latchgate"
START_SECONDS = 60
PORTS_TRIED = 20
_SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off  # no test cuts the power; what a killed server wrote is in the system's memory
shared_buffers = 32MB
max_connections = 200
checkpoint_timeout = 1h
timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
"""
# Once the lock is free: nobody finds the server any more, it ends, though it be suspended, and
# its folder goes.
_WATCH = """
rm -f "$1"; home=$2; shift 2
read -r pid <"$home/data/postmaster.pid" && kill -CONT $pid $(cat /proc/$pid/task/$pid/children)
"$@"
rm -rf "$home"
"""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test; `uri` is for Latchgate, over TCP, and holds the password."""

    name: str
    uri: str
    socket_uri: str


class Postgres:
    """A PostgreSQL server: `home` holds its `data`, its socket and its log."""

    def __init__(self, home: Path, *, password: str, port: int = 0) -> None:
        self.home = home
        self.password = password
        self.port = port
        self._hold: IO[str] | None = None

    @classmethod
    def made(cls, *, like: Postgres) -> Self:
        """Make a server, not started, of the files that another began with."""
        server = cls(home(), password=like.password)
        server.watch(server.home / "users")
        run("cp", "--archive", str(like.home / "pristine"), str(server.data))
        return server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    @property
    def log(self) -> str:
        """All it has said, over all its starts."""
        return (self.home / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        """The process of the server, the parent of all others."""
        return int((self.data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])

    def start(self) -> None:
        """Start it, at first on a port nobody listens on, and wait until it answers."""
        told = None
        for _ in range(PORTS_TRIED):
            port = self.port or 15_000 + secrets.randbelow(17_000)
            options = f"-p {port} -k {shlex.quote(str(self.home))}"
            # Its own log: a pipe of ours would be open for as long as the server runs.
            told = _ctl(self.data, "start", "--log", str(self.home / "log"), "--options", options)
            if told.returncode == 0:
                self.port = port
                return
            if self.port or "could not bind" not in self.log:
                break
        msg = f"PostgreSQL did not start: {told}{self.log[-2000:]}"
        raise RuntimeError(msg)

    def stop(self, mode: str = "fast") -> None:
        """End it, as `pg_ctl` does: `immediate` is a crash."""
        told = _ctl(self.data, "stop", "--mode", mode)
        assert told.returncode == 0, told.stderr

    def signal(self, how: signal.Signals) -> None:
        """Send a signal to all its processes: SIGSTOP suspends it, SIGCONT lets it go on."""
        told = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        for pid in (self.pid, *map(int, told.split())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)

    def promote(self) -> None:
        """Make a standby the primary, and wait until it is."""
        told = _ctl(self.data, "promote")
        assert told.returncode == 0, told.stderr

    def standby(self, name: str) -> Postgres:
        """Return a standby, not started, that `synchronous_standby_names` knows by this name."""
        made = type(self)(home(), password=self.password)
        made.watch(made.home / "users")
        source = f"host={self.home} port={self.port} user={SUPERUSER} application_name={name}"
        run(
            str(binaries() / "pg_basebackup"), "--dbname", source, "--pgdata", str(made.data),
            "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
        )  # fmt: skip
        return made

    def configure(self, **settings: str) -> None:
        """Change settings that need no restart."""
        for name, value in settings.items():
            statement = sql.SQL("ALTER SYSTEM SET {} = {}")
            self.execute(statement.format(sql.Identifier(name), sql.Literal(value)))
        self.execute(sql.SQL("SELECT pg_reload_conf()"))

    def execute(self, statement: sql.SQL | sql.Composed, database: str = SUPERUSER) -> list[Any]:
        """Run a statement by itself, as the superuser, and return its rows."""
        uri = self.socket_uri(database, SUPERUSER)
        with psycopg.connect(uri, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def uri(self, database: str, user: str = ROLE) -> str:
        """Where a database is over TCP, the password included."""
        return f"postgresql://{user}:{self.password}@{HOST}:{self.port}/{database}"

    def socket_uri(self, database: str, user: str = ROLE) -> str:
        """Where a database is on this machine, without a password."""
        return f"postgresql://{user}@/{database}?host={self.home}&port={self.port}"

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[Database]:
        """Give a database, empty or a copy of another that nobody uses; it goes afterwards."""
        name = f"t{os.getpid()}_{next(_numbers)}"
        self.create(name, template)
        try:
            yield Database(name, self.uri(name), self.socket_uri(name))
        finally:
            self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def template(self, name: str, fill: Callable[[Database], None]) -> str:
        """Name a database for others to be copies of; it is made by the first of a run to ask."""
        known = sql.SQL("SELECT 1 FROM pg_database WHERE datname = {}").format(sql.Literal(name))
        with alone(self.home / f"{name}.lock"):
            if not self.execute(known):
                with self.database() as made:
                    fill(made)
                    self.create(name, made.name)
        return name

    def create(self, name: str, template: str = "template1") -> None:
        """Make a database that belongs to Latchgate."""
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        names = (sql.Identifier(each) for each in (name, ROLE, template))
        self.execute(statement.format(*names))

    def leave(self) -> None:
        """No longer be one of its users."""
        if self._hold is not None:
            self._hold.close()
            self._hold = None

    def close(self) -> None:
        """End it, and wait until all it wrote is gone."""
        self.leave()
        give_up = time.monotonic() + START_SECONDS
        while self.home.exists():
            assert time.monotonic() < give_up, f"{self.home} is still there"
            time.sleep(0.01)

    def initialise(self) -> None:
        """Make its files, from which others can be made too, and start it."""
        secret = self.home / "password"
        own(secret, self.password)
        run(
            str(binaries() / "initdb"), "--pgdata", str(self.data), "--username", SUPERUSER,
            "--pwfile", str(secret), "--auth-local=trust", "--auth-host=scram-sha-256",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
        )  # fmt: skip
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(_SETTINGS)
        self.start()
        role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        self.execute(role.format(sql.Identifier(ROLE), sql.Literal(self.password)))
        self.stop()
        run("cp", "--archive", str(self.data), str(self.home / "pristine"))
        self.start()

    def watch(self, users: Path, told: Path | None = None) -> None:
        """Hold the lock of its users, and have it ended, and `told` removed, when nobody does."""
        self._hold = users.open("a", encoding="utf-8")
        fcntl.flock(self._hold, fcntl.LOCK_SH)
        ended = [*as_owner(), *_ctl_command(self.data, "stop", "--mode=immediate")]
        watch = ["sh", "-c", _WATCH, "sh", str(told or users), str(self.home), *ended]
        subprocess.run(
            ["setsid", "--fork", "flock", "--exclusive", str(users), *watch],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=True,
        )


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[Postgres]:
    """Give the server of all who come with this folder; it ends when the last of them has left."""
    told, lock = folder / "postgres.json", folder / "postgres.users"
    with lock.open("a", encoding="utf-8") as users:
        with alone(folder / "postgres.lock"):
            fcntl.flock(users, fcntl.LOCK_SH)  # waits for one that is just being ended
            if not told.exists():
                made = Postgres(home(), password=secrets.token_urlsafe(12))
                made.watch(lock, told)
                made.initialise()
                made.leave()
                known = {"home": str(made.home), "password": made.password, "port": made.port}
                told.touch(0o600)
                told.write_text(json.dumps(known), encoding="utf-8")
            known = json.loads(told.read_text(encoding="utf-8"))
        yield Postgres(Path(known["home"]), password=known["password"], port=known["port"])


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Be the only one of all processes who is between these lines."""
    with lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@cache
def binaries() -> Path:
    """Return where the newest server's programs are; Debian keeps them out of PATH."""
    found = list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return max(found, key=lambda path: float(path.parents[1].name)).parent
    elsewhere = shutil.which("postgres")
    if elsewhere is None:
        msg = "PostgreSQL is missing: sudo apt-get install --no-install-recommends postgresql"
        raise RuntimeError(msg)
    return Path(elsewhere).resolve().parent


@cache
def _owner() -> tuple[int, int]:
    """Return the user and group that servers run as."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    user = pwd.getpwnam(SUPERUSER)
    return user.pw_uid, user.pw_gid


def as_owner(*options: str) -> list[str]:
    """Return what goes before a command for it to run as that user."""
    user, group = _owner()
    if not os.geteuid():
        options += (f"--reuid={user}", f"--regid={group}", "--clear-groups")
    return ["setpriv", *options, "--"]


def home() -> Path:
    """Make a folder of that user, who may not enter pytest's; a socket's path must be short."""
    made = Path(tempfile.mkdtemp(prefix="latchgate-pg-"))
    shutil.chown(made, *_owner())
    return made


def own(file: Path, text: str) -> None:
    """Write a file that only that user may read."""
    file.touch(0o600)
    file.write_text(text, encoding="utf-8")
    shutil.chown(file, *_owner())


def run(*command: str) -> None:
    """Run a command as that user; it must do its work."""
    done = _done(*command)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


def _ctl_command(data: Path, *words: str) -> list[str]:
    return [
        str(binaries() / "pg_ctl"), *words, "--pgdata", str(data),
        "--wait", f"--timeout={START_SECONDS}",
    ]  # fmt: skip


def _ctl(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _done(*_ctl_command(data, *words))


def _done(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*as_owner(), *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
