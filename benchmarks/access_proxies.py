"""Go programs that a gateway asks before each request, asked in the same run as Latchgate.

Each as its documentation starts it for production, with one process on one core and the log of each
request off, answering from what it remembers: Ory Oathkeeper's decision API about opaque tokens
whose introspection it has cached, Authelia's verification about sessions in its memory, which are a
browser's, and about a password, which is what that version has for programs and hashes each time.
`make rivals` builds both from benchmarks/rivals/, and keeps why where one can't be built.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.introspection import FOLDER, Issuer, basic, issuer
from benchmarks.machine import ROOT, UnableError, program
from benchmarks.tokens import CONNECTIONS, Asked, spelled
from tests.e2e.stack import Program, curl, free_address, text_of

WHAT = "decisions"
OATHKEEPER = "Ory Oathkeeper"
SESSION, PASSWORD = "Authelia (session)", "Authelia (password)"  # no comma: it would end a path
BUILT = ROOT / ".rivals"
_MODULES = {
    "oathkeeper": "github.com/ory/oathkeeper",
    "authelia": "github.com/authelia/authelia/v4",
}
_HOST, _PATH = "api.example.com", "/compute/v2.1/servers"
SESSIONS = 8  # each takes a login
# As with Keystone: more would only queue before one that answers a few a second.
CONNECTIONS |= {OATHKEEPER: 32, SESSION: 32, PASSWORD: 2}


def versions() -> dict[str, str]:
    """Return which version of each is built."""
    found = {}
    for name, module in _MODULES.items():
        text = (FOLDER / name / "go.mod").read_text(encoding="utf-8")
        wanted = re.search(rf"^require {re.escape(module)} v(\S+)", text, re.MULTILINE)
        assert wanted is not None, f"{name}: no version"
        found[name] = wanted[1]
    return found


def built(name: str) -> Path:
    """Return where a program is; UnableError with what its build said where there is none."""
    file = BUILT / name
    if file.is_file():
        return file
    log = BUILT / f"{name}.log"
    if not log.is_file():
        raise UnableError("not installed: make rivals")
    said = [one for one in log.read_text(encoding="utf-8").splitlines() if one.strip()]
    told = [one for one in said if "downloading" not in one]
    raise UnableError(f"not built: {told[-1] if told else 'go build said nothing'}")


@contextmanager
def oathkeeper(folder: Path, core: int, tokens: int) -> Iterator[list[tuple[int, Asked]]]:
    """Run Oathkeeper before an oidc-provider on a core; its process id and what it is asked."""
    command: list[str | Path] = [
        *_on(core),
        built("oathkeeper"),
        "serve",
        "--sqa-opt-out",
        "--config",
    ]
    listeners = {name: free_address() for name in ("api", "proxy", "prometheus")}
    address = text_of(listeners["api"])
    with issuer(folder, tokens) as made, Program("oathkeeper", folder) as server:
        serve = {name: {"host": host, "port": port} for name, (host, port) in listeners.items()}
        config = _oathkeeper(_written(folder / "rules.json", _RULES), made)
        file = _written(folder / "oathkeeper.json", config | {"serve": serve})
        server.launch([*command, file], lambda: _answers(f"http://{address}/health/ready"))
        told = {
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": _HOST,
            "X-Forwarded-Uri": _PATH,
        }
        sent = [told | {"Authorization": f"Bearer {one}"} for one in made.tokens]
        yield [(server.pid, _asked(OATHKEEPER, address, "/decisions", sent))]


@contextmanager
def authelia(folder: Path, core: int, _keys: int) -> Iterator[list[tuple[int, Asked]]]:
    """Run Authelia with one user on a core; its process id and what it is asked."""
    program_file, listening = built("authelia"), free_address()
    address, (password, digest) = text_of(listening), _password(program_file)
    folder.mkdir()
    users = {"alice": {"displayname": "Alice", "password": digest}}
    accounts = _written(folder / "users.json", {"users": users})
    file = _written(folder / "authelia.json", _authelia(folder, accounts, listening[1]))
    with Program("authelia", folder) as server:
        server.launch(
            [*_on(core), program_file, "--config", file],
            lambda: _answers(f"http://{address}/api/health"),
        )
        told = {"X-Original-URL": f"https://{_HOST}{_PATH}", "X-Forwarded-Method": "GET"}
        sessions = [_session(address, password) for _ in range(SESSIONS)]
        cookies = [told | {"Cookie": one} for one in sessions]
        proof = basic("alice", password).partition(": ")[2]
        passwords = [told | {"Authorization": proof}]
        yield [
            (server.pid, _asked(SESSION, address, "/api/verify", cookies)),
            (server.pid, _asked(PASSWORD, address, "/api/verify?auth=basic", passwords)),
        ]


def _on(core: int) -> list[str]:
    """Return what starts a program on one core: Go's runtime asks only once how many there are."""
    return [program("taskset"), "-c", str(core)]


_RULES = [
    {
        "id": "compute",
        "match": {"url": f"https://{_HOST}/compute/<.*>", "methods": ["GET"]},
        "authenticators": [{"handler": "oauth2_introspection"}],
        "authorizer": {"handler": "allow"},
        "mutators": [{"handler": "noop"}],
    }
]


def _oathkeeper(rules: Path, made: Issuer) -> dict[str, object]:
    introspection = {
        "introspection_url": f"http://{made.address}/token/introspection",
        "introspection_request_headers": dict([made.proof.split(": ", 1)]),
        "scope_strategy": "exact",
        "required_scope": ["storage:read"],
        "cache": {"enabled": True},
    }
    return {
        "log": {"level": "error"},
        "access_rules": {"repositories": [rules.as_uri()]},
        "authenticators": {"oauth2_introspection": {"enabled": True, "config": introspection}},
        "authorizers": {"allow": {"enabled": True}},
        "mutators": {"noop": {"enabled": True}},
        "errors": {"fallback": ["json"], "handlers": {"json": {"enabled": True}}},
    }


def _authelia(folder: Path, users: Path, port: int) -> dict[str, object]:
    return {
        "server": {"host": "127.0.0.1", "port": port},
        "log": {"level": "error"},
        "jwt_secret": secrets.token_urlsafe(48),
        "default_redirection_url": f"https://{_HOST}",
        "authentication_backend": {"file": {"path": str(users)}},
        "access_control": {
            "default_policy": "deny",
            "rules": [{"domain": _HOST, "methods": ["GET"], "policy": "one_factor"}],
        },
        "session": {
            "domain": "example.com",
            "secret": secrets.token_urlsafe(48),
            "expiration": "2h",
            "inactivity": "1h",
        },
        "storage": {
            "encryption_key": secrets.token_urlsafe(48),
            "local": {"path": str(folder / "db.sqlite3")},
        },
        "notifier": {"filesystem": {"filename": str(folder / "notified.txt")}},
    }


def _password(authelia_file: Path) -> tuple[str, str]:
    """Return a new password and what Authelia keeps of it."""
    command: list[str | Path] = [authelia_file, "crypto", "hash", "generate", "argon2", "--random"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.findall(r"^(Random Password|Digest): (\S+)$", done.stdout, re.MULTILINE)
    if len(found) != 2:
        raise UnableError(f"authelia made no password: {done.stderr[-500:]}")
    told = dict(found)
    return told["Random Password"], told["Digest"]


def _session(address: str, password: str) -> str:
    """Log in, and return the cookie of the session."""
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": _HOST}
    words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    sent = json.dumps({"username": "alice", "password": password})
    typed = ("-H", "Content-Type: application/json", "-d", sent)
    told = curl(*words, *typed, f"http://{address}/api/firstfactor")
    if told.status != 200:
        raise UnableError(f"{SESSION}: the login answered {told}")
    return str(told.one("Set-Cookie")).partition(";")[0]


def _asked(server: str, address: str, path: str, sent: Sequence[Mapping[str, str]]) -> Asked:
    """Return its questions; UnableError when a credential doesn't stand, or a wrong one does."""
    shown = next(name for name in ("Authorization", "Cookie") if name in sent[0])
    mixed = {**sent[0], shown: f"{sent[0][shown]}x"}
    for headers, stands in ((mixed, False), *((one, True) for one in sent)):
        words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        told = curl(*words, f"http://{address}{path}")
        if (told.status == 200) is not stands:
            raise UnableError(f"{server} answered {told}")
    questions = [spelled("GET", path, dict(one), host=address) for one in sent]
    return Asked(server, WHAT, address, questions)


def _answers(url: str) -> bool:
    try:
        return curl(url).status == 200
    except (AssertionError, OSError, subprocess.SubprocessError):
        return False


def _written(file: Path, value: object) -> Path:
    file.write_text(json.dumps(value), encoding="utf-8")
    return file
