from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.core.vectors import VECTORS, WHOLE
from tests.core.worlds import (
    NOW,
    OWNER,
    ROLE,
    SHIPPED,
    bearer,
    changed,
    credential,
    decide,
    request,
    service_key,
    world,
)

from latchgate.core import explain
from latchgate.core.dialects.table import TABLE
from latchgate.core.explain import guessed, record, without, worded
from latchgate.core.kinds.spec import Issued
from latchgate.core.model import Decision, Key, Record, Request
from latchgate.core.network import Networks
from latchgate.core.policy_file import read_policy
from latchgate.core.reason import Reason, Step
from latchgate.core.redact import redactor
from latchgate.core.scope import ALL, Scopes

MASK = redactor(SHIPPED.patterns())
ISSUED = service_key()
TEXT = ISSUED.secret.reveal()
SECRET = TEXT.rsplit("_", 1)[1]
KEY = credential(ISSUED, scopes=Scopes.of(["storage:read"]))
SENT = bearer(TEXT)


def kept(asked: Request, records: dict[Key, Record], **more) -> dict[str, Any]:
    return record(decide(asked, records, **more), asked, NOW, MASK)


def told(asked: Request, records: dict[Key, Record], **more) -> dict[str, Any]:
    return worded(kept(asked, records, **more))


def test_every_step_has_its_words():
    assert set(explain._WORDS) == set(Step)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_every_vector_can_be_kept_as_json_and_told_in_words(vector):
    decision = vector.decided()
    facts = record(decision, vector.request, vector.now, MASK)
    assert json.loads(json.dumps(facts)) == facts
    said = worded(json.loads(json.dumps(facts)))
    assert said["reason"] == vector.expected["reason"]
    assert said["status"] == vector.expected.get("status", 200)
    assert said["code"] == vector.expected.get("code")
    assert len(said["steps"]) == len(decision.trace)
    for step, (name, ok, _) in zip(said["steps"], decision.trace, strict=True):
        assert (step["step"], step["ok"]) == (str(name), ok)
        assert step["text"].endswith(".")
        assert "None" not in step["text"]
        assert "{" not in step["text"]
    assert said["change"].endswith(".")
    assert "None" not in said["change"].removeprefix("None: ")


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_d7_60_no_vectors_secret_is_kept(vector):
    mask = redactor([*SHIPPED.patterns(), *vector.policy.patterns()])
    facts = record(vector.decided(), vector.request, vector.now, mask)
    written = json.dumps([facts, worded(facts)])
    carried = " ".join([*vector.request.headers.values(), vector.request.target])
    for word in carried.replace(",", " ").replace(";", " ").split():
        parts = word.strip("\"'\u200b").split("_", 3)
        if len(parts) == 4 and len(parts[3]) > 8:
            assert parts[3] not in written
    for name, text in WHOLE["keys"].items():
        # A tail of each: of a password with its name too, as it was sent and as it was typed.
        tails = [text[-10:]]
        if name.startswith("basic "):
            tails.append(base64.b64decode(text).decode("latin-1").rpartition(":")[2][-10:])
        for tail in tails:
            if text in carried and len(tail) == 10:
                assert tail not in written, name


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ALLOWED])
def test_a_refusal_of_any_reason_can_be_told_even_with_no_step_taken(reason):
    decision = Decision(
        id="refusal-1",
        reason=reason,
        area=None,
        rule=None,
        grant=None,
        dialect="problem",
        policy_version=1,
        journal=1,
        trace=(),
    )
    said = worded(record(decision, request(), NOW, MASK))
    assert said["status"] == TABLE[reason]["problem"].status
    assert said["change"].endswith(".")


def test_what_is_kept_of_a_refusal():
    held = changed(KEY, networks=Networks.of(["192.0.2.0/24"]), expires_at=NOW + 60)
    asked = request("PUT", "/v1/storage/a%20b?signature=hush", SENT)
    assert kept(asked, world(held)) == {
        "id": "refusal-1",
        "at": NOW,
        "method": "PUT",
        "host": "api.example.com",
        "path": "/v1/storage/a%20b",
        "client": "192.0.2.10",
        "allowed": False,
        "reason": "scope_not_granted",
        "status": 403,
        "code": "INSUFFICIENT_PERMISSIONS",
        "area": "/v1/storage",
        "scope": "storage:write",
        "credential": ISSUED.id,
        "tenant": "t-acme",
        "policy_version": 7,
        "journal": 1,
        "steps": [
            {"step": "area", "ok": True, "facts": [area_facts(), 7]},
            {"step": "rule", "ok": True, "facts": ["PUT", area_facts(), "storage:write"]},
            {"step": "read", "ok": True, "facts": ["wayscloud.service_key", ISSUED.id]},
            {"step": "record", "ok": True, "facts": [ISSUED.id]},
            {"step": "secret", "ok": True, "facts": [ISSUED.id]},
            {"step": "state", "ok": True, "facts": [None, NOW + 60, NOW, None, None]},
            {"step": "owner", "ok": True, "facts": ["u-ada", "t-acme"]},
            {"step": "network", "ok": True, "facts": ["192.0.2.10", ["192.0.2.0/24"]]},
            {"step": "service", "ok": True, "facts": ["storage", ["storage"]]},
            {
                "step": "scope",
                "ok": False,
                "facts": [
                    "storage:write",
                    {"issued": ["storage:read"], "owner": ["*"], "owner_id": "u-ada"},
                ],
            },
        ],
    }


def area_facts() -> dict[str, Any]:
    methods = ["DELETE", "GET", "HEAD", "POST", "PUT"]
    return {"path": "/v1/storage", "methods": methods, "service": "storage"}


def test_a_query_is_never_kept_because_clients_put_secrets_into_it():
    for target in ("/v1/storage?key=hush", "/nowhere?hush", "/v1/../x?hush", "?hush"):
        assert "hush" not in json.dumps(kept(request(target=target), world()))


@pytest.mark.parametrize(
    "target",
    [
        f"/v1/storage/{TEXT}",
        f"/nowhere/{TEXT}",
        f"/v1/nowhere/{TEXT}/x",
        f"/{TEXT}",
        f"/v1/{TEXT}/..",
    ],
)
def test_d7_60_a_key_within_a_path_is_masked_everywhere_it_is_kept(target):
    facts = kept(request(target=target, headers=SENT), world())
    assert SECRET not in json.dumps([facts, worded(facts)])
    assert ISSUED.id in facts["path"]


def test_d7_60_a_key_in_any_other_part_of_a_request_is_masked_too():
    cors = {"origin": "https://x", "access-control-request-method": TEXT}
    preflight = read_policy(
        {
            "p.toml": 'provider = "p"\ntitle = "P"\ndialect = "problem"\n[[areas]]\npath = "/x"\n'
            'public = true\npreflight = true\nmethods = ["GET"]'
        },
        version=1,
    )
    for facts in (
        kept(request(TEXT), world()),
        kept(request(host=TEXT), world()),
        kept(request("OPTIONS", "/x", cors), world(), policy=preflight),
        kept(request(fault=(Reason.CLIENT_ADDRESS_INVALID, f"{TEXT!r} is none")), world()),
        kept(request(headers={"authorization": TEXT}), world()),
        kept(request(headers={"authorization": f"Basic {TEXT}"}), world()),
        kept(request(headers=bearer(f"{TEXT} {TEXT}")), world()),
    ):
        assert SECRET not in json.dumps([facts, worded(facts)])


def test_what_is_kept_is_bounded_however_long_the_request_was():
    asked = request("G" * 10_000, "/" + "a" * 9_000, host="h" * 10_000)
    asked = changed(asked, fault=(Reason.REQUEST_INVALID, "x" * 10_000))
    assert len(json.dumps(kept(asked, world()))) < 4_000
    missing = request(target="/nowhere/" + "b" * 9_000)
    assert len(json.dumps(kept(missing, world()))) < 4_000


def test_d7_61_what_a_client_sends_cannot_forge_a_line():
    asked = request("GET", "/nowhere/\x1b[31m\r\nroot: allowed", host="a\r\nb")
    assert "\n" not in json.dumps(kept(asked, world()))
    assert "\x1b" not in json.dumps(kept(asked, world()))


@pytest.mark.parametrize(
    ("asked", "records", "words"),
    [
        (request(target="/v2"), world(), "No area covers /v2 on host api.example.com."),
        (request(target="/v2", host=""), world(), "No area covers /v2 on host (none sent)."),
        (
            request(target="/v1/storage/../x"),
            world(),
            "The path is ambiguous: it holds a dot segment.",
        ),
        (
            request("PATCH"),
            world(),
            "PATCH is not taken there; the area takes DELETE, GET, HEAD, POST, PUT.",
        ),
        (
            request(headers={"authorization": f"bearer {TEXT}"}),
            world(),
            (
                "What was presented looks like a wayscloud.service_key, but "
                "the scheme must be spelled Bearer."
            ),
        ),
        (request(headers=SENT), world(), f"The credential {ISSUED.id} does not exist."),
        (
            request(headers=SENT),
            world(changed(KEY, digest=b"\0" * 32)),
            f"The secret is not that of {ISSUED.id}.",
        ),
        (
            request(headers=SENT),
            world(changed(KEY, revoked_at=NOW - 60)),
            "It was revoked at 2027-01-15T07:59:00Z.",
        ),
        (
            request(headers=SENT),
            world(changed(KEY, expires_at=NOW - 60)),
            "It expired at 2027-01-15T07:59:00Z; the request came at 2027-01-15T08:00:00Z.",
        ),
        (
            request(headers=SENT),
            world(changed(KEY, networks=Networks.of(["203.0.113.0/24"]))),
            "It may be used within 203.0.113.0/24; the client is 192.0.2.10.",
        ),
        (
            request(headers=SENT),
            world(changed(KEY, networks=Networks(()))),
            "It may be used nowhere (its list is empty); the client is 192.0.2.10.",
        ),
        (
            request(target="/v1/dns", headers=SENT),
            world(KEY),
            "It opens storage; the area belongs to dns, not among them.",
        ),
        (
            request("PUT", headers=SENT),
            world(KEY),
            "storage:write is needed; it was issued storage:read, and its owner holds * now.",
        ),
    ],
)
def test_the_step_that_failed_says_what_was_looked_at(asked, records, words):
    assert told(asked, records)["steps"][-1] == {
        "step": told(asked, records)["steps"][-1]["step"],
        "ok": False,
        "text": words,
    }


@pytest.mark.parametrize(
    ("asked", "records", "words"),
    [
        (request(), world(), "a kind the area accepts: wayscloud.service_key"),
        (request("PATCH"), world(), "DELETE, GET, HEAD, POST, PUT, or add a rule for PATCH"),
        (
            request(headers={"authorization": TEXT}),
            world(),
            "write Bearer, one space, then the key",
        ),
        (request(target="/v1/dns", headers=SENT), world(KEY), "a key for the service dns"),
        (
            request("PUT", headers=SENT),
            world(KEY),
            "a key with the scope storage:write; its owner may hold it",
        ),
        (
            request("PUT", headers=SENT),
            world(KEY, changed(ROLE, scopes=Scopes.of(["storage:read"]))),
            "a key with the scope storage:write; its owner would need it in a role too",
        ),
        (
            request("PUT", headers=SENT),
            world(changed(KEY, scopes=ALL), changed(OWNER, roles=())),
            "Give u-ada a role in the credential's project that holds storage:write",
        ),
        (
            request(headers=SENT, client="203.0.113.9"),
            world(changed(KEY, networks=Networks.of(["192.0.2.0/24"]))),
            "make a key that allows 203.0.113.9",
        ),
    ],
)
def test_the_change_names_what_would_open_it(asked, records, words):
    assert words in told(asked, records)["change"]


def test_the_change_for_a_refused_preflight_is_about_the_method_it_asked_for():
    text = (
        'provider = "p"\ntitle = "P"\ndialect = "problem"\n[[areas]]\npath = "/x"\n'
        'public = true\npreflight = true\nmethods = ["GET"]'
    )
    headers = {"origin": "https://x", "access-control-request-method": "DELETE"}
    asked = request("OPTIONS", "/x", headers)
    said = told(asked, world(), policy=read_policy({"p.toml": text}, version=1))
    assert said["reason"] == "method_not_allowed"
    assert "add a rule for DELETE" in said["change"]


def test_many_scopes_are_counted_instead_of_named():
    many = Scopes.of([*(f"storage:s{at}" for at in range(13)), "storage:read"])
    said = told(request("PUT", headers=SENT), world(changed(KEY, scopes=many)))
    assert said["steps"][-1]["text"] == (
        "storage:write is needed; it was issued 14 scopes (that one not among them),"
        " and its owner holds * now."
    )


def test_a_scope_that_the_parent_lacks_is_not_told_as_one_that_is_held():
    parent = changed(KEY, id="above")
    child = changed(KEY, parent_id="above", scopes=ALL)
    said = told(request("PUT", headers=SENT), world(child, parent))
    assert said["reason"] == "parent_lacks_scope"
    assert "storage:read" in said["steps"][-1]["text"]


def test_the_changes_that_can_be_tried_do_allow_the_request():
    def opened(asked: Request, *records: Record) -> bool:
        return decide(asked, world(*records)).allowed

    put = request("PUT", headers=SENT)
    assert not opened(put, KEY)
    assert opened(put, changed(KEY, scopes=Scopes.of(["storage:write"])))
    dns = request(target="/v1/dns", headers=SENT)
    assert not opened(dns, changed(KEY, scopes=ALL))
    assert opened(dns, changed(KEY, scopes=ALL, services=frozenset({"dns"})))


def test_what_was_guessed_at_can_be_told_as_if_it_did_not_exist():
    guess = f"wayscloud_storage_{ISSUED.id}_guessed"
    asked = request(headers=bearer(guess))
    facts = kept(asked, world(KEY))
    assert facts["reason"] == "secret_wrong"
    assert guessed(facts) == [ISSUED.id]
    assert without(facts, guessed(facts)) == kept(asked, world())
    assert without(facts, []) == facts
    assert without(facts, ["another"])["steps"] == facts["steps"]


def test_what_was_proven_is_not_guessed_and_stays_when_another_is_hidden():
    asked = request("PUT", headers={**SENT, "x-api-key": "wayscloud_storage_other1_guessed"})
    other = credential(changed_id("other1"))
    facts = kept(asked, world(KEY, other))
    assert facts["reason"] == "secret_wrong"
    assert facts["credential"] == KEY.id
    assert guessed(facts) == ["other1"]
    assert without(facts, ["other1"]) == kept(asked, world(KEY))


def changed_id(public_id: str) -> Issued:
    return Issued(id=public_id, secret=ISSUED.secret, digest=b"\0" * 32, hint="")


def test_an_allowed_request_is_told_to_its_last_step():
    said = told(request(headers=SENT), world(KEY))
    assert said["allowed"]
    assert said["status"] == 200
    assert said["code"] is None
    assert said["change"] == "None: the request is allowed."
    assert [step["text"] for step in said["steps"]] == [
        "The path falls into the area /v1/storage (policy version 7).",
        "GET there needs storage:read.",
        f"A wayscloud.service_key with the id {ISSUED.id} was presented.",
        f"The credential {ISSUED.id} is known.",
        "The secret is right.",
        "It is active.",
        "Its owner u-ada of tenant t-acme is active.",
        "It opens storage; the area belongs to storage.",
        "storage:read is issued to it and its owner holds it now.",
    ]


def test_times_in_words_are_those_of_the_key():
    until = told(request(headers=SENT), world(changed(KEY, expires_at=NOW + 86_400)))
    assert "It is active until 2027-01-16T08:00:00Z." in [one["text"] for one in until["steps"]]
