"""What a policy file may hold: its tables and keys, as they are written.

Rule of this file: shapes only, with a word on each key; what keys mean together is judged where
they are read (core/policy_file.py), and docs/reference/policy.md is made from both.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]  # ISO 4217
_Title = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}\Z")]  # the realm


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class RuleEntry(_Strict, frozen=True):
    """`rules`: the methods (`["*"]` for every other) and what they need.

    One of `scope`, `signed_in` (any credential that the area accepts) and `public` (none).
    """

    methods: list[str]
    scope: str | None = None
    signed_in: bool = False
    public: bool = False


class AreaEntry(_Strict, frozen=True):
    """`[[areas]]`: see docs/reference/policy.md for each key."""

    path: str
    hosts: list[str] = []
    exact: bool = False
    service: str | None = None
    accepts: list[str] = []
    application_key: bool = False
    logins: Word | None = None
    rules: list[RuleEntry] = []
    public: bool = False
    closed: bool = False
    methods: list[str] = []
    preflight: bool = False
    encoded_slash: bool = False
    matrix_parameters: bool = False
    tls: Literal["required", "optional"] = "optional"
    dialect: str | None = None
    shadow: str | None = None
    environment: Literal["dev", "staging", "production"] | None = None


class ServiceEntry(_Strict, frozen=True):
    """`[services.NAME]`: a title and the scopes with what each allows, in words.

    `prices` are what one allowed request of a scope costs, as decimal text.
    """

    title: str
    scopes: dict[str, object]
    prices: dict[str, object] = {}


class ShadowEntry(_Strict, frozen=True):
    """`[shadows.NAME]`: the old system of an area, whose decision is enforced until cut over."""

    url: str
    timeout: str = "2s"
    send_headers: tuple[str, ...] = ("Authorization", "Cookie", "X-API-Key", "X-Auth-Token")
    copy_headers: list[str] = []
    principal: str | None = None
    principal_is: Literal["tenant", "project", "user", "credential", "external_id"] | None = None
    plain_networks: list[str] = []
    until: str | None = None


class ProviderEntry(_Strict, frozen=True):
    """A whole provider file."""

    provider: Word
    title: _Title
    dialect: str
    currency: Currency | None = None
    covers: list[str] = []
    tls_exempt: list[str] = []
    kinds: dict[str, object] = {}
    services: dict[str, object] = {}
    shadows: dict[str, object] = {}
    areas: list[AreaEntry] = []
