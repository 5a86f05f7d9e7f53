"""The Flask extension: its settings, its place, its end, and extra scopes."""

import flask
import pytest

from latchgate.config import ConfigError
from latchgate.integrations.flask import Latchgate


@pytest.fixture
def config(world):
    return str(world.database.with_name("latchgate.toml"))


def made(config, **more):
    app = flask.Flask(__name__)
    app.config.update(LATCHGATE_CONFIG=config, **more)
    return app


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_view_may_need_a_scope_besides_what_the_policy_asks(serve, world):
    app = serve("flask gunicorn")
    writer = world.key(scopes=["storage:write"])
    refused = app.ask("/v1/storage/purge", method="POST", key=writer)
    assert refused.status == 403
    assert 'scope="storage:delete"' in refused.header("WWW-Authenticate")
    both = world.key(scopes=["storage:write", "storage:delete"])
    assert app.ask("/v1/storage/purge", method="POST", key=both).status == 200


def test_it_decides_before_every_other_hook_and_serves_an_application_factory(config, world):
    extension, seen = Latchgate(), []
    app = made(config)

    @app.before_request
    def earlier():
        seen.append(flask.request.path)

    extension.init_app(app)
    other = made(config)
    extension.init_app(other)
    for one in (app, other):
        client = one.test_client()
        assert client.get("/v1/storage/a").status_code == 401
        assert client.get("/static/x").status_code == 404
        assert client.get("/static/x").headers["X-Latchgate-Decision"]
    assert seen == []
    assert app.test_client().get("/v1/storage/a", headers=world.key().headers).status_code == 404
    assert seen == ["/v1/storage/a"]


def test_an_identity_ends_with_its_request_inside_an_outer_context(config, world):
    app, key = made(config), world.key()
    Latchgate(app)
    app.add_url_rule("/v1/storage/a", "a", lambda: flask.g.latchgate.user)
    with app.app_context():
        told = app.test_client().get("/v1/storage/a", headers=key.headers)
        assert told.text == key.owner.user_id
        assert "latchgate" not in flask.g


def test_deciding_twice_for_one_application_is_refused(config):
    app = made(config)
    Latchgate(app)
    with pytest.raises(ValueError, match="call init_app once"):
        Latchgate(app)


def test_wrong_settings_are_told_when_the_application_is_made(config, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        Latchgate(made(str(tmp_path / "none.toml")))
    with pytest.raises(ValueError, match="give a list such as"):
        Latchgate(made(config, LATCHGATE_TRUSTED_PROXIES="10.0.0.1"))
