"""A person's password behind nginx: slow, throttled, and in nobody's way (ATTACKS D4)."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.e2e.stack import DavGateway, Latchgate, Upstream, curl

from latchgate.signin.throttle import FREE_FAILURES

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

FAILED = {
    "error": {
        "error_code": "AUTHENTICATION_FAILED",
        "error_message": "Authentication failed using the given username and password.",
    }
}


@dataclass(frozen=True)
class Cloud:
    """UpCloud's area behind nginx, and its first user's id."""

    latchgate: Latchgate
    gateway: DavGateway
    authority: Authority
    user: str

    def ask(self, *words: str):
        """Ask for the servers."""
        url = f"{self.gateway.secure}/1.3/server"
        return curl("--cacert", str(self.authority.file), url, *words)

    @property
    def worked(self) -> float:
        """The seconds that its worker has computed: those of waiting are the machine's affair."""
        (worker,) = self.latchgate.workers or [self.latchgate.pid]
        stat = Path(f"/proc/{worker}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def password(self, login: str) -> str:
        """Give the first user a new password under the one login name that they have."""
        made = self.latchgate.json(
            "account", "password", "issue", "--user", self.user, "--namespace", "upcloud",
            "--login", login,
        )  # fmt: skip
        found: str = made["password"]
        return found


@pytest.fixture
def cloud(tmp_path) -> Iterator[Cloud]:
    authority = Authority(tmp_path / "authority")
    with Latchgate(tmp_path / "latchgate") as server, Upstream("echo", tmp_path / "echo") as rest:
        server.serve(workers=1)
        rest.start()
        with DavGateway(
            tmp_path / "gateway",
            verify=server.verify,
            rest=rest.address,
            pair=authority.issue("server"),
            paths=r"location ~ ^/(?:v2/api|1\.3)/",
        ) as gateway:
            gateway.start()
            (first,) = server.json("user", "list")["users"]
            yield Cloud(server, gateway, authority, first["id"])


def test_password_and_token_open_the_same_area_and_a_new_password_forgets_the_old_one(cloud):
    password = cloud.password("ada")
    answer = cloud.ask("-u", f"ada:{password}")
    assert answer.status == 200
    seen = {name.lower(): value for name, value in answer.json()["headers"]}
    assert seen["x-latchgate-kind"] == "upcloud.account_password"
    assert "authorization" not in seen
    token = cloud.latchgate.json("account", "token", "create", "--name", "t", "--expires-in", "1h")[
        "token"
    ]
    assert cloud.ask("-H", f"Authorization: Bearer {token}").status == 200
    wrong = cloud.ask("-u", "ada:not the password")
    assert (wrong.status, wrong.json()) == (401, FAILED)
    challenge = wrong.one("WWW-Authenticate")
    assert 'Basic realm="UpCloud API", charset="UTF-8"' in challenge
    assert "Bearer realm=" in challenge
    told = cloud.ask("-u", "ada:not the password", "-H", "Accept: application/xml")
    assert b"<error_code>AUTHENTICATION_FAILED</error_code>" in told.body
    assert told.one("Content-Type").startswith("application/xml")
    assert cloud.ask("-u", f"ada:{cloud.password('ada')}").status == 200
    assert cloud.ask("-u", f"ada:{password}").status == 401


def test_d4_27_an_unknown_account_is_told_throttled_and_kept_waiting_like_a_known_one(cloud):
    cloud.password("ada")
    answers: set[tuple[int, bytes]] = set()
    slow: dict[str, float] = {}
    for login in ("ada", "nobody"):
        took: list[float] = []
        # Past the free guesses nothing is worked out: the answer is the same, and costs nothing.
        # The waits double: where a guess takes long, too, one will come too soon.
        while len(took) <= FREE_FAILURES or took[-1] * 3 > slow[login]:
            begun = cloud.worked
            answer = cloud.ask("-u", f"{login}:guess number {len(took)}")
            took.append(cloud.worked - begun)
            answers.add((answer.status, answer.body))
            if len(took) == FREE_FAILURES:
                slow[login] = statistics.median(took)
            assert len(took) < 20
    assert len(answers) == 1
    assert 1 / 3 < slow["ada"] / slow["nobody"] < 3


def test_d4_31_a_flood_of_guesses_is_in_no_key_s_way(cloud):
    key = cloud.latchgate.json("account", "token", "create", "--name", "t", "--expires-in", "1h")[
        "token"
    ]

    def guess(number: int) -> int:
        status: int = cloud.ask("-u", f"user{number}:a guess").status
        return status

    with ThreadPoolExecutor(8) as pool:
        flood = [pool.submit(guess, number) for number in range(12)]
        answered = 0
        while not all(one.done() for one in flood):
            assert cloud.ask("-H", f"Authorization: Bearer {key}").status == 200
            answered += 1
        assert {one.result() for one in flood} <= {401, 503}
    # Had they waited in the same line, at most one would have been answered behind each eight.
    assert answered > 4


def test_the_pool_steps_back_and_the_password_is_in_no_file(cloud):
    password = cloud.password("ada")
    assert cloud.ask("-u", f"ada:{password}").status == 200
    (worker,) = cloud.latchgate.workers or [cloud.latchgate.pid]
    told = subprocess.run(
        ["ps", "-L", "-o", "ni=", "-p", str(worker)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "19" in told
    for name, held in cloud.latchgate.files().items():
        assert password.encode() not in held, name
    assert password not in cloud.gateway.access_log
