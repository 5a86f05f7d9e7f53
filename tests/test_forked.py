"""Commands that are forked are as those that Python starts: nothing but time tells them apart."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests import forked
from tests.forked import LATCHGATE
from tests.world import Server, environment

PIPE = subprocess.PIPE
# What a `latchgate run` starts here tells of itself; `run` becomes the program.
TELL = 'echo "$PWD|$(umask)|$NAME|$*|$(cat)"; echo "$PPID" >&2; exit 7'


def test_a_command_gets_what_it_is_given_and_ends_as_it_ends(tmp_path):
    env = environment(NAME="é \udcff", HOME=str(tmp_path), XDG_CONFIG_HOME="")

    def done(start, stdin, *words):
        pipes = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
        with start([*LATCHGATE, *words], env=env, cwd=tmp_path, **pipes) as process:
            out, err = process.communicate(stdin)
        return process.returncode, out, err

    add = ("profile", "add", "p", "--cloud", "wayscloud", "--url", "https://api.example")
    key = b"wayscloud_storage_abc123_s3cr3tOfMine"
    assert done(forked.popen, key, *add, "--from", "stdin", "--store", "file")[0] == 0
    run = ("run", "p", "--", "sh", "-c", TELL, "sh", "two words", "", "é")
    old = os.umask(0o027)
    try:
        made = done(forked.popen, b"sent", *run)
        assert made == done(subprocess.Popen, b"sent", *run)
    finally:
        os.umask(old)
    said = f"{tmp_path}|0027|é \udcff|two words  é|sent\n"
    assert made == (7, os.fsencode(said), f"{os.getpid()}\n".encode())


def test_what_is_wrong_is_said_in_the_same_words(tmp_path):
    for words in (["nonsense"], ["policy", "check"], ["--version"], []):
        command, env = [*LATCHGATE, *words], environment()
        fresh = subprocess.run(
            command, env=env, cwd=tmp_path, capture_output=True, check=False, input=b""
        )
        done = forked.run(command, env=env, cwd=tmp_path, stdin=b"", seconds=60)
        assert (done.returncode, done.stdout, done.stderr) == (
            fresh.returncode,
            fresh.stdout,
            fresh.stderr,
        )


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_is_our_child_and_takes_signals(tmp_path, how):
    server = Server.started(tmp_path / "lg")
    try:
        parent = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[1]
        assert int(parent) == os.getpid()
        assert os.getsid(server.pid) == server.pid
        assert server.stop(how) == (-how if how == signal.SIGKILL else 0)
    finally:
        server.kill()


def test_a_command_is_started_afresh_where_python_is_told_how_to_start(tmp_path):
    script = tmp_path / "latchgate.py"
    script.write_text("print('another')")
    env = environment(PYTHONPATH=str(tmp_path), PYTHONSAFEPATH="1")
    done = forked.run([*LATCHGATE, "--version"], env=env, cwd=tmp_path, stdin=b"", seconds=60)
    assert done.stdout == b"another\n"


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_shell_takes_it_from_its_path_with_signals_and_status(tmp_path):
    server = Server.made(tmp_path / "lg")
    env = environment()
    env["PATH"] = f"{forked.in_path(env)}:{env['PATH']}"
    failed = subprocess.run(
        ["bash", "-c", "latchgate nonsense 2>/dev/null; echo $?; latchgate --version | cat"],
        env=env,
        capture_output=True,
        check=True,
    )
    assert failed.stdout.splitlines()[0] == b"2"
    assert failed.stdout.splitlines()[1].startswith(b"latchgate, version")
    for how, status in ((signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)):
        command = ["latchgate", "serve", "--config", str(server.config)]
        with subprocess.Popen(command, env=env, stdout=PIPE) as shell:
            assert shell.stdout is not None
            lines = [shell.stdout.readline() for _ in range(4)]
            assert lines[-1].startswith(b"Latchgate is up")
            shell.send_signal(how)
            # Its end closes its output: it has gone too, not only what stood for it.
            assert shell.stdout.read() == b""
            assert shell.wait(30) == status
