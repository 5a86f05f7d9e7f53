"""Shadow mode through the shipped nginx configuration, with an nginx as the old system."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.stack import BasicGate, Gateway, Latchgate, Upstream
from tests.e2e.wire import Answer, Wire, ask, written
from tests.world import until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PASSWORD = "correct-horse-battery"
BASIC = "Basic " + base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
COPY = """
auth_request_set $old_user $upstream_http_x_old_user;
proxy_set_header X-Old-User $old_user;
"""


@dataclass
class Stack:
    """Latchgate, the gateway, the old system, and what stands behind them."""

    latchgate: Latchgate
    gateway: Gateway
    old: BasicGate
    echo: Upstream
    policy: Path

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        return ask(self.gateway.address, "GET", path, headers)

    def apply(self, text: str) -> None:
        self.policy.write_text(text, encoding="utf-8")
        applied = self.latchgate.json("policy", "apply", "--config", str(self.latchgate.config))
        assert {one["state"] for one in applied["receipt"]["verifiers"]} == {"acknowledged"}

    def area(self) -> dict[str, object]:
        found: list[dict[str, object]] = self.latchgate.json("shadow", "show")["areas"]
        return next(one for one in found if one["area"] == "/v1/storage")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("shadow")
    with (
        Latchgate(folder / "latchgate") as latchgate,
        BasicGate(folder / "old", user="ada", password=PASSWORD) as old,
        Upstream("echo", folder / "echo") as echo,
    ):
        old.start()
        echo.start()
        latchgate.serve(workers=1)
        with Gateway(
            folder / "gateway", verify=latchgate.verify, objects=echo.address, llm=echo.address
        ) as gateway:
            protect = gateway.folder / "latchgate-protect.conf"
            protect.write_text(protect.read_text(encoding="utf-8") + COPY, encoding="utf-8")
            gateway.start()
            policy = latchgate.folder / "providers" / "wayscloud.toml"
            made = Stack(latchgate, gateway, old, echo, policy)
            made.apply(shadowed(policy.read_text(encoding="utf-8"), old.url))
            yield made


def shadowed(text: str, url: str) -> str:
    table = f"""
[shadows.old]
url = "{url}/check"
timeout = "10s"
copy_headers = ["X-Old-User"]

[[areas]]
path = "/v1/storage"
shadow = "old"
"""
    return text.replace('\n[[areas]]\npath = "/v1/storage"\n', table, 1)


def test_the_old_system_decides_until_cut_over_and_differences_are_told(stack):
    key = stack.latchgate.key("storage")
    bearer = ("Authorization", f"Bearer {key.text}")
    assert (
        "not ready to cut over: nothing was compared yet"
        in stack.latchgate.run("policy", "check", "--config", str(stack.latchgate.config)).stdout
    )

    # Latchgate knows no Basic there; the old system allows, and says who it is.
    answer = stack.get("/v1/storage/a", ("Authorization", BASIC), ("X-Old-User", "root"))
    assert answer.status == 200
    seen = {name.lower(): value for name, value in answer.json()["headers"]}
    assert seen["x-old-user"] == "ada"
    assert "authorization" not in seen
    assert stack.old.requests[-1] == "GET /v1/storage/a "

    # Latchgate would allow its own key; the old system's refusal reaches the client whole.
    answer = stack.get("/v1/storage/a", bearer)
    assert answer.status == 401
    assert answer.one("WWW-Authenticate") == 'Basic realm="Old system"'
    assert answer.one("Content-Type").startswith("text/html")
    assert b"401 Authorization Required" in answer.body
    assert answer.every("X-Latchgate-Decision") == []
    # Both refuse.
    assert stack.get("/v1/storage/a").status == 401

    until(lambda: stack.area()["requests"] == 3, seconds=30)
    told = stack.area()
    assert (told["same"], told["stricter"], told["looser"]) == (1, 1, 1)
    assert (told["shadow"], told["ready"]) == ("wayscloud.old", False)
    assert told["verdict"] == "not ready to cut over: 3 requests, 2 differences in 7 d"
    newest, older = told["last"]
    assert (newest["outcome"], newest["status"], newest["decision"]) == ("looser", 401, None)
    assert newest["credential_id"] == key.id
    assert (older["outcome"], older["reason"]) == ("stricter", "credential_not_accepted")
    assert stack.latchgate.explain(older["decision"])["reason"] == "credential_not_accepted"
    assert "2 differences" in stack.latchgate.run("shadow", "show", "--area", "/v1/storage").stdout
    checked = stack.latchgate.run("policy", "check", "--config", str(stack.latchgate.config))
    assert "/v1/storage: not ready to cut over: 3 requests, 2 differences" in checked.stdout

    # Neither the secret nor the password is written anywhere.
    for name, held in stack.latchgate.files().items():
        for secret in (key.secret, PASSWORD, BASIC.removeprefix("Basic ")):
            assert secret.encode() not in held, name

    text = stack.policy.read_text(encoding="utf-8")
    stack.apply(text.replace('shadow = "old"\n', ""))
    try:
        assert stack.get("/v1/storage/a", bearer).status == 200
        assert stack.get("/v1/storage/a", ("Authorization", BASIC)).status == 401
        asked = len(stack.old.requests)
        assert stack.get("/v1/storage/a").status == 401
        assert len(stack.old.requests) == asked
        assert (stack.area()["shadow"], stack.area()["verdict"]) == (
            None,
            "cut over: 3 requests, 2 differences in 7 d",
        )
    finally:
        stack.apply(text)
    assert stack.get("/v1/storage/a", bearer).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Old-User", "root")],
        [("x-old-user", "root"), ("X-Old-User", "root")],
        [("X_Old_User", "root")],
        [("X.Old.User", "root")],
        [("X-Old-User", "root"), ("Connection", "X-Old-User, close")],
        [("X-Original-URI", "/v1/storage/other"), ("X-Forwarded-Uri", "/health")],
        [("X-Latchgate-User", "root")],
    ],
    ids=["plain", "twice", "underscore", "dot", "connection", "other-path", "ours"],
)
def test_nothing_that_a_client_says_of_itself_gets_through(stack, headers):
    answer = stack.get("/v1/storage/a", ("Authorization", BASIC), *headers)
    assert answer.status == 200
    told = answer.json()["headers"]
    assert [value for name, value in told if name.lower() == "x-old-user"] == ["ada"]
    assert "root" not in json.dumps(told)
    assert stack.old.requests[-1] == "GET /v1/storage/a "
    assert stack.get("/v1/storage/a", *headers).status == 401


@pytest.mark.parametrize(
    "path",
    ["/v1/storage/../models", "/v1/storage/%2e%2e/models", "/v1/storage//a", "/v1/storage/a%00",
     "/v1/storage/a;x=1/b", "/v1/storage/%252e%252e/a", "/v1/storage/a\\b"],
)  # fmt: skip
def test_a_path_that_can_be_read_in_two_ways_is_refused_though_the_old_system_would_allow(
    stack, path
):
    before = len(stack.old.requests)
    answer = stack.get(path, ("Authorization", BASIC))
    assert answer.status in {400, 401, 404}
    assert len(stack.old.requests) == before


def test_answers_keep_their_order_on_one_connection_through_the_gateway(stack):
    def one(number: int, *headers: tuple[str, str]) -> bytes:
        return written("GET", f"/v1/storage/{number}", list(headers))

    with Wire(stack.gateway.address) as wire:
        for _ in range(3):
            wire.send(one(1, ("Authorization", BASIC)) + one(2) + one(3, ("Authorization", BASIC)))
            answers = [wire.answer() for _ in range(3)]
            assert [answer.status for answer in answers] == [200, 401, 200]
            assert [answers[at].json()["target"] for at in (0, 2)] == [
                "/v1/storage/1",
                "/v1/storage/3",
            ]


def test_the_old_system_down_is_503_and_back_it_is_asked_again(stack):
    stack.old.stop()
    try:
        answer = stack.get("/v1/storage/a", ("Authorization", BASIC))
        assert answer.status == 503
        decision = answer.one("X-Latchgate-Decision")
        assert stack.latchgate.explain(decision)["reason"] == "shadow_unanswered"
        assert "wayscloud.old gave no answer" in stack.latchgate.stderr
    finally:
        stack.old.start()
    assert stack.get("/v1/storage/a", ("Authorization", BASIC)).status == 200
