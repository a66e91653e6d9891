"""Patient/[id]/$break-glass: a care manager opens a record in an emergency, for an hour at most, and it is reviewed.

Sources: ../shared/facts/security.md 3 (end); 42 CFR 2.51 for records of programs under Part 2. It gives reading alone:
what is written still needs an assignment (service/interactions/checks.py).
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.access.labels import GENERAL, PART2, PSYTHPN, SENSITIVE
from service.access.roles import check_scope
from service.caller import Role
from service.clock import instant
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.decision import Answer, Decision
from service.log_events import BREAK_GLASS, log
from service.operations.parameters import known, pairs
from service.search.restriction import EVERYTHING
from service.store import read as store_read
from service.store.break_glass import Taken, opened
from service.store.change import ABSENT, Change, Committed
from service.workflow.emergency_reviews import task

ROLES = frozenset({Role.LCM, Role.ECM_PROVIDER})
MAX_MINUTES = 60
MIN_REASON, MAX_TEXT = 20, 1000
FACTS = ("recipient", "affiliation", "discloser", "nature")
"""42 CFR 2.51(c): who receives the records, for whom they work, who disclosed them, and what the emergency is. The
date and time are those of the request."""
_NAMES = ("reason", "minutes", *FACTS)


@dataclass(frozen=True)
class Wanted:
    """emergency: the facts of FACTS, all of them or none."""

    reason: str
    minutes: int = MAX_MINUTES
    emergency: tuple[tuple[str, str], ...] = ()


def check_caller(ctx: Context) -> None:
    """403, and before anything is looked at: who may not take this learns nothing of any patient."""
    check_scope(ctx.caller, "r", "Patient")
    check_scope(ctx.caller, "c", "Task")  # it writes one; an app that was let read alone does not widen what it reads
    if not ctx.settings.break_glass:
        raise FhirError(Category.FORBIDDEN, "Emergency access is switched off on this installation.", reason="off")
    if ctx.caller.role not in ROLES or ctx.caller.person is None:
        text = "Emergency access is for people who sign in as care managers of an ECM provider, not for systems."
        raise FhirError(Category.FORBIDDEN, text, reason="role")


def read(body: Any) -> Wanted:
    """From a Parameters resource. Raises MALFORMED with one issue for each problem."""
    found, issues = known(pairs(body), _NAMES)
    values = {name: " ".join(texts[0].split()) for name, texts in found.items()}
    reason, minutes = values.get("reason", ""), values.get("minutes", str(MAX_MINUTES))
    if not MIN_REASON <= len(reason) <= MAX_TEXT:
        text = f"Parameter 'reason' says in {MIN_REASON} to {MAX_TEXT} characters why the record is needed now."
        issues.append(Issue(text, code="required"))
    if not (minutes.isascii() and minutes.isdigit() and len(minutes) < 4 and 1 <= int(minutes) <= MAX_MINUTES):
        issues.append(Issue(f"Parameter 'minutes' takes a whole number from 1 to {MAX_MINUTES}.", code="value"))
    facts = tuple((name, values[name]) for name in FACTS if values.get(name))
    if facts and len(facts) < len(FACTS):
        missing = ", ".join(name for name in FACTS if not values.get(name))
        text = f"For records under 42 CFR Part 2 all of {', '.join(FACTS)} are needed; missing: {missing}."
        issues.append(Issue(text, code="required"))
    if any(len(value) > MAX_TEXT for _, value in facts):
        issues.append(Issue(f"Each of {', '.join(FACTS)} has at most {MAX_TEXT} characters.", code="too-long"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Wanted(reason, int(minutes), facts)


async def break_glass(ctx: Context, fhir_id: str, wanted: Wanted) -> Decision:
    """200 with its id and end. 404 where there is no such Patient: who may ask this could open each one anyway."""
    check_caller(ctx)
    reference = f"Patient/{fhir_id}"
    found = await store_read.head(ctx.store, "Patient", fhir_id, EVERYTHING)
    if found is None or found.deleted or ctx.caller.patient not in (None, reference):
        raise not_found("Patient", fhir_id)
    emergency = json.dumps(dict(wanted.emergency)) if wanted.emergency else ""
    end_us = ctx.now_us + wanted.minutes * 60_000_000
    taken = Taken(
        ctx.new_id(),
        str(ctx.caller.person),
        ctx.caller.organization,
        reference,
        wanted.reason,
        emergency,
        ctx.now_us,
        end_us,
    )
    detail = {"break_glass": taken.id, "minutes": wanted.minutes, "part2": taken.part2}
    audit = ctx.audit("E", "break-glass", reference, (reference,), reason=wanted.reason, detail=detail)
    change = Change(
        relied={reference: found.version},
        bump_epochs={ctx.store.keys.resource(taken.actor)},
        writes=[ctx.write(task(taken), ABSENT)],
        statements=opened(ctx.store, taken, cleared(part2=taken.part2)),
        audit=[replace(audit, purpose="BTG")],
    )

    def answer(_committed: Committed) -> Answer:
        log(BREAK_GLASS, client=ctx.caller.client_id, role=ctx.caller.role, minutes=wanted.minutes, part2=taken.part2)
        return Answer(200, write_json(_parameters(taken)))

    return Decision(change, answer)


def cleared(*, part2: bool) -> int:
    """What it opens: all labels, and what a Consent closes in general; no psychotherapy notes; Part 2 as 2.51 says."""
    return (SENSITIVE | GENERAL) & ~PSYTHPN & ~(0 if part2 else PART2)


def _parameters(taken: Taken) -> Resource:
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "id", "valueString": taken.id},
            {"name": "period", "valuePeriod": {"start": instant(taken.start_us), "end": instant(taken.end_us)}},
            {"name": "part2", "valueBoolean": taken.part2},
            {"name": "review", "valueReference": {"reference": f"Task/{taken.id}"}},
        ],
    }
