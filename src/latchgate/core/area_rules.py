"""The rules of an area: which of its methods need what, from the words of a policy file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from latchgate.core.policy import Rule
from latchgate.core.policy_entries import AreaEntry
from latchgate.core.price import Price

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}|\*")

_Fault = Callable[[str, str], None]
# What only an area has that asks for somebody.
_ASKING = ("accepts", "application_key", "logins", "rules", "service")


def read_rules(
    area: AreaEntry, key: str, prices: Mapping[str, Price], fault: _Fault
) -> dict[str, Rule]:
    """Return what each method needs; `fault` is told what is wrong, by the area's `key`.

    `prices` are those of the scopes of its service.
    """
    if area.closed:
        return _closed_rules(area, key, fault)
    if area.public:
        return _public_rules(area, key, fault)
    return _scoped_rules(area, key, prices, fault)


def _closed_rules(area: AreaEntry, key: str, fault: _Fault) -> dict[str, Rule]:
    """Return a rule for every method, so that whatever is asked is refused alike."""
    for name in (*_ASKING, "public", "methods", "preflight"):
        if getattr(area, name):
            fault(f"{key}.{name}", "a closed area lets nobody in, so it takes no " + name)
    return {"*": Rule(scope=None)}


def _scoped_rules(
    area: AreaEntry, key: str, prices: Mapping[str, Price], fault: _Fault
) -> dict[str, Rule]:
    rules: dict[str, Rule] = {}
    if area.methods:
        fault(f"{key}.methods", "methods belong to public areas; write rules")
    if not area.rules:
        fault(f"{key}.rules", "an area that is not public needs at least one rule")
    for index, entry in enumerate(area.rules):
        where = f"{key}.rules[{index}]"
        if (entry.scope is not None) + entry.signed_in + entry.public != 1:
            fault(f"{where}.scope", "write one of scope, signed_in = true and public = true")
        for method in _checked_methods(entry.methods, f"{where}.methods", fault):
            if method in rules:
                fault(f"{where}.methods", f"{method} already has a rule in this area")
            price = prices.get(entry.scope) if entry.scope is not None else None
            rules[method] = Rule(scope=entry.scope, public=entry.public, price=price)
    return rules


def _public_rules(area: AreaEntry, key: str, fault: _Fault) -> dict[str, Rule]:
    for name in _ASKING:
        if getattr(area, name):
            fault(f"{key}.{name}", "a public area checks nothing, so it takes no " + name)
    methods = _checked_methods(area.methods, f"{key}.methods", fault)
    return {method: Rule(scope=None, public=True) for method in methods}


def _checked_methods(methods: list[str], key: str, fault: _Fault) -> list[str]:
    if not methods:
        fault(key, 'name the methods, or ["*"] for every one')
    for method in methods:
        if not _METHOD.fullmatch(method):
            fault(key, f"{method!r} is not an upper-case HTTP method")
    return methods
