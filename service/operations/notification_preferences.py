"""Practitioner/[id]/$notification-preferences: how a person wants to be told. GET shows them, POST sets all of them.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/practitioner-notification-preferences
Who may: the person, a system of an organization for which the person works now, and the operator.
"""

from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.access.roles import check_scope
from service.auth.accounts import acts_by_directory
from service.caller import Role
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.decision import Answer, Decision, fixed
from service.notify import persons
from service.notify.preferences import DEFAULT, problems
from service.operations.parameters import parts, value_of
from service.store import notice_preferences
from service.store.change import Change
from service.store.notice_preferences import Preference

SYSTEMS = frozenset({Role.ECM_PROVIDER, Role.MCP, Role.CBO})
"""Roles whose systems look after the people of their organization."""
PARTS = ("kind", "role", "channel", "quiet", "digest", "zone", "escalateTo", "escalateMinutes", "language")
SEVERAL = ("channel", "digest")
NONE = "none"
"""Channel of who wants to be told by none."""
KINDS = {"kind": "valueCode", "role": "valueCode", "channel": "valueCode", "language": "valueCode"}
KINDS |= {"quiet": "valueString", "digest": "valueString", "zone": "valueString", "escalateMinutes": "valueInteger"}
_WHOSE = (
    "Preferences are set by the person, by a system of an organization for which the person works, or by the operator."
)


async def check_caller(ctx: Context, reference: str, letter: str) -> None:
    """403 for all others, whether there is such a Practitioner or not."""
    check_scope(ctx.caller, letter, "Practitioner")
    caller = ctx.caller
    if reference == caller.person or caller.role in (Role.ADMIN, Role.SYSTEM):
        return
    if caller.person is None and caller.role in SYSTEMS:
        works = await acts_by_directory(ctx.store, reference, ctx.now_us, every=True)
        if any(one.organization == caller.organization for one in works):
            return
    raise FhirError(Category.FORBIDDEN, _WHOSE, reason="whose")


async def show(ctx: Context, fhir_id: str) -> Decision:
    reference = await _found(ctx, fhir_id, "r")
    rows = await notice_preferences.of_person(ctx.store, reference)
    change = Change(audit=[ctx.audit("R", "notification-preferences", reference)])
    return Decision(change, fixed(Answer(200, _parameters(rows))))


async def replace(ctx: Context, fhir_id: str, body: Any) -> Decision:
    """All rows by those of the body; none at all: as the table of kinds says."""
    reference = await _found(ctx, fhir_id, "u")
    rows = read(body, reference, ctx.now_us)
    await _check_targets(ctx, rows)
    change = Change(audit=[ctx.audit("U", "notification-preferences", reference)])
    change.statements = notice_preferences.replaced(reference, rows)
    # Two who set them at once follow each other: the later one counts whole.
    change.bump_epochs = {ctx.store.keys.of("notice-preference", reference)}
    return Decision(change, fixed(Answer(200, _parameters(rows))))


async def _check_targets(ctx: Context, rows: list[Preference]) -> None:
    """RULE where somebody would be told who is not there: nobody would notice until nobody answers."""
    there = {to: await _is_there(ctx, to) for to in {row.escalate_to for row in rows if row.escalate_to}}
    absent = [number for number, row in enumerate(rows) if row.escalate_to and not there[row.escalate_to]]
    if absent:
        text = "escalateTo names nobody in the directory: give a Practitioner, or the PractitionerRole of one."
        raise FhirError(Category.RULE, [Issue(text, f"Parameters.parameter[{number}]", "value") for number in absent])


async def _is_there(ctx: Context, reference: str) -> bool:
    named = await persons.practitioner_of(ctx.store, reference)
    return bool(named) and await persons.person(ctx.store, named, ctx.now_us, ctx.settings.base_url) is not None


async def _found(ctx: Context, fhir_id: str, letter: str) -> str:
    reference = f"Practitioner/{fhir_id}"
    await check_caller(ctx, reference, letter)
    if await ctx.head(reference) is None:
        raise not_found("Practitioner", fhir_id)
    return reference


def read(body: Any, person: str, now_us: int) -> list[Preference]:
    """Raises MALFORMED for a wrong shape, RULE for what a row may not say, with one issue for each problem."""
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise FhirError(Category.MALFORMED, "The body must be one Parameters resource.")
    rows: list[Preference] = []
    issues: list[Issue] = []
    for number, one in enumerate(parts(body)):
        place = f"Parameters.parameter[{number}]"
        if one.get("name") != "preference":
            issues.append(Issue("The only parameter is 'preference', with a part for each fact.", place, "structure"))
        else:
            rows.append(_row(one.get("part"), place, person, now_us, issues))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    wrong = [
        Issue(f"{one.part} {one.sentence}.", f"Parameters.parameter[{one.row}]", "value") for one in problems(rows)
    ]
    if wrong:
        raise FhirError(Category.RULE, wrong)
    return rows


def _row(several: Any, place: str, person: str, now_us: int, issues: list[Issue]) -> Preference:
    found: dict[str, list[str]] = {}
    for number, part in enumerate(several if isinstance(several, list) else []):
        at = f"{place}.part[{number}]"
        name = part.get("name") if isinstance(part, dict) else None
        value = value_of(part) if isinstance(part, dict) else None
        text = value.get("reference") if isinstance(value, dict) else value
        if name not in PARTS:
            issues.append(Issue(f"A part is one of {', '.join(PARTS)}.", at, "structure"))
        elif name in found and name not in SEVERAL:
            issues.append(Issue(f"{name} may stand once.", at, "structure"))
        elif isinstance(text, bool) or not isinstance(text, str | int) or len(str(text)) > 100:
            issues.append(Issue(f"{name} has a simple value of 100 characters at most.", at, "structure"))
        elif name == "escalateMinutes" and not isinstance(text, int):
            issues.append(Issue("escalateMinutes has a valueInteger.", at, "structure"))
        else:
            found.setdefault(str(name), []).append(str(text))
    if "kind" not in found:
        issues.append(Issue("kind is required: a kind of notice, or * for all others.", place, "required"))
    values = {name: " ".join(dict.fromkeys(texts)) for name, texts in found.items()}
    channels = values.get("channel", DEFAULT)
    return Preference(
        person=person,
        role=values.get("role", ""),
        kind=values.get("kind", ""),
        channels="" if channels == NONE else channels,
        quiet=values.get("quiet", ""),
        digest=values.get("digest", ""),
        zone=values.get("zone", ""),
        escalate_to=values.get("escalateTo", ""),
        escalate_min=int(values.get("escalateMinutes", "0")),
        language=values.get("language", ""),
        changed_us=now_us,
    )


def _parameters(rows: list[Preference]) -> bytes:
    resource: Resource = {"resourceType": "Parameters"}
    if rows:
        resource["parameter"] = [{"name": "preference", "part": _parts(row)} for row in rows]
    return write_json(resource)


def _parts(row: Preference) -> list[Resource]:
    """As they were set; what was left out is left out."""
    values = [("kind", row.kind), ("role", row.role)]
    values += [("channel", one) for one in row.channels.split() or [NONE]]
    values += [("quiet", row.quiet), *(("digest", one) for one in row.digest.split())]
    values += [("zone", row.zone), ("language", row.language)]
    found: list[Resource] = [{"name": name, KINDS[name]: value} for name, value in values if value]
    if row.escalate_to:
        found.append({"name": "escalateTo", "valueReference": {"reference": row.escalate_to}})
        found.append({"name": "escalateMinutes", KINDS["escalateMinutes"]: row.escalate_min})
    return found
