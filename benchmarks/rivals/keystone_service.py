"""keystonemiddleware before a trivial service: what it was told of a token it remembers itself.

AUTH_URL=… USER=… PASSWORD=… DOMAIN=… PROJECT=… gunicorn keystone_service:application
"""

import os
from collections.abc import Callable, Iterable

from keystonemiddleware.auth_token import AuthProtocol


def _service(_environ: object, start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


application = AuthProtocol(
    _service,
    {
        "www_authenticate_uri": os.environ["AUTH_URL"],
        "auth_url": os.environ["AUTH_URL"],
        "auth_type": "password",
        "username": os.environ["USER"],
        "password": os.environ["PASSWORD"],
        "user_domain_name": os.environ["DOMAIN"],
        "project_name": os.environ["PROJECT"],
        "project_domain_name": os.environ["DOMAIN"],
        "token_cache_time": 3600,
    },
)
