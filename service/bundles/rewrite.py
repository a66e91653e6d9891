"""References between the entries of a transaction become references to what is stored; the resource is copied.

https://hl7.org/fhir/R4/http.html#trules: Reference.reference, elements of type uri, url, canonical, oid and uuid, and
links of the narrative. By type of the element, so that an Identifier whose value is a urn:uuid keeps it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.r4_types import fields, is_primitive, resource_types

LINKING = frozenset({"uri", "url", "canonical", "oid", "uuid"})
_RESTFUL = re.compile(
    r"(https?://.+/)?([A-Z][A-Za-z]{1,40}/[A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?\Z"
)
_NARRATIVE = re.compile(r"""(\s(?:href|src)\s*=\s*["'])(urn:(?:uuid|oid):[^"'#]+)((?:#[^"']*)?["'])""")

Link = Callable[[str, str], str | None]
"""(expression, text as written) -> what to write instead; None: leave it."""


@dataclass
class Names:
    """fullUrl -> relative reference of what the entry reads or writes. made: references that have one version only."""

    by_url: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def add(self, full_url: str, reference: str, *, made: bool) -> None:
        self.by_url[_normal(full_url)] = reference
        if made:
            self.made.add(reference)

    def find(self, written: str, full_url: str) -> str | None:
        """The reference to write, with its #fragment and, for what this transaction creates, its version.

        full_url: of the entry in which it stands: a relative reference means a resource on the same server.
        """
        text, mark, fragment = written.partition("#")
        text, _bar, _version = text.partition("|") if text.startswith("urn:") else (text, "", "")
        version = ""
        found = self.by_url.get(_normal(text))
        if found is None and (match := _RESTFUL.match(text)):
            root, reference, version = match[1] or _root(full_url), match[2], match[3] or ""
            found = self.by_url.get(root + reference) if root else None
        if found is None:
            return None
        if version and found in self.made:
            found = f"{found}/_history/1"
        return found + mark + fragment


def _normal(url: str) -> str:
    """A UUID means the same in capitals."""
    return url.lower() if url[:9].lower() == "urn:uuid:" else url


def _root(full_url: str) -> str:
    match = _RESTFUL.match(full_url)
    return match[1] or "" if match else ""


def rewritten(resource: Any, place: str, link: Link) -> Any:
    """A copy in which `link` has seen every reference and every element that may hold a URL."""
    if not isinstance(resource, dict):
        return resource
    rtype = resource.get("resourceType")
    known = isinstance(rtype, str) and rtype in resource_types()
    return _object(resource, str(rtype), place, link) if known else resource


def _object(value: Resource, structure: str, place: str, link: Link) -> Resource:
    known = fields(structure)
    out: Resource = {}
    for name, inner in value.items():
        kind = known[name][1] if name in known else ""
        if structure == "Reference" and name == "reference":
            kind = "reference"
        path = place if kind == "reference" else f"{place}.{name}"
        if isinstance(inner, list):
            out[name] = [_value(item, kind, f"{path}[{i}]", link) for i, item in enumerate(inner)]
        else:
            out[name] = _value(inner, kind, path, link)
    return out


def _value(inner: Any, kind: str, path: str, link: Link) -> Any:
    if isinstance(inner, str):
        if kind == "reference" or (kind in LINKING and inner[:4].lower() == "urn:"):
            return link(path, inner) or inner
        if kind == "xhtml" and "urn:" in inner:
            return _NARRATIVE.sub(lambda m: m[1] + (link("", m[2]) or m[2]) + m[3], inner)
        return inner
    if not isinstance(inner, dict):
        return inner
    if "resourceType" in inner:
        return rewritten(inner, path, link)
    if not kind or kind == "Resource" or is_primitive(kind):
        return inner  # nothing is known of it: the check of the structure refuses it
    return _object(inner, kind, path, link)
