"""Policy files: TOML text in, a compiled Policy or every fault with file, line and key out.

Rule of this file: nothing is guessed. An unknown key, an overlap, a scope that no service
declares or an area that could never be opened is a fault, and one fault keeps the whole set out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import cast

import msgspec

from latchgate.core.area_rules import read_rules
from latchgate.core.dialects import DIALECTS
from latchgate.core.kinds import (
    APPLICATION_KEY,
    ASSERTED,
    EXCHANGED,
    IMPORTED,
    KINDS,
    SIGNED,
    AnyKind,
    ApplicationKeyKind,
    Kind,
    OidcBearer,
)
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.network import Networks
from latchgate.core.path import Path, read_path
from latchgate.core.policy import Area, Policy, Service
from latchgate.core.policy_entries import (
    AreaEntry,
    ProviderEntry,
    ServiceEntry,
    ShadowEntry,
    Word,
)
from latchgate.core.policy_faults import (
    PolicyError,
    PolicyFault,
    keyed,
    not_one_of,
    syntax_fault,
    validation_fault,
)
from latchgate.core.price import read_prices
from latchgate.core.scope import SCOPE_PATTERN
from latchgate.core.shadow import Shadow
from latchgate.core.shadow_file import OWN_PATHS, read_shadow
from latchgate.core.toml_lines import line_of

_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
)


_ACCEPTED = {**KINDS, **SIGNED, **ASSERTED, **IMPORTED}
_WORDS = frozenset({*_ACCEPTED, *EXCHANGED, APPLICATION_KEY})
BUILT_IN = "(built in) latchgate.toml"
LATCHGATE = "latchgate"  # the provider whose kinds and services every file may use

# Areas of Latchgate's own that take no tokens give out more than one that was minted should.
_OWN_TOKEN = f"{LATCHGATE}.oauth_token"

NOTHING: Mapping[str, Mapping[str, object]] = MappingProxyType({})

_Fault = Callable[[str, str], None]


def read_policy(
    files: Mapping[str, str], *, version: int, given: Mapping[str, Mapping[str, object]] = NOTHING
) -> Policy:
    """Compile policy files, given as name -> text; PolicyError lists every fault.

    `given` are settings of kinds, by the kind's word, that the server adds to those in files.
    """
    reader = _Reader(given)
    for name, text in files.items():
        entry = reader.parse(name, text)
        if entry is not None:
            reader.add(name, text, entry)
    reader.across()
    if reader.faults:
        raise PolicyError(reader.faults)
    return Policy.compiled(
        version=version,
        areas=tuple(area for _, area in reader.areas),
        services=reader.services,
        kinds=reader.kinds,
        covers=reader.covers,
    )


def with_built_in(
    files: Mapping[str, str],
    built_in: str,
    *,
    version: int,
    given: Mapping[str, Mapping[str, object]] = NOTHING,
) -> Policy:
    """Compile published files together with Latchgate's own (`built_in`), as `read_policy` does.

    PolicyError when they make no policy, or when one would take the place of Latchgate's own.
    """
    if BUILT_IN in files:
        raise PolicyError([PolicyFault(BUILT_IN, 1, "", "this name is Latchgate's own")])
    return read_policy({BUILT_IN: built_in, **files}, version=version, given=given)


class _Reader:
    """Collects what the files declare, and every fault on the way."""

    def __init__(self, given: Mapping[str, Mapping[str, object]]) -> None:
        self.given = given
        self.faults: list[PolicyFault] = []
        self.areas: list[tuple[_Where, Area]] = []
        self.services: dict[str, Service] = {}
        self.kinds: dict[str, AnyKind] = {}
        self.covers: dict[str, str] = {}
        self.service_keys: list[tuple[str, str, ServiceKey]] = []
        self._providers: dict[str, str] = {}
        self._brands: dict[str, str] = {}

    def parse(self, file: str, text: str) -> ProviderEntry | None:
        try:
            told = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            # Besides its own error the parser lets through those of too long a number and too
            # deep a nest.
            self.faults.append(syntax_fault(file, text, error))
            return None
        try:
            return msgspec.convert(told, ProviderEntry)
        except msgspec.ValidationError as error:
            self.faults.append(validation_fault(file, text, str(error)))
        return None

    def add(self, file: str, text: str, entry: ProviderEntry) -> None:
        def fault(key: str, problem: str) -> None:
            self.faults.append(PolicyFault(file, line_of(text, key), key, problem))

        other = self._providers.setdefault(entry.provider, file)
        if other != file:
            fault("provider", f"{entry.provider!r} is already declared by {other}")
        if entry.dialect not in DIALECTS:
            fault("dialect", not_one_of(entry.dialect, DIALECTS))
            return
        for prefix in entry.covers:
            problem = _path_problem(prefix)
            if problem is not None:
                fault("covers", problem)
            elif prefix in self.covers:
                fault("covers", f"{prefix} is already covered by another provider")
            self.covers[prefix] = entry.dialect
        own = _Own(entry, {}, None, _exempt(entry, fault), _shadows(entry, fault))
        self._read_kinds(own, fault)
        made = own.kinds.values()
        self.service_keys += [(file, text, kind) for kind in made if isinstance(kind, ServiceKey)]
        self._read_services(entry, fault)
        for index, area in enumerate(entry.areas):
            key = f"areas[{index}]"
            built = self._read_area(own, area, key, fault)
            if built is not None:
                self.areas.append((_Where(file, text, key), built))

    def _read_kinds(self, own: _Own, fault: _Fault) -> None:
        for word, told in own.entry.kinds.items():
            key = f"kinds.{word}"
            if word not in _WORDS:
                fault(key, not_one_of(word, _WORDS))
                continue
            name = f"{own.entry.provider}.{word}"
            kind: AnyKind
            try:
                settings = msgspec.convert(told, dict[str, object]) | dict(self.given.get(word, {}))
                if word == APPLICATION_KEY:
                    kind = own.application = ApplicationKeyKind.configured(name, settings)
                elif word in EXCHANGED:
                    kind = EXCHANGED[word](name, settings)
                else:
                    kind = own.kinds[word] = _ACCEPTED[word](name, settings)
            except msgspec.ValidationError as error:
                fault(*keyed(str(error), key))
                continue
            spelling = kind.issuer.url if isinstance(kind, OidcBearer) else kind.pattern
            if spelling is not None:
                other = self._brands.setdefault(spelling, name)
                if other != name:
                    fault(key, f"its spelling is already that of {other}")
            self.kinds[name] = kind

    def _read_services(self, entry: ProviderEntry, fault: _Fault) -> None:
        for name, told in entry.services.items():
            key = f"services.{name}"
            try:
                msgspec.convert(name, Word)
                service = msgspec.convert(told, ServiceEntry)
            except msgspec.ValidationError as error:
                fault(*keyed(str(error), key))
                continue
            if name in self.services:
                fault(key, f"service {name!r} is already declared by another provider")
            if not service.scopes:
                fault(f"{key}.scopes", "a service needs at least one scope")
            scopes: dict[str, str] = {}
            for scope, words in service.scopes.items():
                if not SCOPE_PATTERN.fullmatch(scope) or not scope.startswith(f"{name}:"):
                    fault(f"{key}.scopes", f"{scope!r} is not written {name}:ACTION")
                if isinstance(words, str):
                    scopes[scope] = words
                else:
                    fault(f'{key}.scopes."{scope}"', "Expected `str`")
            prices = read_prices(service, scopes, entry.currency, key, fault)
            self.services[name] = Service(name, service.title, entry.provider, scopes, prices)

    def _read_area(self, own: _Own, area: AreaEntry, key: str, fault: _Fault) -> Area | None:
        before, entry = len(self.faults), own.entry
        problem = _path_problem(area.path)
        if problem is not None:
            fault(f"{key}.path", problem)
        for host in area.hosts:
            if not _HOST.fullmatch(host):
                fault(f"{key}.hosts", f"{host!r} is not a lower-case host name without a port")
        kinds = self._kinds_of(own, area, key, fault)
        dialect = area.dialect or entry.dialect
        if dialect not in DIALECTS:
            fault(f"{key}.dialect", not_one_of(dialect, DIALECTS))
        priced = self.services.get(area.service or "")
        rules = read_rules(area, key, priced.prices if priced is not None else {}, fault)
        if not (area.public or area.closed):
            self._check_service(entry, area, key, fault)
        if area.shadow is not None:
            self._check_shadow(own, area, key, fault)
        if len(self.faults) > before:
            return None
        return Area(
            provider=entry.provider,
            realm=entry.title,
            hosts=tuple(area.hosts),
            path=area.path,
            exact=area.exact,
            service=area.service,
            kinds=kinds,
            application=own.application if area.application_key else None,
            logins=area.logins or entry.provider,
            rules=rules,
            dialect=dialect,
            public=area.public,
            closed=area.closed,
            preflight=area.preflight,
            encoded_slash=area.encoded_slash,
            parameters=area.matrix_parameters,
            tls=area.tls == "required",
            plain=own.exempt,
            shadow=own.shadows[area.shadow] if area.shadow is not None else None,
            environment=area.environment,
        )

    def _check_shadow(self, own: _Own, area: AreaEntry, key: str, fault: _Fault) -> None:
        own_path = any(area.path == path or area.path.startswith(f"{path}/") for path in OWN_PATHS)
        if area.shadow not in own.shadows:
            fault(f"{key}.shadow", not_one_of(area.shadow or "", own.shadows))
        elif area.closed:
            fault(f"{key}.shadow", "a closed area lets nobody in, so it takes no shadow")
        elif own_path or self._of_latchgate(area.service):
            fault(f"{key}.shadow", "Latchgate answers there itself, and alone decides who may ask")

    def _check_service(
        self, entry: ProviderEntry, area: AreaEntry, key: str, fault: _Fault
    ) -> None:
        if not area.accepts:
            fault(f"{key}.accepts", "name at least one kind, or set public = true")
        if area.service not in entry.services and not self._of_latchgate(area.service):
            fault(f"{key}.service", not_one_of(area.service or "", entry.services))
            return
        service = self.services.get(area.service or "")
        if service is None:
            return  # its own fault is told already
        for index, rule in enumerate(area.rules):
            if rule.scope is not None and rule.scope not in service.scopes:
                fault(f"{key}.rules[{index}].scope", not_one_of(rule.scope, service.scopes))

    def _of_latchgate(self, service: str | None) -> bool:
        found = self.services.get(service or "")
        return found is not None and found.provider == LATCHGATE

    def _kinds_of(self, own: _Own, area: AreaEntry, key: str, fault: _Fault) -> tuple[Kind, ...]:
        found: list[Kind] = []
        for word in area.accepts:
            kind = own.kinds.get(word)
            other = self.kinds.get(word) if word.startswith(f"{LATCHGATE}.") else None
            if word == APPLICATION_KEY:
                fault(f"{key}.accepts", "it names no user; write application_key = true")
            elif word in EXCHANGED:
                fault(f"{key}.accepts", "it is exchanged for a token; accept that")
            elif kind is not None:
                found.append(kind)
            elif other is not None and not isinstance(other, ApplicationKeyKind):
                found.append(cast("Kind", other))
            else:
                fault(f"{key}.accepts", not_one_of(word, own.kinds))
        if area.application_key and own.application is None:
            fault(f"{key}.application_key", "the file declares no [kinds.application_key]")
        return tuple(found)

    def across(self) -> None:
        """Find what two files would mean at once: areas for the same requests, words for keys."""
        self._check_words()
        self._open_own()
        taken: dict[tuple[str | None, str], tuple[_Where, Area]] = {}
        for where, area in self.areas:
            for host in area.hosts or (None,):
                first, other = taken.setdefault((host, area.path), (where, area))
                if other is not area:
                    here = f"{area.path} on {host or 'every host'}"
                    problem = f"overlaps the area at {first.file}:{first.line} ({here})"
                    self.faults.append(PolicyFault(where.file, where.line, "areas.path", problem))

    def _open_own(self) -> None:
        """Have Latchgate's own areas take bearers of issuers where a file says so."""
        own = self.kinds.get(_OWN_TOKEN)
        told = [kind for kind in self.kinds.values() if isinstance(kind, OidcBearer)]
        more = tuple(kind for kind in told if kind.manage)
        for at, (where, area) in enumerate(self.areas):
            if more and area.provider == LATCHGATE and own in area.kinds:
                self.areas[at] = where, replace(area, kinds=(*area.kinds, *more))

    def _check_words(self) -> None:
        """Find words of keys across services that mean something else already."""
        words: dict[str, str] = {}
        for file, text, kind in self.service_keys:
            word = kind.cross_service
            if word is None:
                continue
            other = words.setdefault(word, kind.name)
            if word in self.services:
                other = f"the service {word}"
            if other != kind.name:
                key = "kinds.service_key.cross_service"
                problem = f"{word!r} is already the word of {other}"
                self.faults.append(PolicyFault(file, line_of(text, key), key, problem))


@dataclass(frozen=True, slots=True)
class _Where:
    """Where an area stands; its line is looked for only when a fault names it, which is slow."""

    file: str
    text: str
    key: str

    @property
    def line(self) -> int:
        return line_of(self.text, self.key)


@dataclass(slots=True)
class _Own:
    """What one provider file has declared so far, for its own areas."""

    entry: ProviderEntry
    kinds: dict[str, Kind]
    application: ApplicationKeyKind | None
    exempt: Networks
    shadows: dict[str, Shadow]


def _exempt(entry: ProviderEntry, fault: _Fault) -> Networks:
    try:
        return Networks.of(entry.tls_exempt)
    except ValueError as error:
        fault("tls_exempt", str(error))
        return Networks(())


def _shadows(entry: ProviderEntry, fault: _Fault) -> dict[str, Shadow]:
    found: dict[str, Shadow] = {}
    for name, told in entry.shadows.items():
        key = f"shadows.{name}"
        try:
            msgspec.convert(name, Word)
            made = msgspec.convert(told, ShadowEntry)
        except msgspec.ValidationError as error:
            fault(*keyed(str(error), key))
            continue
        found[name] = read_shadow(f"{entry.provider}.{name}", made, key, fault)
    return found


def _path_problem(path: str) -> str | None:
    read = read_path(path)
    if not isinstance(read, Path):
        return f"{path!r} is not a plain path: {read.why}"
    if read.text != path or read.encoded_slash or (path != "/" and path.endswith("/")):
        return f"{path!r} must be written decoded and without a slash at its end"
    return None
