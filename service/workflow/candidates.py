"""What the store knows of each identity in an ADT event: the candidates that member_match.py judges."""

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context, parse
from service.search.dates import parse as parse_date
from service.store import stays
from service.workflow.member_match import Candidate, Lookup, candidates_wanted

CIN_SYSTEM = "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin"


async def candidates_of(ctx: Context, event: AdtEvent) -> dict[Lookup, list[Candidate]]:
    """A number of ours or of Medi-Cal that is known decides the match: who shares a birth date is not read then."""
    found: dict[Lookup, list[Candidate]] = {}
    for lookup in candidates_wanted(event):
        if lookup.kind == "demographics" and any(found[known] for known in found if known.kind in ("panel", "cin")):
            continue
        rows = await _rows(ctx, lookup)
        found[lookup] = [Candidate(reference, parse(body)) for reference, body in rows]
    return found


async def _rows(ctx: Context, lookup: Lookup) -> list[tuple[str, bytes]]:
    store, keys = ctx.store, ctx.store.keys
    if lookup.kind == "panel":
        return await stays.patient_by_id(store, lookup.value)
    if lookup.kind == "cin":
        return await stays.patients_by_key(store, keys.token("Patient", "identifier", CIN_SYSTEM, lookup.value))
    if lookup.kind == "mrn":
        linked = await stays.patients_by_mrn(store, lookup.scope, lookup.value)
        key = keys.token("Patient", "identifier", lookup.scope, lookup.value)
        return list(dict(linked + await stays.patients_by_key(store, key)).items())
    low, high = parse_date(lookup.scope)
    return await stays.patients_born(store, keys.values("Patient", "birthdate"), low, high)
