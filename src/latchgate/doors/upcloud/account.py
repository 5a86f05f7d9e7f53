"""The own account, and the details of accounts as the provider shows and takes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.door import Door, caller
from latchgate.doors.upcloud.call import Call
from latchgate.doors.upcloud.wire import answer, read_body
from latchgate.manage import accounts, subaccounts
from latchgate.manage.accounts import StoredAccount
from latchgate.manage.errors import InvalidError
from latchgate.manage.subaccounts import AccountChange
from latchgate.manage.targets import Targets
from latchgate.manage.users import Email

# Latchgate bills nobody and makes no servers: it has no money to tell of, and grants none of these.
# A gateway that knows better answers GET /1.3/account itself (docs/howto/upcloud.md).
CREDITS = 0.0
RESOURCE_LIMITS = (
    "cores",
    "detached_floating_ips",
    "gpus",
    "load_balancers",
    "managed_object_storages",
    "memory",
    "network_peerings",
    "networks",
    "ntp_excess_gib",
    "public_ipv4",
    "public_ipv6",
    "storage_hdd",
    "storage_maxiops",
    "storage_ssd",
)
# Told back as they were told; "" until then.
CONTACT = (
    "address",
    "city",
    "company",
    "country",
    "currency",
    "first_name",
    "language",
    "last_name",
    "phone",
    "postal_code",
    "state",
    "timezone",
    "vat_number",
)
_Line = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*(?![\s\S])")]
_Short = Annotated[str, msgspec.Meta(max_length=128)]
_Flag = Literal["yes", "no", ""]
_Role = Literal["billing", "aux_billing", "technical"]
_UNSET = msgspec.UNSET
_Unset = msgspec.UnsetType


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class Roles(_Strict, frozen=True):
    """What the provider writes to a person about; no right."""

    role: Annotated[list[_Role], msgspec.Meta(max_length=3)] | None = None


class IpFilters(_Strict, frozen=True):
    """Addresses, CIDRs and ranges; none of them means everywhere."""

    ip_filter: Annotated[list[_Short], msgspec.Meta(max_length=100)] | None = None


class Server(_Strict, frozen=True):
    """A server, or `*`, and whether its storages go with it."""

    uuid: _Short
    storage: _Flag = ""


class Servers(_Strict, frozen=True):
    """Servers."""

    server: Annotated[list[Server], msgspec.Meta(max_length=1000)] | None = None


class Storages(_Strict, frozen=True):
    """Storages."""

    storage: Annotated[list[_Short], msgspec.Meta(max_length=1000)] | None = None


class Networks(_Strict, frozen=True):
    """Networks."""

    network: Annotated[list[_Short], msgspec.Meta(max_length=1000)] | None = None


class Tag(_Strict, frozen=True):
    """A tag, and whether the storages of its servers go with it."""

    name: _Short
    storage: _Flag = ""


class Tags(_Strict, frozen=True):
    """Tags."""

    tag: Annotated[list[Tag], msgspec.Meta(max_length=1000)] | None = None


class Details(_Strict, frozen=True, kw_only=True):
    """An account as it is told: absent stays, as does an empty switch."""

    address: _Line | _Unset = _UNSET
    city: _Line | _Unset = _UNSET
    company: _Line | _Unset = _UNSET
    country: _Line | _Unset = _UNSET
    currency: _Line | _Unset = _UNSET
    first_name: _Line | _Unset = _UNSET
    language: _Line | _Unset = _UNSET
    last_name: _Line | _Unset = _UNSET
    phone: _Line | _Unset = _UNSET
    postal_code: _Line | _Unset = _UNSET
    state: _Line | _Unset = _UNSET
    timezone: _Line | _Unset = _UNSET
    vat_number: _Line | _Unset = _UNSET
    email: _Line | _Unset = _UNSET
    allow_api: _Flag | _Unset = _UNSET
    allow_gui: _Flag | _Unset = _UNSET
    enable_3rd_party_services: _Flag | _Unset = _UNSET
    roles: Roles | _Unset | None = _UNSET
    ip_filters: IpFilters | _Unset | None = _UNSET
    network_access: Networks | _Unset | None = _UNSET
    server_access: Servers | _Unset | None = _UNSET
    storage_access: Storages | _Unset | None = _UNSET
    tag_access: Tags | _Unset | None = _UNSET


class Campaigns(_Strict, frozen=True):
    """Offers of the provider's, which Latchgate has none of."""

    campaign: Annotated[list[str], msgspec.Meta(max_length=0)] | None = None


class Change(Details, frozen=True, kw_only=True):
    """A change of an account; what can't be changed may stand there as it is."""

    username: _Short | _Unset = _UNSET
    main_account: _Short | _Unset = _UNSET
    type: _Short | _Unset = _UNSET
    campaigns: Campaigns | _Unset | None = _UNSET


class Changed(_Strict, frozen=True):
    """The body that changes an account."""

    account: Change


async def show_account(door: Door, request: HttpRequest) -> Response:
    """Show who the caller is, and what Latchgate knows of credits and limits: none."""
    one = await run_in_threadpool(accounts.own, door.store, caller(request))
    told = {
        "credits": CREDITS,
        "username": one.username,
        "resource_limits": dict.fromkeys(RESOURCE_LIMITS, 0),
    }
    return answer(request, "account", told)


async def list_accounts(door: Door, request: HttpRequest) -> Response:
    """List the accounts of the caller's tenant, for a main account."""
    found = await run_in_threadpool(accounts.listed, door.store, caller(request))
    told = [
        {
            "roles": {"role": one.contact.get("roles", [])},
            "type": one.sort,
            "username": one.username,
        }
        for one in found
    ]
    return answer(request, "accounts", {"account": told})


async def show_details(door: Door, request: HttpRequest) -> Response:
    """Show one account."""
    username = request.path_params["username"]
    one = await run_in_threadpool(accounts.shown, door.store, caller(request), username)
    return answer(request, "account", details(one))


async def change_details(door: Door, request: HttpRequest) -> Response:
    """Change one account, and wait until every verifier follows."""
    one = await changed(door, request, sub=False)
    return answer(request, "account", details(one))


async def changed(door: Door, request: HttpRequest, *, sub: bool) -> StoredAccount:
    """Read a change of an account and make it; `sub` says that only a subaccount is meant."""
    told = await read_change(request)
    who, username = caller(request), request.path_params["username"]
    before = await run_in_threadpool(accounts.shown, door.store, who, username)
    _check_fixed(told, before)
    one, n = await run_in_threadpool(
        subaccounts.change_account, door.store, who, username, as_change(told), sub=sub
    )
    await door.acknowledged(n)
    return one


async def read_change(request: HttpRequest) -> Change:
    """Read a change of an account; in XML its root is `account`."""
    if "xml" in request.headers.get("content-type", "").lower():
        return await read_body(request, Change, "account")
    return (await read_body(request, Changed, "account")).account


def as_change(told: Details) -> AccountChange:
    """Turn what was told into what shall be."""
    contact: dict[str, Any] = {}
    for name in (*CONTACT, "allow_gui", "enable_3rd_party_services"):
        value = getattr(told, name)
        if value is not _UNSET and (value or name in CONTACT):
            contact[name] = value
    if told.roles is not _UNSET:
        contact["roles"] = list((told.roles and told.roles.role) or [])
    filters: list[str] | _Unset = _UNSET
    if told.ip_filters is not _UNSET:
        filters = list((told.ip_filters and told.ip_filters.ip_filter) or [])
    return AccountChange(
        contact=contact,
        targets=_targets(told),
        email=_email(told.email) if told.email is not _UNSET else _UNSET,
        allow_api=told.allow_api == "yes" if told.allow_api else _UNSET,
        ip_filters=filters,
    )


def _email(text: str) -> str | None:
    try:
        return msgspec.convert(text, Email) if text else None
    except msgspec.ValidationError as error:
        raise InvalidError([("email", "is not written NAME@HOST")]) from error


def _targets(told: Details) -> dict[str, Targets]:
    """Return what the four lists of access permit, by type of target; a list that is null, none."""
    found: dict[str, Targets] = {}
    if told.server_access is not _UNSET:
        servers = (told.server_access and told.server_access.server) or []
        found["server"] = {one.uuid: {"storage": one.storage or "no"} for one in servers}
    if told.storage_access is not _UNSET:
        storages = (told.storage_access and told.storage_access.storage) or []
        found["storage"] = {one: {} for one in storages}
    if told.network_access is not _UNSET:
        networks = (told.network_access and told.network_access.network) or []
        found["network"] = {one: {} for one in networks}
    if told.tag_access is not _UNSET:
        tags = (told.tag_access and told.tag_access.tag) or []
        found["tag_access"] = {one.name: {"storage": one.storage or "no"} for one in tags}
    return found


def _check_fixed(told: Change, before: StoredAccount) -> None:
    fixed = {"username": before.username, "main_account": before.main_account, "type": before.sort}
    faults = [
        (name, f"is {is_now!r} and stays so")
        for name, is_now in fixed.items()
        if getattr(told, name) not in {_UNSET, is_now}
    ]
    if faults:
        raise InvalidError(faults)


def details(one: StoredAccount) -> dict[str, Any]:
    """Show an account, members in alphabetical order as recorded; what was never told is empty."""
    held = one.targets
    told: dict[str, Any] = {name: one.contact.get(name, "") for name in CONTACT}
    told |= {
        "allow_api": "yes" if one.allow_api else "no",
        "allow_gui": one.contact.get("allow_gui", "no"),
        "campaigns": {"campaign": []},
        "email": one.email or "",
        "enable_3rd_party_services": one.contact.get("enable_3rd_party_services", "no"),
        "ip_filters": {"ip_filter": one.ip_filters},
        "main_account": one.main_account,
        "network_access": {"network": list(held.get("network", {}))},
        "roles": {"role": one.contact.get("roles", [])},
        "server_access": {
            "server": [
                {"storage": options.get("storage", "no"), "uuid": uuid}
                for uuid, options in held.get("server", {}).items()
            ]
        },
        "storage_access": {"storage": list(held.get("storage", {}))},
        "tag_access": {
            "tag": [
                {"name": name, "storage": options.get("storage", "no")}
                for name, options in held.get("tag_access", {}).items()
            ]
        },
        "type": one.sort,
        "username": one.username,
    }
    return dict(sorted(told.items()))


CALLS = (
    Call("GET", "/1.3/account", show_account),
    Call("GET", "/1.3/account/list", list_accounts),
    Call("GET", "/1.3/account/details/{username}", show_details, missing="USER_NOT_FOUND"),
    Call("PUT", "/1.3/account/details/{username}", change_details, missing="USER_NOT_FOUND"),
)
