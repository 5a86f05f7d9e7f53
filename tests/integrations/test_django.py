"""The Django middleware's settings; what it does to requests is in test_attacks."""

import json
import subprocess
import sys

import pytest
from tests.world import environment

SETTINGS = """
import sys, json
import django
from django.conf import settings
settings.configure(**json.loads(sys.argv[1]))
django.setup()
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
try:
    WSGIHandler()
except ImproperlyConfigured as error:
    print(error)
else:
    print("loaded")
"""
FIRST = "latchgate.integrations.django.LatchgateMiddleware"
SECOND = "latchgate.integrations.django_auth.LatchgateUserMiddleware"


def loaded(config, **more):
    given = {"MIDDLEWARE": [FIRST], "LATCHGATE_CONFIG": str(config)} | more
    if len(given["MIDDLEWARE"]) > 1:
        given["INSTALLED_APPS"] = ["django.contrib.contenttypes", "django.contrib.auth"]
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS, json.dumps(given)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return done.stdout.strip()


@pytest.fixture
def config(world):
    return world.database.with_name("latchgate.toml")


def test_right_settings_are_loaded(config):
    assert loaded(config, LATCHGATE_TRUSTED_PROXIES=["unix", "10.0.0.0/8"]) == "loaded"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"LATCHGATE_CONFIG": 3}, "LATCHGATE_CONFIG is 3; it has to be the path of a latchgate"),
        ({"LATCHGATE_CONFIG": "/none.toml"}, "LATCHGATE_CONFIG: "),
        ({"LATCHGATE_TRUSTED_PROXIES": "10.0.0.1"}, "it has to be a list of addresses"),
        ({"LATCHGATE_TRUSTED_PROXIES": ["gate"]}, "'gate' is not an IP address or a CIDR"),
        ({"LATCHGATE_CREATE_USERS": "no"}, "LATCHGATE_CREATE_USERS is 'no'; it has to be True or"),
        (
            {"LATCHGATE_TRUST": []},
            "there is no setting LATCHGATE_TRUST; there are LATCHGATE_CONFIG",
        ),
        ({"MIDDLEWARE": [FIRST, SECOND]}, "AUTHENTICATION_BACKENDS lacks 'latchgate.integrations"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(config, wrong, told):
    assert told in loaded(config, **wrong)
