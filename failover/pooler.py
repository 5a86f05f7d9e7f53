"""PgBouncer on a node's own host, in transaction mode, before the member that writes."""

from __future__ import annotations

from failover.database import DATABASE, PORT, ROLE, Member
from failover.hosts import Host, Program

POOLER_PORT = 6432


class Pooler:
    """One PgBouncer."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._program: Program | None = None

    @property
    def uri(self) -> str:
        """Where its node finds the database."""
        return f"postgresql://{ROLE}@127.0.0.1:{POOLER_PORT}/{DATABASE}"

    def start(self, primary: Member) -> None:
        """Start it before a member."""
        settings = self._host.folder / "pgbouncer.ini"
        lines = [
            "[databases]",
            f"{DATABASE} = host={primary.host.address} port={PORT}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {POOLER_PORT}",
            "unix_socket_dir =",
            "auth_type = any",
            "pool_mode = transaction",
            "default_pool_size = 10",
            "ignore_startup_parameters = extra_float_digits",
        ]
        lines[1] += f" user={ROLE}"  # with `any`, clients have no name of their own
        settings.write_text("\n".join([*lines, ""]))
        settings.chmod(0o644)
        self._program = self._host.start("pgbouncer", "pgbouncer", str(settings), user="postgres")

    def kill(self) -> None:
        """End it at once, with every connection through it."""
        if self._program is not None:
            self._program.end()
            self._program = None
