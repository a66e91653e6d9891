"""Practitioner/[id]/$notices: a person's own list of what it was told. GET lists, POST marks as read.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/practitioner-notices . A notice whose target the
person may not see any more is left out, as if it had never been: a page has as many others in its place. What bears
one time stands on one page, which may so have more than were asked for.
"""

from dataclasses import dataclass
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access import tripwire
from service.access.context import Context
from service.access.context import parse as resource_of
from service.access.roles import check_scope
from service.clock import instant
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision, fixed
from service.operations.parameters import Params, known, pairs
from service.search.dates import parse as parse_time
from service.store import notices, read
from service.store.change import Change
from service.store.notices import Notice
from service.store.read import Found

COUNT, MOST = 20, 100
MOST_READ = 100
MOST_LOOKS = 50
"""So often is looked further back where what was found may not be seen any more."""
NAMES = ("_count", "_format", "_pretty", "before", "unread")
_OWN = "A list of notices is the person's own: sign in as that person. The operator has `enlace notices list`."


@dataclass(frozen=True)
class Wanted:
    count: int = COUNT
    unread: bool = False
    before_us: int = 2**62


def parse(params: Params) -> Wanted:
    """Raises MALFORMED with one issue per parameter."""
    found, issues = known(params, NAMES)
    values = {name: texts[0] for name, texts in found.items()}
    count, unread, before_us = values.get("_count", str(COUNT)), values.get("unread", "false"), 2**62
    if not (count.isascii() and count.isdigit() and len(count) < 5 and 1 <= int(count) <= MOST):
        issues.append(Issue(f"Parameter '_count' takes a whole number from 1 to {MOST}.", code="value"))
    if unread not in ("true", "false"):
        issues.append(Issue("Parameter 'unread' takes true or false.", code="value"))
    if "before" in values:
        try:
            before_us = parse_time(values["before"])[0]
        except ValueError:
            issues.append(Issue("Parameter 'before' takes the instant of a notice, as in its part 'at'.", code="value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Wanted(int(count), unread == "true", before_us)


def parse_read(body: Any) -> list[int]:
    """Numbers of the notices that were read. Raises MALFORMED with every problem."""
    found, issues = known(pairs(body), ("read",), ("read",))
    numbers = found.get("read", [])
    wrong = [one for one in numbers if not (one.isascii() and one.isdigit() and len(one) < 19)]
    if wrong or not 1 <= len(numbers) <= MOST_READ:
        text = f"Parameter 'read' is the id of a notice, and stands from 1 to {MOST_READ} times."
        issues.append(Issue(text, code="value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return [int(one) for one in numbers]


def check_caller(ctx: Context, fhir_id: str) -> str:
    """The person's reference; 403 for everybody else."""
    check_scope(ctx.caller, "r", "Practitioner")
    reference = f"Practitioner/{fhir_id}"
    if ctx.caller.person != reference:
        raise FhirError(Category.FORBIDDEN, _OWN, reason="whose")
    return reference


async def listed(ctx: Context, fhir_id: str, wanted: Wanted) -> Decision:
    person = check_caller(ctx, fhir_id)
    shown: list[Notice] = []
    seen: dict[str, Found] = {}
    answered: set[str] = set()
    before_us = wanted.before_us
    for _ in range(MOST_LOOKS):
        rows = await notices.in_app(ctx.store, person, unread=wanted.unread, limit=wanted.count, before_us=before_us)
        if not rows:
            break
        found = await read.heads(ctx.store, list({row.target for row in rows}), ctx.readable())
        await tripwire.check_found(ctx, list(found.values()))
        seen |= found
        answered |= {target for target, one in found.items() if _is_answered(one)}
        shown += [row for row in rows if row.target in found and not (wanted.unread and row.target in answered)]
        if len(shown) >= wanted.count:
            break
        before_us = rows[-1].at_us
    if len(shown) > wanted.count:
        shown = [row for row in shown if row.at_us >= shown[wanted.count - 1].at_us]
    resource: Resource = {"resourceType": "Parameters"}
    if shown:
        resource["parameter"] = [_notice(row, row.target in answered) for row in shown]
    patients = ctx.patients_of(*(seen[target] for target in dict.fromkeys(row.target for row in shown)))
    change = Change(audit=[ctx.audit("R", "notices", person, patients)])
    return Decision(change, fixed(Answer(200, write_json(resource))))


async def mark(ctx: Context, fhir_id: str, numbers: list[int]) -> Decision:
    """200 whatever the numbers: those of others, and those that are not there, change nothing."""
    person = check_caller(ctx, fhir_id)
    change = Change(audit=[ctx.audit("U", "notices", person)])
    change.statements = notices.read(person, numbers, ctx.now_us)
    return Decision(change, fixed(Answer(200, write_json({"resourceType": "Parameters"}))))


def _is_answered(found: Found) -> bool:
    """Who acknowledges an alert, in whatever list, has read of it."""
    return bool(found.body and found.reference.startswith("Communication/") and resource_of(found.body).get("received"))


def _notice(row: Notice, answered: bool) -> Resource:
    facts: list[Resource] = [
        {"name": "id", "valueString": str(row.id)},
        {"name": "kind", "valueCode": row.kind},
        {"name": "priority", "valueCode": row.priority},
        {"name": "at", "valueInstant": instant(row.at_us)},
        {"name": "target", "valueReference": {"reference": row.target}},
        {"name": "read", "valueBoolean": answered or row.state == "read"},
    ]
    return {"name": "notice", "part": facts}
