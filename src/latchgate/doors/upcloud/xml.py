"""XML in and out, as the image of JSON: an element a member, a list an element that is repeated.

Rule of this file: what comes in is an attacker's. A document type is refused where it begins, so no
entity is ever declared; depth and number of elements are bounded while they are read (CWE-611,
CWE-776). Attributes, namespaces and text beside elements mean nothing here and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from latchgate.core.dialects.upcloud import XML_HEAD, xml_text

MAX_DEPTH = 8
MAX_ELEMENTS = 10_000
# In the older shape the repeated element is a member of JSON too: {"roles": {"role": […]}}.
_HOLDERS = {
    "accounts": "account",
    "campaigns": "campaign",
    "ip_filters": "ip_filter",
    "network_access": "network",
    "permissions": "permission",
    "roles": "role",
    "server_access": "server",
    "storage_access": "storage",
    "tag_access": "tag",
}
# In the newer one JSON has the list itself: {"scopes": […]}.
_PLURALS = {"allowed_ip_ranges": "allowed_ip_range", "scopes": "scope", "tokens": "token"}
_PLURALS |= {"invalid_params": "invalid_param"}


class XmlError(ValueError):
    """A document that is not taken; says what is wrong with it."""


@dataclass(slots=True)
class _Element:
    name: str
    text: list[str] = field(default_factory=list)
    inner: list[_Element] = field(default_factory=list)


def read_xml(body: bytes) -> tuple[str, Any]:
    """Return a document's root name, and what it holds as JSON would; XmlError.

    Leaves are text. A list is one however few elements it has.
    """
    top = _Element("")
    under_way, count = [top], 0
    parser = ParserCreate(namespace_separator=" ")

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal count
        count += 1
        if len(under_way) > MAX_DEPTH or count > MAX_ELEMENTS:
            msg = f"it is deeper than {MAX_DEPTH} elements or has more than {MAX_ELEMENTS}"
            raise XmlError(msg)
        if attributes or " " in name:
            msg = f"element {name[:64]!r} has an attribute or a namespace; none is taken"
            raise XmlError(msg)
        made = _Element(name)
        under_way[-1].inner.append(made)
        under_way.append(made)

    def within(text: str) -> None:
        under_way[-1].text.append(text)

    def end(_name: str) -> None:
        under_way.pop()

    def refuse(*_told: object) -> None:
        raise XmlError("it declares a document type; leave it out")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = within
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat's own: this is all there is
    except ExpatError as error:
        msg = f"it is not well-formed: {error}"
        raise XmlError(msg) from error
    except (LookupError, UnicodeError) as error:
        raise XmlError("its encoding is not known; send UTF-8") from error
    root = top.inner[0]
    return root.name, _image(root)


def _image(element: _Element) -> Any:  # noqa: ANN401 - JSON
    text = "".join(element.text)
    if not element.inner:
        if element.name in _HOLDERS and not text.strip():
            return {_HOLDERS[element.name]: []}
        return [] if element.name in _PLURALS and not text.strip() else text
    if text.strip():
        msg = f"element {element.name[:64]!r} holds text beside its elements"
        raise XmlError(msg)
    single = _HOLDERS.get(element.name) or _PLURALS.get(element.name)
    if single is None:
        told = {one.name: _image(one) for one in element.inner}
        if len(told) < len(element.inner):
            msg = f"element {element.name[:64]!r} holds one of its elements twice"
            raise XmlError(msg)
        return told
    if any(one.name != single for one in element.inner):
        msg = f"element {element.name[:64]!r} holds {single!r} alone"
        raise XmlError(msg)
    listed = [_image(one) for one in element.inner]
    return listed if element.name in _PLURALS else {single: listed}


def write_xml(name: str, value: object, *, space: str | None = None) -> bytes:
    """Return a JSON value as a document with this root, in the namespace `space` if told."""
    root = "".join(_written(name, value))
    if space is not None:
        root = root.replace(f"<{name}>", f'<{name} xmlns="{space}">', 1)
    return f"{XML_HEAD}{root}".encode()


def _written(name: str, value: object) -> list[str]:
    if isinstance(value, dict):
        inner = [part for key, one in value.items() for part in _written(key, one)]
        return [f"<{name}>", *inner, f"</{name}>"]
    if isinstance(value, list):
        single = _PLURALS.get(name)
        parts = [part for one in value for part in _written(single or name, one)]
        return [f"<{name}>", *parts, f"</{name}>"] if single is not None else parts
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return [f"<{name}>{xml_text(text)}</{name}>"]
