"""A warm hand-off as the story plays it: three people in one conversation, and the promised day on which somebody asks.

facts/california.md A.8 (R90, R93): the loop is closed by asking whether the service was used.
"""

from typing import Any

from fhir_profiles import Resource
from service.cli.seed.directory import Party as Organization
from service.cli.stories.referral import part_of
from service.cli.stories.stage import Stage
from service.cli.stories.story import Act, StoryFailed, cbo
from service.workflow.follow_ups import ANSWERS, APPLIED, USED

IN_DAYS = 14


def introduced(name: str, target: Organization, note: str) -> Act:
    """By the lead care manager, with `$hand-off`. The organization reads the record; the follow-up is `asked-x`."""

    async def act(s: Stage) -> None:
        people = (s.patient["reference"], s.story.manager.reference, target.reference)
        listed: list[Resource] = [{"name": "participant", "valueReference": {"reference": one}} for one in people]
        listed += [
            {"name": "accepted-by", "valueReference": {"reference": target.reference}},
            {"name": "medium", "valueCode": "telephone"},
            {"name": "follow-up", "valueDate": s.day(IN_DAYS)},
            {"name": "note", "valueString": note},
        ]
        body = {"resourceType": "Parameters", "parameter": listed}
        path = f"{s.made[f'task-{part_of(s, name)}']}/$hand-off"
        answer = await s.ask(s.lead, "POST", path, (200,), body=body)
        made = {one["name"]: str(one["valueReference"]["reference"]) for one in answer.body["parameter"]}
        s.made[f"handed-{name}"], s.made[f"asked-{name}"] = made["record"], made["follow-up"]
        await s.read(cbo(target), f"handed-{name}")
        due = str((await s.read(s.lead, f"asked-{name}"))["restriction"]["period"]["end"])
        s.shown.saw(f"{target.name} reads who took part. {s.lead.name} has promised to ask again on {due}.")

    return act


def asked(name: str) -> Act:
    """The promised follow-up: it cannot be ticked off without its answers."""

    async def act(s: Stage) -> None:
        refused = await s.change(s.lead, f"asked-{name}", expected=422, status="completed")
        s.shown.saw(f'Enlace answers: "{refused.why}"')
        said: list[dict[str, Any]] = [
            {"type": {"coding": [{"system": ANSWERS, "code": code}]}, "valueBoolean": True} for code in (APPLIED, USED)
        ]
        await s.change(s.lead, f"asked-{name}", status="completed", output=said)
        if (await s.read(s.lead, f"asked-{name}"))["status"] != "completed":
            raise StoryFailed("the promised follow-up should be done, but it is not")
        s.shown.saw("The promise is kept: applied, and used.")

    return act
