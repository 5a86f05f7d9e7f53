"""`latchgate serve`: bind the addresses, run one worker here or several as children.

Workers are forked before any thread, loop or connection exists, and share the listening
sockets; each opens its own database connections and its own cache.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from latchgate import providers
from latchgate.config import Address, Config
from latchgate.core.location import Postgres
from latchgate.core.policy_faults import PolicyError
from latchgate.core.policy_file import with_built_in
from latchgate.core.redact import redactor
from latchgate.doors.console.languages import LanguageError
from latchgate.manage.applications import DEVELOPER_PATTERN
from latchgate.serve.logs import guard
from latchgate.serve.tls import Certificate, CertificateError
from latchgate.serve.worker import Sockets, run_worker
from latchgate.store import found, sqlite
from latchgate.store.errors import NotMigratedError, StoreError

_BACKLOG = 2048
_RESTART_SECONDS = 1.0
_LOOK_SECONDS = 0.2
_ADDRESSES = ("api", "console", "verify")
_STOPPING = (signal.SIGTERM, signal.SIGINT)


class ServeError(Exception):
    """The server can't start; the message says why and what to do."""


def serve(config: Config, *, workers: int, announce: Callable[[Config], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once when every address answers.

    With TLS, SIGHUP reads the certificate's files again. CertificateError when they can't be used,
    ServeError when an address is taken or the database is not there: before anything started.
    """
    _look_at(config, workers)
    built_in = with_built_in({}, providers.text(providers.BUILT_IN), version=0)
    guard(redactor([DEVELOPER_PATTERN, *built_in.patterns()]))
    certificate = _certificate(config)
    allow_many_connections()
    os.umask(0o077)
    bound: list[socket.socket] = []
    try:
        for address in (getattr(config, name) for name in _ADDRESSES):
            bound.append(bind(address))  # noqa: PERF401 - the bound ones are closed on failure
        sockets = Sockets(*bound)
        told = _addresses(config, sockets)
        if workers == 1:
            ready = functools.partial(announce, told)
            run_worker(told, sockets, certificate, on_ready=ready, supervised=False)
        else:
            _Workers(told, sockets, certificate, workers).run(announce)
    except LanguageError as error:
        raise ServeError(str(error)) from error
    except (StoreError, PolicyError) as error:
        msg = f"{config.database}: {error}"
        raise ServeError(msg) from error
    finally:
        for one in bound:
            one.close()
        if config.verify.path is not None and len(bound) == len(_ADDRESSES):  # ours, not another's
            Path(config.verify.path).unlink(missing_ok=True)


def _look_at(config: Config, workers: int) -> None:
    """Raise ServeError unless the databases are there and many workers may use them."""
    databases = dict.fromkeys((config.database, config.usage_database))
    files = [one for one in databases if isinstance(one, Path)]
    if workers > 1 and files and not sqlite.MANY_PROCESSES:
        msg = (
            f"SQLite {sqlite.driver.sqlite_version} can corrupt a database that several processes"
            " write; run one worker, or install pysqlite3 (SQLite 3.51.3 or newer)"
        )
        raise ServeError(msg)
    for database in databases:
        if isinstance(database, Postgres):
            _reach(database)
        elif not database.exists():
            msg = f"{database} does not exist; run latchgate init"
            raise ServeError(msg)


def _reach(database: Postgres) -> None:
    """Raise ServeError unless a database answers, and has a schema for this program."""
    try:
        found.check(database)
    except NotMigratedError as error:
        msg = f"{database}: {error}"
        raise ServeError(msg) from error
    except StoreError as error:  # which names it
        raise ServeError(str(error)) from error


def _certificate(config: Config) -> Certificate | None:
    if config.tls is None:
        return None
    certificate = Certificate(config.tls)
    _warn(*certificate.warnings)
    # Held back until somebody listens for it: a renewal right after the start must not end it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    return certificate


def allow_many_connections() -> None:
    """Take all the open files there may be: the usual 1,024 is a small flood of idle peers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _warn(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(f"latchgate: {line}\n")
    sys.stderr.flush()


def bind(address: Address) -> socket.socket:
    """Listen on an address; ServeError when it can't be."""
    bound = None
    try:
        if address.path is not None:
            return _bind_unix(address.path)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address.host, address.port))
        bound.listen(_BACKLOG)
    except OSError as error:
        if bound is not None:
            bound.close()
        msg = f"can't listen on {address}: {error.strerror}; choose another with --listen,"
        msg += " --console-listen or --verify-listen"
        raise ServeError(msg) from error
    bound.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return bound


def _bind_unix(path: str) -> socket.socket:
    """Bind a unix socket that its owner's group may use; a stale one is replaced."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(path)
        except FileNotFoundError:
            pass
        except ConnectionRefusedError:
            if not Path(path).is_socket():
                msg = f"unix:{path} is a file and no socket; name another place"
                raise ServeError(msg) from None
            Path(path).unlink()
        else:
            msg = f"another server listens on unix:{path}"
            raise ServeError(msg)
    bound.bind(path)
    Path(path).chmod(0o660)
    bound.listen(_BACKLOG)
    bound.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return bound


def _addresses(config: Config, sockets: Sockets) -> Config:
    """Return the configuration with the ports that port 0 became."""

    def real(address: Address, bound: socket.socket) -> Address:
        if address.path is not None:
            return address
        return replace(address, port=bound.getsockname()[1])

    return replace(
        config,
        api=real(config.api, sockets.api),
        console=real(config.console, sockets.console),
        verify=real(config.verify, sockets.verify),
    )


class _Workers:
    """The children that serve, and what signals asked for since it was last looked at."""

    def __init__(
        self, config: Config, sockets: Sockets, certificate: Certificate | None, wanted: int
    ) -> None:
        self._config = config
        self._sockets = sockets
        self._certificate = certificate
        self._wanted = wanted
        self._children: set[int] = set()
        self._ready_in, self._ready_out = os.pipe()
        self._ready = 0
        self._announced = self._failed = self._stopping = self._renewing = False

    def run(self, announce: Callable[[Config], None]) -> None:
        """Keep as many alive as wanted until told to stop; ServeError when one can't start."""
        self._listen()
        for _ in range(self._wanted):
            self._start()
        while self._children:
            told = self._told()
            ended = _reap(self._children)
            if self._stopping:
                continue
            if self._renewing and self._certificate is not None:
                self._renewing = False
                _renew(self._certificate, self._children)
            if self._announced:
                self._replace(ended)
            elif b"!" in told or ended:
                self._failed = True
                self._stop()
            elif self._ready == self._wanted:
                self._announced = True
                announce(self._config)
        os.close(self._ready_in)
        os.close(self._ready_out)
        if self._failed:
            msg = "a worker could not start; its log above says why"
            raise ServeError(msg)

    def _listen(self) -> None:
        """Take the signals of the process over."""
        for name in _STOPPING:
            signal.signal(name, lambda *_: self._stop())
        if self._certificate is not None:
            signal.signal(signal.SIGHUP, lambda *_: self._renew_soon())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])

    def _stop(self) -> None:
        self._stopping = True
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    def _renew_soon(self) -> None:
        self._renewing = True

    def _start(self) -> None:
        # Held back meanwhile: a signal between the fork and the next line would miss the child.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, [*_STOPPING, signal.SIGHUP])
        if not self._stopping:
            child = _spawn(self._config, self._sockets, self._certificate, self._ready_out)
            self._children.add(child)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _told(self) -> bytes:
        """Return what workers told since, after a moment at most: . for up, ! for a failure."""
        if not select.select([self._ready_in], [], [], _LOOK_SECONDS)[0]:
            return b""
        told = os.read(self._ready_in, self._wanted)
        self._ready += len(told)
        return told

    def _replace(self, ended: Mapping[int, int]) -> None:
        """Start others in the place of those that ended.

        Once all were up, one that can't come back is tried again: the others go on meanwhile.
        """
        if not ended:
            return
        for child, code in ended.items():
            _warn(f"worker {child} ended ({code}); starting another")
        time.sleep(_RESTART_SECONDS)
        for _ in ended:
            self._start()


def _renew(certificate: Certificate, children: Iterable[int]) -> None:
    """Read a certificate's files for workers to come, and have those there are do the same."""
    try:
        certificate.reload()
    except CertificateError as error:
        _warn(f"the certificate was not renewed, the one before stays: {error}")
        return
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGHUP)


def _reap(children: set[int]) -> dict[int, int]:
    """Take the children that ended out of the set; return their exit codes."""
    ended: dict[int, int] = {}
    for child in children:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            ended[child] = os.waitstatus_to_exitcode(status)
    children -= set(ended)
    return ended


def _spawn(config: Config, sockets: Sockets, certificate: Certificate | None, ready: int) -> int:
    child = os.fork()
    if child:
        return child
    for name in _STOPPING:
        signal.signal(name, signal.SIG_DFL)
    # SIGHUP stays held back until the worker listens for it.
    if certificate is None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    code = 1
    try:
        run_worker(
            config, sockets, certificate, on_ready=lambda: _tell(ready, b"."), supervised=True
        )
        code = 0
    except LanguageError as error:
        _warn(str(error))
        _tell(ready, b"!")
    except (StoreError, PolicyError) as error:
        _warn(f"{config.database}: {error}")
        _tell(ready, b"!")
    except BaseException:  # noqa: BLE001 - a child must never return into the parent's code
        traceback.print_exc()
        _tell(ready, b"!")
    os._exit(code)


def _tell(pipe: int, what: bytes) -> None:
    os.write(pipe, what)
