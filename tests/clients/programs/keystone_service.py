"""An OpenStack-style service: keystonemiddleware in front of it, told who asks by its headers.

python keystone_service.py PORT AUTH_URL USER PASSWORD DOMAIN PROJECT
"""

import json
import sys

from keystonemiddleware.auth_token import AuthProtocol
from waitress import serve

port, auth_url, user, password, domain, project = sys.argv[1:]


def service(environ, start_response):
    told = {
        name.removeprefix("HTTP_X_").lower(): environ[name]
        for name in ("HTTP_X_USER_ID", "HTTP_X_USER_NAME", "HTTP_X_PROJECT_ID", "HTTP_X_ROLES")
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]


guarded = AuthProtocol(
    service,
    {
        "www_authenticate_uri": auth_url,
        "auth_url": auth_url,
        "auth_type": "password",
        "username": user,
        "password": password,
        "user_domain_name": domain,
        "project_name": project,
        "project_domain_name": domain,
        # Every request is asked about: what is remembered here, nobody can take back.
        "token_cache_time": -1,
    },
)
serve(guarded, host="127.0.0.1", port=int(port), threads=2)
