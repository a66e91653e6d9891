"""Patient/[id]/$everything: the whole record, in pages, each resource once.

Source: https://hl7.org/fhir/R4/patient-operation-everything.html
The Patient, all that its compartment holds and that the caller may read, and what these refer to in the directory.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo

from service.access.context import Context
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.history_query import count, instant
from service.interactions.links import Around
from service.interactions.notices import notice, outcome, shown
from service.interactions.read import gone
from service.operations.parameters import Params, known
from service.search import dates
from service.search.compartment import directory_types, record_types
from service.search.criteria import Position
from service.search.dates import PACIFIC
from service.search.syntax import Refused
from service.store import everything as store_everything
from service.store import read as store_read
from service.store.change import Change
from service.store.everything import DIRECTORY, START, Asked, Place

NAMES = ("_count", "_format", "_pretty", "_since", "_type", "end", "start")
DEFAULT_COUNT = 100


@dataclass(frozen=True)
class Wanted:
    """types: empty for all. since, start, end: microseconds."""

    count: int = DEFAULT_COUNT
    types: frozenset[str] = frozenset()
    since: int | None = None
    start: int | None = None
    end: int | None = None


def parse(params: Params, zone: tzinfo = PACIFIC) -> Wanted:
    """Raises MALFORMED with one issue per parameter."""
    found, issues = known(params, NAMES, several=("_type",))
    wanted = Wanted()
    for name, values in found.items():
        try:
            wanted = _READ[name](wanted, ",".join(values), zone)
        except Refused as refused:
            issues.append(Issue(f"Parameter '{name}' {refused.sentence}.", code=refused.code))
    if wanted.start is not None and wanted.end is not None and wanted.start >= wanted.end:
        issues.append(Issue("Parameter 'end' must not lie before 'start'.", code="value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return wanted


def _types(text: str) -> frozenset[str]:
    served = ("Patient", *record_types(), *directory_types())
    types = [one.strip() for one in text.split(",")]
    if not all(one in served for one in types):
        raise Refused(f"takes types that a record holds, after commas: {', '.join(sorted(served))}", "not-supported")
    return frozenset(types)


def _day(text: str, zone: tzinfo) -> dates.Range:
    try:
        return dates.parse(text.replace(" ", "+"), zone)
    except ValueError:
        raise Refused("takes a date: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with zone") from None


_READ: dict[str, Callable[[Wanted, str, tzinfo], Wanted]] = {
    "_count": lambda wanted, text, _: replace(wanted, count=count(text)),
    "_format": lambda wanted, _text, _: wanted,
    "_pretty": lambda wanted, _text, _: wanted,
    "_since": lambda wanted, text, _: replace(wanted, since=instant(text)),
    "_type": lambda wanted, text, _: replace(wanted, types=_types(text)),
    "start": lambda wanted, text, zone: replace(wanted, start=_day(text, zone)[0]),
    "end": lambda wanted, text, zone: replace(wanted, end=_day(text, zone)[1]),
}


async def everything(
    ctx: Context,
    fhir_id: str,
    wanted: Wanted,
    *,
    after: Position | None,
    links: Callable[[Around], dict[str, str]],
) -> Decision:
    """A searchset Bundle. Types for which the scopes hold no `r` are left out; a foreign Patient is absent."""
    check_scope(ctx.caller, "r", "Patient")
    patient = await store_read.head(ctx.store, "Patient", fhir_id, ctx.for_reading(ctx.scoped("r")))
    if patient is None:
        raise not_found("Patient", fhir_id)
    if patient.deleted:
        raise gone(patient)
    restriction = ctx.for_reading(ctx.readable())
    asked = _asked(wanted, patient.key, frozenset(restriction.types), _place(after))
    found = await store_everything.everything(ctx.store, asked, restriction)
    page, following = found[: wanted.count], None
    if len(found) > wanted.count:
        stage, last = page[-1]
        following = (stage, last.rtype, last.fhir_id)
    entries = [Entry(shown(ctx, one), "include" if stage == DIRECTORY else "match") for stage, one in page]
    notes = await notice(ctx, [one for _, one in page])
    told = [one for _, one in page]
    audit = ctx.audit("E", "everything", patient.reference, (patient.reference,), shown=told)
    body = bundle(
        "searchset",
        entries,
        ctx.settings.base_url,
        links=links(Around(following)),
        now_us=ctx.now_us,
        new_id=ctx.new_id(),
        outcome=outcome(notes.issues),
    )
    return Decision(Change(audit=[notes.upon(ctx, audit)]), fixed(Answer(200, body, notice=outcome(notes.issues))))


def _asked(wanted: Wanted, patient: int, readable: frozenset[str], after: Place) -> Asked:
    def chosen(types: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(t for t in types if t in readable and (not wanted.types or t in wanted.types))

    period = None
    if wanted.start is not None or wanted.end is not None:
        low = dates.MIN_US if wanted.start is None else wanted.start
        period = (low, dates.MAX_US if wanted.end is None else wanted.end)
    return Asked(
        patient=patient,
        with_patient=not wanted.types or "Patient" in wanted.types,
        record=chosen(record_types()),
        directory=chosen(directory_types()),
        all=tuple(t for t in record_types() if t in readable),
        limit=wanted.count + 1,
        since=wanted.since,
        period=period,
        after=after,
    )


def _place(after: Position | None) -> Place:
    return START if after is None else (int(after[0] or 0), str(after[1]), str(after[2]))
