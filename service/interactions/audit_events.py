"""read and search of AuditEvent: rendered from the audit rows, never stored. IHE BALP; ../shared/decisions.md 20

One AuditEvent per patient of a row; its id is slot-sequence-number, so that it can be read again.
"""

import re
from collections.abc import Callable

from service import audit
from service.access.context import Context
from service.access.roles import check_scope
from service.caller import Role
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.search.criteria import Criteria
from service.search.dates import parse as parse_date
from service.store import audit_rows
from service.store.change import Change
from service.store.read import Found

_ID = re.compile(r"(\d{1,3})-(\d{1,18})-(\d{1,4})\Z")
_PATIENT = re.compile(r"(Patient/)?[A-Za-z0-9\-.]{1,64}\Z")
_SERVED = ("_id", "patient", "date", "_count", "_total", "_sort", "_format", "_pretty")
MAX_COUNT = 200


async def read_audit_event(ctx: Context, fhir_id: str) -> Decision:
    check_scope(ctx.caller, "r", "AuditEvent")
    match = _ID.match(fhir_id)
    rows = await audit_rows.read(ctx.store, int(match[1]), int(match[2]), _organization(ctx)) if match else []
    events = [e for row in rows for e in audit.events(row, ctx.settings.base_url) if e.fhir_id == fhir_id]
    if not events:
        raise not_found("AuditEvent", fhir_id)
    change = Change(audit=[ctx.audit("R", "read", f"AuditEvent/{fhir_id}")])
    return Decision(change, fixed(Answer(200, events[0].body, 1, events[0].vid)))


def _organization(ctx: Context) -> str | None:
    """Whose accesses the caller sees: an operator all, everyone else those of its own organization."""
    return None if ctx.caller.role in (Role.ADMIN, Role.SYSTEM) else ctx.caller.organization


async def search_audit_events(
    ctx: Context,
    params: list[tuple[str, str]],
    *,
    strict: bool,
    after: int | str | None,
    links: Callable[[Criteria, int | str | None], dict[str, str]],
) -> Decision:
    """Newest first, by patient and date. Unknown parameters: as everywhere, a warning or 400."""
    check_scope(ctx.caller, "s", "AuditEvent")
    unknown = sorted({name for name, _ in params if name not in _SERVED})
    if unknown and strict:
        raise FhirError(Category.MALFORMED, [Issue(_text(name), code="not-supported") for name in unknown])
    count, low, high, patients = _read(params)
    found = await audit_rows.search(
        ctx.store, organization=_organization(ctx), patients=patients, low=low, high=high, after=after, limit=count + 1
    )
    page, following = found[:count], found[count - 1].position if len(found) > count else None
    events: list[Found] = [
        event
        for row in page
        for event in audit.events(row, ctx.settings.base_url)
        if not patients or not event.patient_reference or event.patient_reference in patients
    ]
    used = tuple((n, v) for n, v in params if n in _SERVED)
    criteria = Criteria("AuditEvent", warnings=tuple(_text(name) for name in unknown), used=used)
    warning = audit.warnings(criteria.warnings)
    body = bundle(
        "searchset",
        [Entry(event, "match") for event in events],
        ctx.settings.base_url,
        links=links(criteria, following),
        now_us=ctx.now_us,
        new_id=ctx.new_id(),
        outcome=warning,
    )
    names = "&".join(sorted({name for name, _ in used}))
    change = Change(audit=[ctx.audit("E", "search-type", f"AuditEvent?{names}", patients)])
    return Decision(change, fixed(Answer(200, body)))


def _text(name: str) -> str:
    shown = name if re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", name) else "A parameter"
    return f"{shown} is not served for AuditEvent: use {', '.join(_SERVED[:5])}."


def _read(params: list[tuple[str, str]]) -> tuple[int, int | None, int | None, tuple[str, ...]]:
    count, low, high = 50, None, None
    patients: list[str] = []
    for name, value in params:
        if name == "_count" and value.isascii() and value.isdigit():
            count = min(max(int(value[:6]), 1), MAX_COUNT)
        elif name == "patient":
            patients += [_patient(v) for v in value.split(",")]
        elif name == "date":
            low, high = _date(value, low, high)
    return count, low, high, tuple(patients[:50])


def _patient(value: str) -> str:
    if not _PATIENT.match(value):
        raise FhirError(Category.MALFORMED, "patient must be an id or Patient/id.")
    return "Patient/" + value.removeprefix("Patient/")


def _date(value: str, low: int | None, high: int | None) -> tuple[int | None, int | None]:
    prefix = value[:2] if value[:2] in ("ge", "gt", "le", "lt", "eq") else ""
    try:
        start, end = parse_date(value[len(prefix) :])
    except ValueError as error:
        raise FhirError(Category.MALFORMED, "date must be a FHIR date, perhaps with ge, gt, le or lt.") from error
    if prefix in ("ge", "gt"):
        return (start if prefix == "ge" else end), high
    if prefix in ("le", "lt"):
        return low, (end if prefix == "le" else start)
    return start, end
