"""Patient/[id]/$disclosures: the member's accounting of disclosures as AuditEvents (BALP PrivacyDisclosure).

Our own operation; what counts is told in service/workflow/disclosures.py. Who may ask: those who keep the member's
record (lead care manager, ECM provider, plan) and see the Patient, with scope to search AuditEvents; for everybody
else there is `enlace audit disclosures`.
"""

from dataclasses import dataclass, replace

from fhir_profiles import Resource
from service import audit
from service.access.context import Context
from service.access.roles import check_scope
from service.caller import Role
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.history_query import instant
from service.interactions.read import gone
from service.operations.parameters import Params, known
from service.search.syntax import Refused
from service.store import read as store_read
from service.store.change import AuditRow, Change
from service.workflow.disclosures import Accounting, Disclosure, account

NAMES = ("_format", "_pretty", "end", "required", "start")
KEEPERS = frozenset({Role.LCM, Role.ECM_PROVIDER, Role.MCP, Role.ADMIN})
MOST = 1000
"""Events of one Bundle; more are asked for by start and end."""


@dataclass(frozen=True)
class Wanted:
    """start, end: microseconds. required: only what the law wants accounted for."""

    start: int | None = None
    end: int | None = None
    required: bool = False


def parse(params: Params) -> Wanted:
    """Raises MALFORMED with one issue per parameter."""
    found, issues = known(params, NAMES)
    times: dict[str, int] = {}
    for name in found.keys() & {"start", "end"}:
        try:
            times[name] = instant(found[name][0])
        except Refused as refused:
            issues.append(Issue(f"Parameter '{name}' {refused.sentence}.", code=refused.code))
    required = found.get("required", ["false"])[0]
    if required not in ("true", "false"):
        issues.append(Issue("Parameter 'required' takes true or false.", code="value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Wanted(times.get("start"), times.get("end"), required == "true")


async def disclosures(ctx: Context, fhir_id: str, wanted: Wanted) -> Decision:
    """A searchset Bundle, newest first; a foreign Patient is absent."""
    found = await accounting(ctx, fhir_id, wanted)
    entries = [Entry(_event(ctx, found.patient, one), "match") for one in found.disclosures]
    outcome = None
    if found.cut:
        outcome = audit.warnings((f"There are more than {MOST}: ask for older ones by the parameter end.",))
    body = bundle(
        "searchset",
        entries,
        ctx.settings.base_url,
        links={"self": f"{ctx.settings.base_url}/{found.patient}/$disclosures"},
        now_us=ctx.now_us,
        new_id=ctx.new_id(),
        total=None if found.cut else len(entries),
        outcome=outcome,
    )
    return Decision(Change(audit=[recorded(ctx, found.patient)]), fixed(Answer(200, body)))


async def accounting(ctx: Context, fhir_id: str, wanted: Wanted, most: int = MOST) -> Accounting:
    """For the Bundle and the page: checks who asks. Raises as a read does."""
    if ctx.caller.role not in KEEPERS:
        text = f"Clients with the role {ctx.caller.role} keep no member's record: ask its care provider or plan."
        raise FhirError(Category.FORBIDDEN, text, reason="role")
    check_scope(ctx.caller, "r", "Patient")
    check_scope(ctx.caller, "s", "AuditEvent")
    patient = await store_read.head(ctx.store, "Patient", fhir_id, ctx.restriction)
    if patient is None:
        raise not_found("Patient", fhir_id)
    if patient.deleted:
        raise gone(patient)
    end = wanted.end if wanted.end is not None else ctx.now_us + 1
    bounds = {"since_us": wanted.start or 0, "until_us": end, "most": most}
    asker = "" if ctx.seen.unrestricted else ctx.caller.organization
    found = await account(ctx.store, patient.reference, ctx.now_us, **bounds, asker=asker)
    kept = tuple(one for one in found.disclosures if one.required or not wanted.required)
    return replace(found, disclosures=kept)


def recorded(ctx: Context, patient: str) -> AuditRow:
    return ctx.audit("E", "disclosures", patient, (patient,))


def _event(ctx: Context, patient: str, one: Disclosure) -> audit.RenderedEvent:
    what: list[Resource] = [{"type": rtype, "display": f"{count} {rtype}"} for rtype, count in one.kinds]
    authors: list[Resource] = [
        {"reference": author} if "/" in author else {"display": author} for author in one.authors
    ]
    event = audit.disclosure(one.row, patient, what, authors, ctx.settings.base_url)
    for agent in event["agent"]:
        if agent["who"].get("reference") == one.recipient and agent["type"]["coding"][0]["code"] == "PROV":
            address = f", {one.address}" if one.address else ""
            agent["who"]["display"] = f"{one.recipient_name}{address}"
    event["outcomeDesc"] = one.basis
    event["entity"] += [{"what": {"reference": consent}} for consent in one.consents]
    number = one.row.patients.index(patient)
    return audit.rendered(one.row, f"{one.row.name}-{number}-d", patient, event)
