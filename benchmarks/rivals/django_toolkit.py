"""django-oauth-toolkit as a WSGI application: SQLite, and tokens that an API may look at.

    DATABASE=FILE SECRET=… gunicorn django_toolkit:application
    DATABASE=FILE SECRET=… python django_toolkit.py TOKEN…    makes its tables and these tokens

An API proves itself with a token of the scope `introspection`: a client's secret is hashed by the
toolkit with a million rounds at each request, which would measure that alone.
"""

import datetime as dt
import os
import sys

import django
from django.conf import settings

settings.configure(
    SECRET_KEY=os.environ["SECRET"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    # Its connection is kept, as a production site keeps it.
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "CONN_MAX_AGE": None,
        }
    },
    OAUTH2_PROVIDER={"SCOPES": {"storage:read": "Read", "introspection": "Look at tokens"}},
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import AccessToken, Application  # noqa: E402

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
application = get_wsgi_application()


def make(own: str, tokens: list[str]) -> None:
    """Make the tables, a client, the API's own token, and those that it will look at."""
    call_command("migrate", verbosity=0)
    client = Application.objects.create(
        name="api",
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
    ends = dt.datetime.now(tz=dt.UTC) + dt.timedelta(hours=1)
    told = dict.fromkeys(tokens, "storage:read") | {own: "introspection"}
    for token, scope in told.items():
        AccessToken.objects.create(token=token, application=client, scope=scope, expires=ends)


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2:])
