"""The OpenAPI 3.1 document of the management API, made from its table of routes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: its handler, the scope it needs (None: public), what goes in and out."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Response]]
    summary: str
    scope: str | None
    answer: type | None
    body: type | None = None
    status: int = 200
    query: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()
    media: str = "application/json"

    @property
    def name(self) -> str:
        """The operation's id: the handler's own name."""
        return self.handler.__name__


_QUERY = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    "after": {"type": "string", "description": "the `next` of the page before"},
    "actor": {"type": "string", "description": "the whole name, or its first word (`user:u-…`)"},
    "action": {"type": "string", "description": "such as `key.create`"},
    "noun": {"type": "string", "description": "what the record is of, such as `credential`"},
    "record": {"type": "string", "description": "the record's id"},
    "credential": {"type": "string", "description": "the id of what the actor came with"},
    "tenant": {"type": "string", "description": "a tenant's id; others' are the operator's to see"},
    "since": {"type": "string", "description": "an RFC 3339 time, included"},
    "until": {"type": "string", "description": "an RFC 3339 time, not included"},
}


def document(operations: Iterable[Operation], problem: type) -> bytes:
    """Return the document as JSON."""
    listed = list(operations)
    shapes = {one for op in listed for one in (op.body, op.answer) if one is not None} | {problem}
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    schemas, components = msgspec.json.schema_components(
        ordered, ref_template="#/components/schemas/{name}"
    )
    refs = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Any] = {}
    for op in listed:
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op, refs, refs[problem])
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Latchgate management API",
                "version": "1",
                "description": "Keys, policy and explanations. Errors are RFC 9457 problems.",
            },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        },
        order="sorted",
    )


def _operation(op: Operation, refs: dict[type, Any], problem: Any) -> dict[str, Any]:  # noqa: ANN401 - a schema
    described: dict[str, Any] = {
        "operationId": op.name,
        "summary": op.summary,
        "security": [{"bearer": []}] if op.scope is not None else [],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", op.path)
        ]
        + [{"name": name, "in": "query", "schema": _QUERY[name]} for name in op.query],
    }
    if op.scope is not None:
        described["description"] = f"Needs the scope `{op.scope}`."
    if op.body is not None:
        content = {"application/json": {"schema": refs[op.body]}}
        described["requestBody"] = {"required": True, "content": content}
    answered = {op.media: {"schema": refs[op.answer] if op.answer is not None else {}}}
    responses: dict[str, Any] = {str(op.status): {"description": op.summary, "content": answered}}
    refusals = {*op.refusals, *((400, 401, 403, 503) if op.scope is not None else (400,))}
    for status in sorted(refusals):
        content = {"application/problem+json": {"schema": problem}}
        responses[str(status)] = {"description": "Refused", "content": content}
    described["responses"] = responses
    return described
