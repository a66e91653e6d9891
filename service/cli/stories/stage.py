"""What a step works with: requests of the parties that are shown and checked, and waiting for what must follow."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from fhir_profiles import Resource
from mappers.hl7v2.simulate import MINUTE, message
from mappers.plan_files.layout import load
from service.cli.feed import POSITIVE
from service.cli.seed.parts import made_up_npi, ref
from service.cli.stories.member_file import as_file, new_member
from service.cli.stories.shown import Shown
from service.cli.stories.story import Party, Story, StoryFailed, manager, plan
from service.cli.stories.wire import Answer, Wire, reference
from service.clock import utc

T = TypeVar("T")
WAIT_S = 20.0
"""What follows comes within a second; a loaded machine gets more time before the story is called a failure."""
LOOK_S = 0.05


class Stage:
    """One playing of a story. `made`: what it wrote, name -> reference."""

    def __init__(self, story: Story, wire: Wire, shown: Shown):
        self.story, self.wire, self.shown = story, wire, shown
        self.made: dict[str, str] = {}
        self.started = utc(time.time_ns() // 1000).astimezone(ZoneInfo(wire.settings.time_zone))
        self.row = new_member(story, self.started.date(), random.SystemRandom(), story.status)
        self.since = time.perf_counter()
        self._messages = 0

    # ---- who and when

    @property
    def name(self) -> str:
        return f"{self.row.first_name} {self.row.last_name}"

    @property
    def patient(self) -> Resource:
        """A Reference to the member's record, with the name that a party without the record needs."""
        return self.to("patient", self.name)

    def to(self, name: str, display: str = "") -> Resource:
        """A Reference to what the story made under this name."""
        return ref(self.made[name], display)

    def now(self, **ago: float) -> str:
        """A dateTime as people in California write it: now(minutes=5) is five minutes ago."""
        zone = ZoneInfo(self.wire.settings.time_zone)
        return (datetime.now(zone) - timedelta(**ago)).isoformat(timespec="milliseconds")

    def day(self, ahead: int = 0) -> str:
        return (self.started.date() + timedelta(days=ahead)).isoformat()

    # ---- requests

    async def reach(self) -> None:
        """Raises StoryFailed where service or tokens are missing; what is slow once only is slow before the story."""
        await self.find(self.lead, "Practitioner?_count=1")

    async def ask(self, party: Party, method: str, path: str, expected: Sequence[int], **more: Any) -> Answer:
        """Sends, shows request and answer. Raises StoryFailed for another status than those expected."""
        self.since = time.perf_counter()
        answer = await self.wire.request(party, method, path, **more)
        self.shown.request(party.name, f"{method} /fhir/{path}", str(answer.status))
        if answer.status not in expected:
            wanted = " or ".join(map(str, expected))
            why = f" ({answer.why})" if answer.why else ""
            raise StoryFailed(f"{method} /fhir/{path} should have been answered {wanted}, not {answer.status}{why}")
        return answer

    async def create(self, party: Party, name: str, resource: Resource) -> Resource:
        answer = await self.ask(party, "POST", resource["resourceType"], (201,), body=resource)
        self.made[name] = reference(answer.body)
        return answer.body

    async def change(self, party: Party, name: str, expected: int = 200, **changes: Any) -> Answer:
        """Reads, changes, writes with If-Match. expected: a refusal may be what the step is about."""
        current = await self.read(party, name)
        body = {**current, **changes}
        version = str(current["meta"]["versionId"])
        return await self.ask(party, "PUT", self.made[name], (expected,), body=body, version=version)

    async def read(self, party: Party, name: str) -> Resource:
        """Quietly. Raises StoryFailed where the party does not see it."""
        answer = await self.wire.request(party, "GET", self.made[name])
        if answer.status != 200:
            raise StoryFailed(f"{party.name} should see {self.made[name]}, but was answered {answer.status}")
        return answer.body

    async def find(self, party: Party, query: str) -> list[Resource]:
        """Quietly: the first page. Raises StoryFailed for a refusal."""
        answer = await self.wire.request(party, "GET", query)
        if answer.status != 200:
            raise StoryFailed(f"the search {query} of {party.name} was answered {answer.status} ({answer.why})")
        return answer.entries

    async def until(self, what: str, look: Callable[[], Awaitable[T]]) -> tuple[T, float]:
        """(the first truthy value of look, seconds since the last request or message). Raises StoryFailed."""
        end = time.perf_counter() + WAIT_S
        while not (value := await look()):
            if time.perf_counter() > end:
                raise StoryFailed(f"nothing after {WAIT_S:.0f} s: {what}")
            await asyncio.sleep(LOOK_S)
        return value, time.perf_counter() - self.since

    # ---- the plan's file and the hospital's message

    async def member_file(self) -> None:
        """One row in the plan's layout; the member is new, so exactly one must be created."""
        slug = self.story.plan.slug.removeprefix("plan-")
        imported = await self.wire.plan_file(slug, as_file(self.row, load("member-information", slug)))
        self.since = time.perf_counter()
        counts = imported.report["counts"]
        said = f"{counts['created']} created, {counts['rejected']} rejected"
        self.shown.request(self.story.plan.name, f"file member-information, layout {imported.layout}", said)
        if (imported.state, counts["created"], counts["rejected"]) != ("done", 1, 0):
            findings = "; ".join(issue.message for issue in imported.issues if issue.severity == "error")
            raise StoryFailed(f"the plan's file should have created one member, but: {said}. {findings}")

    async def hospital(self, event: str, ago: float, **fields: Any) -> None:
        """A message about what happened `ago` minutes ago; fields: of mappers.hl7v2.simulate.message."""
        h, row = self.story.hospital, self.row
        sender: dict[str, Any] = {"name": h.name, "application": h.application, "facility": h.facility, "zone": h.zone}
        sender |= {"npi": made_up_npi(h.number), "enhanced": h.enhanced}
        said: dict[str, Any] = {"cin": row.cin, "mrn": f"M{row.cin}", "family": row.last_name, "given": row.first_name}
        said |= {"birth_date": row.birth_date.isoformat(), "sex": str(row.gender), "phone": row.phone}
        self._messages += 1
        now_us = time.time_ns() // 1000
        occurred = now_us - int(ago * MINUTE)
        common = {"at_us": now_us, "occurred_us": occurred, "visit_number": f"V{row.cin}", "account": f"A{row.cin}"}
        common |= {"control_id": f"ST{row.cin}{self._messages}"}
        common |= {"discharge_us": occurred} if event == "A03" else {}
        code = await self.wire.send(message(event, said, sender, **common, **fields))
        self.since = time.perf_counter()
        self.shown.request(h.name, f"MLLP ADT^{event}", f"ACK {code}")
        if code not in POSITIVE:
            raise StoryFailed(f"the hospital's {event} should have been acknowledged, but the ACK says {code}")

    # ---- checks

    async def seen(self, party: Party, name: str, words: str) -> None:
        """GET must answer 200."""
        await self.ask(party, "GET", self.made[name], (200,))
        self.shown.saw(f"{party.name} sees {words}.")

    async def hidden(self, party: Party, name: str, words: str) -> None:
        """GET must answer as if there were nothing."""
        await self.ask(party, "GET", self.made[name], (404,))
        self.shown.saw(f"{party.name} does not see {words}.")

    @property
    def lead(self) -> Party:
        """The lead care manager."""
        return manager(self.story.manager)

    @property
    def payer(self) -> Party:
        return plan(self.story.plan)

    @property
    def provider(self) -> Resource:
        return ref(self.story.ecm.reference, self.story.ecm.name)

    @property
    def works_as(self) -> Resource:
        return ref(self.story.manager.works_as, self.story.manager.name)
