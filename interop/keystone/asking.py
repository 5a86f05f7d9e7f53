"""The same questions for two identity APIs, and what of their answers is compared.

Compared are the status, the names of headers, and the shape of a JSON body: its members and the
sort of each value. Ids, times and words are each server's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Any

from tests.clients.identity import Identity
from tests.e2e.stack import curl
from tests.e2e.wire import Answer

# Of the connection and the server, or of no client's business.
_OWN_HEADERS = frozenset(
    {
        "cache-control", "connection", "content-length", "date", "keep-alive", "server",
        "transfer-encoding", "via", "x-content-type-options", "x-latchgate-decision",
        "x-openstack-request-id",
    }
)  # fmt: skip
_SUBJECT = "x-subject-token"
# A role's options are its own settings; a key's unrestricted may be null, which says false.
_SETTLED = {"options": "settings", "unrestricted": "boolean"}


@dataclass(frozen=True)
class Question:
    """One request; `$name` in path, body and headers stands for what is known by then.

    `keep` names what later questions need of its answer: a header, or members of the body with
    dots between.
    """

    name: str
    method: str
    path: str
    sent: object = None
    token: str = "token"
    headers: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What is compared of an answer."""

    status: int
    headers: frozenset[str]
    body: object

    def __str__(self) -> str:
        return f"{self.status} {sorted(self.headers)} {json.dumps(self.body)}"


def ask_all(identity: Identity, questions: Sequence[Question]) -> dict[str, Outcome]:
    """Ask one server everything in order and return the outcomes by the questions' names."""
    known = {
        "user_id": identity.alice.id,
        "user": identity.alice.name,
        "password": identity.alice.password,
        "project_id": identity.alice.project_id,
        "project": identity.alice.project,
        "domain": identity.domain,
        "other_id": identity.glance.id,
        "service": identity.glance.name,
        "service_password": identity.glance.password,
        "service_project_id": identity.glance.project_id,
    }
    outcomes: dict[str, Outcome] = {}
    for question in questions:
        answer = _ask(identity, question, known)
        for name, where in question.keep.items():
            known[name] = _kept(question, answer, where)
        assert question.name not in outcomes, question.name
        outcomes[question.name] = Outcome(answer.status, _names(answer), _body(answer))
    return outcomes


def _ask(identity: Identity, question: Question, known: Mapping[str, str]) -> Answer:
    root = identity.url.removesuffix("/v3")
    words = [] if question.method == "HEAD" else ["-X", question.method]
    words += ["--head"] if question.method == "HEAD" else []
    words.append(root + Template(question.path).substitute(known))
    headers = dict(question.headers)
    if question.token:
        headers["X-Auth-Token"] = f"${question.token}"
    if question.sent is not None:
        text = question.sent if isinstance(question.sent, str) else json.dumps(question.sent)
        words += ["--data-binary", Template(text).substitute(known)]
        headers.setdefault("Content-Type", "application/json")
    for name, value in headers.items():
        words += ["-H", f"{name}: {Template(value).substitute(known)}"]
    return curl(*words)


def _kept(question: Question, answer: Answer, where: str) -> str:
    if where == where.title():
        return answer.one(where)
    found: Any = answer.json()
    for name in where.split("."):
        assert name in found, f"{question.name}: no {where} in {answer.body!r}"
        found = found[name]
    return str(found)


def _names(answer: Answer) -> frozenset[str]:
    """Return the names of headers; only of what scripts look for by its case, the case too."""
    lower = {name: name.lower() for name, _ in answer.headers}
    return frozenset(
        name if told == _SUBJECT else told
        for name, told in lower.items()
        if told not in _OWN_HEADERS
    )


def _body(answer: Answer) -> object:
    if not answer.body:
        return None
    try:
        return shape(answer.json())
    except ValueError:
        return "not JSON"


def shape(value: object) -> object:
    """Return what a JSON value is made of; a list is told by its different elements."""
    if isinstance(value, dict):
        return {name: _SETTLED.get(name) or shape(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        found = {json.dumps(shape(one), sort_keys=True) for one in value}
        return [json.loads(one) for one in sorted(found)]
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return "number" if isinstance(value, int | float) else "text"
