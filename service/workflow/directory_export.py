"""The directory as HSDS 3: every service with its organization and places, as records apart or one document.

Organizations and places that no service names are in it where they came from HSDS; hospitals and plans are not.
"""

from typing import Any

from fhir_profiles import Resource
from mappers.hsds import convert
from mappers.hsds.elements import HSDS_IDS, Record
from mappers.hsds.lens import Names
from service.access.context import Context, parse
from service.store import directory

PAGE = 500
Records = dict[str, dict[str, Record]]
"""kind -> HSDS id -> record"""


async def export_records(ctx: Context, *, system: str = HSDS_IDS) -> Records:
    """ctx: of the service itself. system: of the identifiers that become ids; what has none goes by its id here."""
    entries = {rtype: await _entries(ctx, rtype) for rtype in convert.KINDS}
    ids = {f"{rtype}/{one['id']}": convert.hsds_id(one, system) for rtype, found in entries.items() for one in found}
    named = _named(entries["HealthcareService"])
    named |= _named([one for one in entries["Location"] if f"Location/{one['id']}" in named])
    names = Names({(convert.KINDS[ref.partition("/")[0]], hsds): ref for ref, hsds in ids.items()}, ids)
    out: Records = {kind: {} for kind in convert.RTYPES}
    for rtype, found in entries.items():
        for one in found:
            own = any(i.get("system") == system for i in one.get("identifier", ()))
            if rtype == "HealthcareService" or own or f"{rtype}/{one['id']}" in named:
                record = convert.standing_of(one, names, system)
                out[convert.KINDS[rtype]][record["id"]] = record
    return out


async def _entries(ctx: Context, rtype: str) -> list[Resource]:
    after, out = -(2**63), []
    while True:
        found, after = await directory.page(ctx.store, rtype, after, PAGE)
        out += [parse(one.body) for one in found]
        if len(found) < PAGE:
            return out


def _named(entries: list[Resource]) -> set[str]:
    """Organizations and places to which these refer."""
    found = set()
    for one in entries:
        for element in ("providedBy", "managingOrganization", "location"):
            value: Any = one.get(element) or []
            for reference in value if isinstance(value, list) else [value]:
                found.add(str(reference.get("reference", "")))
    return found - {""}
