"""The real programs of an end-to-end test, each started in a folder and ended by its process.

Plain classes without pytest, so that whatever needs a whole stack can have one: a `Latchgate`
(`init` and `serve`), a `Gateway` (nginx with the shipped configuration), and what stands behind
it (`FileServer`, `Upstream`). Nothing here listens anywhere but on 127.0.0.1.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import forked
from tests.certificates import Pair
from tests.e2e.wire import Answer
from tests.forked import LATCHGATE

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "nginx"
UPSTREAMS = ROOT / "examples" / "upstreams"
HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0

Port = tuple[str, int]
_given: set[int] = set()
_CLOUDS = ("LATCHGATE_", "OPENAI_", "OS_", "TERACLOUD_", "UPCLOUD_", "WAYSCLOUD_")


def free_address() -> Port:
    """Return an address nobody listens on, below the ports that outgoing connections take."""
    while True:
        port = random.randrange(15_000, 32_000)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _given.add(port)
        return HOST, port


def text_of(address: Port) -> str:
    """Return an address as configurations write it."""
    return f"{address[0]}:{address[1]}"


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: ours, without proxies and without anybody's clouds."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(_CLOUDS)
    }
    return kept | more


class Program:
    """A child process, its output in files of its folder; a context manager that ends it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def stdout(self) -> str:
        """All it has printed, over all its starts."""
        return (self.folder / f"{self.name}.stdout").read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        """All it has complained of, over all its starts."""
        return (self.folder / f"{self.name}.stderr").read_text(encoding="utf-8")

    def launch(
        self,
        command: Sequence[str | Path],
        ready: Callable[[], bool],
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it, with these open files, and wait until it is ready."""
        assert self._process is None, f"{self.name} already runs"
        with (
            (self.folder / f"{self.name}.stdout").open("ab") as out,
            (self.folder / f"{self.name}.stderr").open("ab") as err,
        ):
            self._process = forked.popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(env or environment()),
                cwd=self.folder,
                pass_fds=pass_fds,
            )
        give_up = time.monotonic() + START_SECONDS
        while not ready():
            ended = self._process.poll()
            if ended is not None or time.monotonic() > give_up:
                said = self.stderr[-2000:]
                self.stop()
                msg = f"{self.name} did not start (exit {ended}): {said}"
                raise RuntimeError(msg)
            time.sleep(0.01)

    def tell(self, which: signal.Signals = signal.SIGTERM) -> None:
        """Tell it something, and wait for nothing."""
        assert self._process is not None
        self._process.send_signal(which)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End it, and return how it ended; None when it did not run."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@dataclass(frozen=True)
class Key:
    """A key just made: its id, its text, and everything else that was answered."""

    id: str
    text: str
    told: Mapping[str, Any]

    @property
    def secret(self) -> str:
        """The part that nobody else may ever see."""
        return self.text.split("_", 3)[3]


class Latchgate(Program):
    """One Latchgate: `init` in a folder, `serve`, and the command line with its profile."""

    def __init__(
        self, folder: Path, *, verify: str | None = None, database: str | None = None
    ) -> None:
        """Initialise it; its records are in `folder`, or in PostgreSQL by the URI `database`."""
        super().__init__("latchgate", folder)
        self.config = folder / "latchgate.toml"
        self.api, self.console = free_address(), free_address()
        self.verify: Port | str = verify or free_address()
        more = () if database is None else ("--database", database)
        listens = text_of(self.verify) if isinstance(self.verify, tuple) else f"unix:{self.verify}"
        self.first: dict[str, Any] = json.loads(
            self.run(
                "init", "--config", str(self.config), "--listen", text_of(self.api),
                "--console-listen", text_of(self.console), "--verify-listen", listens,
                *more, "--json",
            ).stdout
        )  # fmt: skip
        self.token: str = self.first["token"]

    def another(self, folder: Path, name: str, database: str) -> Self:
        """Return a node beside this one, as an operator makes it: its files, other addresses.

        `database` is the URI that it reaches the same records by.
        """
        made = copy(self)
        Program.__init__(made, "latchgate", folder)
        shutil.copytree(
            self.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.std*")
        )
        made.config = folder / "latchgate.toml"
        made.api, made.console, made.verify = free_address(), free_address(), free_address()
        text = made.config.read_text(encoding="utf-8")
        for listens in ("api", "console", "verify"):
            now, then = text_of(getattr(made, listens)), text_of(getattr(self, listens))
            text = text.replace(f'"{then}"', f'"{now}"')
        text = re.sub(r"(?m)^database = .*$", f'database = "{database}"', text)
        made.config.write_text(f'{text}\n[node]\nname = "{name}"\n', encoding="utf-8")
        profile = folder / "profile.toml"
        told = profile.read_text(encoding="utf-8")
        profile.write_text(told.replace(text_of(self.api), text_of(made.api)), encoding="utf-8")
        return made

    def run(
        self, *words: str, stdin: str = "", env: Mapping[str, str] | None = None, status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line with the profile that `init` wrote; it must exit with `status`."""
        done = forked.run(
            [*LATCHGATE, *words],
            stdin=stdin,
            text=True,
            env=dict(env or environment(LATCHGATE_PROFILE=str(self.folder / "profile.toml"))),
            cwd=self.folder,
            seconds=60,
        )
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *words: str) -> Any:
        """Run a verb with `--json` and return what it printed."""
        return json.loads(self.run(*words, "--json").stdout)

    def serve(self, *options: str, workers: int = 2, under: Sequence[str] = ()) -> None:
        """Start the server, `under` another program if told; wait until every worker answers."""
        printed = self.folder / "latchgate.stdout"
        before = printed.stat().st_size if printed.exists() else 0
        self.launch(
            [
                *under, *LATCHGATE, "serve", "--config", str(self.config),
                "--workers", str(workers), *options,
            ],
            lambda: "Latchgate is up" in printed.read_text(encoding="utf-8")[before:],
        )  # fmt: skip

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers, the server itself left out."""
        told = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in told.split()]

    def call(self, method: str, path: str, sent: object = None) -> Any:
        """Ask the management API with the first token; a refusal is an error."""
        status, told = self.called(method, path, sent)
        assert status < 300, told
        return told

    def called(self, method: str, path: str, sent: object = None) -> tuple[int, Any]:
        """Ask the management API with the first token; return status and JSON."""
        connection = http.client.HTTPConnection(*self.api, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}"}
        body = None
        if sent is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(sent)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def key(self, *services: str, **fields: object) -> Key:
        """Make a key over the API; `fields` are those of the request."""
        spec = {"name": "a test's", "services": list(services or ("storage",)), **fields}
        told = self.call("POST", "/manage/v1/keys", spec)
        return Key(told["id"], told["key"], told)

    def revoke(self, key: Key) -> Any:
        """Revoke a key over the API and return its receipt."""
        return self.call("DELETE", f"/manage/v1/keys/{key.id}")["receipt"]

    def explain(self, decision: str) -> Any:
        """Return the explanation of a refusal, over the API; `explain --id` prints the same."""
        return self.call("GET", f"/manage/v1/decisions/{decision}")

    def files(self) -> dict[str, bytes]:
        """Return the bytes of every file of its folder, logs and databases included."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


class Nginx(Program):
    """An nginx of its own, in the foreground, from a folder with its `nginx.conf`."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        self.address = free_address()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{text_of(self.address)}"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        own = f"daemon off; pid {self.folder}/pid;"
        if not os.geteuid():
            own += " user root;"  # the folder is its owner's alone
        command = ["nginx", "-c", str(self.folder / "nginx.conf"), "-g", own]
        self.launch(command, lambda: accepts(self.address))

    def temporary(self) -> str:
        """Return the directives that keep temporary files in the folder."""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        return "".join(f"    {kind}_temp_path {self.folder}/{kind};\n" for kind in kinds)


class FileServer(Nginx):
    """A file server: GET, HEAD, PUT, DELETE and MKCOL below /v1/storage/, in `root`."""

    def __init__(self, folder: Path) -> None:
        super().__init__("files", folder)
        self.root = folder / "root"
        (self.root / "v1" / "storage").mkdir(parents=True)
        self._log = folder / "requests.log"
        (folder / "nginx.conf").write_text(
            f"""\
events {{ }}
http {{
{self.temporary()}
    log_format told escape=json '$request $http_authorization $http_x_api_key';
    access_log {self._log} told;
    error_log {folder}/error.log;
    server {{
        listen {text_of(self.address)};
        location / {{
            root {self.root};
            autoindex on;
            dav_methods PUT DELETE MKCOL;
            create_full_put_path on;
            client_max_body_size 0;
        }}
    }}
}}
""",
            encoding="utf-8",
        )

    @property
    def requests(self) -> list[str]:
        """A line for each request that reached it: request line, Authorization, X-API-Key."""
        return self._log.read_text(encoding="utf-8").splitlines()

    def object(self, name: str) -> Path:
        """Return the file of an object below /v1/storage/."""
        return self.root / "v1" / "storage" / name


class BasicGate(Nginx):
    """An old system: an nginx that checks Basic, 204 with the name in X-Old-User, or its 401."""

    def __init__(self, folder: Path, *, user: str, password: str) -> None:
        super().__init__("old", folder)
        (folder / "users").write_text(f"{user}:{{PLAIN}}{password}\n", encoding="utf-8")
        (folder / "nginx.conf").write_text(
            f"""\
events {{ }}
http {{
{self.temporary()}
    log_format told escape=json '$http_x_original_method $http_x_original_uri $http_x_old_user';
    access_log {folder}/requests.log told;
    error_log {folder}/error.log;
    server {{
        listen {text_of(self.address)};
        location = /check {{
            auth_basic "Old system";
            auth_basic_user_file {folder}/users;
            try_files /nothing @allowed;
        }}
        location @allowed {{
            add_header X-Old-User $remote_user;
            return 204;
        }}
    }}
}}
""",
            encoding="utf-8",
        )

    @property
    def requests(self) -> list[str]:
        """A line for each question: original method, original URI, X-Old-User of the client."""
        return (self.folder / "requests.log").read_text(encoding="utf-8").splitlines()


class Upstream(Program):
    """A program of examples/upstreams: `llm`, `storage` or `echo`."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        self.address = free_address()

    def start(self, *options: str) -> None:
        """Start it and wait until it accepts connections."""
        script = UPSTREAMS / f"{self.name}.py"
        port = str(self.address[1])
        self.launch(
            [sys.executable, script, "--port", port, *options], lambda: accepts(self.address)
        )

    def count(self) -> int:
        """Return how many requests reached an echo."""
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request("GET", "/count")
            return int(json.loads(connection.getresponse().read())["count"])
        finally:
            connection.close()


class Gateway(Nginx):
    """nginx with the shipped configuration, its EDIT lines filled in and nothing else changed.

    Without `api` nobody is behind the paths of Latchgate's own API. `edit` may change the main
    file's text further, as an operator would. With `remembers` it keeps accepts, below /dev/shm.
    """

    def __init__(
        self,
        folder: Path,
        *,
        verify: Port | str,
        objects: Port,
        llm: Port,
        api: Port | None = None,
        edit: Callable[[str], str] = str,
        remembers: bool = False,
    ) -> None:
        super().__init__("gateway", folder)
        for file in DEPLOY.glob("*.conf"):
            shutil.copy(file, folder)
        verified = text_of(verify) if isinstance(verify, tuple) else f"unix:{verify}"
        _replace(folder / "latchgate-http.conf", {"127.0.0.1:8422": verified})
        main = folder / "nginx.conf"
        shutil.copy(DEPLOY / "nginx.conf.example", main)
        _replace(
            main,
            {
                "127.0.0.1:8080": text_of(self.address),
                "127.0.0.1:9000": text_of(objects),
                "127.0.0.1:9100": text_of(llm),
                "127.0.0.1:8420": text_of(api or free_address()),
                "api.example.com": "127.0.0.1 localhost",
                "/var/log/nginx": str(folder),
            },
        )
        text = main.read_text(encoding="utf-8")
        text = text.replace("http {", f"http {{\n{self.temporary()}", 1)
        self.memory: Path | None = None
        if remembers:
            text = self._remembering(text)
        main.write_text(edit(text), encoding="utf-8")

    def _remembering(self, text: str) -> str:
        """Do what docs/howto/nginx.md says of it; returns the main file's text."""
        self.memory = Path(tempfile.mkdtemp(prefix="latchgate-test-", dir="/dev/shm"))
        _replace(
            self.folder / "latchgate-cache-http.conf",
            {"/dev/shm/latchgate-nginx": str(self.memory)},  # noqa: S108 - as it is shipped
        )
        server = self.folder / "latchgate-server.conf"
        lines = server.read_text(encoding="utf-8").replace(
            "# include latchgate-cache", "include latchgate-cache"
        )
        kept = [line for line in lines.splitlines() if "EDIT: cache" not in line]
        assert len(kept) == len(lines.splitlines()) - 2
        server.write_text("\n".join(kept), encoding="utf-8")
        http = "include latchgate-http.conf;"
        assert http in text
        return text.replace(http, f"{http}\n    include latchgate-cache-http.conf;", 1)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End it; what it remembered is gone with it."""
        ended = super().stop(how)
        if self.memory is not None:
            shutil.rmtree(self.memory, ignore_errors=True)
        return ended

    @property
    def access_log(self) -> str:
        """What it has logged of requests."""
        return (self.folder / "access.log").read_text(encoding="utf-8", errors="replace")

    @property
    def error_log(self) -> str:
        """What it has logged of errors."""
        return (self.folder / "error.log").read_text(encoding="utf-8", errors="replace")


class DavGateway(Nginx):
    """nginx with the shipped WebDAV configuration: TLS in front, nginx's own WebDAV behind.

    `plain` is a second listener of the gate without TLS, as a careless operator might have; `paths`
    is the location of what is passed on to `rest`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        verify: Port | str,
        rest: Port,
        pair: Pair,
        paths: str = "location ^~ /v2/api/",
    ) -> None:
        super().__init__("gateway", folder)
        for file in DEPLOY.glob("*.conf"):
            shutil.copy(file, folder)
        verified = text_of(verify) if isinstance(verify, tuple) else f"unix:{verify}"
        _replace(folder / "latchgate-http.conf", {"127.0.0.1:8422": verified})
        self.plain, behind = free_address(), free_address()
        self.files = folder / "files"
        (self.files / "dav").mkdir(parents=True)
        (self.files / "v2").mkdir()
        (self.files / "v2/dav").symlink_to("../dav")
        main = folder / "nginx.conf"
        shutil.copy(DEPLOY / "webdav.conf.example", main)
        _replace(
            main,
            {
                "modules/ngx": "/usr/lib/nginx/modules/ngx",
                "listen 127.0.0.1:8443 ssl default_server;": (
                    f"listen {text_of(self.address)} ssl default_server;"
                    f" listen {text_of(self.plain)};"
                ),
                "127.0.0.1:9000": text_of(behind),
                "127.0.0.1:9100": text_of(rest),
                "location ^~ /v2/api/": paths,
                "/etc/latchgate/tls.pem": str(pair.certificate),
                "/etc/latchgate/tls.key": str(pair.key),
                "root files;": f"root {self.files};",
                "/var/log/nginx": str(folder),
                "http {": f"http {{\n{self.temporary()}",
            },
        )

    @property
    def secure(self) -> str:
        """Where it listens with TLS."""
        return f"https://{text_of(self.address)}"

    @property
    def access_log(self) -> str:
        """What it has logged of requests."""
        return (self.folder / "access.log").read_text(encoding="utf-8", errors="replace")


class ApiGateway(Nginx):
    """nginx with the shipped configuration for the clouds' own APIs, over TLS.

    `plain` is a second listener without TLS, as a careless operator might have.
    """

    def __init__(self, folder: Path, *, verify: Port | str, api: Port, pair: Pair) -> None:
        super().__init__("gateway", folder)
        for file in DEPLOY.glob("*.conf"):
            shutil.copy(file, folder)
        verified = text_of(verify) if isinstance(verify, tuple) else f"unix:{verify}"
        _replace(folder / "latchgate-http.conf", {"127.0.0.1:8422": verified})
        self.plain = free_address()
        main = folder / "nginx.conf"
        shutil.copy(DEPLOY / "api.conf.example", main)
        _replace(
            main,
            {
                "listen 127.0.0.1:8443 ssl default_server;": (
                    f"listen {text_of(self.address)} ssl default_server;"
                    f" listen {text_of(self.plain)};"
                ),
                "127.0.0.1:8420": text_of(api),
                "/etc/latchgate/tls.pem": str(pair.certificate),
                "/etc/latchgate/tls.key": str(pair.key),
                "/var/log/nginx": str(folder),
                "http {": f"http {{\n{self.temporary()}",
            },
        )

    @property
    def secure(self) -> str:
        """Where it listens with TLS."""
        return f"https://{text_of(self.address)}"

    @property
    def access_log(self) -> str:
        """What it has logged of requests."""
        return (self.folder / "access.log").read_text(encoding="utf-8", errors="replace")


def curl(*words: str, stdin: bytes | None = None) -> Answer:
    """Run curl without anybody's settings and return the last answer it got."""
    done = subprocess.run(
        ["curl", "-q", "--silent", "--show-error", "--include", "--noproxy", "*", *words],
        input=stdin,
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (words, done.returncode, done.stderr)
    told = done.stdout
    while True:
        head, _, body = told.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status >= 200:
            break
        told = body
    pairs = [line.partition(":") for line in lines[1:]]
    return Answer(status, tuple((name, value.strip()) for name, _, value in pairs), body)


def accepts(address: Port) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


def _replace(file: Path, texts: Mapping[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new in texts.items():
        assert old in text, f"{file.name} no longer holds {old}"
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
