"""The same attacks on every framework under its real server (ATTACKS D1.1–4, D1.14, D2, D3)."""

import concurrent.futures
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from tests.world import FILES, WAYSCLOUD

from latchgate.core.model import Noun
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
EVERY = [
    "asgi",
    "fastapi",
    "fastapi covered",
    "django gunicorn",
    "django uvicorn",
    "flask gunicorn",
    "flask waitress",
    "flask mounted",
]
AUTH_FAILED = b'{"error":"Invalid or expired API key","code":"AUTH_FAILED"}'


@pytest.fixture(params=EVERY)
def app(request, serve):
    return serve(request.param)


@pytest.fixture(scope="module")
def key(world):
    return world.key(scopes=["storage:read"], environment="dev", external_id="crm/7")


@pytest.fixture(scope="module")
def rotated(world):
    """A key in the grace of its rotation."""
    made = world.key(scopes=["storage:read"])
    told = {"superseded_by": "next", "superseded_at": 1_790_000_000.5, "expires_at": 4e9}
    table = schema.credential
    changed = sa.update(table).where(table.c.id == made.id).values(**told)
    world.change(Noun.CREDENTIAL, made.id, changed)
    return made


def test_whose_secret_was_rotated_is_told_on_the_answer(app, key, rotated):
    answer = app.ask("/v1/storage/a", key=rotated)
    assert answer.status == 200, answer.body
    assert answer.header("Deprecation") == "@1790000000"
    assert answer.header("Sunset") == "Tue, 02 Oct 2096 07:06:40 GMT"
    told = {name.lower() for name, _ in app.ask("/v1/storage/a", key=key).headers}
    assert not told & {"deprecation", "sunset"}


def test_an_allowed_request_is_served_with_its_whole_identity(app, key):
    answer = app.ask("/v1/storage/a%20b%2Fc", key=key)
    assert answer.status == 200, answer.body
    assert answer.json["path"] in {"/v1/storage/a b/c", "/a b/c"}
    assert answer.json["identity"] == {
        "tenant": key.owner.tenant_id,
        "project": key.owner.project_id,
        "user": key.owner.user_id,
        "application": None,
        "credential": key.id,
        "kind": "wayscloud.service_key",
        "service": "storage",
        "scope": "storage:read",
        "environment": "dev",
        "external_id": "crm/7",
    }


def test_a_refusal_is_the_verdicts_answer_unchanged(app):
    answer = app.ask()
    assert (answer.status, answer.body) == (401, AUTH_FAILED)
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("WWW-Authenticate") == 'Bearer realm="WAYSCloud"'
    assert answer.header("Cache-Control") == "no-store"
    assert len(answer.header("X-Latchgate-Decision")) == 20
    assert answer.header("Content-Length") == str(len(AUTH_FAILED))


def test_a_refused_head_has_the_headers_of_a_get_and_no_body(app):
    answer = app.ask(method="HEAD")
    assert (answer.status, answer.body) == (401, b"")
    assert answer.header("Content-Type") == "application/json"


def test_identity_headers_of_the_client_never_reach_the_application(app, key):
    forged = [
        ("X-Latchgate-User", "u-1"),
        ("x-latchgate-user", "u-2"),
        ("X-LATCHGATE-TENANT", "t-1"),
        ("X_Latchgate_User", "u-3"),
        ("X-Latchgate_User", "u-4"),
        ("X.Latchgate.User", "u-5"),
        ("X-Latchgate.Scope", "*"),
        ("X~Latchgate~Scope", "*"),
        ("X-Latchgate-Anything-New", "1"),
    ]
    answer = app.ask(key=key, headers=forged)
    assert answer.status == 200
    assert answer.json["headers"] == {}
    assert answer.json["identity"]["user"] == key.owner.user_id


@pytest.mark.parametrize("name", ["asgi", "django gunicorn", "django uvicorn", "flask gunicorn"])
def test_identity_headers_are_ours_alone_when_they_are_wanted(serve, key, name):
    app = serve(name, SET_HEADERS="1")
    forged = [("X-Latchgate-User", "u-1"), ("X_Latchgate_User", "u-2"), ("X.Latchgate.User", "u-3")]
    seen = app.ask(key=key, headers=forged).json["headers"]
    values = {value for name, value in seen.items() if name.lower().endswith("user")}
    assert values == {key.owner.user_id}


@pytest.mark.parametrize(
    "target",
    [
        "/v1/storage/../dns/zones",
        "/v1/storage/%2e%2e/dns/zones",
        "/v1/storage/..%2f..%2fdns",
        "/v1/storage/..;/dns/zones",
        "/v1/storage/a;x=1/b",
        "/v1/storage//a",
        "//v1/storage/a",
        "/v1/storage/./a",
        "/v1/storage/a%252fb",
        "/v1/storage/a%5cb",
        "/v1/storage/a%00b",
        "/v1/storage/%c0%ae%c0%ae/a",
        "/v1/storage%2F..%2Fdns",
    ],
)
def test_a_path_that_two_programs_could_read_in_two_ways_is_refused(app, key, target):
    answer = app.ask(target, key=key)
    assert answer.status in {400, 404}
    # Not every server lets such a path through to us: what matters is that nothing is served.
    assert b'"identity"' not in answer.body


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PUT", "/v1/storage/a", 403),
        ("GET", "/v1/dns/zones", 403),
        ("GET", "/v1/storage-admin/a", 404),
        ("GET", "/V1/STORAGE/a", 404),
        ("GET", "/nothing", 404),
    ],
)
def test_what_the_key_does_not_open_is_refused(app, key, method, target, status):
    answer = app.ask(target, method=method, key=key)
    # Beside its mount, the dispatcher answers by itself.
    assert answer.status == (404 if app.name == "flask mounted" and "dns" in target else status)
    assert b'"identity"' not in answer.body


@pytest.mark.parametrize("method", ["get", "Get", "PROPFIND", "TRACE", "G-E-T"])
def test_a_method_that_the_area_does_not_take_is_refused(app, key, method):
    answer = app.ask(method=method, key=key)
    assert answer.status in {400, 405, 501}
    assert b'"identity"' not in answer.body


@pytest.mark.parametrize(
    "name", ["asgi", "fastapi", "fastapi covered", "django gunicorn", "flask gunicorn"]
)
def test_a_refusal_does_not_wait_for_a_body(serve, name):
    # Announced and never sent: whoever read it before the decision would not answer in time.
    # (waitress, and Django under ASGI, take the whole body in before anything is called.)
    assert serve(name).ask("/v1/storage/a", method="PUT", length=1_000_000).status == 401


def test_two_keys_in_one_request_are_refused(app, key, world):
    other = world.key()
    twice = [("Authorization", f"Bearer {other.text}")]
    answer = app.ask(key=key, headers=twice)
    assert answer.status in {400, 401}
    assert b'"identity"' not in answer.body


@pytest.mark.parametrize("host", ["x/v1/storage?", "api.example/v1/storage", "a b", "x@y", "a,b"])
def test_a_host_that_holds_a_path_moves_nothing(app, key, host):
    answer = app.ask("/v1/storage/a", key=key, host=host)
    assert answer.status == 400
    assert b'"identity"' not in answer.body


@pytest.mark.parametrize("host", ["x/v1/dns?", "api.example/v1/dns", "x@y", "x#"])
def test_an_absolute_target_is_refused_or_decided_by_its_path(app, key, host):
    target = f"http://{host}/v1/storage/a"
    answer = app.ask(target, key=key)
    if answer.status == 200:
        assert urlsplit(target).path == answer.json["path"] == "/v1/storage/a"
    assert b'"identity"' not in answer.body or answer.status == 200


@pytest.mark.parametrize(
    "header",
    [
        ("SCRIPT_NAME", "/v1/storage"),
        ("PATH_INFO", "/v1/dns"),
        ("X-Original-URL", "/v1/dns"),
        ("X-Forwarded-Prefix", "/v1"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X.HTTP.Method.Override", "DELETE"),
    ],
)
def test_a_header_can_not_change_what_is_served(app, key, header):
    answer = app.ask("/v1/storage/a", key=key, headers=[header])
    if answer.status == 200:
        assert answer.json["path"] in {"/v1/storage/a", "/a"}
        assert answer.json["identity"]["scope"] == "storage:read"
    else:
        assert answer.status in ({400, 404} if app.name == "flask mounted" else {400})
        assert b'"identity"' not in answer.body


def test_a_forwarded_address_counts_from_trusted_peers_only(serve, world, app):
    bound = world.key(networks=["192.0.2.1"])
    forged = [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")]
    assert app.ask(key=bound, headers=forged).status == 403
    assert app.ask(key=world.key(networks=["127.0.0.1"]), headers=forged).status == 200


@pytest.mark.parametrize("name", ["asgi", "django gunicorn", "flask waitress"])
@pytest.mark.parametrize(
    ("hops", "status"),
    [
        ("192.0.2.1", 200),
        ("198.51.100.9, 192.0.2.1", 200),
        ("192.0.2.1, 198.51.100.9", 403),  # the left-most is whatever the client wrote
        ("192.0.2.1, 10.0.0.7", 200),
        ("a", 400),
        ("192.0.2.1, ", 400),
    ],
)
def test_behind_a_trusted_proxy_the_right_most_other_hop_is_the_client(
    serve, world, name, hops, status
):
    app = serve(name, TRUSTED="127.0.0.1,10.0.0.0/8")
    bound = world.key(networks=["192.0.2.1"])
    assert app.ask(key=bound, headers=[("X-Forwarded-For", hops)]).status == status


@pytest.mark.parametrize("name", ["asgi unix", "flask unix"])
def test_a_peer_on_a_unix_socket_is_believed_only_when_it_is_named(serve, world, name):
    bound = world.key(networks=["192.0.2.1"])
    told = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")]
    assert serve(name).ask(key=world.key()).status == 200
    # Nobody can say where it came from, so a key that is bound to networks is refused.
    assert serve(name).ask(key=bound, headers=told).status == 400
    assert serve(name, TRUSTED="unix").ask(key=bound, headers=told).status == 200
    other = [("X-Forwarded-For", "192.0.2.1, 192.0.2.2")]
    assert serve(name, TRUSTED="unix").ask(key=bound, headers=other).status == 403


def test_a_public_path_is_served_for_nobody(app):
    answer = app.ask("/healthz")
    # The mounted and the covered application serve nothing there.
    assert answer.status in {200, 404}
    if answer.status == 200:
        assert set(answer.json["identity"].values()) == {None}


PREFLIGHT = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT")]


@pytest.mark.parametrize("name", ["asgi", "fastapi", "django gunicorn", "flask gunicorn"])
def test_a_preflight_passes_for_nobody_where_the_policy_says_so(serve, world, name):
    app = serve(name)
    assert app.ask(method="OPTIONS", headers=PREFLIGHT).status == 405
    text = WAYSCLOUD.replace("encoded_slash = true", "encoded_slash = true\npreflight = true")
    world.publish({"wayscloud.toml": text})
    try:
        answer = app.ask(method="OPTIONS", headers=PREFLIGHT)
        assert answer.status == 200
        assert set(answer.json["identity"].values()) == {None}
        # Less than a preflight is a request that needs a key.
        assert app.ask(method="OPTIONS", headers=PREFLIGHT[:1]).status == 400
        assert app.ask(method="PUT", headers=PREFLIGHT).status == 401
    finally:
        world.publish(FILES)


def test_a_revoked_key_is_refused_at_the_very_next_request_in_every_process(app, world):
    for _ in range(3):
        key = world.key()
        for _ in range(4):
            assert app.ask(key=key).status == 200
        world.revoke(key)
        for _ in range(4):
            answer = app.ask(key=key)
            assert (answer.status, answer.body) == (401, AUTH_FAILED)


def test_rights_follow_the_owner_at_once(app, world):
    owner = world.somebody("storage:read")
    key = world.key(owner=owner)
    assert app.ask(key=key).status == 200
    table = schema.user
    disable = sa.update(table).where(table.c.id == owner.user_id).values(active=False)
    world.change(Noun.USER, owner.user_id, disable)
    assert app.ask(key=key).status == 401


def test_many_at_once_are_each_told_apart(app, world):
    with world.changing() as change:
        keys = [world.key_in(change, external_id=f"x-{at}") for at in range(40)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda key: app.ask(key=key), keys))
    assert [one.json["identity"]["external_id"] for one in found] == [f"x-{at}" for at in range(40)]


@pytest.mark.parametrize("name", ["django gunicorn", "flask gunicorn"])
def test_every_forked_worker_decides_with_the_verifier_opened_before_the_fork(serve, world, name):
    app, key = serve(name), world.key()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: app.ask(key=key), range(80)))
    assert {one.status for one in answers} == {200}
    processes = {one.json["process"] for one in answers}
    assert len(processes) == 2
    assert app.process.pid not in processes


@pytest.mark.parametrize("name", ["asgi", "django gunicorn"])  # the others answer it alike
def test_a_decision_that_can_not_be_made_is_a_503(serve, world, name):
    app, key = serve(name), world.key()
    assert app.ask(key=key).status == 200
    world.publish({"bad.toml": "not TOML"})
    try:
        answer = app.ask(key=key)
        assert answer.status == 503
        assert b'"identity"' not in answer.body
        assert app.ask("/healthz").status == 503  # nor is anything public without a policy
    finally:
        world.publish(FILES)
    assert app.ask(key=key).status == 200


def test_a_path_rewritten_before_the_decision_is_refused(serve, key):
    answer = serve("asgi rewritten").ask("/v1/storage/a", key=key)
    assert answer.status == 400
    assert answer.json["error"] == "Request path is ambiguous"
