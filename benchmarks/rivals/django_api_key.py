"""djangorestframework-api-key as a WSGI application: SQLite, and a view that takes a key.

DATABASE=FILE SECRET=… gunicorn django_api_key:application
DATABASE=FILE SECRET=… python django_api_key.py KEYS    makes its tables and keys, prints these
"""

import json
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
    INSTALLED_APPS=["rest_framework", "rest_framework_api_key"],
    REST_FRAMEWORK={
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework_api_key.permissions.HasAPIKey"],
        # The key is the whole question: nobody signs in, and no browser is answered.
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    # Its connection is kept, as a production site keeps it.
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_api_key.models import APIKey  # noqa: E402


class Asked(APIView):  # type: ignore[misc] # it is installed apart
    """Answers whoever has a key that stands."""

    def get(self, _request: Request) -> Response:
        """Answer."""
        return Response()


urlpatterns = [path("asked", Asked.as_view())]
application = get_wsgi_application()

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    made = [APIKey.objects.create_key(name=f"key {i}")[1] for i in range(int(sys.argv[1]))]
    print(json.dumps(made))
