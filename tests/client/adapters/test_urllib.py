"""What urllib alone has."""

from __future__ import annotations

import http.client
from urllib.error import HTTPError, URLError
from urllib.request import Request

import pytest
from tests.client.adapters.drivers import NOBODY
from tests.client.adapters.identity import identity, kakao
from tests.client.stage import Said, Stage

from latchgate.client import WaysCloud
from latchgate.client.adapters.urllib import Opener

pytestmark = pytest.mark.enable_socket

KEY = "wayscloud_llm_k1_Zt5sQ0"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_nothing_but_http_is_opened(url: str):
    with pytest.raises(URLError, match=r"unknown url type"):
        Opener(WaysCloud(KEY), tls=NOBODY).open(url)


def test_a_redirect_leads_to_nothing_but_http(one: Stage):
    one.answer = lambda _: Said(302, headers={"Location": "ftp://127.0.0.1/x"})
    with pytest.raises(URLError, match=r"unknown url type"):
        Opener(WaysCloud(KEY, url=one.url), tls=NOBODY).open(one.url)


@pytest.mark.parametrize(
    "host", ["me@api.wayscloud.services", "evil.test%2F@api.wayscloud.services"]
)
def test_a_host_that_urllib_reads_otherwise_than_we_is_refused(host: str):
    with pytest.raises(http.client.InvalidURL):
        Opener(WaysCloud(KEY), tls=NOBODY).open(f"https://{host}/")


def test_a_request_with_a_fragment_is_sent_without_it(one: Stage):
    one.answer = identity(KEY, lambda _: Said(401))
    with pytest.raises(HTTPError) as failed:
        Opener(kakao(one, KEY), tls=NOBODY).open(Request(f"{one.url}/v?a=1#b?c"))  # noqa: S310 - a test's own server
    failed.value.close()
    assert one.asked[-1].path == "/v?a=1"
