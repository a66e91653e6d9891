"""ServiceRequest/[id]/$check-eligibility: which criteria of a CalAIM service are met, not met, or have to be asked.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/servicerequest-check-eligibility. It refuses
nothing and decides nothing: it looks at what the caller may see of the member, and says what is left to ask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context, parse
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.notices import notice, outcome
from service.operations.parameters import Params, known
from service.store import everything
from service.store import read as store_read
from service.store.change import Change
from service.store.everything import Asked
from service.store.read import Found
from service.workflow.calaim_authorizations import uses_of
from service.workflow.calaim_caps import shown, this_year
from service.workflow.calaim_catalogue import CODE_SYSTEMS, ECM, Service, criteria_at, holds, service_of
from service.workflow.calaim_criteria import PROGRAM_SYSTEM, Facts, Judged, judged, leaves, programs
from service.workflow.calaim_overlap import rule_of, rules
from service.workflow.calaim_tasks import named
from service.workflow.working_time import ZONE, local_day

NAMES = ("at", "_format", "_pretty")
TYPES = ("Condition", "Coverage", "Encounter", "EpisodeOfCare", "Observation")
MOST = 2_000
"""So many records of a member are looked at."""
_NO_SERVICE = "This request is neither for ECM nor for a Community Support of the catalogue: there are no criteria."
_NO_MEMBER = "You do not see the member's record: everything has to be asked."
_MANY = f"Only the first {MOST} records of the member were looked at."


@dataclass(frozen=True)
class Seen:
    """facts: as far as the caller may see. found: by reference, for the audit. whole: not cut short."""

    facts: Facts
    found: dict[str, Found]
    member: bool
    whole: bool = True


def read_asked(params: Params) -> str:
    """The day whose criteria count, "" for today. Raises MALFORMED."""
    found, issues = known(params, NAMES)
    at = (found.get("at") or [""])[0]
    try:
        if at and date.fromisoformat(at).isoformat() != at:
            raise ValueError
    except ValueError:
        issues.append(Issue("Parameter 'at' takes a date: YYYY-MM-DD.", code="value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return at


async def run(ctx: Context, fhir_id: str, at: str) -> Decision:
    """200 with a Parameters resource, whatever came of it."""
    check_scope(ctx.caller, "r", "ServiceRequest")
    request = await store_read.head(ctx.store, "ServiceRequest", fhir_id, ctx.for_reading(ctx.restriction))
    if request is None or request.deleted:
        raise not_found("ServiceRequest", fhir_id)
    body = parse(request.body)
    service = service_of(body)
    if service is None:
        parameters = [_code("standing", "not-in-catalogue"), _string("note", _NO_SERVICE)]
        return await _answered(ctx, request, parameters, [request])
    seen = await _seen(ctx, named(ctx, body, "subject"))
    result = judged(criteria_at(service, at or seen.facts.today.isoformat()).tree, seen.facts)
    parameters = _parameters(service, at or seen.facts.today.isoformat(), result)
    if seen.member:
        parameters += [await _caps(ctx, service, one, body) for one in service.caps]
        parameters += _programs(service, seen.facts)
    notes = [] if seen.member else [_NO_MEMBER]
    parameters += [_string("note", one) for one in (notes if seen.whole else [*notes, _MANY])]
    named_ = {e for leaf in leaves(result) for e in leaf.outcome.evidence}
    named_ |= {f"{one['resourceType']}/{one['id']}" for _, one in programs(seen.facts)} if seen.member else set()
    told = [found for reference, found in seen.found.items() if reference in named_]
    return await _answered(ctx, request, parameters, [request, *told])


async def _answered(ctx: Context, request: Found, parameters: list[Resource], told: Sequence[Found]) -> Decision:
    notes = await notice(ctx, told)
    audit = ctx.audit("E", "check-eligibility", request.reference, ctx.patients_of(request), shown=told)
    body = write_json({"resourceType": "Parameters", "parameter": parameters})
    return Decision(Change(audit=[notes.upon(ctx, audit)]), fixed(Answer(200, body, notice=outcome(notes.issues))))


async def _seen(ctx: Context, patient: str) -> Seen:
    """What the caller may read of the member; a minimum view of the Patient is not enough."""
    today = local_day(ctx.now_us, ZONE)
    restriction = ctx.for_reading(ctx.readable())
    member = await store_read.head(ctx.store, "Patient", patient.partition("/")[2], restriction)
    if member is None or member.deleted:
        return Seen(Facts(today, {}), {}, False)
    types = tuple(one for one in TYPES if one in restriction.types)
    asked = Asked(member.key, False, types, (), types, MOST + 1)
    rows = [one for _, one in await everything.everything(ctx.store, asked, restriction)] if types else []
    records: dict[str, list[Resource]] = {}
    for one in rows[:MOST]:
        records.setdefault(one.rtype, []).append(parse(one.body))
    found = {one.reference: one for one in (member, *rows[:MOST])}
    return Seen(Facts(today, parse(member.body), records), found, True, len(rows) <= MOST)


# --- in words --------------------------------------------------------------------------------------------------------


def _parameters(service: Service, day: str, result: Judged) -> list[Resource]:
    criteria = criteria_at(service, day)
    system = f"{CODE_SYSTEMS}{'episode-type' if service.code == ECM else 'cs-service'}"
    coding = {"system": system, "code": service.code, "display": service.title}
    codes: list[Resource] = [
        {
            "name": "hcpcs",
            "part": [
                _code("code", row.code),
                *(_code("modifier", one) for one in sorted(row.modifiers)),
                *([_string("use", row.use)] if row.use else []),
            ],
        }
        for row in service.codes
        if holds(row, day)
    ]
    said = [_string("version", criteria.version), _string("source", criteria.source)]
    standing = _code("standing", result.outcome.result)
    return [{"name": "service", "valueCoding": coding}, *said, standing, _criterion(result), *codes]


def _criterion(one: Judged) -> Resource:
    parts = [_code("result", one.outcome.result)]
    if one.id:
        parts.insert(0, _code("id", one.id))
    if one.text:
        parts.append(_string("text", one.text))
    if one.parts:
        parts += [_code("join", one.join), *map(_criterion, one.parts)]
        return {"name": "criterion", "part": parts}
    if one.outcome.result == "ask":
        parts.append(_string("question", one.question))
    if one.outcome.known:
        parts.append(_string("known", one.outcome.known))
    parts += [{"name": "evidence", "valueReference": {"reference": e}} for e in one.outcome.evidence]
    return {"name": "criterion", "part": parts}


async def _caps(ctx: Context, service: Service, cap: Any, request: Resource) -> Resource:
    one = this_year(cap, await uses_of(ctx, named(ctx, request, "subject")), ctx.now_us)
    parts = [_code("id", cap.id), _string("text", cap.text), _code("per", cap.per), _code("unit", cap.unit)]
    numbers = (("limit", cap.limit), ("used", one.used), ("left", one.left))
    parts += [{"name": name, "valueDecimal": value} for name, value in numbers]
    parts.append(_string("words", f"{shown(one.left, cap.unit)} of {shown(cap.limit, cap.unit)} are left."))
    parts.append({"name": "refuses", "valueBoolean": cap.hard})
    return {"name": "cap", "part": parts}


def _programs(service: Service, facts: Facts) -> list[Resource]:
    found: list[Resource] = []
    for code, source in programs(facts):
        coding = {"system": PROGRAM_SYSTEM, "code": code, "display": rules().get(code, ("", code))[1]}
        reference = f"{source['resourceType']}/{source['id']}"
        part: list[Resource] = [{"name": "program", "valueCoding": coding}]
        part += [_code("rule", rule_of(code, service))] if rule_of(code, service) else []
        found.append(
            {"name": "program", "part": [*part, {"name": "evidence", "valueReference": {"reference": reference}}]}
        )
    return found


def _string(name: str, value: str) -> Resource:
    return {"name": name, "valueString": value}


def _code(name: str, value: str) -> Resource:
    return {"name": name, "valueCode": value}
