"""The request form on the console's address: plain HTML, no script, no other site's forms."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from tests.world import Server, http_request

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

FIELDS = {
    "name": 'Sync "it" <b>',
    "vendor": "Exämple",
    "contact": "keys@example.com",
    "developer": "individual",
    "purpose": "Shows quotas.\r\nNothing else.",
}


@pytest.fixture
def server(tmp_path):
    """A server of its own: the form is throttled by address."""
    made = Server.started(tmp_path / "lg")
    yield made
    made.kill()


def send(server, fields=FIELDS, **headers):
    sent = {"Content-Type": "application/x-www-form-urlencoded"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{server.addresses['console']}/applications/request"
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    return http_request("POST", url, headers=sent, body=body)


def host(server):
    return server.addresses["console"]


def test_the_page_holds_a_form_no_script_and_headers_that_keep_it_so(server):
    page = http_request("GET", f"{host(server)}/applications/request")
    assert page.status == 200
    text = page.body.decode()
    assert "<script" not in text
    assert set(re.findall(r'<(?:input|select|textarea) id="(\w+)"', text)) == set(FIELDS)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert "set-cookie" not in page.headers
    head = http_request("HEAD", f"{host(server)}/applications/request")
    assert (head.status, head.body) == (200, b"")


def test_the_style_is_the_one_that_the_policy_allows(server):
    import base64
    import hashlib

    page = http_request("GET", f"{host(server)}/applications/request")
    (style,) = re.findall(r"<style>(.*?)</style>", page.body.decode(), re.DOTALL)
    wanted = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{wanted}'" in page.headers["content-security-policy"]


def test_a_request_is_kept_as_typed_and_answers_a_token_that_works(server):
    answer = send(server, Origin=host(server), Sec_Fetch_Site="same-origin")
    assert answer.status == 201, answer.body
    application_id, token = re.findall(r"<dd><code>([^<]+)</code>", answer.body.decode())
    shown = server.call("GET", f"/manage/v1/application-requests/{application_id}", token=token)
    kept = shown.json["application"]
    assert (kept["name"], kept["vendor"]) == (FIELDS["name"], FIELDS["vendor"])
    assert kept["purpose"] == "Shows quotas.\nNothing else."
    assert token not in server.log


def test_a_text_browser_that_sends_no_origin_is_served(server):
    assert send(server).status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_sites_form_is_refused(server, headers):
    assert send(server, **headers).status == 403
    assert server.call("GET", "/manage/v1/applications?state=requested").json["applications"] == []


def test_what_can_not_be_taken_is_told_at_its_field_and_nothing_typed_is_lost(server):
    answer = send(server, FIELDS | {"contact": 'two@@example.com"><script>alert(1)</script>'})
    text = answer.body.decode()
    assert answer.status == 422
    assert 'id="contact-fault"' in text
    assert "<script" not in text
    assert html.escape(FIELDS["name"]) in text.replace("&#34;", "&quot;")
    assert server.call("GET", "/manage/v1/applications?state=requested").json["applications"] == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"name=a&name=b", "application/x-www-form-urlencoded", 400),
        (b"unknown=1", "application/x-www-form-urlencoded", 400),
        (b"name=%FF", "application/x-www-form-urlencoded", 400),
        (b"\xff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=1" for _ in range(30)), "application/x-www-form-urlencoded", 400),
        (b"name=" + b"x" * 40_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
        (b"", "application/x-www-form-urlencoded", 422),
    ],
)
def test_a_form_that_is_none_is_refused(server, body, kind, status):
    assert send(server, body, Content_Type=kind).status == status


def test_the_form_is_throttled_together_with_the_api(server):
    assert [send(server).status for _ in range(5)] == [201] * 5
    answer = send(server)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    spec = FIELDS | {"purpose": "x"}
    assert server.call("POST", "/manage/v1/application-requests", spec).status == 429


def test_other_methods_are_refused(server):
    url = f"{host(server)}/applications/request"
    answer = http_request("DELETE", url)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
