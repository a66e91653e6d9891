"""Programs that overlap with ECM or a Community Support: a work item for the plan, never a refusal.

facts/california.md B.3, R42: looked at when a service is asked for and on each feed that names a program (Observation
Program Enrollment Status, EpisodeOfCare, Coverage). The rules: property `rule` of code system overlap-program, and
`overlaps` of the catalogue. Of a program that stands in labelled data only those hear who may see such data.
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
from service.workflow.calaim_work import OVERLAP, opened, organization_of, plan_of
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
    """After a write: a request for a service, or what names a program, is looked at by a job."""
    new, rtype = step.new, step.new["resourceType"]
    if rtype == "ServiceRequest":
        asked = service_of(new) is not None and new.get("status") == "active"
        element = "subject" if asked and (step.old or {}).get("status") != "active" else ""
    else:
        element = FEEDS[rtype] if PROGRAM_SYSTEM in orjson.dumps(new, default=str).decode() else ""
    patient = named(step.ctx, new, element) if element else ""
    if patient.startswith("Patient/"):
        step.change.jobs.append(Job("calaim.overlap", {"patient": patient}, ordering_key=f"overlap/{patient}"))


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
    """payload: {"patient": reference}. A work item for each overlap that nobody was told of yet."""
    patient, change = str(payload["patient"]), Change()
    wanted = ("Observation", "EpisodeOfCare", "Coverage", "ServiceRequest")
    rows = [(parse(body), labels) for body, labels in await offers.records_of(ctx.store, patient, wanted, MOST)]
    hidden = {f"{one['resourceType']}/{one['id']}": labels for one, labels in rows}
    records: dict[str, list[Resource]] = {}
    for one, _ in rows:
        records.setdefault(one["resourceType"], []).append(one)
    facts = Facts(local_day(ctx.now_us, ZONE), {}, records)
    plan = await plan_of(ctx, patient)
    for service, reason, starter in _asked(records):
        owner = plan or (await organization_of(ctx, starter, "requester") if reason else "")
        reference = f"ServiceRequest/{reason}" if reason else ""
        for program, source in programs(facts):
            rule = rule_of(program, service)
            if rule in _WORDS:
                name = f"{source['resourceType']}/{source['id']}"
                secret = hidden.get(name, 0)
                title = "Another program" if secret else rules()[program][1]
                text = _WORDS[rule].format(program=title, service=service.title)
                await opened(
                    ctx,
                    change,
                    OVERLAP,
                    (patient, program, service.code, name, reason),
                    owner=owner,
                    patient=patient,
                    text=text,
                    reason=reference,
                    focus="" if secret else name,
                    labels=secret,
                    author=await _author(ctx, name) if secret else None,
                )
        if service.code == ECM and reason:
            await _elsewhere(ctx, change, records, starter, owner)
    return change


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
) -> None:
    """ECM that is authorized with another provider than the one that asks (B.1 row 4)."""
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
            await opened(
                *(ctx, change, OVERLAP, cause),
                owner=owner,
                patient=patient,
                text=ELSEWHERE,
                reason=request_,
                focus=name,
            )
