"""read and search of AuditEvent: rendered from the audit rows, never stored. IHE BALP; ../shared/decisions.md 20

One AuditEvent per patient of a row; its id is slot-sequence-number, so that it can be read again.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

from service import audit
from service.access.context import Context
from service.access.context import parse as resource_of
from service.access.roles import check_scope
from service.caller import Role
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.asked import asked
from service.interactions.audit_match import holds, narrowed, patients_in
from service.interactions.bundle import Entry, bundle
from service.interactions.checks import references
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.links import Around
from service.interactions.notices import notice, outcome, shown
from service.interactions.search import MakeLinks, subset
from service.interactions.search_types import Where
from service.search.criteria import NEWEST, Criteria, HasId, Position
from service.search.keys import edge
from service.search.values import index_rows
from service.store import audit_rows, read
from service.store.audit_rows import StoredAudit
from service.store.change import Change
from service.store.read import Found
from service.store.slots import updated_us

_ID = re.compile(r"([0-9a-f]{16})-\d{1,4}(?:-c)?\Z")
BATCH = 200
MAX_SCANNED = 5_000
"""Rows that one search renders and looks at; more is refused, never cut short."""


async def read_audit_event(ctx: Context, fhir_id: str) -> Decision:
    check_scope(ctx.caller, "r", "AuditEvent")
    match = _ID.match(fhir_id)
    rows = await audit_rows.read(ctx.store, *_place_of(ctx, match), _organization(ctx)) if match else []
    events = [e for row in rows for e in audit.events(row, ctx.settings.base_url) if e.fhir_id == fhir_id]
    if not events:
        raise not_found("AuditEvent", fhir_id)
    change = Change(audit=[ctx.audit("R", "read", f"AuditEvent/{fhir_id}")])
    return Decision(change, fixed(Answer(200, events[0].body, 1, events[0].vid)))


def _place_of(ctx: Context, name: "re.Match[str]") -> tuple[int, int]:
    return audit_rows.place_of(name[1], ctx.store.keys)


def _organization(ctx: Context) -> str | None:
    """Whose accesses the caller sees: an operator all, everyone else those of its own organization."""
    return None if ctx.caller.role in (Role.ADMIN, Role.SYSTEM) else ctx.caller.organization


async def search_audit_events(
    ctx: Context,
    where: Where,
    params: list[tuple[str, str]],
    *,
    strict: bool,
    after: Position | None,
    links: MakeLinks,
) -> Decision:
    """Newest first; every parameter by the same rules as for stored resources. A page ends with a whole audit row.

    No page leads back: what is rendered is read from the newest row on, and link `first` leads there.
    """
    check_scope(ctx.caller, "s", "AuditEvent")
    (criteria,) = asked(ctx, where.rtypes, params, strict=strict)
    criteria = replace(criteria, clauses=(*where.within(ctx, "AuditEvent"), *criteria.clauses))
    _check(criteria)
    for include in criteria.includes:
        if include.reverse:
            check_scope(ctx.caller, "r", include.rtype)
    total, matches, following = await _matches(ctx, criteria, str(after[0]) if after else None)
    included = await _included(ctx, criteria, matches)
    told = await notice(ctx, included)
    body = bundle(
        "searchset",
        [Entry(subset(event, criteria, "match"), "match") for event in matches]
        + [Entry(subset(shown(ctx, found), criteria, "include"), "include") for found in included],
        ctx.settings.base_url,
        links=links(criteria, Around((following,) if following else None)),
        now_us=ctx.now_us,
        new_id=ctx.new_id(),
        total=total if criteria.total != "none" else None,
        outcome=outcome([*audit.warned(criteria.warnings), *told.issues]),
    )
    names = "&".join(sorted({name for name, _ in criteria.used}))
    patients = tuple(dict.fromkeys(e.patient_reference for e in matches if e.patient_reference))
    row = ctx.audit("E", "search-type", f"{where.path}?{names}", patients, shown=included)
    return Decision(Change(audit=[told.upon(ctx, row)]), fixed(Answer(200, body, notice=outcome(told.issues))))


def _check(criteria: Criteria) -> None:
    """All that is served for stored types only is refused at once."""
    wrong = []
    if criteria.sort != (NEWEST,):
        wrong.append("AuditEvents are sorted by -_lastUpdated only.")
    if any(include.iterate or include.reverse for include in criteria.includes):
        wrong.append("AuditEvents take _include without :iterate, and no _revinclude.")
    if wrong:
        raise FhirError(Category.MALFORMED, [Issue(sentence, code="not-supported") for sentence in wrong])


async def _matches(
    ctx: Context, criteria: Criteria, after: str | None
) -> tuple[int, list[audit.RenderedEvent], str | None]:
    """How many in all (if asked), the events of the page, and the position of its last row if more follow."""
    wanted = 0 if criteria.total == "count" else criteria.count
    total, rows, page, following, last = 0, 0, list[audit.RenderedEvent](), None, ""
    # A total counts from the newest row on, wherever the page starts.
    async for row in _rows(ctx, criteria, None if criteria.total != "none" else after):
        events = [e for e in audit.events(row, ctx.settings.base_url) if _fits(ctx, criteria, e)]
        total += len(events)
        if not events or (isinstance(after, str) and _place(row.position) >= _place(after)):
            continue
        if rows < wanted:
            page += events
            rows, last = rows + 1, row.position
        elif wanted:
            following = last
            if criteria.total == "none":
                break
    return total, page, following


def _place(position: str) -> tuple[int, ...]:
    return tuple(int(part) for part in position.split("."))


async def _rows(ctx: Context, criteria: Criteria, after: str | None) -> AsyncIterator[StoredAudit]:
    """The rows that may match, newest first: narrowed by id, patient and time where these are asked for."""
    organization = _organization(ctx)
    ids = [c for c in criteria.clauses if isinstance(c, HasId)]
    if ids:
        places = {_place_of(ctx, m) for m in map(_ID.match, ids[0].ids) if m}
        found = [row for place in places for row in await audit_rows.read(ctx.store, *place, organization)]
        for row in sorted(found, key=lambda row: (row.at_us, row.slot, row.seq), reverse=True):
            yield row
        return
    (low, high), patients, scanned = narrowed(criteria), patients_in(criteria), 0
    while True:
        batch = await audit_rows.search(
            ctx.store, organization=organization, patients=patients, low=low, high=high, after=after, limit=BATCH
        )
        for row in batch:
            yield row
        scanned += len(batch)
        if len(batch) < BATCH:
            return
        if scanned >= MAX_SCANNED:
            text = "The search looks at too many audit records: add patient or date."
            raise FhirError(Category.MALFORMED, [Issue(text, code="too-costly")])
        after = batch[-1].position


def _fits(ctx: Context, criteria: Criteria, event: audit.RenderedEvent) -> bool:
    rows = index_rows(resource_of(event.body), "AuditEvent", ctx.store.keys, base_url=ctx.settings.base_url)
    return all(holds(clause, rows, event.fhir_id, updated_us(event.vid)) for clause in criteria.clauses)


async def _included(ctx: Context, criteria: Criteria, matches: list[audit.RenderedEvent]) -> list[Found]:
    """What the events refer to over the included parameters, as far as the caller may see it."""
    if not criteria.includes:
        return []
    keys, base = ctx.store.keys, ctx.settings.base_url
    edges = {edge("AuditEvent", include.param): include.target for include in criteria.includes}
    wanted: dict[str, None] = {}
    for event in matches:
        resource = resource_of(event.body)
        leading = index_rows(resource, "AuditEvent", keys, base_url=base).edges
        for _, reference in references(resource, ""):
            key, rtype = keys.resource(reference), reference.partition("/")[0]
            if any(target == key and number in edges and edges[number] in (None, rtype) for number, target in leading):
                wanted[reference] = None
    return list((await read.heads(ctx.store, list(wanted), ctx.readable())).values())
