"""A referral as its two parties live it: request and Task, seen, answered, delivered, closed (decisions.md 22).

The names `request-x`, `task-x` and `done-x` stand for the ServiceRequest, Task and Procedure of the referral x. Where
the plan handed it on (community_support.py), `request-x-part` and `task-x-part` are what its provider has.
"""

from dataclasses import dataclass
from typing import Any

from fhir_profiles import Resource
from service.cli.seed.directory import Party as Organization
from service.cli.seed.parts import SDOH_CODES, coded, filled, own, ref
from service.cli.stories.stage import Stage
from service.cli.stories.story import Act, Party, StoryFailed, cbo

SDOH_OUTPUT = {"system": SDOH_CODES, "code": "resulting-activity"}
FULFILL = coded("http://hl7.org/fhir/CodeSystem/task-code", "fulfill")


@dataclass(frozen=True)
class Service:
    """cs: code of cs-service, or ecm; "" for what Medi-Cal does not pay for. need: name of a Condition of the story."""

    words: str
    category: str
    cs: str = ""
    need: str = ""


def request(s: Stage, service: Service, subject: Resource, requester: Resource, performer: Resource) -> Resource:
    system = "episode-type" if service.cs == "ecm" else "cs-service"
    return filled(
        resourceType="ServiceRequest",
        status="active",
        intent="order",
        category=[coded(SDOH_CODES, service.category)],
        priority="routine",
        code=own(system, service.cs, service.words, service.words) if service.cs else {"text": service.words},
        subject=subject,
        authoredOn=s.now(),
        requester=requester,
        performer=[performer],
        reasonReference=[s.to(service.need)] if service.need else None,
    )


def task(s: Stage, name: str, words: str, subject: Resource, requester: Resource, owner: Resource) -> Resource:
    return filled(
        resourceType="Task",
        status="requested",
        businessStatus=own("clr-referral-status", "pending"),
        intent="order",
        priority="routine",
        code=FULFILL,
        description=f"{words}: please answer this referral.",
        focus=s.to(f"request-{name}"),
        **{"for": subject},
        authoredOn=s.now(),
        requester=requester,
        owner=owner,
    )


def refer(name: str, service: Service, target: Organization) -> Act:
    """By the lead care manager; the community organization must then see the Task with its request, nothing else."""

    async def act(s: Stage) -> None:
        owner, there = ref(target.reference, target.name), cbo(target)
        await s.create(s.lead, f"request-{name}", request(s, service, s.patient, s.works_as, owner))
        made = await s.create(s.lead, f"task-{name}", task(s, name, service.words, s.patient, s.provider, owner))
        query = f"Task?focus={s.made[f'request-{name}']}&_include=Task:focus"

        async def arrived() -> bool:
            found = {r["resourceType"]: r for r in await s.find(there, query)}
            return found.get("Task", {}).get("id") == made["id"] and "ServiceRequest" in found

        _, seconds = await s.until(f"{target.name} should find the Task and its request", arrived)
        s.shown.saw(f"{target.name} finds the Task and what is asked {seconds:.2f} s later.")

    return act


def moved(name: str, target: Organization, *statuses: str, reason: str = "", read: str = "") -> Act:
    """The community organization moves its Task through these statuses; the lead care manager reads the last, or `read`
    where the plan's Task was further already: a referral that was declined once is not `accepted` a second time.
    """

    async def act(s: Stage) -> None:
        for status in statuses:
            changes: dict[str, Any] = {"status": status, "businessStatus": _business(status)}
            if reason and status in ("on-hold", "rejected"):
                changes["statusReason"] = {"text": reason}
            await s.change(cbo(target), f"task-{part_of(s, name)}", **changes)
        await _read_as(s, s.lead, name, read or statuses[-1])
        said = f', and why: "{reason}"' if reason else ""
        s.shown.saw(f"{s.lead.name} reads that the referral is {read or statuses[-1]}{said}.")

    return act


def _business(status: str) -> Resource:
    words = {"accepted": "accepted", "completed": "referral-loop-closed", "rejected": "declined"}
    return own("clr-referral-status", words.get(status, "outreach-initiated"))


def part_of(s: Stage, name: str) -> str:
    """What the community organization has: the referral, or the plan's part of it."""
    return f"{name}-part" if f"task-{name}-part" in s.made else name


async def _read_as(s: Stage, party: Party, name: str, status: str) -> None:
    """At once; of a referral that was handed on, when it was mirrored."""

    async def stands() -> bool:
        return bool((await s.read(party, f"task-{name}"))["status"] == status)

    if part_of(s, name) != name:
        await s.until(f"{party.name} should read a Task that is {status}", stands)
    elif not await stands():
        found = await s.read(party, f"task-{name}")
        raise StoryFailed(f"{party.name} should read a Task that is {status}, but it is {found['status']}")


def delivered(name: str, target: Organization, words: str) -> Act:
    """What was done as a Procedure, and the Task completed with it."""

    async def act(s: Stage) -> None:
        theirs = part_of(s, name)
        current = await s.read(cbo(target), f"request-{theirs}")
        procedure = filled(
            resourceType="Procedure",
            basedOn=[s.to(f"request-{theirs}")],
            status="completed",
            category={"text": "Social service"},
            code=current["code"],
            subject=s.patient,
            performedDateTime=s.day(),
            performer=[{"actor": ref(target.reference, target.name)}],
            note=[{"text": words}],
        )
        await s.create(cbo(target), f"done-{name}", procedure)
        kept = (await s.read(cbo(target), f"task-{theirs}")).get("output", [])
        output = {"type": {"coding": [SDOH_OUTPUT]}, "valueReference": s.to(f"done-{name}")}
        done: dict[str, Any] = {"status": "completed", "businessStatus": _business("completed")}
        done["output"] = [*kept, output]
        await s.change(cbo(target), f"task-{theirs}", **done)
        await _read_as(s, s.lead, name, "completed")
        await s.read(s.lead, f"done-{name}")
        s.shown.saw(f'{s.lead.name} reads what was done: "{words}"')

    return act


def not_without_output(name: str, target: Organization) -> Act:
    """A Task cannot be completed without saying what was done: 422, and it stays as it was."""

    async def act(s: Stage) -> None:
        before = (await s.read(cbo(target), f"task-{name}"))["status"]
        refused = await s.change(cbo(target), f"task-{name}", expected=422, status="completed")
        await _read_as(s, cbo(target), name, before)
        s.shown.saw(f'Enlace answers: "{refused.why}"')

    return act


def closed(*names: str) -> Act:
    """The requester ends its requests; the plan reads it: the loop is closed."""

    async def act(s: Stage) -> None:
        for name in names:
            await s.change(s.lead, f"request-{name}", status="completed")
            found = await s.read(s.payer, f"request-{name}")
            if found["status"] != "completed":
                raise StoryFailed(f"{s.payer.name} should read a completed request, but it is {found['status']}")
        loops = "the loop is" if len(names) == 1 else f"all {len(names)} loops are"
        s.shown.saw(f"{s.payer.name} reads the same: {loops} closed.")

    return act
