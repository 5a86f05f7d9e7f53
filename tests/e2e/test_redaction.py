"""No secret leaves by a log, a database or an export, whatever goes wrong, at debug level (D7.60).

`test_attacks_journal` has every route that makes a secret, `test_attacks_secrets` every place of a
request for one kind; here is every kind, misplaced at every door, while handlers, threads, loggers
and the store fail. A program in front of the real server makes those faults.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from tests.e2e.test_attacks_journal import approved_application, somebody
from tests.manage.journals import alter
from tests.world import Server, http_request, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

# What breaks says all that it knows, and libraries log as they like.
FAULTY = """
import asyncio, gc, logging, sys, threading, traceback, warnings
from latchgate.verify import engine

right, SAYS = engine.begin, sys.argv.pop()

def begin(request, **told):
    if request.target == "/v1/storage/spread":
        with open(SAYS) as file:
            for text in file.read().split():
                spread(text)
    if "/fault" in request.target or "fault" in request.headers.get("x-fault", ""):
        raise RuntimeError(f"{request!r} {request.target} {dict(request.headers)}")
    return right(request, **told)

class Torn:
    def __init__(self, text):
        self.text = text
    def __del__(self):
        raise RuntimeError(f"torn {self.text}")

def raises(text):
    raise RuntimeError(f"in a thread {text} {{'authorization': 'Bearer {text}'}}")

def spread(text):
    own = logging.getLogger("of.a.library")
    own.propagate = False
    own.addHandler(logging.StreamHandler())
    own.warning("by a handler of its own %s", text)
    for name in ("uvicorn.error", "uvicorn.access", "asyncio", "sqlalchemy.engine", "alembic",
                 "httpx2", "joserfc", "concurrent.futures", "latchgate.doors", "x"):
        logging.getLogger(name).error("by %s: %s", name, text)
        logging.getLogger(name).debug("by %s: %r", name, [text.encode()])
    warnings.warn(f"a warning {text}", stacklevel=1)
    thread = threading.Thread(target=raises, args=(text,))
    thread.start()
    thread.join()
    Torn(text)
    gc.collect()
    loop = asyncio.get_running_loop()
    loop.call_soon(raises, text)
    loop.call_exception_handler({"message": f"told {text}", "exception": ValueError(text)})
    try:
        raises(text)
    except RuntimeError:
        traceback.print_exc()
    print(f"printed {text}", file=sys.stderr)
    sys.stderr.write(text[:9])
    sys.stderr.write(text[9:] + chr(10))
    sys.excepthook(RuntimeError, RuntimeError(text), None)

engine.begin = begin
from latchgate.cli import main
main()
"""

# Ours by their spelling, wherever they stand; others only where a secret is said to stand.
SPELLED = {
    "service key",
    "API token",
    "project token",
    "developer token",
    "latchgate key",
    "bearer",
    "webhook secret",
}


def everything(server):
    """Make one secret of every kind; returns their texts by kind."""
    call = server.call
    user = somebody(server)
    path, developer = approved_application(server)
    access = call("POST", "/manage/v1/account/access-keys", {"name": "a"}).json
    asked = {
        "methods": ["application_credential"],
        "application_credential": {"id": access["id"], "secret": access["secret"]},
    }
    url = f"{server.addresses['api']}/identity/v3/auth/tokens"
    body = json.dumps({"auth": {"identity": asked}}).encode()
    project = http_request("POST", url, body=body).headers["x-subject-token"]
    claims = base64.urlsafe_b64encode(b'{"iss":"https://id.example","sub":"somebody"}').rstrip(b"=")
    return {
        "service key": server.create("storage")["key"],
        "API token": call(
            "POST", "/manage/v1/account/tokens", {"name": "t", "expires_in": "1h"}
        ).json["token"],
        "app password": call("POST", f"/manage/v1/users/{user}/basic", {}).json["password"],
        "account password": call("POST", f"/manage/v1/users/{user}/password", {}).json["password"],
        "application key": call("POST", path, {}, token=developer).json["api_key"],
        "access key": access["secret"],
        "project token": project,
        "developer token": developer,
        "latchgate key": server.create("manage", scopes=[])["key"],
        "webhook secret": call(
            "POST", "/manage/v1/webhooks", {"url": "https://hooks.example.com/"}
        ).json["secret"],
        "bearer": f"eyJhbGciOiJFZERTQSJ9.{claims.decode()}.{secrets.token_urlsafe(64)}",
    }


# By their path; what nothing covers is asked of all.
DOORS = {
    "manage": "/manage/v1/keys",
    "upcloud": "/1.3/account",
    "wayscloud": "/api/v1/dashboard/api-keys",
    "teracloud": "/v2/api/dataset/(capacity)",
    "keystone": "/identity/v3/auth/tokens",
    "nothing": "/nothing/fault",
}


turns = itertools.cycle(DOORS.values())


def basic(login, text):
    return {"Authorization": "Basic " + base64.b64encode(f"{login}:{text}".encode()).decode()}


def placed(kind, text):
    """Yield headers, what follows the path, and a body, each with the secret somewhere in it."""
    say = {"password": text, "secret": text, "token": text}
    yield {"X-API-Key": text}, "", None
    yield {"X-Auth-Token": text, "X-Subject-Token": text}, "", None
    yield {"X-TeraCLOUD-API-KEY": text}, "", None
    yield {"Authorization": f"Bearer {text}"}, "", None
    yield {"Authorization": f"Bearer {text[:-1]}!"}, "", None
    yield {"Content-Type": "application/json"}, "", json.dumps(say).encode()
    yield {"Content-Type": "application/json"}, "", json.dumps({"auth": say}).encode()
    yield {}, f";api_key={text}", None
    yield {}, f"?api_key={text}&token={text}&password={text}", None
    if kind in SPELLED:
        yield {}, f"/{text}", None
        yield {}, f"?x={text}", None
        yield {"Cookie": f"session={text}", "Referer": f"https://x/{text}", "X-Odd": text}, "", None
        yield {"Authorization": text, "User-Agent": f"curl {text}"}, "", None
        yield {"Content-Type": "application/json"}, "", f'{{"{text}": [}}'.encode()
        yield {"Content-Type": "application/xml"}, "", f"<a>{text}</b>".encode()


def misplace(server, kind, text):
    for headers, more, body in placed(kind, text):
        # Every door for one kind, and in turn for the others: of all pairs each is met.
        doors = list(DOORS.values()) if kind == "service key" else [next(turns), next(turns)]
        for path in doors:
            # Encoded where a path can't hold it as it is; so it must be masked too.
            url = server.addresses["api"] + path + quote(more, safe="/;?=&%._-~")
            method = "POST" if body is not None else "GET"
            http_request(method, url, headers={**headers, "X-Fault": "no"}, body=body)
        http_request("GET", server.addresses["console"] + "/x" + quote(more, safe="/;?=&"))
        ask(server, headers, "/v1/storage/fault" + more, "/dav/a" + more)


def as_passwords(server, made):
    """Send each secret as a password, and as a login where it may be one.

    To the doors that look at passwords, in turn: working one out takes long.
    """
    pairs = [("somebody", text) for text in made.values()]
    pairs += [(made[kind], "x") for kind in sorted(SPELLED)]
    looking = itertools.cycle([DOORS["upcloud"], DOORS["teracloud"]])
    for pair, path in zip(pairs, looking, strict=False):
        ask(server, basic(*pair), "/v1/storage/fault", "/dav/a")
        http_request("GET", server.addresses["api"] + path, headers=basic(*pair))


def ask(server, headers, *targets):
    """Ask the verify door about a request."""
    for target in targets:
        asked = {
            "method": "GET",
            "target": target,
            "host": "api.example",
            "headers": headers,
            "client": "192.0.2.1",
        }
        http_request("POST", server.addresses["verify"] + "/", body=json.dumps(asked).encode())


def while_the_store_fails(server, made):
    """Make changes and ask, with secrets, while a table is not there."""
    database = server.folder / "latchgate.db"
    login = {"name": "n", "user": "u", "password": made["account password"]}
    for table in ("credential", "login"):
        alter(database, f"ALTER TABLE {table} RENAME TO gone")
        try:
            server.call("POST", "/manage/v1/keys", {"name": "a", "services": ["storage"]})
            server.call("PUT", "/manage/v1/account/password", login)
            for kind, text in made.items():
                # A password that looks like nothing is nothing to find in a path.
                server.call(
                    "GET", f"/manage/v1/keys/{text if kind in SPELLED else 'x'}", token=text
                )
                misused = {"Authorization": f"Bearer {text}", "X-Auth-Token": text}
                path = next(turns)
                http_request("GET", server.addresses["api"] + path, headers=misused)
        finally:
            alter(database, f"ALTER TABLE gone RENAME TO {table}")


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """Everything that a run with all these faults left behind, and the secrets there were."""
    folder = tmp_path_factory.mktemp("redaction")
    server = Server.made(folder / "lg")
    with server.config.open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write(f'log_level = "debug"\n{text}\n[access_log]\ndirectory = "access"\n')
    (folder / "faulty.py").write_text(FAULTY)
    server.command = (sys.executable, str(folder / "faulty.py"))
    try:
        server.start(str(folder / "some"))
        made = everything(server)
        with ThreadPoolExecutor(1) as beside:
            passwords = beside.submit(as_passwords, server, made)
            for kind, one in made.items():
                misplace(server, kind, one)
            passwords.result()
        # Faults that come from inside, for what masks everywhere.
        (folder / "some").write_text("\n".join(made[kind] for kind in sorted(SPELLED)))
        ask(server, {}, "/v1/storage/spread")
        while_the_store_fails(server, made)
        until(
            lambda: server.call("GET", "/manage/v1/audit/head").status == 200,
            seconds=30,
            what="the store",
        )
        refused = [
            found for found in re.findall(r"[0-9a-f]{20}", server.log) if len(set(found)) > 5
        ]
        told = [server.call("GET", f"/manage/v1/decisions/{one}").body for one in refused[:50]]
        export = server.call("GET", "/manage/v1/audit/export").body
        until(
            lambda: any(b"credential_unknown" in one.read_bytes() for one in databases(server)),
            seconds=30,
            what="the refusals in the database",
        )
        kept = {f"running {one.name}": one.read_bytes() for one in databases(server)}
        server.stop()
    finally:
        server.kill()
    done = server.cli("export", "all.jsonl", "--journal", "--config", str(server.config))
    assert done.code == 0, done.err
    kept |= {one.name: one.read_bytes() for one in databases(server)}
    kept["access log"] = b"".join(one.read_bytes() for one in server.folder.glob("access/*"))
    kept |= {"log": server.log.encode(), "audit export": export, "explained": b"".join(told)}
    kept["export"] = (server.folder / "all.jsonl").read_bytes()
    key = (server.folder / "master.key").read_text().strip()
    return kept, made | {"master key": key}


def databases(server):
    return [
        one
        for one in server.folder.iterdir()
        if one.name.startswith("latchgate") and one.suffix != ".toml"
    ]


def forms(text):
    """Return a secret as it could be spelled: raw, JSON, encoded, in base64 wherever it begins."""
    raw = text.encode()
    secret = max(re.split(r"[_.]", text), key=len).encode()
    found = {raw, secret, raw.hex().encode(), json.dumps(text)[1:-1].encode()}
    found |= {quote(text, safe="").encode(), "".join(f"%{byte:02X}" for byte in raw).encode()}
    for before in range(3):
        told = base64.b64encode(b"\0" * before + raw)[(before * 4 + 2) // 3 : -4]
        found |= {told, told.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def test_no_secret_of_any_kind_is_left_anywhere(left):
    kept, made = left
    found = [
        (kind, name, content[max(content.index(form) - 80, 0) :][:90])
        for kind, text in made.items()
        for form in forms(text)
        for name, content in kept.items()
        if form in content
    ]
    assert found == []


def test_what_went_wrong_was_told_all_the_same(left):
    kept, _ = left
    log = kept["log"].decode()
    for told in (
        "a decision could not be made",
        "in a thread",
        "torn",
        "a warning",
        "by a handler of its own",
        "by uvicorn.access",
        "by sqlalchemy.engine",
        "told ",
        "printed ",
        "no such table",
        '"level": "debug"',
    ):
        assert told in log, told
    assert log.count("***") > 100
    assert b"credential_unknown" in kept["latchgate-usage.db"]
    assert kept["access log"].count(b"***") > 100
    assert b'"agent":"curl ' in kept["access log"]
