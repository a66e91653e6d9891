"""Fetches what a Task from a partner points to, and makes it a referral here: member, request, Task in one Change.

Where it cannot be, the Task is rejected with the reason, so that the partner sees it where it looks for its answer.
"""

import json

from fhir_profiles import Resource
from service.access.context import Context
from service.clock import instant
from service.errors import FhirError
from service.store import partners
from service.store.change import ABSENT, Change
from service.store.partners import Referral
from service.workflow import derived
from service.workflow.parties import reference_of
from service.workflow.partner_client import Declined, Odd
from service.workflow.partner_copies import (
    MOST_LISTED,
    check_is,
    check_request,
    made_id,
    member_of,
    named,
    request_copy,
    somebody_else,
    source_patient,
)
from service.workflow.partner_shapes import digest
from service.workflow.partner_turn import Turn, row_retry_us

RULE = "partner-arrived"
TRIES = 8
"""So often what is refused or garbled is asked for again, over about two hours; an unreachable server for ever."""
WORDS = {
    "other-patient": "The ServiceRequest in focus is about another Patient than the Task.",
    "patient-changed": "The Patient in for is another person than the one for whom this address stood before.",
    "request-not-active": "The ServiceRequest in focus is not active.",
    "other-id": "The server that it came from answers with another resource than the one that was asked for.",
    "invalid": "What the Task points to is no valid FHIR R4 resource.",
}


async def fetch(turn: Turn, row: Referral) -> None:
    """Raises Away, LeaseLost."""
    urls: dict[str, str] = json.loads(row.work)
    try:
        request = await _read(turn, urls["focus"])
        check_request(request, urls["for"], turn.partner.base_url)
        patient = await _read(turn, urls["for"])
        papers = await _papers(turn, request)
    except (Odd, Declined) as error:
        if row.tries < TRIES and not (isinstance(error, Odd) and error.lasting):
            await turn.noted(partners.put_off(row.task, row_retry_us(row.tries, turn.now_us()), error.reason))
        else:
            await _reject(turn, row, error.reason)
        return

    async def decide(ctx: Context) -> Change | None:
        return await _opened(ctx, turn, row, urls, request, patient, papers)

    try:
        await turn.commit(decide)
    except (Odd, FhirError) as error:
        await _reject(turn, row, error.reason if isinstance(error, Odd) else f"law-{error.reason}")


async def _read(turn: Turn, url: str) -> Resource:
    found = (await turn.server.get(url.removeprefix(f"{turn.partner.base_url}/"))).resource
    check_is(found, url)
    return found


async def _papers(turn: Turn, request: Resource) -> list[Resource]:
    """The Consents that travel with the request, by name; one about somebody else is left out."""
    found: list[Resource] = []
    listed = request.get("supportingInfo")
    for one in listed[:MOST_LISTED] if isinstance(listed, list) else ():
        written = str(one.get("reference", "")) if isinstance(one, dict) else ""
        url = written if "://" in written else f"{turn.partner.base_url}/{written}"
        if not url.startswith(f"{turn.partner.base_url}/Consent/"):
            continue
        try:
            consent = await _read(turn, url)
        except (Declined, Odd):
            continue
        theirs = {reference_of(request, "subject"), reference_of(consent, "patient")}
        if len({reference.removeprefix(f"{turn.partner.base_url}/") for reference in theirs}) == 1:
            status = consent.get("status") if isinstance(consent.get("status"), str) else "unknown"
            found.append({"reference": url, "display": f"Consent on the partner's server, {status}"})
    return found


async def _opened(
    ctx: Context, turn: Turn, row: Referral, urls: dict[str, str], request: Resource, patient: Resource,
    papers: list[Resource],
) -> Change | None:  # fmt: skip
    reference, name = f"Task/{row.task}", turn.partner.name
    found = await ctx.resource(reference)
    change = Change(statements=[partners.ended(row.task, "fetched", "", row.wanted)])
    if found is None or found[0].get("status") != "requested":
        return change  # taken back meanwhile
    task, version = found
    change.relied[reference] = version
    author = ctx.store.keys.resource(turn.partner.organization)
    member = await _member(ctx, change, name, urls["for"], patient, author)
    owner = reference_of(task, "owner")
    copy = request_copy(
        request, made_id("sr", name, urls["focus"]), urls["focus"], member, turn.partner.organization, owner, papers
    )
    await _kept(ctx, change, name, urls["focus"], copy, author)
    made = {
        **task,
        "focus": {"reference": f"ServiceRequest/{copy['id']}", "identifier": named(urls["focus"])},
        "for": {"reference": member, "identifier": named(urls["for"])},
        "lastModified": instant(ctx.now_us),
    }
    # A new referral for the law, and for all that begins with one; a new version of what was taken for the store.
    await derived.put(ctx, change, made, ABSENT, RULE, source_org=author)
    change.writes[:] = [
        ctx.write(ctx.pending[reference].resource or made, version, source_org=author)
        if one.reference == reference else one for one in change.writes
    ]  # fmt: skip
    change.audit.append(ctx.audit("C", "partner-arrived", reference, (member,)))
    return change


async def _member(ctx: Context, change: Change, name: str, url: str, patient: Resource, author: int) -> str:
    """The member's own record where it is surely the same person; else the partner's record of the person."""
    known = await partners.local_of(ctx.store, name, url) or await member_of(ctx, patient)
    fhir_id = made_id("pt", name, url)
    standing = await ctx.resource(known) if known else None
    if standing is not None and somebody_else(standing[0], patient):
        raise Odd("patient-changed")
    if known and known != f"Patient/{fhir_id}":
        change.statements.append(partners.linked(name, known, url, digest(patient), ctx.now_us))
        return known
    await _kept(ctx, change, name, url, source_patient(patient, fhir_id, url), author)
    return f"Patient/{fhir_id}"


async def _kept(ctx: Context, change: Change, name: str, url: str, copy: Resource, author: int) -> None:
    """The copy as a new resource, or as the next version of the one that is there."""
    reference = f"{copy['resourceType']}/{copy['id']}"
    standing = await ctx.resource(reference)
    change.statements.append(partners.linked(name, reference, url, digest(copy), ctx.now_us))
    if standing is None:
        await derived.put(ctx, change, copy, ABSENT, RULE, source_org=author)
        return
    kept = {element: value for element, value in standing[0].items() if element != "meta"}
    if kept != copy and copy["resourceType"] == "Patient":
        await derived.put(ctx, change, copy, standing[1], RULE)
    else:
        change.relied[reference] = standing[1]


async def _reject(turn: Turn, row: Referral, why: str) -> None:
    async def decide(ctx: Context) -> Change | None:
        change = Change(statements=[partners.ended(row.task, "refused", why, row.wanted)])
        found = await ctx.resource(f"Task/{row.task}")
        if found is not None and found[0].get("status") == "requested":
            text = WORDS.get(why, f"What the Task points to could not be fetched ({why}).")
            made = {**found[0], "status": "rejected", "statusReason": {"text": text}}
            made["lastModified"] = instant(ctx.now_us)
            await derived.put(ctx, change, made, found[1], RULE)
        return change

    await turn.commit(decide)
