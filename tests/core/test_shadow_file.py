"""`[shadows.NAME]` of policy files: what is read, and what is a fault."""

from __future__ import annotations

import pytest

from latchgate import providers
from latchgate.core.policy_faults import PolicyError, PolicyFault
from latchgate.core.policy_file import read_policy, with_built_in
from latchgate.core.shadow import Shadow
from latchgate.core.shadow_file import OWN_PATHS
from latchgate.doors import keystone, leaks, manage, teracloud, upcloud, wayscloud

BASE = """\
provider = "p"
title = "P"
dialect = "problem"

[kinds.service_key]
brand = "pkey"

[services.s]
title = "S"

[services.s.scopes]
"s:r" = "Read"

[shadows.old]
{shadow}

[[areas]]
path = "{path}"
{area}
shadow = "{name}"
"""
AREA = 'service = "s"\naccepts = ["service_key"]\nrules = [{ methods = ["GET"], scope = "s:r" }]'
URL = 'url = "https://old.example/check"'


def text(shadow: str = URL, path: str = "/v1/s", area: str = AREA, name: str = "old") -> str:
    return BASE.format(shadow=shadow, path=path, area=area, name=name)


def faults(written: str) -> list[PolicyFault]:
    with pytest.raises(PolicyError) as raised:
        with_built_in({"p.toml": written}, providers.text(providers.BUILT_IN), version=1)
    return raised.value.faults


def test_an_area_has_the_old_system_that_it_names():
    (area,) = read_policy({"p.toml": text()}, version=1).areas
    assert area.shadow == Shadow(
        name="p.old",
        url="https://old.example/check",
        timeout=2.0,
        send=("authorization", "cookie", "x-api-key", "x-auth-token"),
        copy=(),
        principal=None,
        until=None,
    )


def test_every_key_is_read():
    told = """\
url = "http://10.1.2.3:8080/check?x=1"
timeout = "10s"
send_headers = ["X-Old-Key"]
copy_headers = ["X-Old-User", "X-Old-Groups"]
principal = "X-Old-User"
principal_is = "external_id"
plain_networks = ["10.1.0.0/16"]
until = "2030-01-01T00:00:00Z"
"""
    policy = read_policy({"p.toml": text(told)}, version=1)
    assert policy.shadowed
    assert policy.areas[0].shadow == Shadow(
        name="p.old",
        url="http://10.1.2.3:8080/check?x=1",
        timeout=10.0,
        send=("x-old-key",),
        copy=("X-Old-User", "X-Old-Groups"),
        principal=("X-Old-User", "X-Latchgate-External-Id"),
        until=1893456000.0,
    )


@pytest.mark.parametrize(
    "url",
    ["http://localhost:9/c", "http://127.0.0.1/c", "http://[::1]:9/c", "https://198.51.100.1/c"],
)
def test_a_question_goes_in_the_clear_on_this_machine_only(url):
    assert read_policy({"p.toml": text(f'url = "{url}"')}, version=1).shadowed


@pytest.mark.parametrize(
    ("more", "key", "says"),
    [
        ('url = "http://old.example/c"', "url", "use https"),
        ('url = "http://10.1.2.3/c"', "url", "use https"),
        ('url = "http://192.88.99.1/c"\nplain_networks = ["0.0.0.0/0"]', "url", "use https"),
        ('url = "http://169.254.169.254/c"\nplain_networks = ["0.0.0.0/0"]', "url", "use https"),
        ('url = "http://127.0.0.1.example/c"', "url", "use https"),
        ('url = "https://ada:hunter2@old.example/c"', "url", "take it out"),
        ('url = "http://localhost@evil.example/c"', "url", "take it out"),
        ('url = "https://old.example/c#x"', "url", "fragment"),
        ('url = "https://old.example:0/c"', "url", "port 0"),
        ('url = "https://old.example:99999/c"', "url", "host and port"),
        ('url = "https:///c"', "url", "no host"),
        ('url = "ftp://old.example/c"', "url", "http:// or https://"),
        ('url = "https://old.example\\\\@evil.example/c"', "url", "http:// or https://"),
        ('url = "https://old.example/ c"', "url", "http:// or https://"),
        (f'{URL}\ntimeout = "11s"', "timeout", "longer than 10s"),
        (f'{URL}\ntimeout = "soon"', "timeout", "not a duration"),
        (f'{URL}\nuntil = "soon"', "until", "soon"),
        (f'{URL}\nplain_networks = ["everywhere"]', "plain_networks", "everywhere"),
        (f'{URL}\nsend_headers = ["Connection"]', "send_headers", "Connection"),
        (f'{URL}\nsend_headers = ["X-Forwarded-For"]', "send_headers", "X-Forwarded-For"),
        (f'{URL}\nsend_headers = ["x-original-uri"]', "send_headers", "x-original-uri"),
        (f'{URL}\nsend_headers = ["Cookie", "cookie"]', "send_headers", "twice"),
        (f'{URL}\ncopy_headers = ["X-Latchgate-User"]', "copy_headers", "X-Latchgate-User"),
        (f'{URL}\ncopy_headers = ["User-Latchgate"]', "copy_headers", "User-Latchgate"),
        (f'{URL}\ncopy_headers = ["X_Latchgate_User"]', "copy_headers", "X_Latchgate_User"),
        (f'{URL}\ncopy_headers = ["X-Accel-Redirect"]', "copy_headers", "X-Accel-Redirect"),
        (f'{URL}\ncopy_headers = ["Set-Cookie"]', "copy_headers", "no header that says who"),
        (f'{URL}\ncopy_headers = ["Authorization"]', "copy_headers", "no header that says who"),
        (
            f'{URL}\ncopy_headers = ["X-Me"]\nsend_headers = ["x-me"]',
            "copy_headers",
            "the client's",
        ),
        (f'{URL}\nprincipal = "X-Me"', "principal", "or neither"),
        (f'{URL}\nprincipal = "X-Me"\nprincipal_is = "name"', "principal_is", "name"),
        (f"{URL}\nretries = 3", "retries", "unknown key"),
        ("", "", "url"),
    ],
)
def test_what_can_not_be_trusted_is_a_fault_of_its_line(more, key, says):
    fault = next(one for one in faults(text(more)) if one.key.startswith("shadows.old"))
    assert fault.key == (f"shadows.old.{key}" if key else "shadows.old")
    assert (fault.file, says in fault.problem) == ("p.toml", True), fault
    assert fault.line >= 14
    assert "hunter2" not in str(fault)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "other"}, "'other' is not one of: old"),
        ({"area": "closed = true"}, "takes no shadow"),
        (
            {"area": AREA.replace('"s"', '"own"').replace("s:r", "own:account.read")},
            "answers there itself",
        ),
        *(({"path": path}, "answers there itself") for path in ("/v3", "/1.3/x", "/ba", "/readyz")),
    ],
)
def test_an_area_takes_no_shadow_that_is_unknown_or_stands_in_the_way(change, says):
    assert any(
        one.key == "areas[0].shadow" and says in one.problem for one in faults(text(**change))
    )


def test_the_paths_that_latchgate_answers_are_those_of_its_doors():
    doors = (manage, leaks, teracloud, upcloud, wayscloud, keystone)
    assert sorted(OWN_PATHS) == sorted(path for door in doors for path in door.BELOW)
