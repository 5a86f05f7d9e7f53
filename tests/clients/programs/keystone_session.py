"""Log in with keystoneauth1 by an application credential; print what the token is and opens.

    python keystone_session.py AUTH_URL id ID SECRET
    python keystone_session.py AUTH_URL name NAME SECRET USER_ID
    python keystone_session.py AUTH_URL name NAME SECRET USER_NAME DOMAIN_NAME

Afterwards it gives its own token back, so that the next request is refused, and asks once more:
a session logs in again by itself where, and only where, a dead token is a 401.
"""

import json
import sys

from keystoneauth1.exceptions import HttpError
from keystoneauth1.identity.v3 import ApplicationCredential
from keystoneauth1.session import Session

auth_url, how, named, secret, *owner = sys.argv[1:]
told = {"application_credential_secret": secret}
if how == "id":
    told["application_credential_id"] = named
else:
    told["application_credential_name"] = named
    if len(owner) == 1:
        told["user_id"] = owner[0]
    else:
        told["username"], told["user_domain_name"] = owner
session = Session(ApplicationCredential(auth_url=auth_url, **told))
try:
    access = session.auth.get_access(session)
except HttpError as error:
    message = error.message.partition(" (Request-ID")[0]  # another for every request
    print(json.dumps({"status": error.http_status, "message": message}))
    sys.exit(3)

projects = f"{auth_url}/users/{access.user_id}/projects"
before = [project["name"] for project in session.get(projects).json()["projects"]]
first = session.get_token()
given_back = session.delete(f"{auth_url}/auth/tokens", headers={"X-Subject-Token": first})
after = [project["name"] for project in session.get(projects).json()["projects"]]
print(
    json.dumps(
        {
            "user_id": access.user_id,
            "project_id": access.project_id,
            "roles": sorted(access.role_names),
            "catalog": [service["type"] for service in access.service_catalog.catalog],
            "hours": round((access.expires - access.issued).total_seconds() / 3600, 1),
            "projects": [before, after],
            "given_back": given_back.status_code,
            "another_token": session.get_token() != first,
        }
    )
)
