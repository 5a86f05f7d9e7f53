"""The variables that a cloud's own tools read, and those of the same cloud that would clash.

Rule of this file: a tool that is given a credential here uses that one, at the profile's address;
what an environment has of the same cloud besides is taken away from it, other clouds' is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from latchgate.client.errors import CredentialInvalid

if TYPE_CHECKING:  # loaded when a verb runs
    from latchgate.client.profiles import Profile

# What goes with other ways to sign in: openstacksdk and keystoneauth take them all, and refuse
# an application credential beside a project.
_OPENSTACK = (
    "OS_ACCESS_TOKEN",
    "OS_AUTH_METHODS",
    "OS_CLOUD",
    "OS_DEFAULT_DOMAIN",
    "OS_DEFAULT_DOMAIN_ID",
    "OS_DEFAULT_DOMAIN_NAME",
    "OS_DOMAIN_ID",
    "OS_DOMAIN_NAME",
    "OS_ENDPOINT",
    "OS_PASSCODE",
    "OS_PASSWORD",
    "OS_PROJECT_DOMAIN_ID",
    "OS_PROJECT_DOMAIN_NAME",
    "OS_PROJECT_ID",
    "OS_PROJECT_NAME",
    "OS_SYSTEM_SCOPE",
    "OS_TENANT_ID",
    "OS_TENANT_NAME",
    "OS_TOKEN",
    "OS_TRUST_ID",
    "OS_URL",
    "OS_USER_DOMAIN_ID",
    "OS_USER_DOMAIN_NAME",
    "OS_USERNAME",
)
_MORE: Mapping[str, tuple[str, ...]] = {
    "kakaocloud": (*_OPENSTACK, "OS_AUTH_TYPE", "OS_IDENTITY_API_VERSION", "OS_REGION_NAME"),
    "latchgate": ("LATCHGATE_CA", "LATCHGATE_PROFILE", "LATCHGATE_CONFIG"),
}


def variables(profile: Profile) -> list[tuple[str, str]]:
    """Return the variables that a profile's credential makes, by name.

    Raises: CredentialMissing, SourceUnreadable; CredentialInvalid where there are no such tools.
    """
    names = _named(profile)
    found = profile.credential()
    cloud, fields = profile.open(found=found), found.fields
    told = {names[field]: value.reveal() for field, value in fields.items() if field in names}
    if profile.url is not None or "url" in fields or profile.cloud in _MORE:
        told[names["url"]] = cloud.url
    if profile.cloud == "kakaocloud":
        told |= {"OS_AUTH_TYPE": "v3applicationcredential", "OS_IDENTITY_API_VERSION": "3"}
        if "region" in profile.settings:
            told["OS_REGION_NAME"] = profile.settings["region"]
    if profile.cloud == "latchgate" and profile.ca is not None:
        told["LATCHGATE_CA"] = profile.ca
    return sorted(told.items())


def clashing(profile: Profile) -> set[str]:
    """Return every variable of the same cloud, whether or not it is set.

    An address that stayed would send the credential elsewhere. Raises CredentialInvalid as above.
    """
    return {*_named(profile).values(), *_MORE.get(profile.cloud, ())}


def _named(profile: Profile) -> Mapping[str, str]:
    names = profile.wanted.variables
    if not names:
        msg = f"{profile.cloud} has no tools of its own: take `latchgate token {profile.name}`"
        raise CredentialInvalid(msg)
    return names
