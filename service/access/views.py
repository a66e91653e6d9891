"""Minimum views: what a party to a Task learns of the member, as a table of what may pass into a new resource.

Source: ../shared/facts/security.md 2.1, 2.3 (4), 2.4 (L8, L15-L20, L30, L31). What the table does not name
is not there: not to read, search, sort, patch, include over, nor in the ETag. A draft; a line more is a line more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context, parse
from service.access.roles import rights
from service.errors import Category, FhirError, Issue
from service.search.restriction import Restriction, See
from service.store.read import Found

Shape = Mapping[str, Any]
"""Element -> None (a primitive value), or the shape of what it holds."""

_CODING: Shape = {"system": None, "code": None, "display": None}
_CONCEPT: Shape = {"coding": _CODING, "text": None}

VIEWS: dict[str, Shape] = {
    "Patient": {
        "extension": {"url": None, "valueBoolean": None},
        "name": {"use": None, "text": None, "family": None, "given": None, "prefix": None, "suffix": None},
        "telecom": {"system": None, "value": None, "use": None, "rank": None},
        "address": {"use": None, "city": None, "state": None},
        "communication": {"language": _CONCEPT, "preferred": None},
    }
}
"""type -> what a view of it holds, beside its id: how to reach the member, in which language, with what help."""

EXTENSIONS = frozenset({"http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"})
"""Extensions of a resource that pass: needed accommodations."""
PLAIN = ("address", "name", "telecom")
"""An entry of these that bears any extension is left out whole: so are addresses marked as confidential in FHIR R4."""
FORMER = frozenset({"old", "maiden"})
"""Values of `use` that are not for reaching somebody."""
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

ASKABLE = frozenset(
    "_count _elements _format _id _include _include:iterate _include:recurse _pretty _revinclude _revinclude:iterate "
    "_revinclude:recurse _summary _total".split()
)
"""Parameters of a search that finds views: none of them asks about an element, or when one was changed."""

_ONLY_ID = "{rtype} is shown to you as a minimum view: search for it by _id (with {others}), and by nothing else."
_NO_WRITE = (
    "You see a minimum view of this {rtype}: written back it would wipe out the rest. Write to the organization that "
    "keeps it, with a Communication."
)


@dataclass(frozen=True)
class View:
    """JSON text, and a version made of it: what is hidden may change without a trace."""

    body: bytes
    version: int


# --- who sees what as a view --------------------------------------------------------------------------------------


def is_view(restriction: Restriction, rtype: str, source_org: int) -> bool:
    """Whether a resource that the caller sees is shown as a view; what its organization wrote is shown whole."""
    return not restriction.unrestricted and restriction.rule(rtype) is See.VIEW and source_org not in restriction.own


def shown(ctx: Context, found: Found) -> Found:
    """The one hook where bodies leave: as it is, or as a view, which bears the version of its own text."""
    if found.body is None or not is_view(ctx.seen, found.rtype, found.source_org):
        return found
    view = view_of(parse(found.body))
    return replace(found, body=view.body, version=view.version)


def in_view(ctx: Context, several: Sequence[Found]) -> list[Found]:
    """As `shown`, for what is included: views in an order that does not tell when one was changed."""
    if not any(ctx.seen.rule(rtype) is See.VIEW for rtype in VIEWS):
        return list(several)
    whole = [one for one in several if not is_view(ctx.seen, one.rtype, one.source_org)]
    views = [one for one in several if is_view(ctx.seen, one.rtype, one.source_org)]
    return [*whole, *sorted((shown(ctx, one) for one in views), key=lambda one: one.fhir_id)]


def check_search(ctx: Context, rtype: str, names: Sequence[str]) -> bool:
    """Whether a search may find views: it asks by _id alone. 400 for another where the caller can see views only."""
    if ctx.seen.unrestricted or ctx.seen.rule(rtype) is not See.VIEW:
        return False
    if set(names) <= ASKABLE and "_id" in names:
        return True
    if rtype not in rights(ctx.caller.role).writes:
        others = ", ".join(sorted(name for name in ASKABLE if ":" not in name and name != "_id"))
        text = _ONLY_ID.format(rtype=rtype, others=others)
        raise FhirError(Category.MALFORMED, [Issue(text, code="not-supported")], reason="view")
    return False


def refuse_write(rtype: str) -> FhirError:
    text = _NO_WRITE.format(rtype=rtype)
    return FhirError(Category.FORBIDDEN, [Issue(text, rtype, "forbidden")], reason="view")


# --- what a view holds --------------------------------------------------------------------------------------------


def view_of(resource: Resource) -> View:
    """Built of what the table names; nothing else of the resource is copied."""
    rtype = resource["resourceType"]
    made: Resource = {"resourceType": rtype, "id": resource["id"], "meta": {"tag": [SUBSETTED]}}
    for name, shape in VIEWS[rtype].items():
        kept = _chosen(name, resource.get(name), shape)
        if kept not in (None, [], {}):
            made[name] = kept
    text = write_json(made)
    return View(text, int.from_bytes(sha256(text).digest()[:6], "big") + 1)


def _chosen(name: str, value: Any, shape: Shape) -> Any:
    if not isinstance(value, list):
        return _built(value, shape)
    passing = [one for one in value if isinstance(one, dict) and _passes(name, one)]
    return [built for one in passing if (built := _built(one, shape))]


def _passes(name: str, entry: dict[str, Any]) -> bool:
    if name == "extension":
        return entry.get("url") in EXTENSIONS
    if name not in PLAIN:
        return True
    return entry.get("use") not in FORMER and not _extended(entry)


def _extended(value: Any) -> bool:
    if isinstance(value, dict):
        return any(key in ("extension", "modifierExtension") or _extended(inner) for key, inner in value.items())
    return isinstance(value, list) and any(_extended(inner) for inner in value)


def _built(value: Any, shape: Shape | None) -> Any:
    """A value of this shape; what is shaped otherwise is not there."""
    if isinstance(value, list):
        return [built for one in value if (built := _built(one, shape)) not in (None, {}, [])]
    if shape is None:
        return value if isinstance(value, str | bool | int | Decimal) else None
    if not isinstance(value, dict):
        return None
    parts = ((name, _built(value.get(name), inner)) for name, inner in shape.items())
    return {name: part for name, part in parts if part not in (None, {}, [])}
