"""What a WSGI environ asks, with a server's raw path and without."""

import pytest

from latchgate.core.path import Path, read_path
from latchgate.integrations import wsgi
from latchgate.integrations.identity import Identity


def environ(path="/v1/storage/a", **more):
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "x=1",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "https",
        **more,
    }


def read(made):
    return wsgi.read(made, prefix=wsgi.text(made, "SCRIPT_NAME"), path=wsgi.text(made, "PATH_INFO"))


@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
def test_a_servers_raw_path_is_what_is_asked(name):
    asked = read(environ("/v1/storage/a/b", **{name: "/v1/storage/a%2Fb?x=1"}))
    assert (asked.target, asked.doubt) == ("/v1/storage/a%2Fb?x=1", None)
    assert (asked.method, asked.peer, asked.tls) == ("GET", "192.0.2.1", True)


def test_a_raw_path_that_is_not_served_is_doubted():
    assert read(environ("/v1/dns", REQUEST_URI="/v1/storage/a")).doubt
    assert read(environ("/a", SCRIPT_NAME="/v1/dns", REQUEST_URI="/v1/storage/a")).doubt
    assert read(environ("/a", SCRIPT_NAME="/v1/storage", REQUEST_URI="/v1/storage/a")).doubt is None


@pytest.mark.parametrize("name", ["HTTP_SCRIPT_NAME", "HTTP_PATH_INFO"])
def test_a_header_that_moves_the_mount_point_is_doubted(name):
    made = environ("/a", SCRIPT_NAME="/v1/storage", RAW_URI="/v1/storage/a", **{name: "/v1"})
    assert "SCRIPT_NAME or PATH_INFO" in (read(made).doubt or "")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/storage/a b",
        "/v1/storage/50%",
        "/v1/storage/é☃",
        "/v1/storage/a?b",
        "/v1/storage/a+b@c:d!~",
    ],
)
def test_without_a_raw_path_the_decoded_one_is_quoted_so_that_it_reads_the_same(path):
    asked = read(environ(path.encode().decode("latin-1"), QUERY_STRING=""))
    assert read_path(asked.target) == Path(text=path, encoded_slash=False)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/storage/%2e%2e/dns",
        "/v1/storage/a%2Fb",
        "/v1/storage/../dns",
        "/v1/storage//a",
        "/v1/storage/..;/a",
        "/v1/storage/a\\b",
        "/v1/storage/a\0b",
        "/v1/storage/a\nb",
        "",
        "*",
        "http://x/v1/storage/a",
    ],
)
def test_without_a_raw_path_what_is_ambiguous_stays_so_and_is_refused(path):
    assert not isinstance(read_path(read(environ(path)).target), Path)


def test_headers_are_read_from_the_variables():
    made = environ(HTTP_AUTHORIZATION="Bearer a", HTTP_X_API_KEY="b", CONTENT_TYPE="text/plain")
    assert set(read(made).headers) == {
        ("AUTHORIZATION", "Bearer a"),
        ("X-API-KEY", "b"),
        ("Content-Type", "text/plain"),
    }


def test_a_request_prints_without_its_headers():
    assert "secret" not in repr(read(environ(HTTP_AUTHORIZATION="Bearer secret")))


def test_forged_identity_is_taken_away_and_ours_told():
    made = environ(
        HTTP_X_LATCHGATE_USER="u-1",
        **{"HTTP_X.LATCHGATE.TENANT": "t-1", "HTTP_X_LATCHGATE_NEW": "1", "HTTP_ACCEPT": "*/*"},
    )
    wsgi.hide(made, {})
    assert {name for name in made if name.startswith("HTTP_")} == {"HTTP_ACCEPT"}
    wsgi.tell(made, Identity(user="u-2", external_id="7"))
    assert made["HTTP_X_LATCHGATE_USER"] == "u-2"
    assert made["HTTP_X_LATCHGATE_EXTERNAL_ID"] == "7"
