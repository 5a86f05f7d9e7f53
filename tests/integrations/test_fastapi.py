"""The FastAPI dependency: extra scopes, its OpenAPI scheme, with and without the middleware."""

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient
from tests.world import raw_rows

from latchgate import Verifier
from latchgate.integrations.fastapi import Guard, Latchgate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def test_a_route_may_need_a_scope_besides_what_the_policy_asks(serve, world):
    app = serve("fastapi")
    writer = world.key(scopes=["storage:write"])
    refused = app.ask("/v1/storage/purge", method="POST", key=writer)
    assert refused.status == 403
    assert refused.header("WWW-Authenticate") == (
        'Bearer realm="WAYSCloud", error="insufficient_scope", scope="storage:delete"'
    )
    assert refused.json["code"] == "INSUFFICIENT_PERMISSIONS"
    both = world.key(scopes=["storage:write", "storage:delete"])
    assert app.ask("/v1/storage/purge", method="POST", key=both).status == 200
    # What the policy asks for stays needed.
    deleter = world.key(scopes=["storage:delete"])
    assert app.ask("/v1/storage/purge", method="POST", key=deleter).status == 403


def test_a_scope_of_another_service_needs_that_service(serve, world):
    app = serve("fastapi")
    assert app.ask("/v1/storage/zones", method="POST", key=world.key("storage")).status == 403
    assert (
        app.ask("/v1/storage/zones", method="POST", key=world.key("storage", "dns")).status == 200
    )


def test_a_mounted_application_is_decided_by_the_middleware(serve, world):
    app, key = serve("fastapi covered"), world.key(scopes=["storage:read"])
    inside = app.ask("/v1/storage/mounted/a", key=key)
    assert (inside.status, inside.json["identity"]["user"]) == (200, key.owner.user_id)
    assert app.ask("/v1/storage/mounted/a").status == 401
    assert app.ask("/v1/storage/mounted/a", method="PUT", key=key).status == 403


def test_the_middleware_decides_what_fastapi_serves_by_itself(serve, world):
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert serve("fastapi covered").ask(path, key=world.key()).status == 404


def test_one_request_is_one_use_with_the_middleware_and_the_dependency(world):
    config, key = world.database.with_name("latchgate.toml"), world.key()
    with Verifier(config) as verifier:
        latchgate = Latchgate(Guard(verifier))
        app = FastAPI(middleware=[latchgate.middleware], dependencies=[Depends(latchgate)])

        @app.get("/v1/storage/a")
        def a(identity=Depends(latchgate)):  # noqa: B008 - FastAPI's way
            return identity.credential

        client = TestClient(app, client=("192.0.2.1", 1))
        assert client.get("/v1/storage/a", headers=key.headers).json() == key.id
    counted = "SELECT count FROM use_day WHERE credential_id = ?"
    assert raw_rows(world.usage_database, counted.replace("?", f"'{key.id}'")) == [(1,)]


def test_openapi_shows_what_to_authorize_with():
    latchgate = Latchgate(scheme_name="API key")
    app = FastAPI(dependencies=[Depends(latchgate)])

    @app.get("/a", dependencies=[latchgate.requires("storage:delete")])
    def a():
        pass

    schema = app.openapi()
    assert schema["components"]["securitySchemes"]["API key"]["scheme"] == "bearer"
    named = {name for one in schema["paths"]["/a"]["get"]["security"] for name in one}
    assert named == {"API key"}


def test_without_the_handler_a_refusal_keeps_its_status_and_headers(world):
    with Verifier(world.database.with_name("latchgate.toml")) as verifier:
        app = FastAPI(dependencies=[Depends(Latchgate(Guard(verifier)))])
        app.get("/v1/storage/a")(lambda: None)
        answer = TestClient(app, client=("192.0.2.1", 1)).get("/v1/storage/a")
    assert answer.status_code == 401
    assert answer.headers["X-Latchgate-Decision"]
    assert answer.headers["WWW-Authenticate"]
