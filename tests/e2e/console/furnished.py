"""A tenant with something of everything, made as its people would make it: by the API and by use.

For tests over all pages, and for screenshots: so names are the same each time. Only what takes
months is written beside the rules: when something was made, and use of the weeks before.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from tests import people, pseudo
from tests.doors.console.relying import App
from tests.e2e.desk import Desk
from tests.people import Person
from tests.world import FILES, MadeKey, Server, World, asking, compiled, http_request

from latchgate.core.model import Noun, Request
from latchgate.core.redact import redactor
from latchgate.manage import links, logins
from latchgate.manage.links import LinkSpec
from latchgate.store import schema
from latchgate.store.recorder import Usage

DAY = 86_400.0
_AGENTS = ("nordlicht-web/4.2", "Terraform/1.9", "python-requests/2.34", "rclone/1.68")
_STATIC = ("198.51.100.7", "198.51.100.23", "203.0.113.80", "2001:db8:7::15")
_CONFIG = """
[access_log]
directory = "access-log"

[console]
translations = "catalogues"
"""


@dataclass
class Furnished:
    """A server with one tenant full of records; `ids` names one of each sort for addresses.

    `ids` are told apart by noun, or by noun and state: `keys`, `keys.disabled`.
    """

    desk: Desk
    person: Person
    key: MadeKey = field(repr=False)
    app: App
    ids: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def server(self) -> Server:
        """What serves it."""
        return self.desk.server

    @property
    def world(self) -> World:
        """Its database."""
        return self.desk.world

    def call(self, method: str, path: str, told: object = None) -> Any:
        """Call the management API as who is signed in; the answer must be a success."""
        answer = self.server.call(method, f"/manage/v1{path}", told, token=self.key.text)
        assert 200 <= answer.status < 300, (method, path, answer.body)
        return answer.json if answer.body else None

    def make(self, noun: str, path: str, **told: object) -> dict[str, Any]:
        """Make a record of a noun; the first of each is the one that addresses name."""
        made: dict[str, Any] = self.call("POST", path, told)
        self.ids.setdefault(noun, str(made.get("id", "")))
        return made


@contextmanager
def a_furnished(folder: Path) -> Iterator[Furnished]:
    """Start a server, and fill it."""
    server = Server.made(folder / "lg")
    pseudo.catalogue(server.folder / "catalogues")
    server.config.write_text(server.config.read_text() + _CONFIG)
    server.start()
    world = World.beside(server)
    try:
        port = server.addresses["console"].rpartition(":")[2]
        yield furnish(Desk(server, world, f"http://localhost:{port}"))
    finally:
        world.close()
        server.kill()


def furnish(desk: Desk) -> Furnished:
    """Fill a server: somebody who may do everything, in a tenant where much goes on."""
    world = desk.world
    owner = world.somebody("*")
    with world.changing() as change:
        logins.add_login(change, owner.tenant_id, owner.user_id, "latchgate", "ingrid")
    nobody = Person(owner.user_id, owner.tenant_id, owner.project_id, "ingrid", "")
    person = people.replace_password(world, nobody)
    key = world.key("manage", "own", "operator", owner=owner, name="Terraform at headquarters")
    app = App.of(desk.server, world)
    made = Furnished(desk, person, key, app)
    _people(made)
    _keys(made)
    _others(made)
    _applications(made)
    _watched(made)
    _used(made)
    return made


def _people(at: Furnished) -> None:
    """Name what there is, and bring others in."""
    who = at.person
    at.call("PATCH", f"/tenants/{who.tenant_id}", {"name": "Nordlicht Media"})
    at.call(
        "PATCH",
        f"/users/{who.id}",
        {"name": "Ingrid Solberg", "email": "ingrid@nordlicht.example"},
    )
    at.call("PATCH", f"/projects/{who.project_id}", {"name": "Website"})
    at.ids |= {
        "people.own": who.id,
        "projects.own": who.project_id,
        "tenants.own": who.tenant_id,
    }
    second = at.make("projects", "/projects", name="Data platform")["id"]
    closed = at.make("projects.disabled", "/projects", name="Winter campaign 2025")["id"]
    at.call("POST", f"/projects/{closed}/disable")
    scopes = {
        "Uploader": ["storage:read", "storage:write"],
        "Reader": ["storage:read", "llm:models"],
        "Administrator": ["manage:users.read", "manage:keys.read", "manage:keys.write"],
        "Files": ["dav:read", "dav:write", "account:read"],
    }
    roles = {
        name: at.make("roles", "/roles", name=name, scopes=held)["id"]
        for name, held in scopes.items()
    }
    at.ids["roles.free"] = at.make("roles.free", "/roles", name="Auditor", scopes=["dns:manage"])[
        "id"
    ]
    for name, sort, mail, held in (
        ("Jonas Weber", "sub", "jonas@nordlicht.example", ("Uploader", "Administrator")),
        ("Aiko Tanaka", "sub", "aiko@nordlicht.example", ("Reader", "Files")),
        ("nightly backup", "service", None, ("Uploader",)),
        ("Maria-Magdalena Hohenstein-Fitzgerald", "sub", "maria@nordlicht.example", ("Reader",)),
    ):
        told = {"email": mail} if mail else {"ip_filters": ["198.51.100.0/24", "2001:db8:7::/48"]}
        user = at.make("people", "/users", name=name, sort=sort, **told)["id"]
        for role in held:
            at.call("PUT", f"/users/{user}/roles/{second}/{roles[role]}")
        at.ids["people.service" if sort == "service" else "people.last"] = user
    at.ids["roles.held"] = roles["Uploader"]
    at.call("POST", f"/users/{at.ids['people.last']}/disable")
    at.ids["people.disabled"] = at.ids["people.last"]
    at.call("POST", f"/users/{at.ids['people']}/password", {"login": "jonas"})
    _link(at, at.ids["people"])
    other = at.make("tenants", "/tenants", name="Fjellheim Radio", user="Olav")["id"]
    quiet = at.make("tenants.suspended", "/tenants", name="Old Harbour Prints", user="Eve")["id"]
    at.call("POST", f"/tenants/{quiet}/suspend")
    at.ids["tenants"] = other


def _link(at: Furnished, user: str) -> None:
    """Let somebody sign in through a provider, as they would at their first sign-in there."""
    spec = LinkSpec(issuer="https://id.nordlicht.example", subject="0d9b2a1c-6f52-4a0e")
    made, _ = links.link(
        at.world.store,
        compiled(FILES, 0),
        at.world.acting(at.key),
        user,
        spec=spec,
        now=time.time(),
        entropy=secrets.token_bytes,
        issuers={spec.issuer},
    )
    at.ids["people.link"] = made.id


def _keys(at: Furnished) -> None:
    """Make keys in every state."""
    live = {"environment": "production"}
    told: tuple[tuple[str, str, dict[str, Any]], ...] = (
        (
            "keys",
            "Website uploads",
            {
                "services": ["storage"],
                "scopes": ["storage:read", "storage:write", "storage:delete"],
                "description": "Pictures from the editors' desk to the bucket `photos`",
                "allowed_ip_ranges": ["198.51.100.0/24", "192.0.2.0/24", "2001:db8:7::/48"],
                **live,
            },
        ),
        ("keys.rotated", "Search index", {"services": ["storage", "database"], **live}),
        ("keys.soon", "Partner feed", {"services": ["storage"], "expires_in": "9d"}),
        ("keys.far", "Transcripts", {"services": ["llm"], "expires_in": "365d", **live}),
        ("keys.disabled", "Render farm", {"services": ["gpu"], "environment": "staging"}),
        ("keys.revoked", "Laptop of a former intern", {"services": ["storage"]}),
        ("keys.expired", "Launch week", {"services": ["llm"], "expires_in": "30d"}),
        ("keys.last", "DNS automation", {"services": ["dns"], "environment": "staging"}),
    )
    for state, name, more in told:
        made = at.make(state, "/keys", name=name, **more)
        at.ids.setdefault(f"{state}.text", made["key"])
    at.call("POST", f"/keys/{at.ids['keys.rotated']}/rotation", {"grace": "7d"})
    at.call("POST", f"/keys/{at.ids['keys.disabled']}/disable")
    at.call("DELETE", f"/keys/{at.ids['keys.revoked']}")
    for state, days in (("keys", 140), ("keys.rotated", 200), ("keys.expired", 60)):
        _backdate(at.world, at.ids[state], made=days)
    _backdate(at.world, at.ids["keys.expired"], made=60, ended=30)


def _backdate(world: World, credential: str, *, made: int, ended: int | None = None) -> None:
    """Have a key be made days ago, and ended since: beside the rules, which know no past."""
    table, now = schema.credential, time.time()
    row: dict[str, float] = {"created_at": now - made * DAY}
    row |= {"expires_at": now - ended * DAY} if ended is not None else {}
    world.change(
        Noun.CREDENTIAL, credential, sa.update(table).where(table.c.id == credential).values(**row)
    )


def _others(at: Furnished) -> None:
    """Make tokens, access keys, app passwords, and who acts for others."""
    at.make("tokens", "/account/tokens", name="terraform", expires_in="90d")
    ranges = ["198.51.100.0/24"]
    at.make("tokens", "/account/tokens", name="ci", expires_in="7d", allowed_ip_ranges=ranges)
    gone = at.make("tokens.gone", "/account/tokens", name="trial", expires_in="1h")["id"]
    at.call("DELETE", f"/account/tokens/{gone}")
    at.make("access-keys", "/account/access-keys", name="deploy", expires_in="365d")
    at.make("access-keys", "/account/access-keys", name="image pipeline", description="Nightly")
    at.call("POST", "/account/basic", {"namespace": "teracloud", "login": "ingrid-files"})
    at.ids |= {"apps": "teracloud", "apps.off": "upcloud"}
    at.make(
        "workloads",
        "/workloads",
        name="deploy photos",
        issuer="https://token.actions.githubusercontent.com",
        jwks_uri="https://token.actions.githubusercontent.com/.well-known/jwks",
        claims={"sub": "repo:nordlicht/photos:ref:refs/heads/main"},
        user_id=at.ids["people.service"],
        scopes=["storage:read"],
    )


def _applications(at: Furnished) -> None:
    """Ask for applications, review them, let one act."""
    for state, name, vendor, purpose in (
        ("", "Photo Sync", "Lens & Co", "Copies new pictures from a phone into your files."),
        ("suspend", "Old Mailer", "Postbox AG", "Sends newsletters from files in a folder."),
        ("refuse", "Free Crypto", "Unknown", "Mines."),
        ("requested", "Calendar Bridge", "Tidsrom AS", "Shows shared files beside your meetings."),
    ):
        asked = {"name": name, "vendor": vendor, "purpose": purpose}
        asked |= {"contact": "keys@vendor.example", "developer": "open_source"}
        told = at.call("POST", "/application-requests", asked)
        found = told["application"]["id"]
        at.ids[f"applications.{state or 'approved'}"] = found
        if state != "requested":
            verb = "refuse" if state == "refuse" else "approve"
            at.call("POST", f"/applications/{found}/{verb}", {"reason": "Reviewed on Monday."})
        if state == "suspend":
            at.call("POST", f"/applications/{found}/suspend", {"reason": "Its servers leaked."})
    approved = at.ids["applications.approved"]
    at.ids |= {"review": at.ids["applications.requested"], "applications": approved}
    at.call("PUT", f"/account/applications/{at.ids['applications.suspend']}/block")
    made = at.call(
        "POST",
        "/oauth-clients",
        {
            "application_id": approved,
            "tenant_id": at.person.tenant_id,
            "scopes": ["openid", "profile", "storage:read"],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "redirect_uris": ["https://photos.example.com/callback"],
        },
    )
    client = str(made["id"])
    at.ids |= {"clients": client, "clients.secret": made["secrets"][0]["id"], "consents": client}
    given = {"id": f"{at.person.id}:{client}", "user_id": at.person.id, "client_id": client}
    given |= {"scopes": '["openid","profile","storage:read"]', "version": "0"}
    row = sa.insert(schema.consent).values(given_at=time.time() - 12 * DAY, **given)
    at.world.change(Noun.CONSENT, given["id"], row)


def _watched(at: Furnished) -> None:
    """Set limits, and have somebody told when they are passed."""
    at.make(
        "webhooks",
        "/webhooks",
        url="https://hooks.nordlicht.example/latchgate",
        events=["credential.expiring", "credential.disabled"],
        description="The team's chat",
    )
    at.make("alerts", "/alerts", name="Spending", kind="billing", amount="100.00", currency="EUR")
    at.make("alerts", "/alerts", name="Flood", kind="refusals_per_minute", threshold=5)
    at.make("alerts", "/alerts", name="Somewhere new", kind="new_network")
    limits = {"maximum_life": "365d", "rotation_age": "90d", "warning_days": [30, 7, 1]}
    at.call("PUT", "/lifetimes/wayscloud.service_key", limits)
    at.ids |= {"kinds": "wayscloud.service_key", "settings": "wayscloud.service_key"}


_USE: Mapping[str, tuple[tuple[str, str, int], ...]] = {
    "keys": (
        ("GET", "/v1/storage/photos/cover.jpg", 40),
        ("PUT", "/v1/storage/photos/new.jpg", 12),
        ("GET", "/v1/dns/zones", 2),
    ),
    "keys.rotated": (("GET", "/v1/storage/index/7", 18), ("DELETE", "/v1/gpu/jobs/7", 1)),
    "keys.far": (("POST", "/v1/chat/completions", 9),),
    "keys.revoked": (("GET", "/v1/storage/home/notes.txt", 2),),
    "keys.last": (("PUT", "/v1/dns/zones/nordlicht.example", 3),),
}


def _used(at: Furnished) -> None:
    """Use it: thirty days by decisions of now that are noted earlier, and today by the door."""
    world, chance = at.world, random.Random(7)
    recorder = Usage(
        world.usage_database,
        redact=redactor(compiled(FILES, 1).patterns()),
        ticks=time.monotonic,
        clock=world.clock,
    )
    engine, now = world.engine(), time.time()
    for name, uses in _USE.items():
        for method, target, often in uses:
            request = _request(at, name, method, target, chance)
            decision = engine.decide(request)
            for day in range(30):
                weekend = 0.4 if day % 7 in {1, 2} else 1.0
                for _ in range(round(often * weekend * chance.uniform(0.5, 1.4))):
                    recorder.note(decision, request, now - (day + chance.random()) * DAY)
    recorder.flush()
    recorder.close()
    asked = [
        _request(at, name, method, target, chance)
        for name, uses in _USE.items()
        for method, target, often in uses
        for _ in range(min(often, 8))
    ]
    body = msgspec.json.encode({"requests": [_question(one) for one in asked]})
    answer = http_request("POST", at.server.addresses["verify"] + "/", body=body)
    assert answer.status == 200, answer.body
    refused = [one["decision"] for one in answer.json["decisions"] if not one["allowed"]]
    at.ids |= {"refusals": refused[0], "audit": str(world.head())}


def _request(at: Furnished, name: str, method: str, target: str, chance: random.Random) -> Request:
    key = MadeKey(at.ids[name], at.ids[f"{name}.text"], at.world.owner)
    agent = {"user-agent": chance.choice(_AGENTS)}
    return asking(key, method=method, target=target, headers=agent, client=chance.choice(_STATIC))


def _question(request: Request) -> dict[str, object]:
    return {
        "method": request.method,
        "target": request.target,
        "host": "api.nordlicht.example",
        "headers": dict(request.headers),
        "client": str(request.client),
    }
