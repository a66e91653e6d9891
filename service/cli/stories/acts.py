"""What parties do in more than one story: the plan's file, writing, looking, the hospital's message and its alert."""

from typing import Any

from fhir_profiles import Resource
from mappers.plan_files.member_resources import CIN_SYSTEM
from service.cli.seed.directory import ECM_PROVIDERS
from service.cli.stories.records import ACHIEVED, Make
from service.cli.stories.stage import Stage
from service.cli.stories.story import Act, Party, StoryFailed, records
from service.cli.stories.wire import reference

ALERTS = "Communication?category=enlace-alert&subject="


def plan_file() -> Act:
    """The member appears to the lead care manager, and to no other ECM provider."""

    async def act(s: Stage) -> None:
        await s.member_file()

        async def arrived() -> list[Resource]:
            return await s.find(s.lead, f"Patient?identifier={CIN_SYSTEM}%7C{s.row.cin}")

        [patient], seconds = await s.until(f"{s.lead.name} should find the new member", arrived)
        s.made["patient"] = reference(patient)
        s.shown.saw(f"{s.lead.name} finds {s.name} in the panel {seconds:.2f} s after the file.")
        other = next(party for party in ECM_PROVIDERS if party is not s.story.ecm)
        await s.hidden(records(other), "patient", "the member of another provider")

    return act


def registered(*parties: Party) -> Act:
    """Partners that never used Enlace get a client; one that has it keeps it."""

    async def act(s: Stage) -> None:
        for party in parties:
            new = await s.wire.registered(party)
            s.shown.request(party.name, f"client {party.client}", "registered" if new else "known from an earlier time")

    return act


def write(party: Party, name: str, make: Make) -> Act:
    async def act(s: Stage) -> None:
        await s.create(party, name, make(s))

    return act


def achieved(goal: str) -> Act:
    """By the lead care manager; the plan reads it."""

    async def act(s: Stage) -> None:
        await s.change(s.lead, goal, **ACHIEVED)
        if (await s.read(s.payer, goal))["lifecycleStatus"] != "completed":
            raise StoryFailed(f"{s.payer.name} should read that the goal was reached, but it does not")
        s.shown.saw(f"{s.payer.name} reads that the goal was reached.")

    return act


def seen(party: Party, name: str, words: str) -> Act:
    async def act(s: Stage) -> None:
        await s.seen(party, name, words)

    return act


def hidden(party: Party, name: str, words: str) -> Act:
    async def act(s: Stage) -> None:
        await s.hidden(party, name, words)

    return act


def viewed(party: Party) -> Act:
    """The minimum view of a member whose Task the party owns."""

    async def act(s: Stage) -> None:
        view = await s.read(party, "patient")
        if "name" not in view or view.keys() & {"birthDate", "identifier", "gender", "extension"}:
            raise StoryFailed(f"{party.name} should see the member's name and how to reach them, and nothing else")
        s.shown.saw(f"{party.name} sees the member's name and how to reach them: no birth date, no number.")

    return act


def hospital(event: str, name: str, words: str, *, ago: float, **fields: Any) -> Act:
    """words: must stand in the alert that follows; name: under which the story remembers it. "" means no alert."""

    async def act(s: Stage) -> None:
        await s.hospital(event, ago, **fields)

        async def alerted() -> Resource | None:
            for one in await s.find(s.lead, f"{ALERTS}{s.made['patient']}"):
                if words in one["payload"][0]["contentString"] and one["status"] == "completed":
                    return one
            return None

        if words:
            alert, seconds = await s.until(f'{s.lead.name} should see an alert "... {words} ..."', alerted)
            assert alert is not None  # until() gives what is truthy only
            s.made[name] = reference(alert)
            said = alert["payload"][0]["contentString"]
            s.shown.saw(f'{s.lead.name} sees the alert "{said}" {seconds:.2f} s after the message.')

    return act


def acknowledged(name: str) -> Act:
    """The alert gets `received`, and nothing else of it may change."""

    async def act(s: Stage) -> None:
        before, news = s.made[name], f"{ALERTS}{s.made['patient']}&received:missing=true"
        if before not in map(reference, await s.find(s.lead, news)):
            raise StoryFailed(f"the alert should be among what is new to {s.lead.name}, but it is not")
        await s.change(s.lead, name, received=s.now())
        if before in map(reference, await s.find(s.lead, news)):
            raise StoryFailed(f"the alert should no longer be among what is new to {s.lead.name}, but it is")
        s.shown.saw(f"The alert is no longer new for {s.lead.name}.")

    return act


def follow_up(alert: str, name: str) -> Act:
    """The Task that came with the alert."""

    async def act(s: Stage) -> None:
        async def given() -> list[Resource]:
            return await s.find(s.lead, f"Task?focus={s.made[alert]}")

        [task, *_], _ = await s.until(f"{s.lead.name} should have a follow-up Task", given)
        s.made[name] = reference(task)
        due = str(task["restriction"]["period"]["end"])[:10]
        s.shown.saw(f'{s.lead.name} has the follow-up "{task["code"]["text"]}" until {due}.')

    return act


def followed_up(name: str) -> Act:
    async def act(s: Stage) -> None:
        await s.change(s.lead, name, status="completed", lastModified=s.now())
        mine = f"Task?owner={s.story.manager.reference}&patient={s.made['patient']}&status=requested"
        if s.made[name] in map(reference, await s.find(s.lead, mine)):
            raise StoryFailed(f"the follow-up should be off the list of {s.lead.name}, but it is not")
        s.shown.saw(f"The follow-up is off the list of {s.lead.name}.")

    return act
