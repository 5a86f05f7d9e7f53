"""Make, list, show, find and delete application credentials with openstacksdk, by password.

OS_… python openstack_sdk.py NAME
"""

import json
import sys

import openstack
from openstack.exceptions import ConflictException

name = sys.argv[1]
cloud = openstack.connect(load_yaml_config=False)
user = cloud.current_user_id
made = cloud.identity.create_application_credential(
    user, name, description="by the SDK", roles=[{"name": "reader"}]
)
twice = None
try:
    cloud.identity.create_application_credential(user, name)
except ConflictException as error:
    twice = error.status_code
listed = [one.name for one in cloud.identity.application_credentials(user)]
shown = cloud.identity.get_application_credential(user, made.id)

# Whoever has the credential is the user, with the roles that it was given.
own = openstack.connect(
    load_envvars=False,
    load_yaml_config=False,
    auth_type="v3applicationcredential",
    auth={
        "auth_url": cloud.auth["auth_url"],
        "application_credential_id": made.id,
        "application_credential_secret": made.secret,
    },
    region_name=cloud.config.get_region_name(),
)
access = own.session.auth.get_access(own.session)
seen = {
    "user": own.current_user_id == user,
    "project": own.current_project_id == cloud.current_project_id,
    "roles": access.role_names,
    "shown": own.identity.get_project(own.current_project_id).name,
}
cloud.identity.delete_application_credential(user, made.id)
found = cloud.identity.find_application_credential(user, name, ignore_missing=True)
print(
    json.dumps(
        {
            "secret": len(made.secret) >= 22,
            "twice": twice,
            "listed": name in listed,
            "description": shown.description,
            "secret_again": shown.secret,
            "seen": seen,
            "gone": found is None,
        }
    )
)
