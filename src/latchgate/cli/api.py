"""The management API as the command line calls it: one call, clear errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import msgspec
import rich_click as click

from latchgate.cli.management_profile import Profile, authorities, find_profile
from latchgate.cli.output import NO_WAIT, Failed
from latchgate.cli.signed_in import UNKNOWN_AUTHORITY, refreshed

_SECONDS = 30.0
# A receipt takes as long as the longest trust of any verifier, which may be chosen as an hour.
_RECEIPT_SECONDS = 5_000.0


def call(
    method: str,
    path: str,
    *members: str,
    headers: Mapping[str, str] | None = None,
    public: bool = False,
    **sent: Any,
) -> Any:
    """Call the management API and return its JSON; a refusal ends the program with its words.

    `members` are those that the verb will use: an answer without them is not Latchgate's. What is
    `public` is called without a token.
    """
    profile = find_profile(public=public) if public else refreshed()
    bearer = {} if public else {"Authorization": f"Bearer {profile.token}"}
    headers = {**(headers or {}), **_preference(), **bearer}
    try:
        answer = httpx2.request(
            method,
            profile.url.rstrip("/") + path,
            headers=headers,
            timeout=httpx2.Timeout(_SECONDS, read=_patience(method, path)),
            trust_env=False,
            verify=authorities(profile),
            **sent,
        )
    except UnicodeEncodeError:
        raise Failed("what was given holds bytes that are no UTF-8 text", code=2) from None
    except httpx2.HTTPError as error:
        hint = UNKNOWN_AUTHORITY if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
        raise Failed(f"{profile.url} can't be reached: {error}{hint}")
    return _read_answer(profile, answer, members)


def _preference() -> dict[str, str]:
    """Return the header that asks for no wait, where the verb was told so (RFC 7240)."""
    context = click.get_current_context(silent=True)
    if context is None or not context.meta.get(NO_WAIT):
        return {}
    return {"Prefer": "respond-async"}


def _patience(method: str, path: str) -> float:
    """Return for how long to wait for an answer: one to a change may wait for its receipt."""
    waits = method != "GET" or path.startswith("/manage/v1/receipts/")
    return _RECEIPT_SECONDS if waits else _SECONDS


def stream(path: str) -> Iterator[bytes]:
    """Get something long from the management API, as it comes; a refusal ends the program."""
    profile = refreshed()
    headers = {"Authorization": f"Bearer {profile.token}"}
    url = profile.url.rstrip("/") + path
    try:
        with httpx2.stream(
            "GET",
            url,
            headers=headers,
            timeout=_SECONDS,
            trust_env=False,
            verify=authorities(profile),
        ) as answer:
            if not answer.is_success:
                answer.read()
                _read_answer(profile, answer, ())
            yield from answer.iter_bytes()
    except httpx2.HTTPError as error:
        raise Failed(f"{profile.url} could not be read to the end: {error}")


def _read_answer(profile: Profile, answer: httpx2.Response, members: tuple[str, ...]) -> Any:
    try:
        told = answer.json()
    except ValueError:
        raise Failed(f"{profile.url} answered {answer.status_code} with something other than JSON")
    if not answer.is_success:
        refused = answer.headers.get("X-Latchgate-Decision")
        raise Failed(_worded(answer.status_code, told, refused))
    if not isinstance(told, dict) or any(member not in told for member in members):
        raise Failed(f"{profile.url} answered {answer.status_code} with something unknown")
    return told


class _Fault(msgspec.Struct):
    field: str
    detail: str


class _Problem(msgspec.Struct):
    detail: str
    code: str
    errors: list[_Fault] = []


def _worded(status: int, told: Any, decision: str | None) -> str:
    try:
        problem = msgspec.convert(told, _Problem)
    except msgspec.ValidationError:
        return f"refused with status {status}"
    lines = [f"{problem.detail} ({status} {problem.code})"]
    lines += [f"  {fault.field}: {fault.detail}" for fault in problem.errors]
    if decision:
        lines.append(f"  latchgate explain --id {decision} says more")
    return "\n".join(lines)
