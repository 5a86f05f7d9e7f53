"""The command line as processes that are forked from one which has imported Latchgate.

Two thirds of what a command takes is Python reading its modules: a test run starts two thousand of
them. A process made here is the caller's own child, with its arguments, environment, folder, open
files and signals, as `subprocess.Popen` makes one; only its modules are there already. Where the
start itself is what is tested, or Python is told to start otherwise, it is a fresh process.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import ctypes
import fcntl
import functools
import gc
import importlib
import inspect
import marshal
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LATCHGATE = (sys.executable, "-m", "latchgate")
ROOT = Path(__file__).parents[1]
# What of an environment is read once, when Python or a library starts.
_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC", "OPENSSL", "TZ")
# Where Python keeps compiled code, which is all there by then.
_NO_MATTER = {"PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"}
# Frameworks are set up in their own ways, migrations are run by path, and the last is the program.
_LEFT_OUT = ("latchgate.integrations.", "latchgate.store.migrations", "latchgate.__main__")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_ABOVE = 500  # where files wait before they get their numbers
_LENGTH = struct.Struct("!I")
# Python's own modules that this needs are built in: it starts in a tenth of what Latchgate takes.
_IN_PATH = """\
#!{python} -IS
import _signal, _socket, marshal, os, sys

os.umask(umask := os.umask(0))
told = marshal.dumps({{
    "arguments": [os.fsencode(word) for word in sys.argv[1:]],
    "folder": os.getcwdb(),
    "env": dict(os.environb.items()),
    "umask": umask,
    "session": True,
    "numbers": [0, 1, 2],
}})
wire = _socket.socket(_socket.AF_UNIX)
wire.connect({address!r})
files = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
wire.sendmsg([len(told).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
while told:
    told = told[wire.send(told) :]
for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM):
    _signal.signal(number, lambda number, frame: wire.send(bytes([number])))
ended = int.from_bytes(wire.recv(4), "big")
if os.WIFSIGNALED(ended):
    _signal.signal(os.WTERMSIG(ended), _signal.SIG_DFL)
    os.kill(os.getpid(), os.WTERMSIG(ended))
os._exit(os.WEXITSTATUS(ended))
"""


def popen(
    command: Sequence[str | bytes | Path], *, env: Mapping[str, str], **settings: Any
) -> subprocess.Popen[Any]:
    """Start a command as `subprocess.Popen` does: forked, if it is Latchgate's.

    In tests alone: benchmarks, which start servers by the same classes, measure fresh ones.
    """
    own = tuple(command[: len(LATCHGATE)]) == LATCHGATE and "PYTEST_VERSION" in os.environ
    if own and _at_start(env) == _at_start(_prepared().env):
        return _Forked(command, env=env, **settings)
    return subprocess.Popen(command, env=env, **settings)


def run(
    command: Sequence[str | bytes | Path],
    *,
    env: Mapping[str, str],
    stdin: bytes | str,
    seconds: float,
    **settings: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a command to its end with its output captured, as `subprocess.run` does."""
    pipe = subprocess.PIPE
    with popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, **settings) as process:
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def in_path(env: Mapping[str, str]) -> Path:
    """Return a folder whose `latchgate` takes its process from one that was started with `env`.

    What stands between that and the shell hands on signals, and ends as it ended.
    """
    return _for_shells(*sorted(_at_start(env).items())).folder


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in env.items()
        if name.startswith(_AT_START) and name not in _NO_MATTER
    }


class _Forked(subprocess.Popen[Any]):
    """A child whose process another one forks; all else is as for any child."""

    def _execute_child(self, *told: Any, **named: Any) -> None:
        asked = _SIGNATURE.bind(self, *told, **named).arguments
        keep = sorted(asked["pass_fds"])
        files = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        files = [given if given != -1 else usual for usual, given in enumerate(files)]
        request = {
            "arguments": [os.fsencode(word) for word in asked["args"][len(LATCHGATE) :]],
            "folder": os.fsencode(asked["cwd"] or os.getcwd()),  # noqa: PTH109 - as it is spelt
            "env": {os.fsencode(k): os.fsencode(v) for k, v in asked["env"].items()},
            "umask": _umask(),
            "session": asked["start_new_session"],
            "numbers": [0, 1, 2, *keep],
        }
        self.pid = _prepared().fork(request, [*files, *keep])
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in pipes))  # type: ignore[attr-defined]


_SIGNATURE = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]


class _Prepared:
    """The process that has imported everything, and its wire.

    Its `folder` may stand in a PATH: it holds a `latchgate`, for shells.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self.folder = Path(tempfile.mkdtemp(prefix="latchgate-forked-"))
        address = str(self.folder / "socket")
        program = self.folder / "latchgate"
        program.write_text(_IN_PATH.format(python=sys.executable, address=address))
        program.chmod(0o700)
        self._lock = threading.Lock()
        self._wire, theirs = socket.socketpair(socket.AF_UNIX)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno()), address],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=self.env,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
            )
        _exactly(self._wire, 1)  # it listens
        self._owner = os.getpid()
        atexit.register(self.close)

    def fork(self, request: dict[str, Any], files: Sequence[int]) -> int:
        """Return the id of a new process, which is a child of this one."""
        told = marshal.dumps(request)
        with self._lock:
            # It is forked twice, and comes to us when the process between them ends.
            _adopts(yes=True)
            try:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))
                self._wire.sendmsg([_LENGTH.pack(len(told))], [rights])
                self._wire.sendall(told)
                (pid,) = _LENGTH.unpack(_exactly(self._wire, _LENGTH.size))
            finally:
                _adopts(yes=False)
        return int(pid)

    def close(self) -> None:
        """End it, unless this process is itself only a copy."""
        if os.getpid() == self._owner:
            self._wire.close()
            self._process.wait()
            shutil.rmtree(self.folder)


@functools.cache
def _prepared() -> _Prepared:
    return _Prepared(os.environ)


@functools.cache
def _for_shells(*started: tuple[str, str]) -> _Prepared:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_AT_START)}
    return _Prepared(kept | dict(started))


def _adopts(*, yes: bool) -> None:
    failed = ctypes.CDLL(None).prctl(_SUBREAPER, int(yes), 0, 0, 0)
    assert not failed


def _umask() -> int:
    told = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(told.partition("Umask:")[2].split()[0], 8)


def _exactly(wire: socket.socket, size: int) -> bytes:
    held = b""
    while len(held) < size:
        more = wire.recv(size - len(held))
        if not more:
            msg = "the process that forks others has ended"
            raise EOFError(msg)
        held += more
    return held


# --- in the process that has imported everything


def _import_all() -> None:
    import latchgate

    for module in pkgutil.walk_packages(latchgate.__path__, "latchgate."):
        if not module.name.startswith(_LEFT_OUT):
            importlib.import_module(module.name)
    assert threading.active_count() == 1, "a thread would be missing in what is forked"
    gc.collect()
    gc.freeze()


def _serve(wire: socket.socket, listener: socket.socket) -> None:
    """Fork for each request; return only in a process that is to be the command."""
    while True:
        ready, _, _ = select.select([wire, listener], [], [])
        if listener in ready:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            shell, _ = listener.accept()
            if not os.fork():
                wire.close()
                _stand_by(shell)
                return
            shell.close()
            continue
        request, files = _request(wire)
        back, forth = os.pipe()
        between = os.fork()
        if not between:
            child = os.fork()
            if not child:
                _become(request, files)
                return
            os.write(forth, _LENGTH.pack(child))
            os._exit(0)
        os.waitpid(between, 0)
        wire.sendall(os.read(back, _LENGTH.size))
        for file in (back, forth, *files):
            os.close(file)


def _request(wire: socket.socket) -> tuple[dict[str, Any], Sequence[int]]:
    head, files, _, _ = socket.recv_fds(wire, _LENGTH.size, 64)
    if not head:
        os._exit(0)  # who asks has ended
    (size,) = _LENGTH.unpack(head)
    return marshal.loads(_exactly(wire, size)), files  # noqa: S302 - from the test itself


def _stand_by(shell: socket.socket) -> None:
    """Be between a shell and its command: signals one way, the end the other."""
    request, files = _request(shell)
    child = os.fork()
    if not child:
        _become(request, files)
        return
    for file in files:
        os.close(file)
    ended = os.pidfd_open(child)
    while shell.fileno() in select.select([ended, shell.fileno()], [], [])[0]:
        number = shell.recv(1)
        os.kill(child, number[0] if number else signal.SIGKILL)
        if not number:
            break
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        shell.sendall(_LENGTH.pack(status))
    os._exit(0)


def _become(request: Mapping[str, Any], files: Sequence[int]) -> None:
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for file in files]
    os.closerange(3, _ABOVE)
    for number, file in zip(request["numbers"], moved, strict=True):
        os.dup2(file, number)
        os.close(file)
    if request["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(request["umask"])
    os.chdir(request["folder"])
    os.environb.clear()
    os.environb.update(request["env"])
    sys.argv[1:] = map(os.fsdecode, request["arguments"])
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as Python itself does


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who use it
    wire, listener = socket.socket(fileno=int(sys.argv[1])), socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[2])
    listener.listen(64)
    _import_all()
    wire.send(b".")
    _serve(wire, listener)
    for gone in (wire, listener):
        gone.detach()  # closed already, and their numbers others'
    try:
        runpy.run_module("latchgate", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _end(ended)
        raise


def _end(ended: SystemExit) -> None:
    """End as Python would, but without taking apart all that was imported, which takes longest."""
    if ended.code is not None and not isinstance(ended.code, int):
        return
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # which Python tells of in its own way
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code or 0)


if __name__ == "__main__":
    _main()
