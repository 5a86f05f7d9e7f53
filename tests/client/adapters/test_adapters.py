"""What every adapter does, whichever library a program uses: one suite over all of them."""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import create_connection
from threading import Event, Thread
from typing import ClassVar

import pytest
from tests.certificates import Authority
from tests.client.adapters.drivers import DRIVERS, Asking, Driver
from tests.client.adapters.identity import LOGIN, identity, kakao
from tests.client.stage import Asked, Said, Stage

from latchgate.client import (
    InsecureTransport,
    KakaoCloud,
    PermissionDenied,
    Refused,
    Secret,
    Unreachable,
    WaysCloud,
    WrongHost,
)
from latchgate.client.flow import Ask, Cloud, Flow, Send
from latchgate.client.hosts import Hosts
from latchgate.client.message import Request, Target

pytestmark = pytest.mark.enable_socket

SECRET = "wayscloud_llm_k1_Zt5sQ0"
NAMES = ("Authorization", "X-API-Key", "X-Auth-Token", "X-TeraCLOUD-API-KEY")


@pytest.fixture(params=list(DRIVERS))
def driver(request):
    return DRIVERS[request.param]


class Everywhere(Cloud):
    """A cloud whose credential goes into every header that any of them uses, or into the path."""

    name: ClassVar[str] = "Everywhere"
    source = "argument"

    def __init__(self, *urls: str, in_path: bool = False, names: frozenset[str] = frozenset()):
        self.url = urls[0]
        origins = frozenset(Target.of(url).origin for url in urls)
        self.hosts = Hosts(self.name, names=names, more=origins)
        self.in_path = in_path

    def signed(self, target: Target) -> Flow:
        if self.in_path:
            yield Send((), path=f"{target.path};api_key={SECRET}(1)")
        else:
            yield Send(tuple((name, SECRET) for name in NAMES))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (Secret(SECRET),)


def held(asked: Asked) -> bool:
    return SECRET in repr(asked)


def test_the_credential_replaces_a_header_of_the_callers_however_that_is_written(
    driver: Driver, one: Stage
):
    asking = Asking(
        f"{one.url}/v1/a%20b?x=1&x=2",
        "POST",
        b"body",
        headers={"aUTHORIZATION": "Bearer mine", "X-Kept": "yes"},
    )
    answer = driver.call(WaysCloud(SECRET, url=one.url), asking)
    (asked,) = one.asked
    sent = [value for name, value in asked.pairs if name.lower() == "authorization"]
    assert (answer.status, sent) == (200, [f"Bearer {SECRET}"])
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/a%20b?x=1&x=2", b"body")
    assert asked.header("x-kept") == "yes"


def test_a_request_to_another_host_is_refused_and_nothing_is_sent(
    driver: Driver, one: Stage, two: Stage
):
    with pytest.raises(WrongHost):
        driver.call(WaysCloud(SECRET, url=one.url), Asking(two.url))
    assert (one.asked, two.asked) == ([], [])


def test_a_redirect_to_another_host_carries_nothing(driver: Driver, one: Stage, two: Stage):
    one.answer = lambda _: Said(302, headers={"Location": f"{two.url}/there?a=1"})
    answer = driver.call(Everywhere(one.url), Asking(one.url))
    assert (answer.status, two.asked[0].path) == (200, "/there?a=1")
    assert held(one.asked[0])
    assert [two.asked[0].header(name) for name in NAMES] == [None] * 4
    assert not held(two.asked[0])


def test_a_redirect_to_an_own_host_carries_the_credential(driver: Driver, one: Stage, two: Stage):
    one.answer = lambda _: Said(302, headers={"Location": f"{two.url}/there"})
    driver.call(Everywhere(one.url, two.url), Asking(one.url))
    assert [two.asked[0].header(name) for name in NAMES] == [SECRET] * 4


def test_a_redirect_and_back_carries_the_credential_home_alone(
    driver: Driver, one: Stage, two: Stage
):
    answers = [Said(302, headers={"Location": f"{two.url}/there"}), Said()]
    one.answer = lambda _: answers[len(one.asked) - 1]
    two.answer = lambda _: Said(302, headers={"Location": f"{one.url}/back"})
    driver.call(Everywhere(one.url), Asking(one.url))
    assert [held(asked) for asked in one.asked] == [True, True]
    assert not held(two.asked[0])


def test_a_form_that_is_answered_by_a_redirect_is_not_sent_on(driver: Driver, one: Stage):
    answers = [Said(303, headers={"Location": "/done"}), Said()]
    one.answer = lambda _: answers[len(one.asked) - 1]
    driver.call(WaysCloud(SECRET, url=one.url), Asking(f"{one.url}/new", "POST", b"a=1"))
    assert [(asked.method, asked.path, asked.body) for asked in one.asked] == [
        ("POST", "/new", b"a=1"),
        ("GET", "/done", b""),
    ]


def test_a_redirect_of_an_own_host_to_one_without_tls_is_refused(driver: Driver, tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with Stage(
        lambda _: Said(302, headers={"Location": "http://api.wayscloud.services/"}), context
    ) as stage:
        cloud = WaysCloud(SECRET, origins=[stage.url])
        with pytest.raises(InsecureTransport):
            driver.call(cloud, Asking(stage.url, ca=authority.file))
        assert [asked.header("authorization") for asked in stage.asked] == [f"Bearer {SECRET}"]


def test_an_own_host_without_tls_is_refused(driver: Driver):
    with pytest.raises(InsecureTransport):
        driver.call(WaysCloud(SECRET), Asking("http://api.wayscloud.services/v1"))


@pytest.mark.parametrize(
    "host", ["api.wayscloud.services.", "api.wayscloud.services:8443", "x.wayscloud.services"]
)
def test_a_host_that_is_spelled_almost_as_an_own_one_is_another(driver: Driver, host: str):
    with pytest.raises(WrongHost):
        driver.call(WaysCloud(SECRET), Asking(f"https://{host}/v1"))


def test_a_server_of_tls_1_1_alone_is_refused(driver: Driver, tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        willing = authority.client(version=ssl.TLSVersion.TLSv1_1)
    old.load_cert_chain(pair.certificate, pair.key)
    with Stage(tls=old) as stage:
        with create_connection(stage.address) as plain:
            willing.wrap_socket(plain, server_hostname="localhost").close()  # it can be reached
        with pytest.raises(Exception, match=r"(?i)protocol.version|unsupported.protocol"):
            driver.call(WaysCloud(SECRET, url=stage.url), Asking(stage.url, ca=authority.file))
        assert stage.asked == []


# ── tokens that are refused ──


def refusing(*statuses: int) -> Callable[[Asked], Said]:
    """Return what answers with these, one after the other, and gives tokens out."""
    left = list(statuses)
    words = b'{"error": {"code": 401, "title": "Unauthorized"}}'
    return identity(SECRET, lambda _: Said(left.pop(0), words))


def told(stage: Stage) -> list[tuple[str, str | None]]:
    return [(asked.path, asked.header("x-auth-token")) for asked in stage.asked]


def test_a_refused_token_is_replaced_and_the_request_sent_once_more(driver: Driver, one: Stage):
    one.answer = refusing(401, 200)
    answer = driver.call(kakao(one, SECRET), Asking(f"{one.url}/v", "PUT", b"body"))
    assert answer.status == 200
    login = (LOGIN, None)
    assert told(one) == [login, ("/v", f"{SECRET}-1"), login, ("/v", f"{SECRET}-2")]
    assert [asked.body for asked in one.asked if asked.path == "/v"] == [b"body"] * 2


def test_a_second_refusal_is_the_answer_and_there_is_no_third_request(driver: Driver, one: Stage):
    one.answer = refusing(401, 401)
    answer = driver.call(kakao(one, SECRET), Asking(f"{one.url}/v"))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (401, 401)
    assert [path for path, _ in told(one)] == [LOGIN, "/v"] * 2


def test_a_body_that_is_sent_as_it_comes_is_sent_once(driver: Driver, one: Stage):
    one.answer = refusing(401)
    asking = Asking(f"{one.url}/v", "PUT", parts=(b"a", b"b"))
    answer = driver.call(kakao(one, SECRET), asking)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (401, 401)
    assert [asked.body for asked in one.asked if asked.path == "/v"] == [b"ab"]


def test_where_no_token_is_to_be_had_the_error_says_so_without_the_secret(
    driver: Driver, one: Stage
):
    one.answer = lambda _: Said(401, f'{{"error": {{"message": "no {SECRET}"}}}}'.encode())
    with pytest.raises(Refused) as refused:
        driver.call(kakao(one, SECRET), Asking(f"{one.url}/v"))
    assert SECRET not in str(refused.value)
    assert [path for path, _ in told(one)] == [LOGIN]


def test_an_identity_server_that_is_down_is_unreachable(driver: Driver, one: Stage):
    with Stage() as gone:
        down = gone.url
    cloud = KakaoCloud("id", SECRET, url=f"{down}/v3", origins=[one.url], cache=None)
    with pytest.raises(Unreachable) as unreachable:
        driver.call(cloud, Asking(one.url))
    assert down in str(unreachable.value)
    assert SECRET not in str(unreachable.value)
    assert one.asked == []


def test_an_exchange_follows_no_redirect(driver: Driver, one: Stage, two: Stage):
    one.answer = lambda _: Said(307, headers={"Location": f"{two.url}/v3/auth/tokens"})
    with pytest.raises(Refused):
        driver.call(kakao(one, SECRET), Asking(f"{one.url}/v"))
    assert two.asked == []


# ── what shows ──


def test_nothing_that_the_caller_holds_shows_the_credential(
    driver: Driver, one: Stage, two: Stage, caplog, capfd, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    one.answer = lambda _: Said(302, headers={"Location": f"{two.url}/there"})
    answer = driver.call(Everywhere(one.url, two.url), Asking(one.url, "POST", b"body"))
    assert held(one.asked[0])
    assert held(two.asked[0])
    printed = capfd.readouterr()
    assert SECRET not in answer.held + caplog.text + printed.out + printed.err


def test_a_credential_in_the_path_arrives_as_it_is_and_shows_nowhere(
    driver: Driver, one: Stage, caplog, capfd
):
    caplog.set_level(logging.DEBUG)
    answer = driver.call(Everywhere(one.url, in_path=True), Asking(f"{one.url}/v2/x?a=(b)"))
    assert one.asked[0].path == f"/v2/x;api_key={SECRET}(1)?a=(b)"
    printed = capfd.readouterr()
    assert SECRET not in answer.held + caplog.text + printed.out + printed.err


def test_a_broken_connection_shows_no_credential(driver: Driver):
    with Stage() as gone:
        down = gone.url
    with pytest.raises(Exception, match=r".") as broken:
        driver.call(Everywhere(down, in_path=True), Asking(f"{down}/v2/x"))
    seen: BaseException | None = broken.value
    while seen is not None:
        assert SECRET not in f"{seen!r} {seen} {vars(seen)!r}"
        seen = seen.__cause__ or seen.__context__


def test_a_fetched_token_is_in_no_log(driver: Driver, one: Stage, caplog, capfd, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    one.answer = refusing(200)
    answer = driver.call(kakao(one, SECRET), Asking(f"{one.url}/v"))
    assert told(one)[-1] == ("/v", f"{SECRET}-1")
    printed = capfd.readouterr()
    assert SECRET not in answer.held + caplog.text + printed.out + printed.err


def test_a_request_of_the_clouds_own_shows_no_credential_of_its_address(
    driver: Driver, one: Stage, caplog, capfd, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with Stage() as gone:
        down = gone.url
    path = f"/v2/api/ba/user;api_key={SECRET}?a=1"

    def flow(url: str):
        return (yield Ask(Request("GET", url + path))).status

    assert driver.run(WaysCloud(SECRET, url=one.url), flow(one.url)) == 200
    assert one.asked[0].path == path
    with pytest.raises(Unreachable) as unreachable:
        driver.run(WaysCloud(SECRET, url=one.url), flow(down))
    printed = capfd.readouterr()
    assert SECRET not in f"{unreachable.value} {caplog.text} {printed.out} {printed.err}"


# ── what else is on a machine ──


def test_a_netrc_adds_no_credential_of_its_own(driver: Driver, one: Stage, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    one.answer = lambda asked: (
        Said(302, headers={"Location": "/there"}) if asked.path == "/" else Said()
    )
    cloud = WaysCloud(f"wayscloud_api_{SECRET}", url=one.url)
    driver.call(cloud, Asking(f"{one.url}/"))
    assert [asked.header("authorization") for asked in one.asked] == [None, None]
    assert one.asked[1].header("x-api-key") == f"wayscloud_api_{SECRET}"


def test_what_goes_to_this_machine_without_tls_goes_through_no_proxy(
    driver: Driver, one: Stage, two: Stage, monkeypatch
):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, two.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    one.answer = refusing(200, 202)

    def flow():
        return (yield Ask(Request("GET", f"{one.url}/own"))).status

    cloud = kakao(one, SECRET)
    assert driver.call(cloud, Asking(f"{one.url}/v", trusting=True)).status == 200
    assert driver.run(cloud, flow()) == 202
    assert two.asked == []
    assert [path for path, _ in told(one)] == [LOGIN, "/v", "/own"]


# ── answers ──


def test_check_raises_what_a_refusal_means(driver: Driver, one: Stage):
    words = f'{{"error": {{"error_code": "FORBIDDEN", "error_message": "not {SECRET}"}}}}'
    one.answer = lambda _: Said(403, words.encode())
    cloud = WaysCloud(SECRET, url=one.url)
    assert driver.call(cloud, Asking(one.url)).status == 403
    with pytest.raises(PermissionDenied) as denied:
        driver.call(cloud, Asking(one.url, checked=True))
    assert (denied.value.code, denied.value.message) == ("FORBIDDEN", "not …")


def test_check_lets_an_answer_through(driver: Driver, one: Stage):
    assert driver.call(WaysCloud(SECRET, url=one.url), Asking(one.url, checked=True)).status == 200


def test_run_carries_out_a_flow_of_the_clouds_own(driver: Driver, one: Stage):
    one.answer = lambda _: Said(418, b"who?")

    def flow():
        response = yield Ask(Request("PUT", f"{one.url}/who", (("X-Me", "x"),), b"me"))
        return response.status, response.body

    assert driver.run(WaysCloud(SECRET, url=one.url), flow()) == (418, b"who?")
    (asked,) = one.asked
    assert (asked.method, asked.path, asked.header("x-me"), asked.body) == (
        "PUT",
        "/who",
        "x",
        b"me",
    )


def test_a_long_answer_is_read_as_it_comes(driver: Driver):
    read_on = Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "8")
            self.end_headers()
            self.wfile.write(b"half")
            # Were the answer kept until it is whole, this would never come.
            self.wfile.write(b"more" if read_on.wait(30) else b"late")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        got = driver.read_slowly(WaysCloud(SECRET, url=url), url, 4, read_on.set)
    finally:
        server.shutdown()
        server.server_close()
    assert got == b"halfmore"
