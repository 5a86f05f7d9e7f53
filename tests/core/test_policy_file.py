from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate import providers
from latchgate.core.dialects import DIALECTS
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.policy import Policy
from latchgate.core.policy_faults import PolicyError, PolicyFault
from latchgate.core.policy_file import (
    BUILT_IN,
    read_policy,
    with_built_in,
)
from latchgate.core.price import Price

BASE = """\
provider = "p"
title = "P"
dialect = "problem"
covers = ["/v1"]

[kinds.service_key]
brand = "pkey"

[services.s]
title = "S"

[services.s.scopes]
"s:r" = "Read"
"s:w" = "Write"

[[areas]]
path = "/v1/s"
hosts = ["a.example"]
service = "s"
accepts = ["service_key"]
rules = [
  { methods = ["GET"], scope = "s:r" },
  { methods = ["PUT"], scope = "s:w" },
]

[[areas]]
path = "/health"
public = true
methods = ["GET"]
"""

WAYSCLOUD = providers.text("wayscloud.toml")
OWN = providers.text(providers.BUILT_IN)
SHIPPED_KINDS = {
    "wayscloud": {"wayscloud.service_key"},
    "upcloud": {"upcloud.api_token", "upcloud.account_password", "upcloud.app_password"},
    "teracloud": {
        "teracloud.app_password",
        "teracloud.account_password",
        "teracloud.application_key",
    },
    "kakaocloud": {
        "kakaocloud.access_key",
        "kakaocloud.account_password",
        "kakaocloud.project_token",
    },
}


def edited(old: str, new: str, text: str = BASE) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def faults(files: dict[str, str]) -> list[PolicyFault]:
    with pytest.raises(PolicyError) as raised:
        read_policy(files, version=1)
    assert str(raised.value) == "\n".join(map(str, raised.value.faults))
    return raised.value.faults


PROVIDER, TITLE, DIALECT = 'provider = "p"', 'title = "P"', 'dialect = "problem"'
COVERS, BRAND, HOSTS = 'covers = ["/v1"]', 'brand = "pkey"', 'hosts = ["a.example"]'
KIND, SERVICE, SCOPE = "[kinds.service_key]", "[services.s]\n", '"s:w" = "Write"'
PATH, OF, ACCEPTS = 'path = "/v1/s"', 'service = "s"', 'accepts = ["service_key"]'
RULE = '{ methods = ["PUT"], scope = "s:w" },'
PRICED = f'{COVERS}\ncurrency = "EUR"\n\n[services.s.prices]\n%s # !'
SCOPES = '[services.s.scopes]\n"s:r" = "Read"'
HEALTH, PUBLIC, METHODS = 'path = "/health"', "public = true", 'methods = ["GET"]\n'

# What is replaced in BASE, by what; the key and the words of the fault that it makes. The fault
# stands on the first line of what was put in, or on the one marked `# !`.
# fmt: off
EDITS = {
    "unknown key": (TITLE, f"{TITLE}\ncolour = 1 # !", "colour", "unknown key 'colour'"),
    "unknown table": (KIND, f"[colours] # !\nred = 1\n{KIND}", "colours", "unknown key 'colours'"),
    "unknown key of a kind":
        (BRAND, f"{BRAND}\ncolour = 1 # !", "kinds.service_key.colour", "unknown key 'colour'"),
    "unknown key of a service":
        (SERVICE, f"{SERVICE}colour = 1 # !\n", "services.s.colour", "unknown key 'colour'"),
    "unknown key of an area":
        (HEALTH, f"{HEALTH}\ncolour = 1 # !", "areas[1].colour", "unknown key 'colour'"),
    "unknown key of a rule":
        (RULE, '{ methods = ["PUT"], scope = "s:w", colour = 1 },',
         "areas[0].rules[1].colour", "unknown key 'colour'"),

    "no provider": (f"{PROVIDER}\n", "", "", "missing required field `provider`"),
    "no brand": (f"{KIND}\n{BRAND}", KIND, "kinds.service_key", "missing required field `brand`"),
    "no title of a service":
        (f'{SERVICE}title = "S"', SERVICE, "services.s", "missing required field `title`"),
    "no path": (f"[[areas]]\n{HEALTH}", "[[areas]]", "areas[1]", "missing required field `path`"),
    "no scope of a rule":
        (RULE, '{ methods = ["PUT"] }, # !', "areas[0].rules[1].scope", "write one of scope"),
    "a scope and a public rule":
        (RULE, '{ methods = ["PUT"], scope = "s:w", public = true }, # !',
         "areas[0].rules[1].scope", "write one of scope"),
    "a public rule for the signed in":
        (RULE, '{ methods = ["PUT"], signed_in = true, public = true }, # !',
         "areas[0].rules[1].scope", "write one of scope"),
    "no service":
        (f"[[areas]]\n{PATH}\n{HOSTS}\n{OF}", f"[[areas]]\n{PATH}\n{HOSTS}",
         "areas[0].service", "'' is not one of: s"),
    "a kind that is exchanged":
        (ACCEPTS, 'accepts = ["access_key"]', "areas[0].accepts", "exchanged for a token"),
    "no kind": (ACCEPTS, "accepts = []", "areas[0].accepts", "name at least one kind"),
    "no rules":
        (f'rules = [\n  {{ methods = ["GET"], scope = "s:r" }},\n  {RULE}\n]', "rules = []",
         "areas[0].rules", "needs at least one rule"),
    "no methods of a rule":
        (RULE, '{ methods = [], scope = "s:w" },',
         "areas[0].rules[1].methods", "name the methods"),
    "no methods of a public area":
        (f"[[areas]]\n{HEALTH}\n{PUBLIC}\n{METHODS}", f"[[areas]]\n{HEALTH}\n{PUBLIC}\n",
         "areas[1].methods", "name the methods"),
    "no scopes":
        ('[services.s.scopes]\n"s:r" = "Read"\n"s:w" = "Write"\n',
         "[services.s.scopes]\n",
         "services.s.scopes", "a service needs at least one scope"),

    "provider of the wrong type": (PROVIDER, "provider = 1", "provider", "Expected `str`"),
    "provider in capitals": (PROVIDER, 'provider = "P"', "provider", "matching regex"),
    "provider with a line break": (PROVIDER, r'provider = "p\n"', "provider", "matching regex"),
    "title with a quote": (TITLE, r'title = "P\"x"', "title", "matching regex"),
    "title with a line break": (TITLE, r'title = "P\n"', "title", "matching regex"),
    "dialect unknown": (DIALECT, 'dialect = "klingon"', "dialect", "'klingon' is not one of"),
    "dialect of the wrong type": (DIALECT, "dialect = []", "dialect", "Expected `str`"),
    "cover with a slash at its end":
        (COVERS, 'covers = ["/v1/"]', "covers", "without a slash at its end"),
    "cover with a dot segment": (COVERS, 'covers = ["/../v1"]', "covers", "dot segment"),
    "cover that is no path": (COVERS, 'covers = ["v1"]', "covers", "does not start with /"),
    "cover of the wrong type": (COVERS, "covers = [1]", "covers[0]", "Expected `str`"),
    "cover twice": (COVERS, 'covers = ["/v1", "/v1"]', "covers", "/v1 is already covered"),

    "kind that does not exist":
        (SERVICE, f"[kinds.magic] # !\nx = 1\n{SERVICE}", "kinds.magic", "'magic' is not one of"),
    "kind of the wrong type":
        (f"{KIND}\n{BRAND}", "[kinds]\nservice_key = 1 # !",
         "kinds.service_key", "Expected `object`"),
    "brand in capitals":
        (BRAND, 'brand = "Pkey"', "kinds.service_key.brand", "matching regex"),
    "brand with a line break":
        (BRAND, r'brand = "pkey\n"', "kinds.service_key.brand", "matching regex"),
    "key header with a space":
        (BRAND, f'{BRAND}\nkey_header = "X Key" # !',
         "kinds.service_key.key_header", "matching regex"),

    "no time to have registered before":
        (SERVICE, f'[kinds.account_password]\nregistered_before = "June" # !\n{SERVICE}',
         "kinds.account_password.registered_before", "'June' is not a time such as"),
    "a time without an offset":
        (SERVICE,
         f'[kinds.account_password]\nregistered_before = "2026-01-01T00:00:00" # !\n{SERVICE}',
         "kinds.account_password.registered_before", "is not a time such as"),

    "closed and with methods":
        (f"{PUBLIC}\n{METHODS}", f"closed = true\n{METHODS[:-1]} # !\n",
         "areas[1].methods", "lets nobody in"),
    "closed and public":
        (f"{PUBLIC}\n{METHODS}", f"{PUBLIC} # !\nclosed = true\n", "areas[1].public",
         "lets nobody in"),

    "service in capitals":
        (SERVICE, f'[services.T] # !\ntitle = "T"\nscopes = {{ "t:r" = "" }}\n{SERVICE}',
         "services.T", "matching regex"),
    "service of the wrong type":
        (SERVICE, f"[services]\nt = 1 # !\n{SERVICE}", "services.t", "Expected `object`"),
    "title of a service of the wrong type":
        ('title = "S"', "title = 1", "services.s.title", "Expected `str`"),
    "words of a scope of the wrong type":
        (SCOPE, f'{SCOPE}\n"s:x" = 1 # !', "services.s.scopes.s:x", "Expected `str`"),
    "scope in capitals":
        (SCOPES, '[services.s.scopes]\n"s:r" = ""\n"s:X" = ""',
         "services.s.scopes", "'s:X' is not written s:ACTION"),
    "scope of another service":
        (SCOPES, '[services.s.scopes]\n"s:r" = ""\n"t:x" = ""',
         "services.s.scopes", "'t:x' is not written s:ACTION"),
    "scope that is the star":
        (SCOPES, '[services.s.scopes]\n"s:r" = ""\n"*" = ""',
         "services.s.scopes", r"'\*' is not written s:ACTION"),

    "prices without a currency":
        (SCOPES, f'[services.s.prices] # !\n"s:r" = "1"\n{SCOPES}',
         "services.s.prices", "name the currency"),
    "price of an unknown scope": (COVERS, PRICED % '"s:x" = "1"',
         "services.s.prices.s:x", "'s:x' is no scope of this service"),
    "price that is negative": (COVERS, PRICED % '"s:r" = "-1"',
         "services.s.prices.s:r", "'-1' is not a price"),
    "price of too many places": (COVERS, PRICED % '"s:r" = "0.0000001"',
         "services.s.prices.s:r", "up to 6 places"),
    "price that is a number": (COVERS, PRICED % '"s:r" = 0.1',
         "services.s.prices.s:r", "in quotes"),
    "currency that is no code":
        (COVERS, f'currency = "kr" # !\n{COVERS}', "currency", "matching regex"),

    "path with a slash at its end":
        (PATH, 'path = "/v1/s/"', "areas[0].path", "without a slash at its end"),
    "path that is encoded": (PATH, 'path = "/v1/%73"', "areas[0].path", "must be written decoded"),
    "path with an encoded slash":
        (PATH, 'path = "/v1%2Fs"', "areas[0].path", "plain path|written decoded|encoded slash"),
    "path with a query": (PATH, 'path = "/v1/s?x"', "areas[0].path", "must be written decoded"),
    "path with a dot segment": (PATH, 'path = "/v1/../s"', "areas[0].path", "dot segment"),
    "path with an empty segment": (PATH, 'path = "/v1//s"', "areas[0].path", "empty segment"),
    "path with a matrix parameter": (PATH, 'path = "/v1/s;x"', "areas[0].path", "matrix"),
    "path without a slash": (PATH, 'path = "v1/*"', "areas[0].path", "does not start with /"),
    "path that is empty": (PATH, 'path = ""', "areas[0].path", "does not start with /"),
    "path of the wrong type": (PATH, "path = 1", "areas[0].path", "Expected `str`"),

    "host in capitals": (HOSTS, 'hosts = ["A.example"]', "areas[0].hosts", "not a lower-case host"),
    "host with a port": (HOSTS, 'hosts = ["a.example:1"]', "areas[0].hosts", "without a port"),
    "host with a star": (HOSTS, 'hosts = ["*.example"]', "areas[0].hosts", "not a lower-case host"),
    "host with a dot at its end":
        (HOSTS, 'hosts = ["a.example."]', "areas[0].hosts", "not a lower-case host"),
    "host with two dots":
        (HOSTS, 'hosts = ["a..example"]', "areas[0].hosts", "not a lower-case host"),
    "host with a line break":
        (HOSTS, r'hosts = ["a.example\n"]', "areas[0].hosts", "not a lower-case host"),
    "host that is empty": (HOSTS, 'hosts = [""]', "areas[0].hosts", "not a lower-case host"),

    "kind that is not declared":
        (ACCEPTS, 'accepts = ["token"]', "areas[0].accepts", "'token' is not one of: service_key"),
    "service that is not declared":
        (OF, 'service = "t"', "areas[0].service", "'t' is not one of: s"),
    "dialect of an area unknown":
        (OF, f'{OF}\ndialect = "klingon" # !', "areas[0].dialect", "'klingon' is not one of"),
    "flag of the wrong type":
        (OF, f'{OF}\nexact = "yes" # !', "areas[0].exact", "Expected `bool`"),
    "methods outside a public area":
        (OF, f'{OF}\nmethods = ["GET"] # !', "areas[0].methods", "methods belong to public areas"),

    "method in lower case":
        (RULE, '{ methods = ["put"], scope = "s:w" },',
         "areas[0].rules[1].methods", "'put' is not an upper-case HTTP method"),
    "method with a space":
        (RULE, '{ methods = ["PUT "], scope = "s:w" },',
         "areas[0].rules[1].methods", "'PUT ' is not an upper-case HTTP method"),
    "method with a line break":
        (RULE, r'{ methods = ["PUT\n"], scope = "s:w" },',
         "areas[0].rules[1].methods", "is not an upper-case HTTP method"),
    "method that is empty":
        (RULE, '{ methods = [""], scope = "s:w" },',
         "areas[0].rules[1].methods", "'' is not an upper-case HTTP method"),
    "method twice in one rule":
        (RULE, '{ methods = ["PUT", "PUT"], scope = "s:w" },',
         "areas[0].rules[1].methods", "PUT already has a rule"),
    "method in two rules":
        (RULE, '{ methods = ["GET"], scope = "s:w" },',
         "areas[0].rules[1].methods", "GET already has a rule"),
    "scope of a rule unknown":
        (RULE, '{ methods = ["PUT"], scope = "s:x" },',
         "areas[0].rules[1].scope", "'s:x' is not one of: s:r, s:w"),
    "scope of a rule is the star":
        (RULE, '{ methods = ["PUT"], scope = "*" },',
         "areas[0].rules[1].scope", r"'\*' is not one of"),

    "public area with a service":
        (PUBLIC, f'{PUBLIC}\nservice = "s" # !', "areas[1].service", "takes no service"),
    "public area with kinds":
        (PUBLIC, f"{PUBLIC}\n{ACCEPTS} # !", "areas[1].accepts", "takes no accepts"),
    "public area with rules":
        (PUBLIC, f'{PUBLIC}\nrules = [{{ methods = ["GET"], scope = "s:r" }}] # !',
         "areas[1].rules", "takes no rules"),
    "kind of another provider":
        (ACCEPTS, 'accepts = ["wayscloud.service_key"]',
         "areas[0].accepts", "'wayscloud.service_key' is not one of: service_key"),
    "public area with a method in lower case":
        (f"{PUBLIC}\n{METHODS}", f'{PUBLIC}\nmethods = ["get"] # !\n',
         "areas[1].methods", "'get' is not an upper-case HTTP method"),

    "overlap on one host":
        (METHODS, f"{METHODS}[[areas]] # !\n{PATH}\n{HOSTS}\n{PUBLIC}\n{METHODS}",
         "areas.path", r"overlaps .* p.toml:16 \(/v1/s on a.example\)"),
    "overlap on every host":
        (METHODS, f"{METHODS}[[areas]] # !\n{HEALTH}\nexact = true\n{PUBLIC}\n{METHODS}",
         "areas.path", r"overlaps .* p.toml:26 \(/health on every host\)"),

    "not TOML": (TITLE, "title = P", "", "not TOML"),
    "a key twice": (TITLE, f"{TITLE}\n{TITLE} # !", "", "not TOML"),
    "a table twice": (f"[[areas]]\n{HEALTH}", f"{KIND} # !\n[[areas]]\n{HEALTH}", "", "not TOML"),
}
# fmt: on


@pytest.mark.parametrize(("old", "new", "key", "problem"), EDITS.values(), ids=EDITS.keys())
def test_a_fault_is_told_with_its_file_line_and_key(old, new, key, problem):
    text = edited(old, new)
    marked = [number for number, line in enumerate(text.splitlines(), 1) if "# !" in line]
    line = marked[0] if marked else BASE[: BASE.index(old)].count("\n") + 1
    found, *consequences = faults({"p.toml": text})
    assert all(fault.line > line for fault in consequences)
    assert not consequences or key.startswith(("kinds.", "services."))
    assert re.search(problem, found.problem)
    assert (found.file, found.line, found.key.replace('"', "")) == ("p.toml", line, key)
    place = f"p.toml:{line}: {found.key}: " if key else f"p.toml:{line}: "
    assert str(found) == place + found.problem


def test_without_any_edit_the_file_is_a_policy():
    found = read_policy({"p.toml": BASE}, version=3)
    assert found.version == 3
    storage, health = found.areas
    assert found.match("a.example", "/v1/s/x") is storage
    assert found.match("", "/health") is health
    assert (storage.provider, storage.realm, storage.service) == ("p", "P", "s")
    assert [kind.name for kind in storage.kinds] == ["p.service_key"]
    assert {method: rule.scope for method, rule in storage.rules.items()} == {
        "GET": "s:r",
        "PUT": "s:w",
    }
    assert health.public
    assert {method: rule.scope for method, rule in health.rules.items()} == {"GET": None}
    assert found.dialect("/v1/x") == "problem"
    assert found.scopes_of("s") == {"s:r", "s:w"}
    assert found.services["s"].scopes["s:w"] == "Write"


def test_a_price_is_that_of_its_scope_wherever_it_is_asked_for():
    priced = read_policy({"p.toml": edited(COVERS, PRICED % '"s:w" = "0.0004"')}, version=1)
    rules = priced.areas[0].rules
    assert (rules["GET"].price, rules["PUT"].price) == (None, Price(400, "EUR"))
    asked = [priced.rule_for(scope).price for scope in ("s:r", "s:w", "x:w", "nothing")]
    assert asked == [None, Price(400, "EUR"), None, None]
    free = read_policy({"p.toml": edited(COVERS, PRICED % '"s:w" = "0.00"')}, version=1)
    assert free.areas[0].rules["PUT"].price is None


def test_what_security_depends_on_has_a_closed_default():
    found = read_policy({"p.toml": BASE}, version=1)
    for area in found.areas:
        assert not area.preflight
        assert not area.encoded_slash
        assert not area.exact
    assert not found.areas[0].public


def test_every_fault_is_told_at_once_in_the_order_of_the_files():
    broken = edited(RULE, '{ methods = ["put"], scope = "s:x" },')
    broken = edited('methods = ["GET"]\n', 'methods = ["get"]\n', broken)
    found = faults({"a.toml": broken, "b.toml": "colour = 1"})
    assert [(fault.file, fault.key) for fault in found] == [
        ("a.toml", "areas[0].rules[1].methods"),
        ("a.toml", "areas[0].rules[1].scope"),
        ("a.toml", "areas[1].methods"),
        ("b.toml", found[3].key),
    ]


def other(**changes: str) -> str:
    """A second provider's file that has nothing in common with BASE but what `changes` says."""
    told = {
        "provider": 'provider = "q"',
        "covers": 'covers = ["/v2"]',
        "kind": '[kinds.service_key]\nbrand = "qkey"',
        "service": '[services.z]\ntitle = "Z"\nscopes = { "z:r" = "Read" }',
        "area": '[[areas]]\npath = "/v2"\npublic = true\nmethods = ["GET"]',
        **changes,
    }
    return "\n".join(
        (told["provider"], 'title = "Q"\ndialect = "wayscloud"', *list(told.values())[1:])
    )


def test_two_files_that_have_nothing_in_common_make_one_policy():
    found = read_policy({"p.toml": BASE, "q.toml": other()}, version=1)
    assert set(found.kinds) == {"p.service_key", "q.service_key"}
    assert set(found.services) == {"s", "z"}
    assert found.dialect("/v2/x") == "wayscloud"
    assert found.match("a.example", "/v2") is found.areas[2]


@pytest.mark.parametrize(
    ("change", "key", "problem"),
    [
        ({"provider": 'provider = "p"'}, "provider", "'p' is already declared by p.toml"),
        ({"covers": 'covers = ["/v1"]'}, "covers", "/v1 is already covered"),
        ({"kind": '[kinds.service_key]\nbrand = "pkey"'}, "kinds.service_key", "already that of p"),
        (
            {"service": '[services.s]\ntitle = "S"\nscopes = { "s:r" = "Read" }'},
            "services.s",
            "'s' is already declared by another provider",
        ),
        (
            {"area": '[[areas]]\npath = "/health"\npublic = true\nmethods = ["PUT"]'},
            "areas.path",
            r"overlaps the area at p.toml:26 \(/health on every host\)",
        ),
        (
            {
                "area": (
                    '[[areas]]\npath = "/v1/s"\npublic = true\n'
                    'methods = ["GET"]\nhosts = ["b.example", "a.example"]'
                )
            },
            "areas.path",
            r"overlaps the area at p.toml:16 \(/v1/s on a.example\)",
        ),
    ],
)
def test_what_two_files_both_claim_is_a_fault_of_the_second(change, key, problem):
    text = other(**change)
    (found,) = faults({"p.toml": BASE, "q.toml": text})
    first = next(iter(change.values())).splitlines()[0]
    assert (found.file, found.key) == ("q.toml", key)
    assert found.line == text.splitlines().index(first) + 1
    assert re.search(problem, found.problem)


def test_areas_with_one_path_on_different_hosts_do_not_overlap():
    area = '[[areas]]\npath = "/v1/s"\npublic = true\nmethods = ["GET"]\n'
    found = read_policy(
        {"p.toml": BASE, "q.toml": other(area=area + 'hosts = ["b.example"]\n' + area)}, version=1
    )
    assert len({id(found.match(host, "/v1/s")) for host in ("a.example", "b.example", "")}) == 3


def test_areas_that_overlap_on_one_line_are_told_apart_too():
    area = '{ path = "/x", public = true, methods = ["%s"] }'
    text = f"{PROVIDER}\n{TITLE}\n{DIALECT}\nareas = [{area % 'GET'}, {area % 'PUT'}]\n"
    (found,) = faults({"p.toml": text})
    assert found.line == 4
    assert "overlaps" in found.problem


def test_a_file_that_ends_too_soon_is_told_with_its_last_line():
    (found,) = faults({"p.toml": f"{PROVIDER}\n{TITLE}\ncovers = ["})
    assert found.line == 3
    assert "not TOML" in found.problem


HOSTILE = ["x = " + "[" * 5000, "x = " + "{a=" * 5000, "x = " + "9" * 5000]
HOSTILE += ["x = [" + "[]," * 20_000, "x = 1e999999", "x = nan", "x = 0x" + "f" * 5000]
HOSTILE += ["x = 9999-99-99", "x." * 3000 + "y = 1", "\x00", "\ufeff" + BASE, "x = '\ud800'"]
HOSTILE += ["[" * 5000, "x = '''", 'x = """\\']


@pytest.mark.parametrize(
    "text",
    HOSTILE,
    ids=lambda text: ascii(text[:12]),
)
def test_no_text_makes_anything_but_a_policy_error(text):
    found = faults({"p.toml": text})
    assert all(fault.file == "p.toml" for fault in found)


def test_the_built_in_file_is_a_policy_by_itself():
    assert read_policy({providers.BUILT_IN: OWN}, version=1).areas


@pytest.mark.parametrize("name", providers.SHIPPED)
def test_each_shipped_provider_compiles_together_with_the_built_in_file(name):
    found = with_built_in({f"{name}.toml": providers.text(f"{name}.toml")}, OWN, version=4)
    assert found.version == 4
    assert "latchgate.service_key" in found.kinds
    assert {kind for kind in found.kinds if kind.startswith(f"{name}.")} == SHIPPED_KINDS[name]


def test_the_built_in_file_stands_without_any_other():
    found = with_built_in({}, OWN, version=0)
    assert [area.path for area in found.areas if area.public] == [
        "/manage/v1/application-requests",
        "/leaks",
        "/manage/v1/openapi.json",
        "/healthz",
        "/readyz",
    ]
    assert found.dialect("/v1/storage") == "problem"


def test_a_file_that_claims_a_path_of_the_built_in_one_is_told_which():
    text = other(area='[[areas]]\npath = "/healthz"\npublic = true\nmethods = ["GET"]')
    with pytest.raises(PolicyError) as raised:
        with_built_in({"q.toml": text}, OWN, version=1)
    (found,) = raised.value.faults
    assert found.file == "q.toml"
    assert BUILT_IN in found.problem


def test_a_file_cannot_take_the_place_of_the_built_in_one():
    with pytest.raises(PolicyError, match="Latchgate's own"):
        with_built_in({BUILT_IN: BASE}, OWN, version=1)


def test_a_file_cannot_take_the_brand_or_the_services_of_the_built_in_one():
    for change in (
        {"kind": '[kinds.service_key]\nbrand = "latchgate"'},
        {"service": '[services.operator]\ntitle = "O"\nscopes = { "operator:x" = "" }'},
        {"provider": 'provider = "latchgate"'},
    ):
        with pytest.raises(PolicyError):
            with_built_in({"q.toml": other(**change)}, OWN, version=1)


def test_the_shipped_provider_file_says_what_the_provider_documents():
    found = with_built_in({"wayscloud.toml": WAYSCLOUD}, OWN, version=1)
    assert found.kinds["wayscloud.service_key"] == ServiceKey(
        name="wayscloud.service_key",
        brand="wayscloud",
        key_header="x-api-key",
        cross_service="pat",
    )
    theirs = [one for one in found.services.values() if one.provider == "wayscloud"]
    areas = [area for area in found.areas if area.provider == "wayscloud"]
    assert {service.id: set(service.scopes) for service in theirs} == {
        "storage": {"storage:read", "storage:write", "storage:delete"},
        "llm": {"llm:inference", "llm:models"},
        "database": {"database:manage"},
        "dns": {"dns:manage"},
        "gpu": {"gpu:use"},
    }
    assert {
        (area.path, area.exact, area.service, method, rule.scope)
        for area in areas
        for method, rule in area.rules.items()
    } == {
        ("/v1/storage", False, "storage", "GET", "storage:read"),
        ("/v1/storage", False, "storage", "HEAD", "storage:read"),
        ("/v1/storage", False, "storage", "PUT", "storage:write"),
        ("/v1/storage", False, "storage", "POST", "storage:write"),
        ("/v1/storage", False, "storage", "DELETE", "storage:delete"),
        ("/v1/chat/completions", True, "llm", "POST", "llm:inference"),
        ("/v1/models", True, "llm", "GET", "llm:models"),
        ("/v1/databases", False, "database", "*", "database:manage"),
        ("/v1/dns", False, "dns", "*", "dns:manage"),
        ("/v1/gpu", False, "gpu", "*", "gpu:use"),
        ("/api/v1/dashboard/api-keys", False, "own", "GET", "own:keys.read"),
        ("/api/v1/dashboard/api-keys", False, "own", "HEAD", "own:keys.read"),
        ("/api/v1/dashboard/api-keys", False, "own", "POST", "own:keys.write"),
        ("/api/v1/dashboard/api-keys", False, "own", "DELETE", "own:keys.write"),
        ("/api/v1/dashboard/account/profile", True, "own", "GET", None),
        ("/api/v1/dashboard/account/profile", True, "own", "HEAD", None),
    }
    assert [area.path for area in areas if area.encoded_slash] == ["/v1/storage"]
    assert not [area for area in areas if area.public or area.preflight or area.hosts]
    assert {area.dialect for area in areas} == {"wayscloud"}
    assert found.dialect("/api/v1/dashboard/nowhere") == "wayscloud"
    assert found.dialect("/v1/nowhere") == "wayscloud"
    assert found.dialect("/elsewhere") == "problem"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_can_be_chosen_for_a_file_and_for_an_area(dialect):
    chosen = edited(DIALECT, f'dialect = "{dialect}"')
    assert read_policy({"p.toml": chosen}, version=1).dialect("/v1/x") == dialect
    chosen = edited(OF, f'{OF}\ndialect = "{dialect}"')
    assert read_policy({"p.toml": chosen}, version=1).areas[0].dialect == dialect


TOKENS = ['"', "'", "[", "]", "[[", "]]", "{", "}", "=", ".", ",", "\n", "#", "\\", "*", "/", "-"]
TOKENS += [
    "true",
    "1e999",
    "1979-05-27T07:32:00Z",
    "0x_",
    "\x00",
    "\u2028",
    "'''",
    '"""',
    "inf",
    "",
]
TOKENS += ["provider", "areas", "kinds.service_key", "[[areas]]\n", "9" * 5000, "[" * 2000]


@st.composite
def mutated(draw):
    text = draw(st.sampled_from([BASE, WAYSCLOUD, OWN]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 20))
        put = draw(st.one_of(st.sampled_from(TOKENS), st.text(max_size=5)))
        text = text[:at] + put + text[at + cut :]
    return text


def sound(files: dict[str, str]) -> None:
    """Read files; whatever is wrong must be told within them."""
    told: list[PolicyFault] | None = None
    try:
        found = read_policy(files, version=1)
    except PolicyError as error:
        told = error.faults
    else:
        assert isinstance(found, Policy)
        assert all(area.public or (area.kinds and area.service) for area in found.areas)
    assert told is None or told
    for fault in told or ():
        assert fault.file in files
        assert 1 <= fault.line <= files[fault.file].count("\n") + 1
        assert fault.problem


@FUZZ
@given(text=mutated())
@example(text='provider = "p"\ntitle = "P"\ndialect = "problem"\nkinds = 3')
def test_a_file_mutated_anywhere_is_a_policy_or_a_policy_error(text):
    sound({"p.toml": text})


VALUES = st.recursive(
    st.one_of(
        st.none().map(lambda _: {}),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(["/", "/v1/s", "s", "s:r", "GET", "*", "service_key", "a.example"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        inner = [found for key, one in value.items() for found in places(one, (*path, key))]
    elif isinstance(value, list):
        inner = [found for at, one in enumerate(value) for found in places(one, (*path, at))]
    else:
        inner = []
    return [path, *inner] if path else inner


def toml(value: Any) -> str:
    """Write a value as TOML; JSON's strings, numbers and lists are TOML's."""
    if isinstance(value, dict):
        pairs = (f"{toml(key)} = {toml(one)}" for key, one in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@FUZZ
@given(data=st.data(), value=VALUES)
def test_any_value_of_any_type_at_any_place_is_a_policy_or_a_policy_error(data, value):
    whole = tomllib.loads(BASE)
    *way, last = data.draw(st.sampled_from(places(whole)))
    holder = whole
    for step in way:
        holder = holder[step]
    holder[last] = value
    text = "\n".join(f"{toml(key)} = {toml(one)}" for key, one in whole.items())
    assert tomllib.loads(text) == whole
    sound({"p.toml": text})
