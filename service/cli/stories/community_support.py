"""A Community Support by way of the plan: asked, authorized, handed on to a provider, declined and handed on anew.

facts/california.md B.1, C.1: the plan's Task is the authorization, its provider's Task a part of it. Names as in
referral.py; `request-x-part` and `task-x-part` are the part that stands now.
"""

from typing import Any

from fhir_profiles import Resource
from service.cli.seed.directory import Party as Organization
from service.cli.seed.parts import ref
from service.cli.stories.referral import Service, part_of, request
from service.cli.stories.stage import Stage
from service.cli.stories.story import Act, StoryFailed, cbo
from service.cli.stories.wire import reference
from service.workflow.calaim_tasks import authorization_of
from service.workflow.closed_loop import STATUS, date_of
from service.workflow.referral_clocks import overdue_of

NOTICES = "Communication?category=clr-notice&subject="
CHASE = "Task?status=requested&focus="


def ask_plan(name: str, service: Service) -> Act:
    """By the lead care manager, with `$refer`; the plan must then find the Task."""

    async def act(s: Stage) -> None:
        payer = ref(s.story.plan.reference, s.story.plan.name)
        asked = await s.create(s.lead, f"request-{name}", request(s, service, s.patient, s.provider, payer))
        body = _parameters(target=payer)
        answer = await s.ask(s.lead, "POST", f"ServiceRequest/{asked['id']}/$refer", (201,), body=body)
        [task] = _named(answer.body, "task")
        s.made[f"task-{name}"] = reference(task)

        async def arrived() -> list[Resource]:
            return await s.find(s.payer, f"Task?focus={s.made[f'request-{name}']}")

        _, seconds = await s.until(f"{s.payer.name} should find the referral", arrived)
        s.shown.saw(f"{s.payer.name} finds the referral {seconds:.2f} s later.")

    return act


def authorized(name: str, number: str, *, days: int = 180, quantity: Resource | None = None) -> Act:
    """With `$authorize`; number: the story's own is added. The lead care manager reads it, and is told."""

    async def act(s: Stage) -> None:
        said: dict[str, Any] = {
            "outcome": "approved",
            "number": f"{number}-{s.row.cin}",
            "period": {"start": s.day(), "end": s.day(days)},
        }
        body = _parameters(**said, **({"quantity": quantity} if quantity else {}))
        await s.ask(s.payer, "POST", f"{s.made[f'task-{name}']}/$authorize", (200,), body=body)
        found = authorization_of(await s.read(s.lead, f"task-{name}"))
        if (found.outcome, found.number) != ("approved", said["number"]):
            raise StoryFailed(f"{s.lead.name} should read the authorization, but reads {found.outcome or 'none'}")
        s.shown.saw(f"{s.lead.name} reads that it is authorized until {said['period']['end']}.")

    return act


def handed_on(name: str, target: Organization) -> Act:
    """The plan goes on with `$forward`; the provider must find its Task with its request."""

    async def act(s: Stage) -> None:
        body = _parameters(target=ref(target.reference, target.name))
        answer = await s.ask(s.payer, "POST", f"{s.made[f'task-{name}']}/$forward", (201,), body=body)
        [task] = _named(answer.body, "task")
        s.made[f"task-{name}-part"] = reference(task)
        s.made[f"request-{name}-part"] = str(task["focus"]["reference"])
        query = f"Task?_id={task['id']}&_include=Task:focus"

        async def arrived() -> bool:
            return {r["resourceType"] for r in await s.find(cbo(target), query)} == {"Task", "ServiceRequest"}

        _, seconds = await s.until(f"{target.name} should find the Task and its request", arrived)
        s.shown.saw(f"{target.name} finds the Task and what is asked {seconds:.2f} s later.")
        await s.hidden(cbo(target), f"task-{name}", "the plan's own Task")

    return act


def declined(name: str, target: Organization, reason: str) -> Act:
    """The provider says no: the request stays active, and the plan has a work item that names others who offer it."""

    async def act(s: Stage) -> None:
        part = s.made[f"task-{name}-part"]
        await s.change(cbo(target), f"task-{name}-part", status="rejected", statusReason={"text": reason})

        async def asked() -> list[Resource]:
            items = await s.find(s.payer, f"Task?status=requested&focus={part}")
            return [one for one in items if one["owner"]["reference"] == s.story.plan.reference]

        [item, *_], seconds = await s.until(f"{s.payer.name} should be asked for another provider", asked)
        s.made[f"re-route-{name}"] = reference(item)
        others = [i["valueReference"].get("display", "") for i in item.get("input", ()) if "valueReference" in i]
        s.shown.saw(
            f"{s.payer.name} is asked {seconds:.2f} s later to find another; the directory names: {'; '.join(others)}."
        )
        status = (await s.read(s.lead, f"request-{name}"))["status"]
        if status != "active":
            raise StoryFailed(f"the request should stay active after a decline, but it is {status}")
        s.shown.saw("The request stays active.")

    return act


def told(name: str, *events: str) -> Act:
    """The notices of the closed loop that who referred must have about a referral, its parts included."""

    async def act(s: Stage) -> None:
        async def all_there() -> list[Resource]:
            found = await s.find(s.lead, f"{NOTICES}{s.made['patient']}&recipient={s.provider['reference']}")
            tasks = {s.made[one] for one in s.made if one.startswith(f"task-{name}")}
            mine = [one for one in found if {a["reference"] for a in one["about"]} & tasks]
            return mine if {one["category"][0]["text"] for one in mine} >= set(events) else []

        found, _ = await s.until(f"{s.provider['display']} should be told: {', '.join(events)}", all_there)
        for one in found:
            if one["category"][0]["text"] in events:
                s.shown.saw(f'{s.provider["display"]} is told: "{one["payload"][0]["contentString"]}"')

    return act


def late(name: str, kind: str, code: str) -> Act:
    """The time of a clock runs out: the lead care manager finds the referral overdue, and has a work item."""

    async def act(s: Stage) -> None:
        task = s.made[f"task-{name}"]
        if not await s.wire.run_out(kind, task):
            raise StoryFailed(f"the clock {kind} should run for the referral, but it does not")
        query = f"Task?overdue={code}&patient={s.made['patient']}"

        async def found() -> bool:
            return task in map(reference, await s.find(s.lead, query))

        _, seconds = await s.until(f"{s.lead.name} should find the referral among what is overdue", found)
        s.shown.saw(f"{s.lead.name} finds the referral with {query.partition('&')[0]} {seconds:.2f} s later.")
        [item, *_], _ = await s.until("a work item should tell what is overdue", lambda: s.find(s.lead, CHASE + task))
        s.made[f"late-{name}"] = reference(item)
        s.shown.saw(f'{s.provider["display"]} has the work item "{item["description"]}"')

    return act


def on_its_way(name: str) -> Act:
    """It has moved: nothing is overdue any more, and the work item is gone by itself."""

    async def act(s: Stage) -> None:
        async def ended() -> bool:
            item = await s.read(s.lead, f"late-{name}")
            return item["status"] == "cancelled" and not overdue_of(await s.read(s.lead, f"task-{name}"))

        await s.until("the work item should end when the referral moves", ended)
        s.shown.saw("Nothing is overdue any more, and the work item is gone by itself.")

    return act


def planned(*names: str) -> Act:
    """The referrals become activities of the care plan."""

    async def act(s: Stage) -> None:
        current = (await s.read(s.lead, "care-plan")).get("activity", [])
        added = [{"reference": s.to(f"request-{name}")} for name in names]
        await s.change(s.lead, "care-plan", activity=[*current, *added])

    return act


def outcome_in_plan(*names: str) -> Act:
    """What was done stands in the care plan, which nobody wrote by hand."""

    async def act(s: Stage) -> None:
        async def noted() -> bool:
            activities = {a["reference"]["reference"]: a for a in (await s.read(s.lead, "care-plan"))["activity"]}
            return all(
                s.made[f"done-{name}"]
                in {one["reference"] for one in activities[s.made[f"request-{name}"]].get("outcomeReference", ())}
                for name in names
            )

        await s.until("the care plan should hold what came of the referral", noted)
        s.shown.saw(f"The care plan holds what came of {'it' if len(names) == 1 else 'each'}, with a reference.")

    return act


def timeline(name: str) -> Act:
    """Each closed-loop status of the provider's Task with the moment from which it held (C.1)."""

    async def act(s: Stage) -> None:
        answer = await s.wire.request(s.lead, "GET", f"{s.made[f'task-{part_of(s, name)}']}/_history?_count=100")
        seen: dict[str, str] = {}
        for version in reversed(answer.entries):
            codings = (version.get("businessStatus") or {}).get("coding", ())
            for code in (str(c["code"]) for c in codings if c.get("system") == STATUS):
                seen.setdefault(code, date_of(version, "businessStatus", STATUS))
        if "referral-loop-closed" not in seen or not all(seen.values()):
            raise StoryFailed(f"the closed loop should have a date for each status, but has {', '.join(seen)}")
        s.shown.saw("The loop: " + ", ".join(f"{code} {when[:10]}" for code, when in seen.items()) + ".")

    return act


_VALUES = {"outcome": "valueCode", "period": "valuePeriod", "quantity": "valueQuantity", "target": "valueReference"}


def _parameters(**values: Any) -> Resource:
    made = [{"name": name, _VALUES.get(name, "valueString"): value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": made}


def _named(body: Resource, name: str) -> list[Resource]:
    return [one["resource"] for one in body["parameter"] if one["name"] == name]
