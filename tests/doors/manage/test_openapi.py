"""The OpenAPI document is true: a generator of requests finds nothing that it does not say."""

from __future__ import annotations

import contextlib
import json
import os
import re

import hypothesis
import msgspec
import pytest
import schemathesis
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
    use_after_free,
)
from tests.world import Server, http_request

from latchgate.core.kinds import KINDS
from latchgate.doors.manage import shapes
from latchgate.doors.manage.app import OPERATIONS
from latchgate.doors.manage.examples import EXAMPLES
from latchgate.doors.manage.keys import list_keys
from latchgate.doors.manage.openapi import Operation, document
from latchgate.manage.keys import KeySpec
from latchgate.manage.listing import Listing, by
from latchgate.store import schema

# Slow hashes are worked out at the lowest priority: where others take all of the machine, a report
# of leaked secrets with ids was seen to take 3 s for each, and one may hold 20.
PATIENCE = 120.0  # seconds
DOCUMENT = json.loads(document(OPERATIONS, shapes.Problem, EXAMPLES))
OPERATION_IDS = [f"{one.method} {one.path}" for one in OPERATIONS]


def described(one):
    return DOCUMENT["paths"][one.path][one.method.lower()]


# --- what the document says


def test_it_is_openapi_3_1_and_holds_every_route_and_nothing_else():
    assert DOCUMENT["openapi"] == "3.1.0"
    told = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert told == {(one.path, one.method.lower()) for one in OPERATIONS}


@pytest.mark.parametrize("one", OPERATIONS, ids=OPERATION_IDS)
def test_each_operation_names_its_scope_and_how_to_present_a_key(one):
    told = described(one)
    assert told["operationId"] == one.name
    assert told["security"] == ([{"bearer": []}] if one.scope else [])
    assert (f"`{one.scope}`" in told.get("description", "")) is (one.scope is not None)


@pytest.mark.parametrize("one", OPERATIONS, ids=OPERATION_IDS)
def test_each_operation_tells_its_parameters(one):
    told = {(each["in"], each["name"]) for each in described(one)["parameters"]}
    wanted = {("path", name) for name in re.findall(r"{(\w+)}", one.path)}
    wanted |= {("query", name) for name in one.query}
    assert told == wanted | {("header", name) for name in one.headers}


@pytest.mark.parametrize("one", OPERATIONS, ids=OPERATION_IDS)
def test_each_operation_tells_how_it_refuses(one):
    told = set(described(one)["responses"])
    assert str(one.status) in told
    if one.scope is not None:
        assert {"400", "401", "403", "503"} <= told
    if one.body is not None:
        assert {"413", "415", "422"} <= told


@pytest.mark.parametrize("one", OPERATIONS, ids=OPERATION_IDS)
def test_each_operation_tells_what_its_answer_holds_unless_that_is_nothing(one):
    told = described(one)["responses"][str(one.status)]
    assert set(told.get("content", ())) == (
        {one.media, *one.others} if one.status != 204 else set()
    )


def test_every_schema_is_closed_for_what_is_taken_and_named_once():
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["KeySpec"]["additionalProperties"] is False
    assert schemas["PolicyFiles"]["additionalProperties"] is False
    assert schemas["ExplainRequest"]["additionalProperties"] is False
    assert set(schemas["KeySpec"]["properties"]) == set(KeySpec.__struct_fields__)


def test_every_reference_leads_somewhere():
    names = re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT))
    assert set(names) <= set(DOCUMENT["components"]["schemas"])
    assert names


def test_a_secret_is_in_the_answer_of_one_operation_only():
    assert "key" in DOCUMENT["components"]["schemas"]["NewKey"]["properties"]
    assert "key" not in DOCUMENT["components"]["schemas"]["Key"]["properties"]
    showing = [one.name for one in OPERATIONS if one.answer is shapes.NewKey]
    assert showing == ["create_key"]
    assert not [one.name for one in OPERATIONS if one.replay is shapes.NewKey]


@pytest.mark.parametrize("shape", EXAMPLES, ids=lambda shape: shape.__name__)
def test_every_example_is_what_its_shape_takes_and_whole(shape):
    read = msgspec.convert(EXAMPLES[shape], shape)
    told = msgspec.to_builtins(read)
    assert {name: told[name] for name in EXAMPLES[shape]} == EXAMPLES[shape]


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.shapes], ids=lambda one: one.name
)
def test_every_operation_shows_what_goes_in_and_out(operation):
    told = described(operation)
    for shape in operation.shapes:
        assert shape in EXAMPLES
    if operation.body is not None:
        assert "example" in told["requestBody"]["content"]["application/json"]
    if operation.answer is not None:
        assert "example" in told["responses"][str(operation.status)]["content"]["application/json"]


def test_the_document_does_not_change_from_one_start_to_the_next():
    assert document(OPERATIONS, shapes.Problem) == document(OPERATIONS, shapes.Problem)
    assert list(DOCUMENT["paths"]) == sorted(DOCUMENT["paths"])


def test_a_new_operation_is_described_without_more_ado():
    listing = Listing(schema.tenant, ("name",), {}, {"name": by(schema.tenant.c.name)}, ("name",))
    one = Operation("GET", "/x/{a}", list_keys, "X", "m:n", answer=shapes.Key, listing=listing)
    told = json.loads(document([one], shapes.Problem))["paths"]["/x/{a}"]["get"]
    assert [each["name"] for each in told["parameters"]] == ["a", "limit", "after", "q", "sort"]
    assert KINDS


# --- whether it is true


@pytest.fixture(scope="module")
def fuzzed(request, tmp_path_factory):
    """A server of its own: what is generated may publish a policy."""
    folder = tmp_path_factory.mktemp("fuzzed") / "lg"
    with contextlib.ExitStack() as undo:
        if "LATCHGATE_POSTGRES" in os.environ:
            postgres = request.getfixturevalue("postgres")
            server = Server.over(folder, undo.enter_context(postgres.database()).uri)
        else:
            server = Server.made(folder)
        undo.callback(server.kill)
        server.start()
        yield server


load_all_checks()
API = schemathesis.openapi.from_dict(DOCUMENT)


def knowing_the_services():
    """Return the document with what a schema cannot know: the services, their scopes, times."""
    told = json.loads(json.dumps(DOCUMENT))
    fields = told["components"]["schemas"]["KeySpec"]["properties"]
    fields["services"] |= {"items": {"enum": ["storage"]}, "uniqueItems": True}
    scopes = {"type": "array", "items": {"enum": ["storage:read", "storage:write"]}}
    ranges = {"type": "array", "items": {"enum": ["192.0.2.7", "192.0.2.0/24", "2001:db8::/32"]}}
    fields["scopes"] = {"anyOf": [scopes, {"type": "null"}]}
    fields["allowed_ip_ranges"] = {"anyOf": [ranges, {"type": "null"}]}
    fields["expires_in"] = {"enum": ["1h", "24h", "7d", "1h30m", "1h30min", None]}
    del fields["expires_at"]
    create = told["paths"]["/manage/v1/keys"]["post"]
    # A key that was used for another request is refused, and few are told apart.
    create["parameters"] = [one for one in create["parameters"] if one["in"] != "header"]
    told["paths"] = {"/manage/v1/keys": {"post": create}}
    return told


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def lines(_context, value):
    """Send the text of a file of JSON lines as it is."""
    return str(value).encode()


KEYS = schemathesis.openapi.from_dict(knowing_the_services())


@pytest.mark.e2e
@pytest.mark.enable_socket
@API.parametrize()
@hypothesis.settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_whatever_is_sent_is_answered_as_the_document_says(case, fuzzed):
    # Left out: positive_data_acceptance, as a schema cannot say which services there are. And an
    # unknown parameter that is an empty list is not sent at all: nothing is there to be refused.
    unsent = any(value in ([], {}, None) for value in (case.query or {}).values())
    case.call_and_validate(
        base_url=fuzzed.addresses["api"],
        headers={"Authorization": f"Bearer {fuzzed.token}"},
        timeout=PATIENCE,
        checks=[
            schemathesis.checks.not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
            *(() if unsent else (negative_data_rejection,)),
            unsupported_method,
            ignored_auth,
            use_after_free,
        ],
    )


@pytest.mark.e2e
@pytest.mark.enable_socket
@KEYS.parametrize()
@hypothesis.settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_whatever_names_a_service_and_keeps_to_the_document_becomes_a_key(case, fuzzed):
    answer = case.call_and_validate(
        base_url=fuzzed.addresses["api"],
        headers={"Authorization": f"Bearer {fuzzed.token}"},
        timeout=PATIENCE,
        checks=[
            schemathesis.checks.not_a_server_error,
            status_code_conformance,
            response_schema_conformance,
            positive_data_acceptance,
            negative_data_rejection,
        ],
    )
    if answer.status_code == 201:
        shown = fuzzed.call("GET", f"/manage/v1/keys/{answer.json()['id']}")
        assert shown.json["name"] == case.body["name"]


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_the_server_tells_this_very_document_to_everybody(fuzzed):
    answer = http_request("GET", fuzzed.addresses["api"] + "/manage/v1/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == DOCUMENT


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_nothing_of_all_that_was_a_fault(fuzzed):
    assert fuzzed.call("GET", "/readyz").status == 200
    assert "a management request failed" not in fuzzed.log
