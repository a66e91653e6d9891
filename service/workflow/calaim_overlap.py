"""Programs that overlap with ECM or a Community Support: a work item for the plan, never a refusal.

facts/california.md B.3, R42: looked at when a service is asked for, or no more, and on each feed that names a program
(Observation Program Enrollment Status, EpisodeOfCare, Coverage) or ECM. The rules: property `rule` of code system
overlap-program, and `overlaps` of the catalogue. Of a program that stands in labelled data only those hear who may see
such data.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from fhir_profiles import Resource
from fhir_profiles.terminology import HERE
from service.access.context import Context, parse
from service.store import offers
from service.store.change import Change, Job
from service.workflow.calaim_catalogue import ECM, Service, catalogue, service_of
from service.workflow.calaim_criteria import PROGRAM_SYSTEM, Facts, programs
from service.workflow.calaim_tasks import AUTHORIZATION_URL, named
from service.workflow.calaim_work import OVERLAP, closed, is_untouched, item_id, opened, organization_of, plan_of
from service.workflow.steps import Step
from service.workflow.working_time import ZONE, local_day

FEEDS = {"Observation": "subject", "EpisodeOfCare": "patient", "Coverage": "beneficiary"}
MOST = 2_000
_WORDS = {
    "either": "{program} and {service} do not go together: the member chooses one of them, informed. What runs already "
    "is not stopped because the other starts.",
    "not-eligible": "Who is in {program} is not eligible for {service}: look at it, and tell the member and the "
    "provider in time before anything ends.",
}
ELSEWHERE = (
    "The member has an open authorization of ECM with another provider: the streamlined authorization of a second one "
    "is not paid. Tell both providers."
)


async def watched(step: Step) -> None:
    """After a write: a request for a service, what names a program and an episode of ECM are looked at by a job."""
    new, old, rtype = step.new, step.old or {}, step.new["resourceType"]
    if rtype == "ServiceRequest":
        concerns = (new.get("status") == "active") != (old.get("status") == "active") and service_of(new) is not None
        element = "subject"
    else:
        concerns, element = _names_program(new) or _names_program(old), FEEDS[rtype]
    patient = named(step.ctx, new, element) if concerns else ""
    if patient.startswith("Patient/"):
        key = f"overlap/{patient}"
        step.change.bump_epochs.add(_turn(step.ctx, patient))
        step.change.jobs.append(Job("calaim.overlap", {"patient": patient}, ordering_key=key, dedupe=key))


def _names_program(record: Resource) -> bool:
    ecm = service_of(record) if record.get("resourceType") == "EpisodeOfCare" else None
    return (ecm is not None and ecm.code == ECM) or PROGRAM_SYSTEM in orjson.dumps(record, default=str).decode()


def _turn(ctx: Context, patient: str) -> int:
    return ctx.store.keys.of("overlap", patient)


async def asked(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job calaim.overlap {"patient"}, one at most that waits for a member: the look follows in a job of its own.

    What is written before this one is done is seen by that look; what is written after it asks anew. Both move the
    same epoch, so that of a write and this one either is first, on every database.
    """
    patient = str(payload["patient"])
    look_at = Job("calaim.overlap-look", {"patient": patient}, ordering_key=f"overlap/{patient}")
    return Change(jobs=[look_at], bump_epochs={_turn(ctx, patient)})


@cache
def rules() -> Mapping[str, tuple[str, str]]:
    """Code of overlap-program -> (rule, display)."""
    system = json.loads((HERE / "code_systems" / "overlap-program.json").read_text("utf-8"))
    return {
        one["code"]: (
            next((p["valueCode"] for p in one.get("property", ()) if p["code"] == "rule"), ""),
            one["display"],
        )
        for one in system["concept"]
    }


def rule_of(program: str, service: Service) -> str:
    """both, either, not-eligible; "" where nothing is known."""
    if program in service.overlaps:
        return service.overlaps[program]
    return rules().get(program, ("", ""))[0] if service.code == ECM else ""


async def look(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job calaim.overlap-look {"patient"}: a work item for each overlap that nobody was told of yet.

    One that nobody took up, and which is no overlap any more, is completed.
    """
    patient, change = str(payload["patient"]), Change()
    wanted = ("Observation", "EpisodeOfCare", "Coverage", "ServiceRequest")
    rows = [(parse(body), labels) for body, labels in await offers.records_of(ctx.store, patient, wanted, MOST)]
    hidden = {f"{one['resourceType']}/{one['id']}": labels for one, labels in rows}
    records: dict[str, list[Resource]] = {}
    for one, _ in rows:
        records.setdefault(one["resourceType"], []).append(one)
    facts = Facts(local_day(ctx.now_us, ZONE), {}, records)
    plan = await plan_of(ctx, patient)
    told = set[str]()
    for service, reason, starter in _asked(records):
        owner = plan or (await organization_of(ctx, starter, "requester") if reason else "")
        for program, source in programs(facts):
            if rule_of(program, service) in _WORDS:
                secret = hidden.get(f"{source['resourceType']}/{source['id']}", 0)
                told.add(await _overlap(ctx, change, patient, (program, source, secret), (service, reason, owner)))
        if service.code == ECM and reason:
            told |= await _elsewhere(ctx, change, records, starter, owner)
    if len(rows) < MOST:  # else what was not read may be the reason
        await _over(ctx, change, patient, told)
    return change


async def _overlap(
    ctx: Context, change: Change, patient: str, met: tuple[str, Resource, int], by: tuple[Service, str, str]
) -> str:
    """The id of its work item, which is there now. met: program, what says so, its labels. by: service, reason, owner.

    reason: id of the request that asks for the service, or "".
    """
    (program, source, secret), (service, reason, owner) = met, by
    name = f"{source['resourceType']}/{source['id']}"
    title = "Another program" if secret else rules()[program][1]
    text = _WORDS[rule_of(program, service)].format(program=title, service=service.title)
    cause = (patient, program, service.code, name, reason)
    await opened(
        *(ctx, change, OVERLAP, cause),
        owner=owner,
        patient=patient,
        text=text,
        reason=f"ServiceRequest/{reason}" if reason else "",
        focus="" if secret else name,
        labels=secret,
        author=await _author(ctx, name) if secret else None,
    )
    return item_id(OVERLAP, cause)


async def _over(ctx: Context, change: Change, patient: str, told: set[str]) -> None:
    for body, _ in await offers.records_of(ctx.store, patient, ("Task",), MOST):
        task = parse(body)
        if is_untouched(task, OVERLAP) and task["id"] not in told:
            found = await ctx.resource(f"Task/{task['id']}")
            if found is not None and is_untouched(found[0], OVERLAP):
                await closed(ctx, change, OVERLAP, *found)


async def _author(ctx: Context, name: str) -> int | None:
    """Whose record it is: what is said about it is labelled as it is, and hidden from all but its author alike."""
    found = await ctx.head(name)
    return found.source_org if found is not None else None


def _asked(records: Mapping[str, list[Resource]]) -> list[tuple[Service, str, Resource]]:
    """(service, id of the request or "", what asks): active requests, and ECM that is given already."""
    found: list[tuple[Service, str, Resource]] = []
    for one in records.get("ServiceRequest", ()):
        service = service_of(one)
        if service is not None and one.get("status") == "active" and not one.get("basedOn"):
            found.append((service, str(one["id"]), one))
    episodes = [one for one in records.get("EpisodeOfCare", ()) if one.get("status") == "active"]
    ecm = next((one for one in episodes if (s := service_of(one)) is not None and s.code == ECM), None)
    if ecm is not None and all(service.code != ECM for service, _, _ in found):
        found.append((catalogue()[ECM], "", ecm))
    return found


async def _elsewhere(
    ctx: Context, change: Change, records: Mapping[str, list[Resource]], request: Resource, owner: str
) -> set[str]:
    """ECM that is authorized with another provider than the one that asks (B.1 row 4): ids of its work items."""
    told = set[str]()
    requester = await organization_of(ctx, request, "requester")
    for one in records.get("EpisodeOfCare", ()):
        service = service_of(one)
        authorized = any(e.get("url") == AUTHORIZATION_URL for e in one.get("extension") or ())
        if one.get("status") != "active" or service is None or service.code != ECM or not authorized:
            continue
        provider = named(ctx, one, "managingOrganization")
        if provider and provider != requester:
            patient, name = named(ctx, request, "subject"), f"EpisodeOfCare/{one['id']}"
            cause = (patient, "elsewhere", name, str(request["id"]))
            request_ = f"ServiceRequest/{request['id']}"
            told.add(item_id(OVERLAP, cause))
            await opened(
                *(ctx, change, OVERLAP, cause),
                owner=owner,
                patient=patient,
                text=ELSEWHERE,
                reason=request_,
                focus=name,
            )
    return told
