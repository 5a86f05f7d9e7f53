"""What shows of a credential, and what else is on a machine: over all adapters."""

from __future__ import annotations

import http.client
import logging

import pytest
from tests.client.adapters.drivers import Asking, Driver
from tests.client.adapters.everywhere import SECRET, Everywhere, held
from tests.client.adapters.identity import LOGIN, identity, kakao, refusing, told
from tests.client.stage import Said, Stage

from latchgate.client import Unreachable, WaysCloud
from latchgate.client.flow import Ask
from latchgate.client.message import Request

pytestmark = pytest.mark.enable_socket


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
    one.answer = refusing(SECRET, 200)
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


def test_a_token_that_no_header_can_hold_is_refused_and_shows_nowhere(driver: Driver, one: Stage):
    one.answer = identity(f"{SECRET} é", lambda _: Said())
    with pytest.raises(Unreachable) as refused:
        driver.call(kakao(one, SECRET), Asking(f"{one.url}/v"))
    assert SECRET not in f"{refused.value} {refused.value!r}"
    assert [path for path, _ in told(one)] == [LOGIN]


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
    one.answer = refusing(SECRET, 200, 202)

    def flow():
        return (yield Ask(Request("GET", f"{one.url}/own"))).status

    cloud = kakao(one, SECRET)
    assert driver.call(cloud, Asking(f"{one.url}/v", proxied=two.url)).status == 200
    assert driver.run(cloud, flow()) == 202
    assert two.asked == []
    assert [path for path, _ in told(one)] == [LOGIN, "/v", "/own"]


@pytest.mark.parametrize("in_path", [False, True])
def test_a_proxy_is_asked_for_a_tunnel_and_told_no_credential(
    driver: Driver, one: Stage, monkeypatch, in_path
):
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, one.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    one.answer = lambda _: Said(403)
    cloud = Everywhere("https://cloud.test", in_path=in_path)
    with pytest.raises(Exception, match=r"403|tunnel|proxy|Forbidden"):
        driver.call(cloud, Asking("https://cloud.test/v2/x", proxied=one.url))
    assert {(asked.method, asked.path) for asked in one.asked} == {("CONNECT", "cloud.test:443")}
    assert not any(held(asked) for asked in one.asked)
