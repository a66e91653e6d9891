"""Who may put a member into a panel: whoever has the member now, by another resource than the one that is written.

Source: ../shared/facts/security.md 2.1, 2.3. Authorship of an assignment gives nothing: else its author could renew
what ended. So what an organization writes of itself while it has the member by another's is kept as SELF, which
outlives nothing. Who wrote the Patient says who has it, as long as no other organization has, and may always refer it:
a Task gives a view only. Plan files and the operator write as the service itself, and are not asked.
"""

from collections.abc import Sequence
from dataclasses import replace

from fhir_profiles import Resource
from service.access.context import Context
from service.access.panels import CANDIDATE, SELF
from service.caller import Role
from service.errors import Category, FhirError, Issue
from service.search.dates import MAX_US
from service.search.references import normal_reference
from service.search.values import patient_of
from service.store import epochs, panels
from service.store.change import ABSENT, Change, PanelRow, Stale, Write
from service.store.panels import Given
from service.store.read import Found

_REFUSED = (
    "This would give {what} of the member to somebody, and your organization does not have the member now: only who "
    "has a member gives it to others. A new assignment comes from the member's plan."
)
_RECORD = {"Task": "a view"}
_TO_FULFIL = ("task-owner", CANDIDATE)


def is_referral(resource: Resource, base_url: str) -> bool:
    """A Task about a ServiceRequest here, whose own requester refers the member: workflow/referrals.py sees to it.

    One on another server is nobody's here: who fulfils a Task would hand the member on under it.
    """
    about = resource.get("focus")
    written = str(about.get("reference", "")) if isinstance(about, dict) else ""
    return (normal_reference(written, base_url) or "").startswith("ServiceRequest/")


async def _without_own(
    ctx: Context,
    rows: Sequence[PanelRow],
    former: Sequence[Given],
    selves: frozenset[int],
    source: int,
    has: set[int],
) -> tuple[PanelRow, ...]:
    """A Task that is no referral keeps nobody's own view: who has the member by Tasks alone gives itself no row.

    has: gets the patient whom it may give, so that this is asked once.
    """
    own = [row for row in gained(rows, former) if row.subject in selves]
    if not own:
        return tuple(rows)
    if await may_give(ctx, "Task", own[0].patient, source, by_task=False):
        has.add(own[0].patient)
        return tuple(rows)
    return tuple(row for row in rows if row not in own)


async def granted(ctx: Context, write: Write) -> Write:
    """The Write with the panel rows that the caller may give; 403 where it gains rows that it may not give."""
    if ctx.restriction.unrestricted or not write.panel:
        return write
    source, by_task = ctx.store.keys.resource(write.reference), is_referral(write.resource or {}, ctx.settings.base_url)
    former = await panels.given(ctx.store, source) if write.expect != ABSENT else []
    selves = _selves(ctx) if write.rtype == "Task" else frozenset()
    wanted = given_by(write.panel, former, selves, ctx.now_us)
    has: set[int] = set()
    if write.rtype == "Task" and not by_task:
        wanted = await _without_own(ctx, wanted, former, selves, source, has)
    itself = by_itself(wanted, former, ctx.organization_key, ctx.now_us, plan=ctx.caller.role is Role.MCP)
    claimed = [replace(asked, role=kept.role) for asked, kept in zip(wanted, itself, strict=True)]
    gains = {row.patient for row in gained(claimed, former)}
    if not gains and itself == wanted:
        return replace(write, panel=wanted)
    if wanted and await _wrote(ctx, write.rtype, wanted[0].patient):
        return replace(write, panel=wanted)
    for patient in gains - has:
        if await may_give(ctx, write.rtype, patient, source, by_task=by_task):
            continue
        text = _REFUSED.format(what=_RECORD.get(write.rtype, "the record"))
        raise FhirError(Category.FORBIDDEN, [Issue(text, write.rtype, "forbidden")], reason="grant")
    return replace(write, panel=itself)


def by_itself(
    rows: Sequence[PanelRow], former: Sequence[Given], organization: int, now_us: int, *, plan: bool
) -> tuple[PanelRow, ...]:
    """The rows as they count where the organization writes of itself: what another gave it, and no longer than that.

    plan: enrolment is what a plan says, also of itself.
    """
    return tuple(
        row if row.subject != organization or row.basis == "task" or (plan and row.basis == "coverage")
        else _of_another(row, former, now_us)
        for row in rows
    )  # fmt: skip


def _of_another(row: PanelRow, former: Sequence[Given], now_us: int) -> PanelRow:
    """The part of the row that is there already, and was not given by the organization to itself; else SELF."""
    had = next((one for one in former if one.subject == row.subject and one.role != SELF), None)
    if had is None or had.end_us <= now_us < row.end_us:
        return replace(row, role=SELF)
    start, end = max(row.start_us, had.start_us), min(row.end_us, had.end_us)
    return replace(row, start_us=start, end_us=end) if start < end else replace(row, role=SELF)


def gained(rows: Sequence[PanelRow], former: Sequence[Given]) -> list[PanelRow]:
    """Rows that no former one of the same resource holds already: another subject, or another time."""
    return [
        row
        for row in rows
        if not any(
            (had.subject, had.patient) == (row.subject, row.patient)
            and (had.role != SELF or row.role == SELF)
            and had.start_us <= row.start_us
            and had.end_us >= row.end_us
            for had in former
        )
    ]


def given_by(
    rows: Sequence[PanelRow], former: Sequence[Given], selves: frozenset[int], now_us: int
) -> tuple[PanelRow, ...]:
    """Nobody gives itself a Task to fulfil, but for one that it was offered; the days after an end are counted from the
    first end, and only once."""
    kept = []
    for row in rows:
        roles = (row.role, CANDIDATE) if row.role == "task-owner" else (row.role,)
        had = [one for one in former if one.subject == row.subject and one.role in roles]
        over = row.end_us <= now_us
        if not had and (over or (row.role in _TO_FULFIL and row.subject in selves)):
            continue
        if had and (over or (row.basis == "task" and row.end_us != MAX_US)):
            row = replace(row, end_us=min(row.end_us, max(one.end_us for one in had)))
        kept.append(row)
    return tuple(kept)


def _selves(ctx: Context) -> frozenset[int]:
    named = (ctx.caller.organization, ctx.caller.person)
    return frozenset(ctx.store.keys.resource(one) for one in named if one)


async def may_give(ctx: Context, rtype: str, patient: int, source: int, *, by_task: bool) -> bool:
    """Whether the caller has the patient (key) now by another resource than `source`, or it is its own to give.

    by_task: having it to fulfil a Task counts as well; only who refers further may do so.
    """
    return await panels.has_otherwise(ctx.store, patient, ctx.restriction, source, by_task=by_task) or await _wrote(
        ctx, rtype, patient
    )


async def _wrote(ctx: Context, rtype: str, patient: int) -> bool:
    """Whether the Patient is the caller's own to give."""
    new = any(p.version == ABSENT and ctx.store.keys.resource(name) == patient for name, p in ctx.pending.items())
    return new or await panels.wrote_patient(ctx.store, patient, ctx.restriction, alone=rtype != "Task")


# --- a race with who takes a right away ---------------------------------------------------------------------------


async def rely_on_rights(ctx: Context, resource: Resource, change: Change) -> None:
    """What is written of a member relies on the member's rights as they are before anything is looked at.

    Who loses a member meanwhile bumps its epoch (store/revoked.py), and the write is decided again.
    """
    patient = patient_of(resource, resource["resourceType"], ctx.settings.base_url)
    if patient and not ctx.restriction.unrestricted:
        key = ctx.store.keys.resource(patient)
        change.epochs[key] = await epochs.epoch(ctx.store, key)


async def rely_on_sight(ctx: Context, current: Found, change: Change) -> None:
    """An update of what another wrote holds only while the writer sees it: seen and relied on in one look."""
    if ctx.restriction.unrestricted or current.patient is None:
        return
    seen = await panels.standing(ctx.store, current.rtype, current.key, ctx.restriction)
    if seen is None:
        raise Stale(current.reference)  # gone since it was read: asked again, it is not found
    change.epochs[current.patient] = seen[1]
