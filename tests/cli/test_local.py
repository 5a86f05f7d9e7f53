"""`latchgate init`, `serve` and `recover`, as transcripts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from tests.world import (
    LATCHGATE,
    WAYSCLOUD,
    Server,
    World,
    chain_faults,
    environment,
    free_port,
    http_request,
    latchgate,
    mode,
    raw_rows,
)

from latchgate import providers
from latchgate.core.model import Noun
from latchgate.store import schema


def init(folder, *more, json=True):
    config = str(folder / "lg/latchgate.toml")
    return latchgate("init", "--config", config, *(["--json"] if json else []), *more, cwd=folder)


def files_under(folder):
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()
    }  # fmt: skip


# --- init

NAMES = ["config", "master_key", "api", "console", "verify", "tenant", "admin", "token"]


def test_init_prints_exactly_what_was_agreed(tmp_path):
    done = init(tmp_path)
    assert (done.code, done.err) == (0, "")
    told = done.json
    assert list(told) == NAMES
    assert told["config"] == str(tmp_path / "lg/latchgate.toml")
    assert told["api"] == "http://127.0.0.1:8420"
    assert told["console"] == "http://127.0.0.1:8421"
    assert told["verify"] == "http://127.0.0.1:8422"
    assert told["tenant"] == "default"
    assert list(told["admin"]) == ["name", "password"]
    assert told["admin"]["name"] == "admin"
    assert re.fullmatch(r"[0-9A-Za-z]{24}", told["admin"]["password"])
    assert re.fullmatch(r"latchgate_[a-z]+_[0-9a-z]{12}_[0-9A-Za-z]{34}", told["token"])


def test_init_writes_its_files_for_their_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        init(tmp_path)
    finally:
        os.umask(old)
    folder = tmp_path / "lg"
    assert files_under(folder) == {
        "latchgate.toml",
        "latchgate.db",
        "latchgate.db-bell",
        "latchgate-usage.db",
        "profile.toml",
        "master.key",
        *(f"providers/{name}.toml" for name in providers.SHIPPED),
    }
    assert {mode(path) for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert mode(folder) == 0o700
    assert mode(folder / "providers") == 0o700
    assert (folder / "providers/wayscloud.toml").read_text() == WAYSCLOUD


def test_init_tells_people_in_words(tmp_path):
    done = init(tmp_path, json=False)
    assert (done.code, done.err) == (0, "")
    names = [line.split()[0] for line in done.out.splitlines()[:-1]]
    wanted = ["configuration", "profile", "master", "tenant", "admin", "password", "token"]
    assert names == wanted
    assert done.out.endswith("Password and token are shown this once. Lost? latchgate recover\n")
    (token,) = re.findall(r"^token +(\S+)$", done.out, re.MULTILINE)
    assert token in (tmp_path / "lg/profile.toml").read_text()


def test_the_printed_password_is_the_one_that_is_stored_as_argon2id(tmp_path):
    password = init(tmp_path).json["admin"]["password"]
    kept = "SELECT digest FROM credential WHERE kind = 'latchgate.account_password'"
    ((digest,),) = raw_rows(tmp_path / "lg/latchgate.db", kept)
    assert digest.startswith(b"$argon2id$v=19$m=65536,t=3,p=4$")
    Argon2id.verify_phc_encoded(password.encode(), digest.decode())


def test_password_and_token_are_written_nowhere_but_into_the_profile(tmp_path):
    told = init(tmp_path).json
    for path in (tmp_path / "lg").rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert told["admin"]["password"].encode() not in held
            assert (told["token"].encode() in held) is (path.name == "profile.toml")


def test_the_first_journal_holds(tmp_path):
    init(tmp_path)
    assert chain_faults(tmp_path / "lg/latchgate.db") == []


def test_addresses_given_are_written_down(tmp_path):
    more = ("--listen", "[::1]:1", "--console-listen", "localhost:2")
    told = init(tmp_path, *more, "--verify-listen", "unix:/run/lg.sock").json
    assert (told["api"], told["console"], told["verify"]) == (
        "http://[::1]:1",
        "http://localhost:2",
        "unix:/run/lg.sock",
    )
    text = (tmp_path / "lg/latchgate.toml").read_text()
    assert 'api = "[::1]:1"' in text
    assert 'verify = "unix:/run/lg.sock"' in text


def test_a_provider_can_be_chosen(tmp_path):
    assert init(tmp_path, "--provider", "wayscloud").code == 0
    assert 'policy = ["providers/wayscloud.toml"]' in (tmp_path / "lg/latchgate.toml").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "latchgate.toml",
        "latchgate.db",
        "latchgate-usage.db",
        "profile.toml",
        "providers/wayscloud.toml",
    ],
)
def test_init_overwrites_nothing_and_takes_back_what_it_began(tmp_path, name):
    path = tmp_path / "lg" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    done = init(tmp_path)
    assert (done.code, done.out) == (1, "")
    assert f"{path} already exists; nothing was changed" in done.err
    assert path.read_text() == "mine"
    assert files_under(tmp_path / "lg") == {name}


def test_a_second_init_changes_nothing(tmp_path):
    token = init(tmp_path).json["token"]
    before = {path: path.read_bytes() for path in (tmp_path / "lg").rglob("*") if path.is_file()}
    again = init(tmp_path)
    assert (again.code, again.out) == (1, "")
    assert before == {
        path: path.read_bytes() for path in (tmp_path / "lg").rglob("*") if path.is_file()
    }
    assert token in (tmp_path / "lg/profile.toml").read_text()


def test_init_if_missing_makes_what_is_missing_and_leaves_what_is_there(tmp_path):
    first = init(tmp_path, "--if-missing")
    assert first.json["token"]
    again = init(tmp_path, "--if-missing")
    assert (again.code, again.out, again.err) == (0, "", "")
    assert first.json["token"] in (tmp_path / "lg/profile.toml").read_text()


@pytest.mark.parametrize(
    "options",
    [
        ("--listen", "127.0.0.1:8421"),
        ("--verify-listen", "127.0.0.1:8420"),
        ("--verify-listen", 'unix:/tmp/a"b'),
        ("--verify-listen", "unix:/tmp/a\nb"),
        ("--verify-listen", "unix:/tmp/a\\b"),
    ],
)
def test_init_with_addresses_that_cannot_be_leaves_nothing(tmp_path, options):
    done = init(tmp_path, *options)
    if done.code == 0:
        # Whatever was taken must have been written so that it is read back as it was.
        assert done.json["verify"] == options[1]
    else:
        assert done.out == ""
        assert done.err != ""
        assert files_under(tmp_path) == set()


def test_init_in_a_place_that_cannot_be_says_where(tmp_path):
    (tmp_path / "file").write_text("")
    done = latchgate("init", "--config", str(tmp_path / "file/x/latchgate.toml"))
    assert (done.code, done.out) == (1, "")
    assert str(tmp_path / "file") in done.err
    assert "None" not in done.err


def test_init_that_is_stopped_half_way_takes_everything_back(tmp_path):
    # The second database cannot be made: its name is a folder's by then.
    script = (
        "import sys, latchgate.serve.local as local\n"
        "real = local.migrate\n"
        "def migrate(path, part):\n"
        "    if part == 'usage': raise KeyboardInterrupt\n"
        "    real(path, part)\n"
        "local.migrate = migrate\n"
        "from latchgate.cli import main\n"
        "main()\n"
    )
    config = str(tmp_path / "lg/latchgate.toml")
    done = subprocess.run(
        [LATCHGATE[0], "-c", script, "init", "--config", config],
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert files_under(tmp_path) == set()
    assert init(tmp_path).code == 0


# --- serve


def serve_run(folder, *more, seconds=60.0):
    config = str(folder / "lg/latchgate.toml")
    return latchgate("serve", "--config", config, *more, cwd=folder, seconds=seconds)


@contextlib.contextmanager
def serving(folder, *more):
    """Run `latchgate serve` with its words read as they come."""
    config = str(folder / "lg/latchgate.toml")
    process = subprocess.Popen(
        [*LATCHGATE, "serve", "--config", config, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=folder,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def said(process, last):
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or last not in lines[-1]:
        line = process.stdout.readline()
        if not line:
            break
        lines.append(line.rstrip("\n"))
    return lines


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_serve_tells_its_three_addresses_in_words_and_ends_well_when_told(tmp_path):
    Server.made(tmp_path / "lg")
    with serving(tmp_path) as process:
        lines = said(process, "Latchgate is up")
        assert [line.split()[0] for line in lines[:3]] == ["api", "console", "verify"]
        for line in lines[:3]:
            assert http_request("GET", line.split()[1] + "/healthz").status == 200
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_it_without_a_word(tmp_path, workers):
    Server.made(tmp_path / "lg")
    with serving(tmp_path, "--workers", workers) as process:
        said(process, "Latchgate is up")
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_flags_go_before_the_configuration(tmp_path):
    Server.made(tmp_path / "lg")
    ports = [free_port() for _ in range(3)]
    flags = ("--listen", "--console-listen", "--verify-listen")
    more = [
        text
        for flag, port in zip(flags, ports, strict=True)
        for text in (flag, f"127.0.0.1:{port}")
    ]
    with serving(tmp_path, "--json", *more) as process:
        told = "\n".join(said(process, "}"))
        assert [int(text) for text in re.findall(r"127\.0\.0\.1:(\d+)", told)] == ports


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.parametrize("flag", ["--listen", "--console-listen", "--verify-listen"])
def test_an_address_that_is_taken_is_told_and_what_to_do(tmp_path, flag):
    Server.made(tmp_path / "lg")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = serve_run(tmp_path, flag, address)
    assert (done.code, done.out) == (1, "")
    assert f"can't listen on {address}: Address already in use" in done.err
    assert "--listen" in done.err


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ("192.0.2.1:1", "Cannot assign requested address"),
        ("no-such-host.invalid:1", "can't listen on no-such-host.invalid:1"),
        ("999.999.999.999:1", "can't listen on 999.999.999.999:1"),
        ("a..b:1", "can't listen on a..b:1"),
        (".:1", "can't listen on .:1"),
        ("a" * 70 + ":1", "can't listen on aaaa"),
    ],
)
def test_an_address_that_cannot_be_is_told(tmp_path, listen, says):
    Server.made(tmp_path / "lg")
    done = serve_run(tmp_path, "--listen", listen)
    assert (done.code, done.out) == (1, "")
    assert says in done.err
    assert "None" not in done.err


def test_one_address_for_two_is_refused(tmp_path):
    Server.made(tmp_path / "lg")
    same = f"127.0.0.1:{18_000 + os.getpid() % 1_000}"
    done = serve_run(tmp_path, "--listen", same, "--console-listen", same)
    assert done.code in {1, 2}
    assert done.out == ""


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda lg: (lg / "latchgate.toml").unlink(), "latchgate init makes one"),
        (
            lambda lg: (lg / "latchgate.toml").write_text("\nunknown = 1"),
            "latchgate.toml:2: unknown: unknown key 'unknown'",
        ),
        (lambda lg: (lg / "latchgate.toml").write_text("x x"), "not TOML"),
        (lambda lg: (lg / "latchgate.db").unlink(), "run latchgate init"),
        (lambda lg: (lg / "latchgate-usage.db").unlink(), "run latchgate init"),
        (lambda lg: (lg / "latchgate.db").write_bytes(b""), "latchgate init"),
        (lambda lg: (lg / "latchgate-usage.db").write_bytes(b""), "latchgate init"),
        (lambda lg: (lg / "latchgate.db").write_bytes(b"junk" * 5_000), "latchgate.db"),
        (lambda lg: (lg / "latchgate-usage.db").write_bytes(b"junk" * 5_000), "latchgate-usage.db"),
    ],
    ids=[
        "no configuration",
        "unknown key",
        "not TOML",
        "no database",
        "no usage database",
        "empty database",
        "empty usage database",
        "no database at all",
        "no usage database at all",
    ],
)
def test_what_cannot_be_served_is_told_and_not_thrown(tmp_path, workers, prepare, says):
    Server.made(tmp_path / "lg")
    prepare(tmp_path / "lg")
    done = serve_run(tmp_path, "--workers", workers)
    assert done.code in {1, 2}
    assert done.out == ""
    assert says in done.err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_published_policy_that_cannot_be_used_is_told_and_not_thrown(tmp_path, workers):
    Server.made(tmp_path / "lg")
    world = World.beside(Server(tmp_path / "lg", "", {}))
    world.publish({"bad.toml": "not TOML"})
    world.close()
    done = serve_run(tmp_path, "--workers", workers)
    assert done.code in {1, 2}
    assert done.out == ""
    assert "bad.toml:1" in done.err


# --- serve on a unix socket


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_gateways_may_ask_on_a_unix_socket_of_their_group(tmp_path):
    Server.made(tmp_path / "lg")
    path = tmp_path / "verify.sock"
    with serving(tmp_path, "--verify-listen", f"unix:{path}") as process:
        lines = said(process, "Latchgate is up")
        assert f"unix:{path}" in lines[2]
        assert mode(path) == 0o660
        with socket.socket(socket.AF_UNIX) as gateway:
            gateway.connect(str(path))
            gateway.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert gateway.recv(4_096).startswith(b"HTTP/1.1 200 OK")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert not path.exists()


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_socket_that_a_dead_server_left_is_replaced(tmp_path):
    Server.made(tmp_path / "lg")
    path = tmp_path / "verify.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(tmp_path, "--verify-listen", f"unix:{path}") as process:
        assert said(process, "Latchgate is up")[-1].startswith("Latchgate is up")


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_socket_that_another_server_listens_on_is_left_alone(tmp_path):
    Server.made(tmp_path / "lg")
    path = tmp_path / "verify.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        done = serve_run(tmp_path, "--verify-listen", f"unix:{path}")
        assert (done.code, done.out) == (1, "")
        assert f"another server listens on unix:{path}" in done.err
        assert path.exists()


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_start_that_fails_elsewhere_leaves_another_servers_socket_alone(tmp_path):
    Server.made(tmp_path / "lg")
    path = tmp_path / "verify.sock"
    with socket.socket(socket.AF_UNIX) as other, socket.socket() as taken:
        other.bind(str(path))
        other.listen()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = serve_run(tmp_path, "--listen", listen, "--verify-listen", f"unix:{path}")
        assert done.code == 1
        assert path.exists()


def test_a_file_that_is_no_socket_is_never_deleted(tmp_path):
    Server.made(tmp_path / "lg")
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    config = str(tmp_path / "lg/latchgate.toml")
    process = subprocess.Popen(
        [*LATCHGATE, "serve", "--config", config, "--verify-listen", f"unix:{precious}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    ended = threading.Timer(20, process.terminate)
    ended.start()
    assert process.stdout is not None
    first = process.stdout.readline()
    process.terminate()
    _, err = process.communicate()
    ended.cancel()
    assert precious.exists()
    assert precious.read_text() == "mine"
    assert (first, "precious.txt" in err) == ("", True)


@pytest.mark.parametrize("path", ["/" + "x" * 200, "/no/such/folder/verify.sock"])
def test_a_socket_that_cannot_be_is_told(tmp_path, path):
    Server.made(tmp_path / "lg")
    done = serve_run(tmp_path, "--verify-listen", f"unix:{path}")
    assert done.code in {1, 2}
    assert done.out == ""
    assert path[:20] in done.err
    assert ": None" not in done.err


# --- recover


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_recovered_token_works_at_once_on_a_running_server(tmp_path):
    server = Server.started(tmp_path / "lg")
    try:
        done = latchgate("recover", "--config", str(server.config), "--json")
        assert (done.code, done.err) == (0, "")
        assert set(done.json) == {"token", "profile"}
        token = done.json["token"]
        assert token != server.token
        assert server.call("GET", "/manage/v1/keys", token=token).status == 200
        assert server.call("GET", "/manage/v1/policy", token=token).status == 200
        assert server.call("GET", "/manage/v1/keys").status == 200
        world = World.beside(server)
        row = world.journal()[-1]
        assert row.action == "key.create"
        assert row.actor.startswith("local:")
        assert token not in str(world.journal())
        world.close()
        assert chain_faults(server.folder / "latchgate.db") == []
    finally:
        server.kill()


def test_recover_tells_people_in_words_and_writes_the_profile_anew(tmp_path):
    Server.made(tmp_path / "lg")
    profile = tmp_path / "lg/profile.toml"
    profile.chmod(0o644)
    done = latchgate("recover", "--config", str(tmp_path / "lg/latchgate.toml"))
    assert (done.code, done.err) == (0, "")
    (token,) = re.findall(r"^token +(\S+)$", done.out, re.MULTILINE)
    assert f'token = "{token}"' in profile.read_text()
    assert mode(profile) == 0o600
    assert done.out.endswith("The token is shown this once.\n")


def test_recover_without_a_profile_writes_one(tmp_path):
    Server.made(tmp_path / "lg")
    (tmp_path / "lg/profile.toml").unlink()
    assert latchgate("recover", "--config", str(tmp_path / "lg/latchgate.toml")).code == 0
    assert mode(tmp_path / "lg/profile.toml") == 0o600


def test_a_token_that_was_issued_is_told_even_when_the_profile_cannot_be_written(tmp_path):
    Server.made(tmp_path / "lg")
    profile = tmp_path / "lg/profile.toml"
    profile.unlink()
    profile.mkdir()
    (profile / "x").write_text("")
    done = latchgate("recover", "--config", str(tmp_path / "lg/latchgate.toml"), "--json")
    issued = raw_rows(tmp_path / "lg/latchgate.db", "SELECT COUNT(*) FROM credential")
    assert issued == [(1,)] or "latchgate_" in done.out + done.err


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda lg: (lg / "latchgate.db").unlink(), "run latchgate init"),
        (lambda lg: (lg / "latchgate.db").write_bytes(b""), ""),
        (lambda lg: (lg / "latchgate.db").write_bytes(b"junk" * 5_000), ""),
        (lambda lg: (lg / "latchgate.toml").unlink(), "latchgate init"),
        (lambda lg: (lg / "latchgate.toml").write_text("x = 1"), "latchgate.toml:1: x"),
    ],
    ids=["no database", "empty", "junk", "no configuration", "bad configuration"],
)
def test_what_cannot_be_recovered_is_told(tmp_path, prepare, says):
    Server.made(tmp_path / "lg")
    before = (tmp_path / "lg/profile.toml").read_bytes()
    prepare(tmp_path / "lg")
    done = latchgate("recover", "--config", str(tmp_path / "lg/latchgate.toml"), "--json")
    assert done.code in {1, 2}
    assert done.out == ""
    assert says in done.err
    assert (tmp_path / "lg/profile.toml").read_bytes() == before


def test_recover_works_while_the_published_policy_cannot_be_used(tmp_path):
    # When nothing else answers any more, this must.
    Server.made(tmp_path / "lg")
    world = World.beside(Server(tmp_path / "lg", "", {}))
    world.publish({"bad.toml": "not TOML"})
    world.close()
    done = latchgate("recover", "--config", str(tmp_path / "lg/latchgate.toml"), "--json")
    assert done.code == 0
    assert done.json["token"].startswith("latchgate_")


def test_recovering_needs_an_administrator(tmp_path):
    Server.made(tmp_path / "lg")
    world = World.beside(Server(tmp_path / "lg", "", {}))
    world.change(
        Noun.USER,
        world.owner.user_id,
        sa.update(schema.user).values(active=False),
    )
    world.close()
    done = latchgate("recover", "--config", str(tmp_path / "lg/latchgate.toml"))
    assert (done.code, done.out) == (1, "")
    assert "no active user" in done.err
