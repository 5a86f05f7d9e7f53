"""`request.user` of Django: kept nowhere, or mapped when that is set; sync and async."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from tests.integrations.conftest import ROOT
from tests.world import environment, raw_rows

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
MIGRATE = """
import tests.integrations.apps
from django.core.management import call_command
call_command("migrate", verbosity=0)
"""


@pytest.mark.parametrize("name", ["django gunicorn", "django uvicorn"])
@pytest.mark.parametrize("path", ["/v1/storage/a", "/v1/storage/async"])
def test_the_user_of_a_request_is_latchgates_and_kept_nowhere(serve, world, name, path):
    key = world.key()
    answer = serve(name).ask(path, key=key)
    assert answer.status == 200, answer.body
    assert answer.json["user"] == key.owner.user_id
    assert not answer.json.get("saved", False)


@pytest.mark.parametrize("name", ["django gunicorn", "django uvicorn"])
def test_users_are_made_in_django_only_when_that_is_set(serve, world, tmp_path_factory, name):
    database = tmp_path_factory.mktemp("django") / "django.db"
    more = {"DJANGO_DATABASE": str(database)}
    config = str(world.database.with_name("latchgate.toml"))
    subprocess.run(
        [sys.executable, "-c", MIGRATE],
        check=True,
        cwd=ROOT,
        env=environment() | {"LATCHGATE_CONFIG": config} | more,
    )
    app, key = serve(name, **more), world.key()
    wanted = f"latchgate:{key.owner.user_id}"
    for path in ("/v1/storage/a", "/v1/storage/a", "/v1/storage/async"):
        assert app.ask(path, key=key).json["user"] == wanted
    ((kept, password, active),) = raw_rows(
        database, "SELECT username, password, is_active FROM auth_user"
    )
    assert (kept, password[0], active) == (wanted, "!", 1)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE auth_user SET is_active = 0")
    assert app.ask(key=key).json["user"] == ""
