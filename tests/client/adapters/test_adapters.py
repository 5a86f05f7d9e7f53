"""What every adapter does, whichever library a program uses: one suite over all of them."""

from __future__ import annotations

import gc
import json
import ssl
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import create_connection
from threading import Event, Thread

import pytest
from tests.certificates import Authority
from tests.client.adapters.drivers import Asking, Driver
from tests.client.adapters.everywhere import NAMES, SECRET, Everywhere, held
from tests.client.adapters.identity import LOGIN, kakao, refusing, told
from tests.client.stage import Said, Stage

from latchgate.client import (
    InsecureTransport,
    KakaoCloud,
    PermissionDenied,
    Refused,
    TeraCloud,
    Unreachable,
    WaysCloud,
    WrongHost,
)
from latchgate.client.flow import Ask
from latchgate.client.message import Request

pytestmark = pytest.mark.enable_socket


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
        # Without a body: aiohttp leaves a connection with an unread one to close after its loop.
        lambda _: Said(302, b"", {"Location": "http://api.wayscloud.services/"}),
        context,
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


def test_a_refused_token_is_replaced_and_the_request_sent_once_more(driver: Driver, one: Stage):
    one.answer = refusing(SECRET, 401, 200)
    answer = driver.call(kakao(one, SECRET), Asking(f"{one.url}/v", "PUT", b"body"))
    assert answer.status == 200
    login = (LOGIN, None)
    assert told(one) == [login, ("/v", f"{SECRET}-1"), login, ("/v", f"{SECRET}-2")]
    assert [asked.body for asked in one.asked if asked.path == "/v"] == [b"body"] * 2


def test_a_challenge_is_answered_by_the_credential(driver: Driver, one: Stage):
    ask = {"WWW-Authenticate": 'Bearer realm="a", Basic realm="b"'}
    one.answer = lambda asked: (
        Said() if asked.header("authorization") else Said(401, b"who?", headers=ask)
    )
    cloud = TeraCloud("me", SECRET, "0" * 32, via="matrix", preemptive=False, url=one.url)
    assert driver.call(cloud, Asking(f"{one.url}/v2/api/x?a=(1)", "POST", b"body")).status == 200
    assert [asked.path for asked in one.asked] == [f"/v2/api/x;api_key={'0' * 32}?a=(1)"] * 2
    assert [asked.body for asked in one.asked] == [b"body"] * 2
    sent = [(asked.header("authorization") or "").partition(" ")[0] for asked in one.asked]
    assert sent == ["", "Basic"]


def test_a_second_refusal_is_the_answer_and_there_is_no_third_request(driver: Driver, one: Stage):
    one.answer = refusing(SECRET, 401, 401)
    answer = driver.call(kakao(one, SECRET), Asking(f"{one.url}/v"))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (401, 401)
    assert [path for path, _ in told(one)] == [LOGIN, "/v"] * 2


def test_a_renewal_that_is_refused_is_the_error_and_leaves_no_answer_open(
    driver: Driver, one: Stage
):
    giving = refusing(SECRET, 401)
    one.answer = lambda asked: (
        giving(asked) if len(one.asked) < 3 else Said(403, b'{"error": {"message": "no more"}}')
    )
    with pytest.raises(PermissionDenied, match=r"no more"):
        driver.call(kakao(one, SECRET), Asking(f"{one.url}/v"))
    gc.collect()  # what is left open warns, and warnings are errors
    assert [path for path, _ in told(one)] == [LOGIN, "/v", LOGIN]


def test_a_body_that_is_sent_as_it_comes_is_sent_once(driver: Driver, one: Stage):
    one.answer = refusing(SECRET, 401)
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
