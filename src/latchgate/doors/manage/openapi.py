"""The OpenAPI 3.1 document of the management API, made from its table of routes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from latchgate.manage.listing import Listing


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: its handler, the scope it needs (None: public), what goes in and out.

    `listing` declares the query of a list, `parameters` any other's, `replay` what a repeat with
    the same Idempotency-Key answers, `conditional` that If-Match is taken, `optional` that the body
    may be left out, `others` the media types that the answer comes in besides `media`.
    """

    method: str
    path: str
    handler: Callable[..., Awaitable[Response]]
    summary: str
    scope: str | None
    answer: type | None
    body: type | None = None
    status: int = 200
    listing: Listing | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    replay: type | None = None
    conditional: bool = False
    optional: bool = False
    refusals: tuple[int, ...] = ()
    media: str = "application/json"
    others: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The operation's id: the handler's own name."""
        return self.handler.__name__

    @property
    def query(self) -> tuple[str, ...]:
        """The names of its query parameters."""
        return tuple(self.queries)

    @property
    def queries(self) -> Mapping[str, Mapping[str, Any]]:
        """Its query parameters, and the schema of each."""
        return self.listing.parameters() if self.listing is not None else self.parameters

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the headers that it reads, besides those of every request."""
        once = ("Idempotency-Key",) if self.replay is not None else ()
        waits = ("Prefer",) if self.waits else ()
        return (*once, *(("If-Match",) if self.conditional else ()), *waits)

    @property
    def waits(self) -> bool:
        """Whether it answers with a receipt, which whoever asks need not wait for."""
        return self.method != "GET" and "receipt" in getattr(self.answer, "__struct_fields__", ())

    @property
    def shapes(self) -> tuple[type, ...]:
        """Every shape that goes in or out."""
        return tuple(one for one in (self.body, self.answer, self.replay) if one is not None)


_HEADERS = {
    "Idempotency-Key": {"type": "string", "pattern": r"^[!-~]{1,255}$"},
    "If-Match": {"type": "string", "pattern": r'^(\*|"[!#-~]+"(, ?"[!#-~]+")*)$'},
    "Prefer": {
        "type": "string",
        "description": "`respond-async` (RFC 7240): don't wait for the receipt, which can be asked"
        " for later by its number; other preferences are ignored",
    },
}
_ETAG = {"ETag": {"description": "The version of the record", "schema": {"type": "string"}}}


def document(
    operations: Iterable[Operation],
    problem: type,
    examples: Mapping[type, Mapping[str, Any]] | None = None,
) -> bytes:
    """Return the document as JSON, with an example of each shape that has one."""
    shown = examples or {}
    listed = list(operations)
    shapes = {one for op in listed for one in op.shapes} | {problem}
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    schemas, components = msgspec.json.schema_components(
        ordered, ref_template="#/components/schemas/{name}"
    )
    refs = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Any] = {}
    for op in listed:
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op, refs, problem, shown)
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


_Examples = Mapping[type, Mapping[str, Any]]
_JSON = "application/json"


def _operation(
    op: Operation, refs: dict[type, Any], problem: type, examples: _Examples
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": op.name,
        "summary": op.summary,
        "security": [{"bearer": []}] if op.scope is not None else [],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", op.path)
        ]
        + [{"name": name, "in": "query", "schema": schema} for name, schema in op.queries.items()]
        + [{"name": name, "in": "header", "schema": _HEADERS[name]} for name in op.headers],
    }
    if op.scope is not None:
        described["description"] = f"Needs the scope `{op.scope}`."
    if op.body is not None:
        content = _content(op.body, refs, examples)
        content |= {media: {"schema": {"type": "string"}} for media in op.accepts}
        described["requestBody"] = {"required": not op.optional, "content": content}
    responses = {str(op.status): _answer(op.summary, op.answer, refs, examples, media=op.media)}
    if op.status == HTTPStatus.NO_CONTENT:
        del responses[str(op.status)]["content"]
    for media in op.others:
        responses[str(op.status)]["content"][media] = {"schema": {"type": "string"}}
    if op.replay is not None:
        responses["200"] = _answer(
            "What the first request made, as it is now", op.replay, refs, examples
        )
    refusals = {*op.refusals, *((400, 401, 403, 503) if op.scope is not None else (400,))}
    refusals |= ({409, 422} if op.replay is not None else set()) | (
        {412} if op.conditional else set()
    )
    for status in sorted(refusals):
        content = {"application/problem+json": {"schema": refs[problem]}}
        responses[str(status)] = {"description": "Refused", "content": content}
    described["responses"] = responses
    return described


def _answer(
    words: str,
    shape: type | None,
    refs: dict[type, Any],
    examples: _Examples,
    *,
    media: str = _JSON,
) -> dict[str, Any]:
    content = _content(shape, refs, examples, media=media)
    told: dict[str, Any] = {"description": words, "content": content}
    if shape is not None and "version" in getattr(shape, "__struct_fields__", ()):
        told["headers"] = _ETAG
    return told


def _content(
    shape: type | None, refs: dict[type, Any], examples: _Examples, *, media: str = _JSON
) -> dict[str, Any]:
    told: dict[str, Any] = {"schema": refs[shape] if shape is not None else {}}
    if shape is not None and shape in examples:
        told["example"] = examples[shape]
    return {media: told}
