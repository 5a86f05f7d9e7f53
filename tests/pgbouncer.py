"""A real PgBouncer for tests, in transaction mode before a PostgreSQL server."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from types import TracebackType
from typing import Self

import psycopg
from tests.postgres import (
    HOST,
    PORTS_TRIED,
    ROLE,
    START_SECONDS,
    SUPERUSER,
    Postgres,
    as_owner,
    home,
    own,
)


class PgBouncer:
    """A PgBouncer before a server: a context manager that ends it.

    Of its connections to the server there are few (`size` a database), so that clients do get
    another one with the next transaction.
    """

    def __init__(self, server: Postgres, *, size: int = 3) -> None:
        self.server = server
        self.size = size
        self.home = home()
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.home)

    @property
    def log(self) -> str:
        """All it has said, over all its starts."""
        return (self.home / "log").read_text(encoding="utf-8", errors="replace")

    def uri(self, database: str, user: str = ROLE) -> str:
        """Where a database is behind it, the password included."""
        return f"postgresql://{user}:{self.server.password}@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Start it, at first on a port nobody listens on, and wait until it answers."""
        for _ in range(PORTS_TRIED):
            port = self.port or 15_000 + secrets.randbelow(17_000)
            self._configure(port)
            if self._started(port):
                self.port = port
                return
            self.stop()
            if self.port:
                break
        msg = f"PgBouncer did not start: {self.log[-2000:]}"
        raise RuntimeError(msg)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; everybody's connections end too."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.wait(START_SECONDS)

    def _started(self, port: int) -> bool:
        pgbouncer = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert pgbouncer, "missing: sudo apt-get install --no-install-recommends pgbouncer"
        # It ends with us however we end.
        with (self.home / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [*as_owner("--pdeathsig", "KILL"), pgbouncer, str(self.home / "ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        uri = f"postgresql://{SUPERUSER}:{self.server.password}@{HOST}:{port}/pgbouncer"
        give_up = time.monotonic() + START_SECONDS
        # Who answers and takes the password is ours, not somebody else's on that port.
        while process.poll() is None and time.monotonic() < give_up:
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(uri, autocommit=True) as connection,
            ):
                connection.execute("SHOW VERSION", prepare=False)
                return True
            if f"{HOST}:{port}: Address already in use" in self.log:
                return False
            time.sleep(0.01)
        return False

    def _configure(self, port: int) -> None:
        users = "".join(f'"{user}" "{self.server.password}"\n' for user in (ROLE, SUPERUSER))
        settings = f"""\
[databases]
* = host={self.server.home} port={self.server.port}
[pgbouncer]
listen_addr = {HOST}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self.home}/users
admin_users = {SUPERUSER}
pool_mode = transaction
default_pool_size = {self.size}
max_client_conn = 500
"""
        own(self.home / "users", users)
        own(self.home / "ini", settings)
