"""The laws of `/1.3`: who gets in, what every refusal looks like, JSON and its XML twin."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from xml.etree import ElementTree as ET

import pytest
from tests.asking import basic
from tests.doors.upcloud.client import SCOPES, Client, bearer
from tests.world import Server

from latchgate.doors.upcloud.app import CALLS, DEPRECATED_AT

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PATHS = sorted({call.path.removeprefix("/1.3") for call in CALLS})
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
WRONG = [
    (path, method)
    for path in PATHS
    for method in METHODS
    if (method, f"/1.3{path}") not in {(call.method, call.path) for call in CALLS}
]
XML = {"Accept": "application/xml"}
PROBLEM = "application/problem+json"
LEGACY = "application/json; charset=UTF-8"
FAILED = {
    "error": {
        "error_code": "AUTHENTICATION_FAILED",
        "error_message": "Authentication failed using the given username and password.",
    }
}
PASSWORD = "seven otters juggle lanterns"


def filled(path):
    return re.sub(r"\{.*\}", "somebody", path)


def of_tokens(path):
    return path.startswith("/account/tokens")


@pytest.mark.parametrize("path", [*PATHS, "", "/", "/nothing", "/account/tokens/a/b", "/server"])
@pytest.mark.parametrize("method", METHODS)
def test_without_a_credential_everything_is_the_documents_401_before_it_is_looked_for(
    nobody, path, method
):
    answer = nobody.ask(method, filled(path))
    assert (answer.status, answer.json) == (401, FAILED)
    assert answer.headers["content-type"] == LEGACY
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith("Bearer realm=")
    assert "Basic realm=" in challenge


@pytest.mark.parametrize(("path", "method"), WRONG)
def test_a_method_that_a_path_does_not_take_is_named_with_those_that_it_does(main, path, method):
    answer = main.ask(method, filled(path))
    assert answer.status == 405
    allowed = {call.method for call in CALLS if call.path == f"/1.3{path}"}
    assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == allowed
    kind = PROBLEM if of_tokens(path) else LEGACY
    assert answer.headers["content-type"] == kind
    assert main.code(method, filled(path)) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("path", ["/account", "/account/tokens", "/nothing"])
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_no_path_takes_is_refused_by_the_gate_with_a_body(nobody, path, method):
    assert nobody.code(method, path) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    "path", ["/account/details/%00", "/account/details/%ff", "/account/%2e%2e/x", "/account;a=b"]
)
def test_a_path_that_can_be_read_in_two_ways_is_a_400_with_a_body(main, path):
    assert main.code("GET", path) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "NOT_FOUND"),
        ("/", "NOT_FOUND"),
        ("/account/", "NOT_FOUND"),
        ("/nothing", "NOT_FOUND"),
        ("/account/tokenss", "NOT_FOUND"),
        ("/account/tokens/", "RESOURCE_NOT_FOUND"),
        ("/account/tokens/a/b", "RESOURCE_NOT_FOUND"),
        ("/account/tokens/none", "RESOURCE_NOT_FOUND"),
        ("/account/details/nobody", "USER_NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_a_404_in_the_words_of_its_endpoint(main, path, code):
    assert main.code("GET", path) == (404, code)


@pytest.mark.parametrize(
    "path", [path for path in PATHS if "{" not in path and path != "/account/sub"]
)
def test_head_is_get_without_a_body(main, path):
    if ("GET", f"/1.3{path}") not in {(call.method, call.path) for call in CALLS}:
        return
    answer = main.ask("HEAD", path)
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", LEGACY),
        ("", LEGACY),
        ("application/json", LEGACY),
        ("application/xml", "application/xml; charset=UTF-8"),
        ("application/xml, */*;q=0.1", "application/xml; charset=UTF-8"),
        ("text/html, application/json;q=0.1", LEGACY),
    ],
)
def test_the_representation_is_the_one_that_is_asked_for(main, accept, kind):
    answer = main.ask("GET", "/account", headers={"Accept": accept})
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/png, text/*"])
def test_another_representation_is_a_406_with_a_body_and_nothing_is_done(main, accept):
    body = {"name": "x", "expires_in": "1h"}
    answer = main.ask("POST", "/account/tokens", body, headers={"Accept": accept})
    assert (answer.status, answer.headers["content-type"]) == (406, PROBLEM)
    assert len(main.json("GET", "/account/tokens")) == 1
    answer = main.ask("GET", "/account", headers={"Accept": accept})
    assert answer.json["error"]["error_code"] == "NOT_ACCEPTABLE"


def image(element: ET.Element) -> object:
    """Read XML with nothing of the program: members, and lists by the names that hold them."""
    holders = {"ip_filters", "network_access", "roles", "server_access", "storage_access"}
    holders |= {"tag_access", "campaigns", "accounts", "permissions"}
    plurals = {"allowed_ip_ranges", "scopes", "tokens", "invalid_params"}
    singles = {"ip_filters": "ip_filter", "roles": "role", "campaigns": "campaign"}
    singles |= {"accounts": "account", "permissions": "permission"}
    name = element.tag.rpartition("}")[2]
    if name in plurals:
        return [image(one) for one in element]
    if name in holders:
        single = singles.get(name, name.removesuffix("_access"))
        return {single: [image(one) for one in element]}
    if len(element):
        return {one.tag.rpartition("}")[2]: image(one) for one in element}
    return element.text or ""


def as_text(value: object) -> object:
    """Return JSON with every leaf as XML writes it."""
    if isinstance(value, dict):
        return {name: as_text(one) for name, one in value.items()}
    if isinstance(value, list):
        return [as_text(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def told(server, world):
    """A main account that has one of everything."""
    owner = world.somebody(*SCOPES)
    main = Client(server, bearer(world, owner), owner)
    name = {"username": "twin_sub", "password": PASSWORD}
    body = name | {"roles": {"role": ["billing"]}, "first_name": "Ålf <&> Ö"}
    main.json("POST", "/account/sub", {"sub_account": body}, status=204)
    for options in ({"options": {"storage": "yes"}}, {}):
        target = {"target_type": "server", "target_identifier": f"s{len(options)}"}
        body = {"permission": {"user": "twin_sub", **target, **options}}
        main.json("POST", "/permission/grant", body)
    return main


@pytest.mark.parametrize(
    "path",
    [
        "/account",
        "/account/list",
        "/account/details/twin_sub",
        "/account/details/no_such_user",
        "/account/tokens",
        "/account/tokens/none",
        "/account/tokens?limit=0&sort=x",
        "/permission",
        "/nothing",
    ],
)
def test_xml_is_the_image_of_json(told, path):
    as_json, as_xml = told.ask("GET", path), told.ask("GET", path, headers=XML)
    assert as_xml.status == as_json.status
    root = ET.fromstring(as_xml.body)  # noqa: S314 - our own server's
    expected = as_json.json
    name = root.tag.rpartition("}")[2]
    if isinstance(expected, dict) and set(expected) == {name}:
        expected = expected[name]
    found = image(root)
    for one in (expected, found):
        if isinstance(one, dict):
            one.pop("correlation_id", None)
    assert found == as_text(expected)
    kind = as_json.headers["content-type"].replace("json", "xml")
    assert as_xml.headers["content-type"].partition(";")[0] == kind.partition(";")[0]


def test_the_gates_refusals_are_xml_too_where_it_is_asked_for(told, world):
    narrow = Client(told.server, bearer(world, world.somebody("upcloud:account")))
    for path, root in (("/account", "error"), ("/account/tokens", "problem")):
        answer = narrow.ask("GET", path, headers=XML)
        assert answer.status == 403
        assert ET.fromstring(answer.body).tag.rpartition("}")[2] == root  # noqa: S314 - ours


def test_bodies_are_taken_in_xml_as_in_json(told):
    def send(method, path, body, *, status):
        headers = {"Content-Type": "application/xml; charset=utf-8"}
        answer = told.ask(method, path, body.encode(), headers=headers)
        assert answer.status == status, answer.body
        return answer.json if answer.body else None

    token = send(
        "POST",
        "/account/tokens",
        '<?xml version="1.0"?><token><name>in &lt;XML&gt;</name><expires_in>1h</expires_in>'
        "<can_create_tokens>true</can_create_tokens><allowed_ip_ranges>"
        "<allowed_ip_range>192.0.2.0/24</allowed_ip_range></allowed_ip_ranges>"
        "<scopes><scope>upcloud:read</scope></scopes></token>",
        status=201,
    )
    assert (token["name"], token["can_create_tokens"]) == ("in <XML>", True)
    assert (token["allowed_ip_ranges"], token["scopes"]) == (["192.0.2.0/24"], ["upcloud:read"])
    nowhere = "<token><name>n</name><expires_in>1h</expires_in><allowed_ip_ranges/></token>"
    assert send("POST", "/account/tokens", nowhere, status=201)["allowed_ip_ranges"] == []
    send(
        "POST",
        "/account/sub",
        f"<sub_account><username>in_xml</username><password>{PASSWORD}</password>"
        "<roles><role>billing</role></roles><ip_filters/>"
        "<server_access><server><uuid>*</uuid><storage>yes</storage></server></server_access>"
        "</sub_account>",
        status=204,
    )
    change = "<account><city>Turku</city><roles/></account>"
    send("PUT", "/account/sub/in_xml", change, status=204)
    shown = told.json("GET", "/account/details/in_xml")["account"]
    assert (shown["city"], shown["roles"]) == ("Turku", {"role": []})
    assert shown["server_access"] == {"server": [{"storage": "yes", "uuid": "*"}]}
    granted = (
        "<permission><user>in_xml</user><target_type>storage</target_type>"
        "<target_identifier>*</target_identifier></permission>"
    )
    assert send("POST", "/permission/grant", granted, status=200)["permission"]["user"] == "in_xml"
    send("POST", "/permission/revoke", granted, status=204)


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE token [<!ENTITY a "b">]><token><name>&a;</name></token>',
        '<!DOCTYPE token SYSTEM "file:///etc/passwd"><token><name>x</name></token>',
        '<!DOCTYPE t [<!ENTITY % p SYSTEM "http://127.0.0.1:1/">%p;]><t/>',
        "<token><name>&undefined;</name></token>",
        "<token>" * 50 + "</token>" * 50,
        f"<token>{'<a/>' * 10_001}</token>",
        "<token><name>x</name>",
        "<token><name>x</name><name>y</name></token>",
        '<token a="b"><name>x</name></token>',
        '<token xmlns="urn:x"><name>x</name></token>',
        "<token>text<name>x</name></token>",
        "<tokens><name>x</name></tokens>",
        "<token><scopes><name>x</name></scopes></token>",
        "not XML at all",
        "",
        '<?xml version="1.0" encoding="klingon"?><token/>',
    ],
)
def test_a_document_that_could_mean_more_than_its_elements_is_refused(main, body):
    headers = {"Content-Type": "application/xml"}
    answer = main.ask("POST", "/account/tokens", body.encode(), headers=headers)
    assert (answer.status, answer.headers["content-type"]) == (400, PROBLEM), answer.body
    assert b"root:" not in answer.body


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "[" * 5000, '{"name":"\\ud800"}'])
def test_json_that_is_no_such_object_is_a_400(main, body):
    for path in ("/account/tokens", "/account/sub", "/permission/grant"):
        answer = main.ask("POST", path, body.encode())
        assert answer.status == 400, answer.body
        assert json.loads(answer.body)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/xml",
        "application/x-www-form-urlencoded",
        "",
        "application/json; charset=latin-1",
    ],
)
def test_another_content_type_is_a_415(main, kind):
    for path in ("/account/tokens", "/account/sub"):
        answer = main.ask("POST", path, b'{"name":"x"}', headers={"Content-Type": kind})
        assert answer.status == 415
        assert main.headers["Authorization"].encode() not in answer.body


def test_a_request_without_a_body_needs_no_content_type(main):
    answer = main.ask("GET", "/account", headers={"Content-Type": "text/plain"})
    assert answer.status == 200
    assert main.code("POST", "/account/tokens")[0] == 400


def test_a_body_past_the_limit_is_a_413(main):
    answer = main.ask("POST", "/account/sub", b" " * (1_048_576 + 1))
    assert (answer.status, answer.json["error"]["error_code"]) == (413, "REQUEST_TOO_LARGE")


def test_the_own_account_has_the_members_that_clients_read(told):
    account = told.json("GET", "/account")["account"]
    assert list(account) == ["credits", "username", "resource_limits"]
    assert account["credits"] == 0
    assert {"cores", "memory", "public_ipv4", "storage_maxiops"} <= set(account["resource_limits"])
    assert set(account["resource_limits"].values()) == {0}


def test_rfc_9745_answers_to_basic_say_that_it_is_deprecated_and_others_do_not(told):
    program = replace(told, headers=basic("twin_sub", PASSWORD))
    deprecated = f"@{DEPRECATED_AT}"
    for path in ("/account", "/nothing", "/account/list"):
        assert program.ask("GET", path).headers["deprecation"] == deprecated
        assert "deprecation" not in told.ask("GET", path).headers


def test_of_a_rotated_password_its_own_end_is_told_and_deprecated_is_said_once(server, world):
    key = world.key("own", owner=world.somebody())
    path = "/manage/v1/account/basic"
    asked = {"login": "rotating", "namespace": "upcloud"}
    made = server.call("POST", path, asked, token=key.text)
    assert made.status == 201, made.body
    program = Client(server, basic("rotating", made.json["password"]))
    assert program.ask("GET", "/account").headers["deprecation"] == f"@{DEPRECATED_AT}"
    rotated = server.call("POST", f"{path}/upcloud/rotation", {"grace": "1d"}, token=key.text)
    assert rotated.status == 201, rotated.body
    headers = program.ask("GET", "/account").headers
    began = int(datetime.fromisoformat(rotated.json["superseded_at"]).timestamp())
    assert headers["deprecation"] == f"@{began}"
    assert "sunset" in headers


def test_basic_is_switched_off_by_the_policy(tmp_path):
    from tests.world import World

    server = Server.started(tmp_path / "lg")
    world = World.beside(server)
    try:
        main = Client(server, bearer(world, world.somebody(*SCOPES)))
        body = {"sub_account": {"username": "basic_sub", "password": PASSWORD}}
        main.json("POST", "/account/sub", body, status=204)
        program = replace(main, headers=basic("basic_sub", PASSWORD))
        assert program.json("GET", "/account")
        file = server.folder / "providers" / "upcloud.toml"
        text = file.read_text()
        file.write_text(text.replace(', "account_password", "app_password"]', "]"))
        applied = server.cli("policy", "apply", "--config", str(server.config))
        assert applied.code == 0, applied.out
        assert program.code("GET", "/account") == (401, "AUTHENTICATION_FAILED")
        answer = program.ask("GET", "/account")
        assert "Basic" not in answer.headers["www-authenticate"]
        assert main.json("GET", "/account")
    finally:
        world.close()
        server.kill()
