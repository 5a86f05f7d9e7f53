"""A decision told to a person: what was read, what matched, which check failed, what would help.

The trace is the decision's own (never a second implementation). It is kept as facts, JSON-able
and without secrets, and worded only when somebody reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from latchgate.core.dialects.table import TABLE
from latchgate.core.model import Credential, Decision, Facts, Request, TraceStep
from latchgate.core.network import Address, Networks
from latchgate.core.policy import Area, Rule
from latchgate.core.reason import Reason, Step
from latchgate.core.remedy import named, remedy
from latchgate.core.timestamp import rfc3339

FactsOf = dict[str, Any]
_MOST_NAMED = 12  # more scopes in a row are read by nobody


def record(
    decision: Decision, request: Request, now: float, redact: Callable[[str], str]
) -> FactsOf:
    """Return all that is kept of a decision; the query string and every secret stay out."""
    area, credential = decision.area, decision.credential
    public = TABLE[decision.reason][decision.dialect] if not decision.allowed else None
    return {
        "id": decision.id,
        "at": now,
        # Cut before it is masked: masking 8 KB takes milliseconds.
        "method": redact(request.method[:80])[:40],
        "host": redact(request.host[:520])[:260],
        "path": masked_path(request.target.partition("?")[0][:1536], redact)[:1024],
        "client": str(request.client) if request.client is not None else None,
        "allowed": decision.allowed,
        "reason": str(decision.reason),
        "status": public.status if public is not None else 200,
        "code": public.code if public is not None else None,
        "area": area.path if area is not None else None,
        "scope": decision.rule.scope if decision.rule is not None else None,
        "credential": credential.source_id if credential is not None else None,
        "tenant": credential.tenant_id if credential is not None else None,
        "policy_version": decision.policy_version,
        "journal": decision.journal,
        "steps": [_facts(step, redact) for step in decision.trace],
    }


def masked_path(path: str, redact: Callable[[str], str]) -> str:
    """Mask a secret in a path, percent-encoded too: then the decoded path is kept, masked."""
    if "%" in path:
        plain = unquote(path)
        masked = redact(plain)
        if masked != plain:
            return masked
    return redact(path)


def _facts(step: TraceStep, redact: Callable[[str], str]) -> FactsOf:
    name, passed, told = step
    return {"step": str(name), "ok": passed, "facts": [_plain(fact, redact) for fact in told]}


def _plain(fact: object, redact: Callable[[str], str]) -> object:
    if isinstance(fact, str):
        return redact(str(fact)[:600])[:300]
    if fact is None or isinstance(fact, (bool, int, float)):
        return fact
    if isinstance(fact, tuple) and not isinstance(fact, Address):
        return [_plain(item, redact) for item in fact]
    return _shown(fact)


def _shown(fact: object) -> object:
    """Show what came from a policy file or a record, which hold no secret."""
    if isinstance(fact, Area):
        where = f"{fact.path} on {', '.join(fact.hosts)}" if fact.hosts else fact.path
        return {"path": where, "methods": list(fact.methods), "service": fact.service}
    if isinstance(fact, Rule):
        return fact.scope
    if isinstance(fact, Credential):
        return sorted(fact.services) if fact.services is not None else ["every service"]
    if isinstance(fact, Networks):
        return fact.listed()
    if isinstance(fact, Facts):
        above = fact.parent.grant if fact.parent is not None else None
        held = {
            "issued": fact.credential.scopes.listed(),
            "owner": fact.owner_rights.listed(),
            "owner_id": fact.credential.owner_id,
        }
        return held if above is None else held | {"parent": above.rights.listed()}
    return str(fact)


def guessed(kept: Mapping[str, Any]) -> list[str]:
    """Return the ids of credentials that were presented with a wrong secret."""
    return [
        step["facts"][0] for step in kept["steps"] if step["step"] == "secret" and not step["ok"]
    ]


def without(kept: FactsOf, hidden: Collection[str]) -> FactsOf:
    """Return a kept decision as if the credentials in `hidden` did not exist."""
    if not hidden:
        return kept
    steps: list[FactsOf] = []
    for step in kept["steps"]:
        if step["step"] not in {Step.RECORD, Step.SECRET} or step["facts"][0] not in hidden:
            steps.append(step)
        elif step["step"] == Step.RECORD:
            steps.append({**step, "ok": False})
    reason = kept["reason"]
    if reason == Reason.SECRET_WRONG:
        reason = str(Reason.CREDENTIAL_UNKNOWN)
    return {**kept, "steps": steps, "reason": reason}


def worded(kept: Mapping[str, Any]) -> FactsOf:
    """Return a kept decision with each step in words, the reason, and the smallest change.

    `named` are the ids of records that it may be made at.
    """
    steps = [
        {"step": step["step"], "ok": step["ok"], "text": _word(step)} for step in kept["steps"]
    ]
    told = {key: value for key, value in kept.items() if key != "steps"}
    return {**told, "steps": steps, "change": remedy(kept), "named": named(kept)}


def _word(step: Mapping[str, Any]) -> str:
    said = _WORDS[Step(step["step"])](step["ok"], *step["facts"])
    return str(said)


def _request(_ok: bool, why: str) -> str:  # noqa: FBT001 - the step's own outcome
    return f"The request could not be taken as it is: {why}."


def _path(_ok: bool, why: str) -> str:  # noqa: FBT001
    return f"The path is ambiguous: {why}."


def _area(ok: bool, area: Any, more: Any) -> str:  # noqa: ANN401, FBT001 - facts are JSON
    if ok:
        return f"The path falls into the area {area['path']} (policy version {more})."
    return f"No area covers {area} on host {more or '(none sent)'}."


def _rule(ok: bool, method: str, area: Any, scope: str | None) -> str:  # noqa: ANN401, FBT001
    if ok:
        need = f"needs {scope}" if scope else "needs no scope"
        return f"{method} there {need}."
    return f"{method} is not taken there; the area takes {', '.join(area['methods'])}."


def _read(ok: bool, kind: str | None, told: str, accepted: Any = ()) -> str:  # noqa: ANN401, FBT001
    if ok:
        return f"A {kind} with the id {told} was presented."
    if accepted:
        known = f"A {kind} was presented, but " if kind else "Nothing was accepted: "
        return f"{known}{told}. The area accepts: {', '.join(accepted)}."
    return f"What was presented looks like a {kind}, but {told}."


def _record(ok: bool, credential_id: str) -> str:  # noqa: FBT001
    return f"The credential {credential_id} {'is known' if ok else 'does not exist'}."


def _secret(ok: bool, credential_id: str) -> str:  # noqa: FBT001
    return f"The secret {'is right' if ok else f'is not that of {credential_id}'}."


def _state(
    ok: bool,  # noqa: FBT001
    revoked: float | None,
    expires: float | None,
    now: float,
    disabled: float | None = None,
    successor: str | None = None,
) -> str:
    """Word a credential's state; refusals kept by older versions end before `disabled`."""
    rotated = f" It was rotated; {successor} is in its place." if successor is not None else ""
    if ok:
        until = f" until {rfc3339(expires)}." if expires is not None else "."
        return f"It is active{until}{rotated}"
    if revoked is not None:
        return f"It was revoked at {rfc3339(revoked)}.{rotated}"
    if expires is not None and now >= expires:
        return f"It expired at {rfc3339(expires)}; the request came at {rfc3339(now)}.{rotated}"
    return f"It was disabled at {rfc3339(disabled or 0)}.{rotated}"


def _owner(ok: bool, owner: str, tenant: str) -> str:  # noqa: FBT001
    if ok:
        return f"Its owner {owner} of tenant {tenant} is active."
    return f"Its owner {owner}, project or tenant {tenant} is missing, disabled or suspended."


def _network(ok: bool, client: str | None, networks: list[str]) -> str:  # noqa: FBT001
    where = f"within {', '.join(networks)}" if networks else "nowhere (its list is empty)"
    if ok:
        return f"The client {client} is {where}, as the credential asks."
    return f"It may be used {where}; the client is {client or 'unknown'}."


def _basic(ok: bool, owner: str, registered: float, before: float, switched: bool) -> str:  # noqa: FBT001
    when = f"{owner} registered at {rfc3339(registered)}"
    if switched:
        return (
            f"{when} and has switched Basic on or off since: it takes no account's password again."
        )
    if ok:
        return f"{when}, before {rfc3339(before)}: Basic takes their account's password."
    return f"{when}, not before {rfc3339(before)}: Basic is off until it is enabled."


def _service(ok: bool, service: str, held: list[str]) -> str:  # noqa: FBT001
    opens = ", ".join(held) or "no service"
    return f"It opens {opens}; the area belongs to {service}" + ("." if ok else ", not among them.")


def _scope(ok: bool, scope: str, facts: Any) -> str:  # noqa: ANN401, FBT001
    if ok:
        return f"{scope} is issued to it and its owner holds it now."
    issued, owner = _several(facts["issued"], scope), _several(facts["owner"], scope)
    said = f"{scope} is needed; it was issued {issued}, and its owner holds {owner} now"
    if "parent" in facts:
        said += f"; the credential it came from may do {_several(facts['parent'], scope)}"
    return f"{said}."


def _several(held: Sequence[str], scope: str) -> str:
    """Return scopes in one line: of many, how many they are and whether one is among them."""
    if len(held) <= _MOST_NAMED:
        return ", ".join(held) or "nothing"
    among = "that one among them" if scope in held else "that one not among them"
    return f"{len(held)} scopes ({among})"


def _application(ok: bool, application: str, owner: str, why: str | None) -> str:  # noqa: FBT001
    if ok:
        return f"The application {application} is approved and may act for {owner}."
    return f"The application {application} may not act for {owner}: {_PROGRAM[Reason(why or '')]}."


_PROGRAM = {
    Reason.APPLICATION_KEY_REVOKED: "this key of it was revoked or replaced",
    Reason.APPLICATION_NOT_APPROVED: "it is not approved, or was suspended or withdrawn",
    Reason.APPLICATION_KEY_OF_ANOTHER: "this key of it is for another user or other tenants",
    Reason.APPLICATION_BLOCKED: "it was blocked by the user, or withdrawn for them",
}


def _tls(ok: bool, tls: bool, client: str | None) -> str:  # noqa: FBT001
    if ok:
        return "It came over TLS." if tls else f"{client} may ask without TLS."
    return f"It came without TLS, from {client or 'an unknown address'}; the area asks for TLS."


def _access_rule(ok: bool, service: str | None, method: str, path: str) -> str:  # noqa: FBT001
    if ok:
        return f"One of its access rules names {method} {path} of {service}."
    return f"No access rule of its own names {method} {path} of {service or 'no service'}."


_WORDS: Mapping[Step, Callable[..., str]] = {
    Step.REQUEST: _request,
    Step.PATH: _path,
    Step.AREA: _area,
    Step.RULE: _rule,
    Step.READ: _read,
    Step.RECORD: _record,
    Step.SECRET: _secret,
    Step.STATE: _state,
    Step.OWNER: _owner,
    Step.NETWORK: _network,
    Step.BASIC: _basic,
    Step.SERVICE: _service,
    Step.SCOPE: _scope,
    Step.APPLICATION: _application,
    Step.TLS: _tls,
    Step.ACCESS_RULE: _access_rule,
}
