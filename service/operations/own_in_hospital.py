"""Practitioner/[id]/$in-hospital: which of the person's members are in hospital now, for how long, until when.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/practitioner-in-hospital . The morning's look
of a lead care manager. A stay that the person may not see is left out, as if it were not there.
"""

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access import tripwire
from service.access.context import Context, parse
from service.clock import instant
from service.errors import Category, FhirError
from service.interactions.decision import Answer, Decision, fixed
from service.notify import in_hospital
from service.notify.in_hospital import Present
from service.operations.own_notices import check_caller
from service.operations.parameters import Params, known
from service.store import read
from service.store.change import Change

NAMES = ("_format", "_pretty")


def none(params: Params) -> None:
    """Raises MALFORMED where there are parameters: it takes none."""
    _, issues = known(params, NAMES)
    if issues:
        raise FhirError(Category.MALFORMED, issues)


async def listed(ctx: Context, fhir_id: str) -> Decision:
    person = check_caller(ctx, fhir_id)
    rows = await in_hospital.of_person(ctx.store, person, ctx.now_us)
    found = await read.heads(ctx.store, [row.encounter for row in rows], ctx.readable()) if rows else {}
    await tripwire.check_found(ctx, list(found.values()))
    shown = [row for row in rows if row.encounter in found]
    resource: Resource = {"resourceType": "Parameters"}
    if shown:
        resource["parameter"] = [_stay(row, parse(found[row.encounter].body), ctx.now_us) for row in shown]
    change = Change(audit=[ctx.audit("R", "in-hospital", person, shown=list(found.values()))])
    return Decision(change, fixed(Answer(200, write_json(resource))))


def _stay(row: Present, encounter: Resource, now_us: int) -> Resource:
    parts: list[Resource] = [
        {"name": "encounter", "valueReference": {"reference": row.encounter}},
        {"name": "member", "valueReference": encounter.get("subject") or {"reference": row.patient}},
        {"name": "class", "valueCoding": encounter.get("class") or {}},
        {"name": "since", "valueInstant": instant(row.start_us)},
        {"name": "days", "valueInteger": row.days(now_us)},
    ]
    if provider := encounter.get("serviceProvider"):
        parts.append({"name": "hospital", "valueReference": provider})
    if row.expected_us is not None:
        parts.append({"name": "expectedDischarge", "valueInstant": instant(row.expected_us)})
    return {"name": "stay", "part": parts}
