"""Settings of a Django project whose every request Latchgate decides."""

from __future__ import annotations

import os
import secrets

SECRET_KEY = secrets.token_urlsafe()  # signs nothing here that outlives the process
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DATABASES: dict[str, object] = {}

MIDDLEWARE = [
    # First, so that nothing answers or reads a request before it is decided.
    "latchgate.integrations.django.LatchgateMiddleware",
    "django.middleware.common.CommonMiddleware",
    # After AuthenticationMiddleware, in a project that has sessions too.
    "latchgate.integrations.django_auth.LatchgateUserMiddleware",
]
AUTHENTICATION_BACKENDS = ["latchgate.integrations.django_auth.LatchgateBackend"]

LATCHGATE_CONFIG = os.environ.get("LATCHGATE_CONFIG", ".latchgate/latchgate.toml")
LATCHGATE_TRUSTED_PROXIES: list[str] = []
