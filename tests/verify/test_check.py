from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.vectors import VECTORS, WHOLE
from tests.core.worlds import (
    FUZZ,
    NOW,
    OWNER,
    PROJECT,
    ROLE,
    SHIPPED,
    TENANT,
    basic,
    bearer,
    changed,
    credential,
    decide,
    entropy,
    request,
    service_key,
    shipped_kind,
    without,
    world,
)

from latchgate.core.answer import identity, refusal
from latchgate.core.dialects import DIALECTS
from latchgate.core.dialects.table import TABLE
from latchgate.core.kinds import Kind
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import (
    Application,
    ApplicationKey,
    Decision,
    Key,
    Login,
    Noun,
    Record,
    Request,
)
from latchgate.core.network import Networks, parse_address
from latchgate.core.reason import Reason, Step
from latchgate.core.scope import ALL, NONE, Scopes
from latchgate.verify.cache import Cache
from latchgate.verify.check import check
from latchgate.verify.locate import read_host
from latchgate.verify.walk import Need, Slow, Steps

CONTENT_TYPES = {
    "wayscloud": "application/json",
    "problem": "application/problem+json",
    "upcloud": "application/json; charset=UTF-8",
    "teracloud": "application/json",
    "keystone": "application/json",
    "upcloud_problem": "application/problem+json",
}
# Where a body holds the code; TeraCLOUD's holds the status alone, by which its clients go.
CODES: dict[str, Callable[[Any], object]] = {
    "wayscloud": lambda told: told["code"],
    "problem": lambda told: told["code"],
    "upcloud": lambda told: told["error"]["error_code"],
    "upcloud_problem": lambda told: (
        told["error"]["error_code"] if "error" in told else told["type"].partition("#ERROR_")[2]
    ),
    "teracloud": lambda told: told["result"],
    "keystone": lambda told: told["error"]["title"],
}
VARY = {"upcloud": "Accept", "upcloud_problem": "Accept", "keystone": "X-Auth-Token"}
# What the shell around `check` says when it could not even ask.
BY_THE_SHELL = {Reason.STORE_UNAVAILABLE, Reason.FAULT, Reason.SHADOW_UNANSWERED}
# Before any file was published there are no providers, and so none of their dialects.
IN_ONE_DIALECT = {Reason.POLICY_MISSING}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_each_vector_is_decided_as_it_says(vector):
    decision, expected = vector.decided(), vector.expected
    assert str(decision.reason) == expected["reason"]
    if decision.allowed:
        assert dict(identity(decision)) == expected["identity"]
        return
    reply = refusal(decision)
    assert (decision.dialect, reply.status) == (expected["dialect"], expected["status"])
    assert TABLE[decision.reason][decision.dialect].code == expected["code"]
    code = reply.status if decision.dialect == "teracloud" else expected["code"]
    # The token endpoints' own 401 is the one that the rest of UpCloud's API has.
    worded = (
        "upcloud" if reply.status == 401 and "upcloud" in decision.dialect else decision.dialect
    )
    assert CODES[worded](json.loads(reply.body)) == code
    headers = dict(reply.headers)
    assert headers.pop("Content-Type") == CONTENT_TYPES[worded]
    assert headers.pop("Vary", None) == VARY.get(decision.dialect)
    assert headers == expected["headers"]
    assert identity(decision) == ()


def test_every_reason_has_a_vector_in_every_dialect():
    seen = {(vector.expected["reason"], vector.expected.get("dialect")) for vector in VECTORS}
    assert (str(Reason.ALLOWED), None) in seen
    for reason in set(Reason) - BY_THE_SHELL - IN_ONE_DIALECT - {Reason.ALLOWED}:
        # What one provider's two shapes say is the same: the one has its table from the other.
        for dialect in set(DIALECTS) - {"upcloud_problem"}:
            assert (str(reason), dialect) in seen
    assert {reason for reason, _ in seen} == {str(reason) for reason in set(Reason) - BY_THE_SHELL}


def test_the_vectors_are_whole_and_each_has_its_own_name():
    names = [vector.name for vector in VECTORS]
    assert len(set(names)) == len(names) == len(WHOLE["vectors"])
    used = json.dumps(WHOLE["vectors"])
    for key in WHOLE["keys"]:
        assert f"{{{key}}}" in used, key


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_a_warm_memory_decides_the_same_and_asks_for_nothing(vector):
    cache = Cache(1)
    cold = vector.decided(cache=cache)
    needed: list[Key] = []
    warm = vector.decided({}, cache=cache, needed=needed)
    assert warm == cold == vector.decided()
    assert needed == []


def test_d5_46_one_memory_shared_by_all_requests_decides_each_as_if_it_were_alone():
    told = zip(VECTORS, WHOLE["vectors"], strict=True)
    alike = [vector for vector, raw in told if "change" not in raw and "policy" not in raw]
    assert len(alike) > 200
    cache = Cache(1)
    order = random.Random(7)
    for vector in order.choices(alike, k=2000):
        assert vector.decided(cache=cache) == vector.decided(), vector.name


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_a_trace_ends_where_the_decision_was_made_and_only_refusals_are_named(vector):
    decision = vector.decided()
    assert decision.id == ("" if decision.allowed else "refusal-1")
    assert decision.journal == 1
    assert decision.policy_version == vector.policy.version
    assert decision.trace
    assert all(isinstance(step, Step) for step, _, _ in decision.trace)
    failed = [step for step, ok, _ in decision.trace if not ok]
    if decision.allowed:
        assert not failed or {"x-api-key", "x-every-key"} & set(vector.request.headers)
    elif decision.reason not in {Reason.CREDENTIALS_AMBIGUOUS, Reason.AREA_CLOSED}:
        assert failed
    assert (decision.grant is not None) <= decision.allowed


# --- The provider's table (providers/wayscloud, "API Key Scopes") and Latchgate's own, typed again.
READ = ("GET", "HEAD")
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
DAV_CHANGING = ("PUT", "POST", "MKCOL", "PROPPATCH", "COPY", "MOVE", "LOCK", "UNLOCK")
ROUTES = [
    ("/v1/storage", "storage", READ, "storage:read"),
    ("/v1/storage", "storage", ("PUT", "POST"), "storage:write"),
    ("/v1/storage", "storage", ("DELETE",), "storage:delete"),
    ("/v1/chat/completions", "llm", ("POST",), "llm:inference"),
    ("/v1/models", "llm", ("GET",), "llm:models"),
    ("/v1/databases", "database", ("*",), "database:manage"),
    ("/v1/dns", "dns", ("*",), "dns:manage"),
    ("/v1/gpu", "gpu", ("*",), "gpu:use"),
    *[
        row
        for path in ("/1.2", "/1.3", "/1.3/account", "/1.3/account/tokens", "/1.3/permission")
        for row in (
            (path, "upcloud", READ, "upcloud:read"),
            (
                path,
                "upcloud",
                CHANGING,
                "upcloud:" + ("write" if path in {"/1.2", "/1.3"} else "account"),
            ),
        )
    ],
    *[
        row
        for path in ("/dav", "/backup")
        for row in (
            (path, "dav", (*READ, "OPTIONS", "PROPFIND", "REPORT"), "dav:read"),
            (path, "dav", DAV_CHANGING, "dav:write"),
            (path, "dav", ("DELETE",), "dav:delete"),
        )
    ],
    ("/v2/api", "account", READ, "account:read"),
    ("/ba", "account", READ, "account:read"),
]
METHODS: tuple[str, ...] = (
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "REPORT",
)
METHODS += ("MKCOL", "PROPPATCH", "COPY", "MOVE", "LOCK", "UNLOCK", "TRACE", "CONNECT", "X")
PATHS = sorted({path for path, _, _, _ in ROUTES})
SERVICES = sorted({service for _, service, _, _ in ROUTES})
SCOPES = sorted({scope for _, _, _, scope in ROUTES})
KINDS_OF = {"/v1": "wayscloud.service_key"}
KINDS_OF |= {"/1.": "upcloud.api_token", "/dav": "teracloud.app_password"}
KINDS_OF |= {"/v2": "teracloud.app_password"}
KINDS_OF |= {"/ba": "teracloud.app_password"}
MANY = frozenset(SERVICES)


def needed(path: str, method: str) -> tuple[str, str | None]:
    """Return the service and the scope that a method needs at a path, None when not taken."""
    here = [row for row in ROUTES if row[0] == path]
    scopes = [scope for _, _, methods, scope in here if {method, "*"} & set(methods)]
    return here[0][1], scopes[0] if scopes else None


class Ask(NamedTuple):
    """A credential of the kind that a path accepts, how it is sent, and what leads to it."""

    issued: Issued
    kind: Kind
    sent: dict[str, str]
    beside: tuple[Record, ...]

    def request(self, method: str, path: str) -> Request:
        """Return a request at a path, over TLS."""
        return request(method, path, self.sent, tls=True)

    def world(self, *records: Record, **changes: object) -> dict[Key, Record]:
        """Return a world that holds the credential, changed, and others."""
        held = credential(self.issued, self.kind, **{"services": MANY, **changes})
        return world(held, *self.beside, *records)


def matrix_key(path: str) -> Ask:
    (name,) = [name for head, name in KINDS_OF.items() if path.startswith(head)]
    kind = shipped_kind(name)
    issued = kind.issue(Spec(service="storage"), entropy(path, kind.entropy_bytes))
    text = issued.secret.reveal()
    if not name.endswith("app_password"):
        return Ask(issued, kind, bearer(text), ())
    login = Login(id="teracloud:ada", user_id=OWNER.id, credentials={kind.name: issued.id})
    program = SHIPPED.issued("teracloud.application_key")
    own = program.issue(Spec(service=""), entropy(path, program.entropy_bytes))
    key = ApplicationKey(own.id, program.name, "app-1", None, own.digest, None, None)
    sent = {**basic("ada", text), "x-teracloud-api-key": own.secret.reveal()}
    application = Application(id="app-1", name="Photos", approved=True)
    return Ask(issued, kind, sent, (login, key, application))


def test_the_matrix_knows_every_area_service_and_scope_of_the_shipped_policies():
    # Latchgate's own areas have theirs beside its routes: tests/doors/manage/test_scopes.py.
    cloud = [area for area in SHIPPED.areas if area.provider != "latchgate"]
    # Those of the own account have their laws beside the doors that serve them.
    cloud = [area for area in cloud if area.service not in {"own", "identity"}]
    # Where signed tokens are taken alone, the matrix is beside those: test_access_token.py.
    cloud = [area for area in cloud if area.path != "/v2/dav"]
    other = {"latchgate", "kakaocloud"}
    assert {area.path for area in cloud if not (area.public or area.closed)} == set(PATHS)
    services = [one.id for one in SHIPPED.services.values() if one.provider not in other]
    assert set(services) == set(SERVICES)
    assert {scope for name in SERVICES for scope in SHIPPED.scopes_of(name)} == set(SCOPES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_d5_40_each_route_opens_to_its_own_scope_and_to_no_other(path, method):
    ask = matrix_key(path)
    asked = ask.request(method, path)
    _, scope = needed(path, method)
    for held in SCOPES:
        only = Scopes.of([held])
        by_key = decide(asked, ask.world(scopes=only))
        by_owner = decide(asked, ask.world(changed(ROLE, scopes=only)))
        if scope is None:
            assert by_key.reason is by_owner.reason is Reason.METHOD_NOT_ALLOWED
        elif held == scope:
            assert by_key.allowed
            assert by_owner.allowed
        else:
            assert by_key.reason is Reason.SCOPE_NOT_GRANTED, held
            assert by_owner.reason is Reason.OWNER_LACKS_SCOPE, held


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_d5_40_each_route_opens_to_its_own_service_and_to_no_other(path, method):
    ask = matrix_key(path)
    asked = ask.request(method, path)
    service, scope = needed(path, method)
    for held in SERVICES:
        found = decide(asked, ask.world(services=frozenset({held})))
        if scope is None:
            assert found.reason is Reason.METHOD_NOT_ALLOWED
        elif held == service:
            assert found.allowed
        else:
            assert found.reason is Reason.SERVICE_NOT_GRANTED, held


@pytest.mark.parametrize("path", PATHS)
def test_d5_39_without_scopes_services_or_roles_nothing_opens(path):
    ask = matrix_key(path)
    for method in METHODS:
        asked = ask.request(method, path)
        for records in (
            ask.world(scopes=NONE),
            ask.world(services=frozenset()),
            ask.world(changed(OWNER, roles=())),
            ask.world(changed(ROLE, scopes=NONE)),
        ):
            assert not decide(asked, records).allowed


@pytest.mark.parametrize("path", PATHS)
def test_only_the_clouds_that_document_tls_ask_for_it_and_all_their_areas_do(path):
    ask = matrix_key(path)
    method = next(method for method in METHODS if needed(path, method)[1])
    assert decide(ask.request(method, path), ask.world()).allowed
    in_the_clear = changed(ask.request(method, path), tls=False)
    wanted = ask.kind.name.startswith(("upcloud.", "teracloud."))
    reason = Reason.TLS_REQUIRED if wanted else Reason.ALLOWED
    assert decide(in_the_clear, ask.world()).reason is reason
    for here in ("127.0.0.1", "::1"):
        at_home = changed(in_the_clear, client=parse_address(here))
        assert decide(at_home, ask.world()).allowed


# --- Who is asked for what
ISSUED = service_key()
TEXT = ISSUED.secret.reveal()
KEY = credential(ISSUED)
SENT = bearer(TEXT)


def asked_for(asked: Request, records: dict[Key, Record]) -> list[Key]:
    found: list[Key] = []
    decide(asked, records, needed=found)
    return found


def test_a_request_that_cannot_be_allowed_costs_no_look_up():
    for hopeless in (
        request(),
        request(target="/v1/storage/../x", headers=SENT),
        request(target="/nowhere", headers=SENT),
        request("PATCH", headers=SENT),
        request(headers=bearer(TEXT[:-1] + ("0" if TEXT[-1] != "0" else "1"))),
        request(headers=SENT, repeated=["authorization"]),
        request(host="a/b", headers=SENT),
        request(headers=SENT, fault=(Reason.GATEWAY_INCOMPLETE, "x")),
        request(target="/healthz", headers=SENT),
    ):
        assert asked_for(hopeless, world(KEY)) == []


def test_d7_68_an_unknown_key_costs_one_look_up_and_the_next_one_none():
    cache = Cache(1)
    needed_keys: list[Key] = []
    for _ in range(3):
        found = decide(request(headers=SENT), world(), cache=cache, needed=needed_keys)
        assert found.reason is Reason.CREDENTIAL_UNKNOWN
    assert needed_keys == [(Noun.CREDENTIAL, ISSUED.id)]


def test_a_known_key_asks_for_each_record_once():
    wanted = asked_for(request(headers=SENT), world(KEY))
    assert len(set(wanted)) == len(wanted)
    assert set(wanted) == set(world(KEY))


def test_what_the_store_does_not_answer_is_not_there():
    walk = start(request(headers=SENT), Cache(1))
    need = next(walk)
    assert isinstance(need, Need)
    answers = dict.fromkeys(need.keys)
    with pytest.raises(StopIteration) as done:
        walk.send(answers)
    assert done.value.value.reason is Reason.CREDENTIAL_UNKNOWN


def test_a_record_of_another_noun_under_the_same_key_counts_as_none():
    for wrong in (OWNER, TENANT, PROJECT, ROLE):
        records = {**world(KEY), (Noun.CREDENTIAL, ISSUED.id): wrong}
        assert decide(request(headers=SENT), records).reason is Reason.CREDENTIAL_UNKNOWN
    for noun, public_id, reason in (
        (Noun.USER, OWNER.id, Reason.OWNER_MISSING),
        (Noun.TENANT, TENANT.id, Reason.TENANT_SUSPENDED),
        (Noun.PROJECT, PROJECT.id, Reason.PROJECT_DISABLED),
        (Noun.ROLE, ROLE.id, Reason.OWNER_LACKS_SCOPE),
    ):
        assert (
            decide(request(headers=SENT), {**world(KEY), (noun, public_id): KEY}).reason is reason
        )


def start(asked: Request, cache: Cache) -> Steps:
    return check(asked, policy=SHIPPED, now=NOW, cache=cache, new_id=lambda: "refusal-1")


# --- Attacks
def test_d3_26_what_was_allowed_from_one_address_is_judged_anew_from_another():
    records = world(changed(KEY, networks=Networks.of(["192.0.2.0/24"])))
    cache = Cache(1)
    inside, outside = request(headers=SENT), request(headers=SENT, client="203.0.113.1")
    assert decide(inside, records, cache=cache).allowed
    assert decide(outside, records, cache=cache).reason is Reason.NETWORK_NOT_ALLOWED
    assert decide(inside, records, cache=cache).allowed


def test_d5_46_what_was_allowed_for_one_method_path_time_or_secret_is_judged_anew():
    records = world(changed(KEY, scopes=Scopes.of(["storage:read"]), expires_at=NOW + 10))
    cache = Cache(1)
    assert decide(request(headers=SENT), records, cache=cache).allowed
    later = decide(request(headers=SENT), records, cache=cache, now=NOW + 10)
    assert later.reason is Reason.CREDENTIAL_EXPIRED
    for asked, reason in (
        (request("PUT", headers=SENT), Reason.SCOPE_NOT_GRANTED),
        (request(target="/v1/dns/zones", headers=SENT), Reason.SERVICE_NOT_GRANTED),
        (request(target="/manage/v1/keys", headers=SENT), Reason.CREDENTIAL_NOT_ACCEPTED),
        (request(headers=bearer(f"wayscloud_storage_{ISSUED.id}_x")), Reason.SECRET_WRONG),
        (request(), Reason.CREDENTIAL_MISSING),
    ):
        assert decide(asked, records, cache=cache).reason is reason


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (changed(KEY, revoked_at=NOW), Reason.CREDENTIAL_REVOKED),
        (changed(OWNER, active=False), Reason.OWNER_DISABLED),
        (changed(OWNER, roles=()), Reason.OWNER_LACKS_SCOPE),
        (changed(TENANT, active=False), Reason.TENANT_SUSPENDED),
        (changed(PROJECT, active=False), Reason.PROJECT_DISABLED),
        (changed(ROLE, scopes=NONE), Reason.OWNER_LACKS_SCOPE),
    ],
    ids=lambda found: type(found).__name__ if not isinstance(found, Reason) else str(found),
)
def test_d5_43_a_change_in_the_journal_takes_effect_on_the_very_next_decision(record, reason):
    cache = Cache(1)
    assert decide(request(headers=SENT), world(KEY), cache=cache).allowed
    noun = next(key for key in world(KEY, record) if key[1] == record.id)
    cache.advance([(2, noun)])
    found = decide(request(headers=SENT), world(KEY, record), cache=cache)
    assert found.reason is reason
    assert found.journal == 2


def test_d5_47_decisions_under_way_at_once_never_mix_their_identities():
    made = [service_key(seed=seed) for seed in range(200)]
    records: dict[Key, Record] = {}
    for number, issued in enumerate(made):
        owner = changed(OWNER, id=f"u-{number}")
        records |= world(credential(issued, owner_id=owner.id, external_id=f"x-{number}"), owner)
    cache = Cache(1)
    order = random.Random(11)
    walks = {
        number: start(request(headers=bearer(issued.secret.reveal())), cache)
        for number, issued in enumerate(made)
    }
    waiting: dict[int, Need | Slow | None] = dict.fromkeys(walks)
    decided: dict[int, Decision] = {}
    while waiting:
        number = order.choice(list(waiting))
        need = waiting[number]
        try:
            if need is None:
                waiting[number] = next(walks[number])
            else:
                assert isinstance(need, Need)
                found = {key: records.get(key) for key in need.keys}
                cache.insert(1, found.items())
                waiting[number] = walks[number].send(found)
        except StopIteration as done:
            decided[number] = done.value
            del waiting[number]
    for number, decision in decided.items():
        told = dict(identity(decision))
        assert told["X-Latchgate-User"] == f"u-{number}"
        assert told["X-Latchgate-External-Id"] == f"x-{number}"
        assert told["X-Latchgate-Credential"] == made[number].id


def test_d5_48_a_wrong_secret_is_never_laid_at_the_door_of_the_keys_owner():
    guess = bearer(f"wayscloud_storage_{ISSUED.id}_guessed")
    found = decide(request(headers=guess), world(KEY))
    assert found.reason is Reason.SECRET_WRONG
    assert found.credential is None
    assert decide(request("PUT", "/v1/dns", SENT), world(KEY)).credential == KEY


def test_d5_48_what_is_kept_of_two_refused_credentials_is_about_one_of_them():
    other = service_key(seed=2)
    asked = request(headers={**SENT, "x-api-key": other.secret.reveal()})
    elsewhere = credential(other, networks=Networks(()))
    found = decide(asked, world(changed(KEY, revoked_at=NOW), elsewhere))
    reasons = {KEY.id: Reason.CREDENTIAL_REVOKED, other.id: Reason.NETWORK_NOT_ALLOWED}
    assert found.credential is not None
    assert found.reason is reasons[found.credential.id]


def test_an_authenticated_area_opens_to_every_key_that_stands_and_to_no_other():
    path = "/api/v1/dashboard/account/profile"
    bare = changed(KEY, scopes=NONE, services=frozenset())
    assert decide(request("GET", path, SENT), world(bare)).allowed
    without_role = world(bare, changed(OWNER, roles=()))
    assert decide(request("GET", path, SENT), without_role).allowed
    for record, reason in (
        (changed(bare, revoked_at=NOW), Reason.CREDENTIAL_REVOKED),
        (changed(bare, expires_at=NOW), Reason.CREDENTIAL_EXPIRED),
        (changed(bare, networks=Networks(())), Reason.NETWORK_NOT_ALLOWED),
    ):
        assert decide(request("GET", path, SENT), world(record)).reason is reason
    disabled = world(bare, changed(OWNER, active=False))
    assert decide(request("GET", path, SENT), disabled).reason is Reason.OWNER_DISABLED
    assert decide(request("GET", path), world(bare)).reason is Reason.CREDENTIAL_MISSING
    assert decide(request("POST", path, SENT), world(bare)).reason is Reason.METHOD_NOT_ALLOWED
    # What the application itself asks for is asked for here too.
    asked = request("GET", path, SENT, scope="storage:read")
    assert decide(asked, world(bare)).reason is Reason.SERVICE_NOT_GRANTED
    assert decide(asked, world(KEY)).allowed


KEYS_OF_ONE_OWNER: dict[str, tuple[dict[str, Any] | None, Reason | None]] = {
    "stands": ({}, None),
    "without the scope": ({"scopes": NONE}, None),
    "for another service": ({"services": frozenset({"dns"})}, None),
    "revoked": ({"revoked_at": NOW}, Reason.CREDENTIAL_REVOKED),
    "expired": ({"expires_at": NOW}, Reason.CREDENTIAL_EXPIRED),
    "elsewhere": ({"networks": Networks(())}, Reason.CREDENTIALS_AMBIGUOUS),
    "of a wrong secret": ({"digest": b"x" * 32}, Reason.SECRET_WRONG),
    "unknown": (None, Reason.CREDENTIAL_UNKNOWN),
}


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "turned"])
@pytest.mark.parametrize("second", KEYS_OF_ONE_OWNER)
@pytest.mark.parametrize("first", KEYS_OF_ONE_OWNER)
def test_d4_33_of_two_keys_both_must_stand_and_then_what_either_opens_is_open(
    first, second, turned
):
    """providers/wayscloud: a key as Bearer and as X-API-Key in one request."""
    other = service_key(seed=2)
    made = [(ISSUED, first), (other, second)]
    held = [
        credential(issued, **changes)
        for issued, word in made
        if (changes := KEYS_OF_ONE_OWNER[word][0]) is not None
    ]
    bearing, named = reversed(made) if turned else made
    asked = request(
        headers={
            **bearer(bearing[0].secret.reveal()),
            "x-api-key": named[0].secret.reveal(),
        }
    )
    found = decide(asked, world(*held))
    fallen = [reason for word in (first, second) if (reason := KEYS_OF_ONE_OWNER[word][1])]
    if not fallen:
        assert found.allowed is ("stands" in (first, second))
        assert found.allowed or TABLE[found.reason]["wayscloud"].status == 403
        return
    assert found.reason in fallen
    assert refusal(found).status == 401
    # Whoever sent it may see why, and nobody else.
    proven = {issued.id for issued, word in made if word not in ("unknown", "of a wrong secret")}
    assert (found.credential.id in proven) if found.credential is not None else not proven


def test_d5_49_nothing_of_another_tenant_counts_even_under_an_id_that_fits():
    for foreign in (
        changed(OWNER, tenant_id="t-evil"),
        changed(PROJECT, tenant_id="t-evil"),
        changed(ROLE, tenant_id="t-evil"),
        changed(KEY, tenant_id="t-evil"),
    ):
        assert decide(request(headers=SENT), world(KEY)).allowed
        assert not decide(request(headers=SENT), world(KEY, foreign)).allowed


@pytest.mark.parametrize("depth", range(8))
def test_a_chain_of_parents_is_followed_to_a_fixed_depth_and_refused_beyond(depth):
    records = world(changed(KEY, id="k0"))
    for number in range(1, depth):
        records |= world(changed(KEY, id=f"k{number}", parent_id=f"k{number - 1}"))
    records |= world(changed(KEY, parent_id=f"k{depth - 1}" if depth else None))
    found = decide(request(headers=SENT), records)
    assert found.reason is (Reason.ALLOWED if depth <= 4 else Reason.PARENT_GONE)


def test_parents_in_a_circle_are_refused():
    records = world(changed(KEY, parent_id="k1"), changed(KEY, id="k1", parent_id=KEY.id))
    assert decide(request(headers=SENT), records).reason is Reason.PARENT_GONE


def test_d5_38_a_child_with_every_scope_may_do_no_more_than_its_parent():
    parent = changed(KEY, id="above", scopes=Scopes.of(["storage:read"]))
    records = world(changed(KEY, parent_id="above", scopes=ALL), parent)
    assert decide(request(headers=SENT), records).allowed
    assert decide(request("PUT", headers=SENT), records).reason is Reason.PARENT_LACKS_SCOPE


def test_d5_42_a_missing_holder_of_any_sort_refuses():
    whole = world(KEY)
    for gone in (TENANT, PROJECT, OWNER, ROLE, KEY):
        assert not decide(request(headers=SENT), without(whole, gone)).allowed


# --- Anything at all
WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["GET", "/v1/storage/a", "api.example.com", TEXT, f"Bearer {TEXT}", "Bearer "]),
)
HEADERS = st.dictionaries(
    st.one_of(
        st.sampled_from(["authorization", "x-api-key", "origin", "access-control-request-method"]),
        st.text(max_size=12),
    ),
    WORDS,
    max_size=4,
)


@FUZZ
@given(
    method=WORDS, host=WORDS, target=WORDS, headers=HEADERS, client=st.sampled_from(["::1", None])
)
def test_any_request_at_all_is_decided_and_worded(method, host, target, headers, client):
    asked = request(method, target, headers, host=host, client=client)
    found = decide(asked, world(KEY))
    if found.allowed:
        assert target.startswith("/")
        assert found.area is not None
        holds = headers.get("authorization") == f"Bearer {TEXT}" or headers.get("x-api-key") == TEXT
        assert holds or found.area.public
    else:
        assert refusal(found).status >= 400


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", ""),
        ("h", "h"),
        ("API.Example.com", "api.example.com"),
        ("api.example.com:443", "api.example.com"),
        ("api.example.com:", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("api.example.com.:8080", "api.example.com"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[::1]", "[::1]"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_is_read_without_port_final_dot_and_case(text, name):
    assert read_host(text) == name


NO_HOSTS = [".", "..", "a..b", "a.b..", ".a", "-a", "a b", " a", "a ", "a/b", "a?b", "a#b", "a@b"]
NO_HOSTS += ["a,b", "a:b", "a:1:2", "a:-1", "a:1.5", "a:\u0661", "[::1", "::1", "[::1]x", "[::1]80"]
NO_HOSTS += ["[]", "[g]", "\u212a", "e\u0301", "\u00e4", "a\x00", "a\n", "a\r\nb", "a" * 254]
NO_HOSTS += ["[" + "1" * 60 + "]", "a%2eb"]


@pytest.mark.parametrize(
    "text",
    NO_HOSTS,
)
def test_what_is_no_host_name_is_told_apart_from_none(text):
    assert read_host(text) is None


@FUZZ
@given(text=st.one_of(st.text(max_size=30), st.text("abAB.-_:[]0189 %\u212a", max_size=12)))
def test_any_host_reads_as_a_plain_name_or_as_none(text):
    name = read_host(text)
    if name:
        assert name.isascii()
        assert name == name.lower()
        assert ".." not in name
        assert not name.endswith(".")
        assert read_host(name) == name
        assert isinstance(read_host(f"{name}:443"), str)
