"""The project for an ASGI server.

uvicorn --no-proxy-headers --app-dir examples/django_app asgi:application
"""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_asgi_application()
