from __future__ import annotations

import re

import msgspec
import pytest
from tests.core.worlds import (
    NOW,
    SHIPPED,
    bearer,
    changed,
    credential,
    decide,
    request,
    service_key,
    world,
)

from latchgate.core.answer import identity, notices, refusal
from latchgate.core.dialects import DIALECTS
from latchgate.core.dialects.table import TABLE
from latchgate.core.model import Decision, Succession
from latchgate.core.policy_file import read_policy
from latchgate.core.reason import Reason
from latchgate.core.scope import NONE, Scopes

REFUSALS = [reason for reason in Reason if reason is not Reason.ALLOWED]
A_SCOPE_OPENS = {
    Reason.SERVICE_NOT_GRANTED,
    Reason.SCOPE_NOT_GRANTED,
    Reason.OWNER_LACKS_SCOPE,
    Reason.PARENT_LACKS_SCOPE,
}
ISSUED = service_key()
KEY = credential(ISSUED)
SENT = bearer(ISSUED.secret.reveal())

TWO_DIALECTS = """\
provider = "p"
title = "Two words"
dialect = "{dialect}"

[kinds.service_key]
brand = "wayscloud"

[services.storage]
title = "Storage"
scopes = {{ "storage:read" = "Read" }}

[[areas]]
path = "/x"
service = "storage"
accepts = ["service_key"]
rules = [{{ methods = ["PUT", "GET"], scope = "storage:read" }}]

[[areas]]
path = "/open"
public = true
methods = ["GET"]
"""


def decision(reason: Reason, dialect: str, **changes: object) -> Decision:
    policy = read_policy({"p.toml": TWO_DIALECTS.format(dialect=dialect)}, version=1)
    area = policy.areas[0]
    found = Decision(
        id="refusal-1",
        reason=reason,
        area=area,
        rule=area.rules["GET"],
        grant=None,
        dialect=dialect,
        policy_version=1,
        journal=1,
        trace=(),
    )
    return changed(found, **changes)


def headers(found: Decision) -> dict[str, str]:
    return dict(refusal(found).headers)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("reason", REFUSALS)
def test_every_refusal_is_answered_with_the_status_and_code_of_the_table(reason, dialect):
    for area in (True, False):
        found = decision(reason, dialect)
        if not area:
            found = changed(found, area=None, rule=None)
        reply = refusal(found)
        assert reply.status == TABLE[reason][dialect].status
        assert reply.body == DIALECTS[dialect](TABLE[reason][dialect], (), "").body
        assert "refusal-1" not in reply.body.decode()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("reason", REFUSALS)
def test_a_challenge_names_realm_and_error_and_on_403_the_scope(reason, dialect):
    status = TABLE[reason][dialect].status
    challenge = headers(decision(reason, dialect)).get("WWW-Authenticate")
    if reason is Reason.CREDENTIAL_MISSING:
        assert challenge == 'Bearer realm="Two words"'
    elif status == 401:
        assert challenge == 'Bearer realm="Two words", error="invalid_token"'
    elif reason in A_SCOPE_OPENS:
        assert status == 403
        assert challenge == (
            'Bearer realm="Two words", error="insufficient_scope", scope="storage:read"'
        )
    else:
        assert challenge is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_an_area_there_is_nothing_to_challenge_for(dialect):
    for reason in REFUSALS:
        assert "WWW-Authenticate" not in headers(decision(reason, dialect, area=None, rule=None))


def test_a_public_area_challenges_nobody():
    public = read_policy({"p.toml": TWO_DIALECTS.format(dialect="problem")}, version=1).areas[1]
    for reason in REFUSALS:
        assert "WWW-Authenticate" not in headers(decision(reason, "problem", area=public))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rfc_9110_a_405_says_which_methods_are_taken_and_nothing_else_does(dialect):
    for reason in REFUSALS:
        allow = headers(decision(reason, dialect, rule=None)).get("Allow")
        assert allow == ("GET, PUT" if reason is Reason.METHOD_NOT_ALLOWED else None)


def test_allow_names_options_where_preflights_pass():
    text = TWO_DIALECTS.format(dialect="problem").replace('"/x"', '"/x"\npreflight = true')
    policy = read_policy({"p.toml": text}, version=1)
    found = decide(request("DELETE", "/x"), world(), policy=policy)
    assert found.reason is Reason.METHOD_NOT_ALLOWED
    assert set(headers(found)["Allow"].split(", ")) == {"GET", "PUT", "OPTIONS"}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("reason", REFUSALS)
def test_a_reply_can_be_carried_in_headers_so_it_holds_no_line_break(reason, dialect):
    reply = refusal(decision(reason, dialect))
    assert not re.search(rb"[\r\n\x00]", reply.body)
    for name, value in reply.headers:
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[ -~]+", value)


def allowed(**changes: object) -> Decision:
    found = decide(request(headers=SENT), world(changed(KEY, **changes)))
    assert found.allowed
    return found


def test_an_allowed_request_is_passed_on_with_who_it_is():
    found = allowed(environment="production", external_id="crm-7")
    assert identity(found) == (
        ("X-Latchgate-Tenant", "t-acme"),
        ("X-Latchgate-Project", "p-web"),
        ("X-Latchgate-User", "u-ada"),
        ("X-Latchgate-Credential", ISSUED.id),
        ("X-Latchgate-Kind", "wayscloud.service_key"),
        ("X-Latchgate-Service", "storage"),
        ("X-Latchgate-Scope", "storage:read"),
        ("X-Latchgate-Environment", "production"),
        ("X-Latchgate-External-Id", "crm-7"),
    )


def test_what_is_not_known_is_left_out_and_not_passed_on_empty():
    names = dict(identity(allowed()))
    assert "X-Latchgate-Environment" not in names
    assert "X-Latchgate-External-Id" not in names


def test_the_scope_passed_on_is_the_one_that_was_needed_not_all_that_is_held():
    assert (
        dict(identity(allowed(scopes=Scopes.of(["storage:read", "storage:write"]))))[
            "X-Latchgate-Scope"
        ]
        == "storage:read"
    )


@pytest.mark.parametrize(
    "changes",
    [{"revoked_at": NOW}, {"scopes": NONE}, {"services": frozenset()}, {"kind": "other"}],
)
def test_d1_1_a_refused_request_has_no_identity(changes):
    found = decide(request(headers=SENT), world(changed(KEY, **changes)))
    assert not found.allowed
    assert identity(found) == ()


def test_d1_12_a_public_area_passes_nobody_on_even_if_a_key_was_sent():
    found = decide(request("GET", "/healthz", SENT), world(KEY), policy=SHIPPED)
    assert found.allowed
    assert identity(found) == ()


@pytest.mark.parametrize(
    ("of_the_user", "of_the_program", "told"),
    [
        (None, None, ()),
        (None, Succession(1.5, 86_400.0), (1, "Fri, 02 Jan 1970")),
        ((2.0, 172_800.0), None, (2, "Sat, 03 Jan 1970")),
        ((2.0, 172_800.0), Succession(1.0, 86_400.0), (1, "Fri, 02 Jan 1970")),
        ((2.0, 172_800.0), Succession(1.0, 259_200.0), (2, "Sat, 03 Jan 1970")),
    ],
)
def test_a_client_is_told_of_the_secret_that_ends_first(of_the_user, of_the_program, told):
    decision = decide(request(headers=SENT), world(KEY))
    assert decision.grant is not None
    assert notices(decision) == ()
    record = decision.grant.credential
    if of_the_user is not None:
        since, until = of_the_user
        record = msgspec.structs.replace(record, superseded_at=since, expires_at=until)
    grant = msgspec.structs.replace(
        decision.grant, credential=record, application_succession=of_the_program
    )
    headers = notices(msgspec.structs.replace(decision, grant=grant))
    if not told:
        assert headers == ()
        return
    since, day = told
    assert headers == (("Deprecation", f"@{since}"), ("Sunset", f"{day} 00:00:00 GMT"))
    refused = msgspec.structs.replace(decision, grant=grant, reason=Reason.SCOPE_NOT_GRANTED)
    assert notices(refused) == ()
