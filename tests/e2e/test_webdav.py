"""WebDAV behind nginx over TLS, with rclone, cadaver and curl: Basic with an app password."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.e2e.stack import DavGateway, Latchgate, Upstream, curl, environment, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OTHER_LOOPBACK = "127.0.0.2"  # a client that no policy exempts from TLS


@dataclass(frozen=True)
class Cloud:
    """A WebDAV cloud, and a user who may use it."""

    latchgate: Latchgate
    gateway: DavGateway
    authority: Authority
    login: str
    password: str

    def curl(self, path: str, *words: str, user: str | None = None):
        """Ask with the user's credentials, or with none."""
        told = ("-u", user) if user is not None else ()
        return curl("--cacert", str(self.authority.file), self.gateway.secure + path, *told, *words)

    @property
    def user(self) -> str:
        """What curl's -u takes."""
        return f"{self.login}:{self.password}"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with (
        Latchgate(tmp_path_factory.mktemp("latchgate")) as server,
        Upstream("echo", tmp_path_factory.mktemp("echo")) as rest,
    ):
        server.serve(workers=2)
        rest.start()
        with DavGateway(
            tmp_path_factory.mktemp("gateway"),
            verify=server.verify,
            rest=rest.address,
            pair=authority.issue("server"),
        ) as gateway:
            gateway.start()
            made = server.json("basic", "enable", "--login", "Jörg")
            yield Cloud(server, gateway, authority, "jörg", made["password"])


def rclone(
    cloud: Cloud, *words: str, password: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run rclone on the cloud, without anybody's configuration."""
    obscured = subprocess.run(
        ["rclone", "obscure", "-"],
        input=password or cloud.password,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return subprocess.run(
        [
            "rclone", "--config", "/dev/null", "--ca-cert", str(cloud.authority.file),
            "--retries", "1", "--low-level-retries", "1",
            "--webdav-url", f"{cloud.gateway.secure}/dav/", "--webdav-user", cloud.login,
            "--webdav-pass", obscured, *words,
        ],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )  # fmt: skip


def test_rclone_copies_lists_moves_and_deletes(cloud, tmp_path):
    source = tmp_path / "source"
    (source / "ünter").mkdir(parents=True)
    content = {"a.bin": secrets.token_bytes(300_000), "ünter/b c.txt": b"text"}
    for name, data in content.items():
        (source / name).write_bytes(data)
    assert rclone(cloud, "copy", str(source), ":webdav:r").returncode == 0
    listed = rclone(cloud, "lsf", "-R", ":webdav:r").stdout.split("\n")
    assert {"a.bin", "ünter/", "ünter/b c.txt"} <= set(listed)
    for name, data in content.items():
        assert (cloud.gateway.files / "dav/r" / name).read_bytes() == data
    assert rclone(cloud, "moveto", ":webdav:r/a.bin", ":webdav:r/m.bin").returncode == 0
    assert (cloud.gateway.files / "dav/r/m.bin").read_bytes() == content["a.bin"]
    assert not (cloud.gateway.files / "dav/r/a.bin").exists()
    assert rclone(cloud, "check", str(source / "ünter"), ":webdav:r/ünter").returncode == 0
    assert rclone(cloud, "purge", ":webdav:r").returncode == 0
    assert not (cloud.gateway.files / "dav/r").exists()


def test_rclone_with_a_wrong_password_is_refused(cloud):
    wrong = cloud.password[:-1] + ("0" if cloud.password[-1] != "0" else "1")
    done = rclone(cloud, "lsf", ":webdav:", password=wrong)
    assert done.returncode != 0
    assert "401" in done.stderr


def issued(cloud: Cloud, *scopes: str) -> str:
    """Return an access token of a service user: by client credentials, at the console."""
    server = cloud.latchgate
    tenant = server.call("GET", "/manage/v1/account")["tenant_id"]
    project = server.call("GET", "/manage/v1/account")["project_id"]
    name = f"sync {secrets.token_hex(4)}"
    user = server.call("POST", "/manage/v1/users", {"name": name, "sort": "service"})["id"]
    role = server.call("POST", "/manage/v1/roles", {"name": name, "scopes": list(scopes)})["id"]
    server.call("PUT", f"/manage/v1/users/{user}/roles/{project}/{role}")
    words = [word for scope in scopes for word in ("--scope", scope)]
    made = server.json(
        "oauth-client", "create", "--application", name, "--contact", "dev@acme.example",
        "--tenant", tenant, "--grant", "client_credentials", *words,
    )  # fmt: skip
    server.run("oauth-client", "act-as", made["id"], "--user", user, *words)
    answer = curl(
        f"http://{text_of(server.console)}/oauth/token",
        "-u", f"{made['id']}:{made['client_secret']}", "-d", "grant_type=client_credentials",
    )  # fmt: skip
    token: str = answer.json()["access_token"]
    return token


def rclone_v2(cloud: Cloud, *words: str) -> subprocess.CompletedProcess[str]:
    """Run rclone on the area of OAuth2; how it proves itself is in the words."""
    return subprocess.run(
        [
            "rclone", "--config", "/dev/null", "--ca-cert", str(cloud.authority.file),
            "--retries", "1", "--low-level-retries", "1",
            "--webdav-url", f"{cloud.gateway.secure}/v2/dav/", *words,
        ],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )  # fmt: skip


def test_rclone_with_a_bearer_token_works_on_v2_dav_and_basic_fails_there(cloud, tmp_path):
    (tmp_path / "a.bin").write_bytes(secrets.token_bytes(100_000))
    (tmp_path / "b c.txt").write_bytes(b"text")
    token = issued(cloud, "dav:read", "dav:write", "dav:delete")
    bearer = ("--webdav-bearer-token", token)
    done = rclone_v2(cloud, "copy", str(tmp_path), ":webdav:o", *bearer)
    assert done.returncode == 0, done.stderr
    assert (cloud.gateway.files / "dav/o/b c.txt").read_bytes() == b"text"
    listed = rclone_v2(cloud, "lsf", "-R", ":webdav:o", *bearer).stdout.split("\n")
    assert {"a.bin", "b c.txt"} <= set(listed)
    # A program that prints a fresh token, as a long run needs.
    command = ("--webdav-bearer-token-command", f"echo {token}")
    assert (
        rclone_v2(cloud, "moveto", ":webdav:o/a.bin", ":webdav:o/m.bin", *command).returncode == 0
    )
    assert (cloud.gateway.files / "dav/o/m.bin").exists()
    obscured = subprocess.run(
        ["rclone", "obscure", "-"], input=cloud.password, capture_output=True, text=True, check=True
    ).stdout.strip()
    basic = ("--webdav-user", cloud.login, "--webdav-pass", obscured)
    for refused in (basic, ("--webdav-bearer-token", token[:-4] + "AAAA")):
        failed = rclone_v2(cloud, "lsf", ":webdav:", *refused)
        assert failed.returncode != 0
        assert "401" in failed.stderr
    reader = ("--webdav-bearer-token", issued(cloud, "dav:read"))
    assert rclone_v2(cloud, "lsf", ":webdav:o", *reader).returncode == 0
    assert "403" in rclone_v2(cloud, "deletefile", ":webdav:o/m.bin", *reader).stderr
    assert rclone_v2(cloud, "purge", ":webdav:o", *bearer).returncode == 0
    assert token not in cloud.gateway.access_log


def cadaver(cloud: Cloud, home: Path, script: str, password: str) -> str:
    """Run cadaver's commands; without TLS, for only at a terminal would it take this authority."""
    (home / ".netrc").write_text(
        f"machine {cloud.gateway.plain[0]} login {cloud.login} password {password}\n",
        encoding="utf-8",
    )
    (home / ".netrc").chmod(0o600)
    done = subprocess.run(
        ["cadaver", f"http://{text_of(cloud.gateway.plain)}/dav/"],
        input=f"{script}\nquit\n",
        capture_output=True,
        text=True,
        env=environment(HOME=str(home)),
        cwd=home,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_cadaver_is_challenged_then_puts_lists_and_deletes(cloud, tmp_path):
    (tmp_path / "note.txt").write_text("hello", encoding="utf-8")
    script = "mkcol box\ncd box\nput note.txt\nls\ncopy note.txt other.txt\ndelete note.txt\nls"
    said = cadaver(cloud, tmp_path, script, cloud.password)
    assert (cloud.gateway.files / "dav/box/other.txt").read_text(encoding="utf-8") == "hello"
    assert not (cloud.gateway.files / "dav/box/note.txt").exists()
    assert "other.txt" in said


def test_cadaver_with_a_wrong_password_gets_nowhere(cloud, tmp_path):
    said = cadaver(cloud, tmp_path, "mkcol never", "tcap_" + "x" * 30)
    assert "Authentication" in said
    assert not (cloud.gateway.files / "dav/never").exists()


def test_preemptive_and_challenged_basic_both_work_and_digest_is_not_offered(cloud):
    assert cloud.curl("/dav/", "-X", "PROPFIND", "-H", "Depth: 0", user=cloud.user).status == 207
    negotiated = cloud.curl(
        "/dav/", "-X", "PROPFIND", "-H", "Depth: 0", "--anyauth", user=cloud.user
    )
    assert negotiated.status == 401
    assert b"HTTP/1.1 207 " in negotiated.body
    refused = cloud.curl("/dav/")
    assert refused.status == 401
    assert refused.one("WWW-Authenticate") == 'Basic realm="TeraCLOUD", charset="UTF-8"'
    assert refused.json()["result"] == 401


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_a_login_name_in_either_charset_is_the_same(cloud, charset):
    told = base64.b64encode(cloud.user.encode(charset)).decode()
    header = f"Authorization: Basic {told}"
    assert cloud.curl("/dav/", "-X", "PROPFIND", "-H", "Depth: 0", "-H", header).status == 207


def test_without_tls_nothing_passes_but_from_the_machine_itself(cloud):
    url = f"http://{text_of(cloud.gateway.plain)}/dav/"
    refused = curl(url, "-u", cloud.user, "--interface", OTHER_LOOPBACK, "-X", "OPTIONS")
    assert (refused.status, refused.json()["result"]) == (403, 403)
    assert "HTTPS" in refused.json()["message"]
    assert curl(url, "-u", cloud.user, "-X", "OPTIONS").status == 200
    over_tls = cloud.curl("/dav/", "--interface", OTHER_LOOPBACK, "-X", "OPTIONS", user=cloud.user)
    assert over_tls.status == 200


def test_copy_and_move_stay_in_the_area_that_was_checked(cloud):
    assert cloud.curl("/dav/from.txt", "-T", "-", user=cloud.user).status in {201, 204}
    for destination in ("/elsewhere.txt", "/backup/x.txt", "/dav/../x.txt", "/v2/api/x", "x"):
        for method in ("COPY", "MOVE"):
            told = destination if destination == "x" else cloud.gateway.secure + destination
            refused = cloud.curl(
                "/dav/from.txt", "-X", method, "-H", f"Destination: {told}", user=cloud.user
            )
            assert refused.status == 403, (method, destination)
    assert sorted(path.name for path in cloud.gateway.files.iterdir()) == ["dav", "v2"]
    inside = f"Destination: {cloud.gateway.secure}/dav/to.txt"
    assert cloud.curl("/dav/from.txt", "-X", "MOVE", "-H", inside, user=cloud.user).status == 204


@dataclass(frozen=True)
class Program:
    """A registered program: its id and its API key."""

    id: str
    key: str


def registered(cloud: Cloud, name: str) -> Program:
    """Request an application, have it approved, and pick up its key as its developer."""
    url = f"http://{text_of(cloud.latchgate.api)}"
    told = ("--vendor", "Acme", "--contact", "dev@acme.example", "--purpose", "Sync photos")
    asked = cloud.latchgate.run(
        "app", "register", "--name", name, *told, "--developer", "individual", "--json",
        env=environment(LATCHGATE_URL=url),
    )  # fmt: skip
    made = json.loads(asked.stdout)
    program, token = made["application"]["id"], made["developer_token"]
    cloud.latchgate.run("app", "approve", program, "--reason", "known to us")
    key = cloud.latchgate.run(
        "app", "key", program, "--json",
        env=environment(LATCHGATE_URL=url, LATCHGATE_TOKEN=token),
    )  # fmt: skip
    return Program(program, json.loads(key.stdout)["api_key"])


DATASET = "/v2/api/dataset/(property);properties=quota,used;recursive=false"


def test_the_rest_api_asks_for_user_and_program_and_tells_what_is_behind_of_both(cloud):
    program = registered(cloud, "Photos")
    header = ("-H", f"X-TeraCLOUD-API-KEY: {program.key}")
    for asked in (
        cloud.curl("/v2/api/ba/user", *header, user=cloud.user),
        cloud.curl(f"/v2/api/ba/user;api_key={program.key}", user=cloud.user),
        cloud.curl(f"{DATASET};api_key={program.key}", user=cloud.user),
        cloud.curl(f"/v2/api/ba/user%3Bapi_key={program.key}", user=cloud.user),
    ):
        assert asked.status == 200
        seen = {name.lower(): value for name, value in asked.json()["headers"]}
        assert seen["x-latchgate-application"] == program.id
        assert seen["x-latchgate-user"].startswith("u-")
        assert not {"authorization", "x-teracloud-api-key"} & set(seen)
    refused = cloud.curl("/v2/api/ba/user", *header)
    assert (refused.status, refused.one("WWW-Authenticate")[:5]) == (401, "Basic")
    assert cloud.curl("/v2/api/ba/user", user=cloud.user).status == 403
    for wrong in (program.key.lower(), program.key[:-1], "0" * 32):
        told = cloud.curl("/v2/api/ba/user", "-H", f"X-TeraCLOUD-API-KEY: {wrong}", user=cloud.user)
        assert (told.status, told.json()["result"]) == (403, 403)
    for twice in (f";api_key={program.key};api_key={program.key}", f"/x;api_key={program.key}/y"):
        assert cloud.curl(f"/v2/api/ba/user{twice}", user=cloud.user).status in {400, 403}
    assert program.key not in cloud.gateway.access_log
    for name, held in cloud.latchgate.files().items():
        assert program.key.encode() not in held, name


def test_a_program_is_blocked_and_suspended_at_once(cloud):
    program = registered(cloud, "Backups")
    words = ("/v2/api/ba/user", "-H", f"X-TeraCLOUD-API-KEY: {program.key}")
    assert cloud.curl(*words, user=cloud.user).status == 200
    cloud.latchgate.run("app", "block", program.id)
    assert cloud.curl(*words, user=cloud.user).status == 403
    cloud.latchgate.run("app", "unblock", program.id)
    assert cloud.curl(*words, user=cloud.user).status == 200
    cloud.latchgate.run("app", "suspend", program.id, "--reason", "too many requests")
    assert cloud.curl(*words, user=cloud.user).status == 403
    cloud.latchgate.run("app", "reinstate", program.id, "--reason", "mended")
    assert cloud.curl(*words, user=cloud.user).status == 200


def test_a_subaccount_has_a_password_of_its_own_which_reissue_replaces_at_once(cloud):
    run, as_json = cloud.latchgate.run, cloud.latchgate.json
    user = as_json("user", "create", "--name", "second")["id"]
    role = as_json("role", "create", "--name", "reader", "--scope", "dav:read")["id"]
    project = as_json("project", "list")["projects"][0]["id"]
    run("user", "give-role", user, project, role)
    old = f"second:{as_json('basic', 'enable', '--user', user)['password']}"
    assert cloud.curl("/dav/", "-X", "OPTIONS", user=old).status == 200
    assert cloud.curl("/dav/x.txt", "-T", "-", user=old).status == 403
    new = f"second:{as_json('basic', 'reissue', '--user', user)['password']}"
    assert cloud.curl("/dav/", "-X", "OPTIONS", user=old).status == 401
    assert cloud.curl("/dav/", "-X", "OPTIONS", user=new).status == 200
    run("user", "disable", user)
    assert cloud.curl("/dav/", "-X", "OPTIONS", user=new).status == 401
    run("user", "enable", user)
    assert cloud.curl("/dav/", "-X", "OPTIONS", user=new).status == 200
    run("user", "take-role", user, project, role)
    assert cloud.curl("/dav/", "-X", "OPTIONS", user=new).status == 403
    run("basic", "disable", "--user", user)
    assert cloud.curl("/dav/", "-X", "OPTIONS", user=new).status == 401


def test_neither_password_nor_login_name_reaches_what_is_behind_or_any_log(cloud):
    cloud.curl("/dav/", user=cloud.user)
    token = base64.b64encode(cloud.user.encode()).decode()
    for text in (cloud.password, token, cloud.login):
        assert text not in cloud.gateway.access_log
    for name, held in cloud.latchgate.files().items():
        assert cloud.password.encode() not in held, name
        assert token.encode() not in held, name
