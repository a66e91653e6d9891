"""The made-up world with people who are told things: addresses, roles, alerts, and a channel that keeps what it got."""

from dataclasses import dataclass, field
from typing import Any

from service.access.context import Settings as Behaviour
from service.auth.accounts import TEAM_ROLE
from service.auth.registration import insertion, new_client
from service.notify import people
from service.notify.matching import match
from service.notify.model import Message, Outcome, Result
from service.notify.notices import CATEGORY, CATEGORY_SYSTEM
from service.store import notice_preferences, notices
from service.store.change import Change
from service.store.engine import Store
from service.store.notice_preferences import Preference
from service.store.notices import Notice
from tests.service.world import BASE, ECM1, LCM1, change_of, make, put, ref

DIRECTOR = "Practitioner/director-1"
BEHAVIOUR = Behaviour(base_url=BASE)
SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000
OK = Result(Outcome.OK, 250, receipt="queued-1")

Resource = dict[str, Any]


class Killed(BaseException):
    """The worker ends here."""


@dataclass
class Recorder:
    """A channel. results: what it says of the next messages; then all arrive."""

    results: list[Result | BaseException] = field(default_factory=list)
    got: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> Result:
        self.got.append(message)
        result = self.results.pop(0) if self.results else OK
        if isinstance(result, BaseException):
            raise result
        return result


@dataclass
class World:
    store: Store
    email: Recorder = field(default_factory=Recorder)
    sms: Recorder = field(default_factory=Recorder)

    @property
    def channels(self) -> dict[str, Any]:
        return {"email": self.email, "sms": self.sms}

    async def run(self) -> None:
        """Matches and delivers until nothing is due."""
        while await match(self.store, BASE):
            pass
        while await people.deliver_due(self.store, BEHAVIOUR, self.channels, self.store.clock.now_us()):
            pass

    async def wish(self, person: str, *rows: Preference) -> None:
        await self.store.commit(Change(statements=notice_preferences.replaced(person, rows)))

    async def rows(self, **asked: str) -> list[Notice]:
        return await notices.listed(self.store, **asked)  # type: ignore[arg-type]

    async def states(self, **asked: str) -> list[str]:
        """ "channel state reason" of each row, in order."""
        return sorted(f"{n.channel} {n.state} {n.reason}".strip() for n in await self.rows(**asked))

    async def change(self, resource: Resource, expect: int) -> None:
        await self.store.commit(change_of(self.store, resource, "Device/enlace", expect))


def role(fhir_id: str, person: str, organization: str, code: str, **more: Any) -> Resource:
    concept = {"coding": [{"system": TEAM_ROLE, "code": code}]}
    return make(
        f"PractitionerRole/{fhir_id}", practitioner=ref(person), organization=ref(organization), code=[concept], **more
    )


def alert(fhir_id: str, member: str = "Patient/a", to: str = LCM1, **more: Any) -> Resource:
    concept = {"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}]}
    body = {"status": "completed", "category": [concept], "priority": "urgent", "subject": ref(member)}
    return make(
        f"Communication/{fhir_id}", **(body | {"recipient": [ref(to)], "payload": [{"contentString": "x"}]} | more)
    )


def correction(fhir_id: str, of: str, **more: Any) -> Resource:
    codes = [{"coding": [{"system": CATEGORY_SYSTEM, "code": code}]} for code in (CATEGORY, "correction")]
    return alert(fhir_id, category=codes, inResponseTo=[ref(f"Communication/{of}")], **more)


def message(fhir_id: str, to: str, member: str = "Patient/c", **more: Any) -> Resource:
    body = {"status": "completed", "subject": ref(member), "recipient": [ref(to)]}
    return make(f"Communication/{fhir_id}", **(body | {"payload": [{"contentString": "SECRET"}]} | more))


def person(reference: str, *telecom: Resource) -> Resource:
    return make(reference, name=[{"family": "Made-up"}], telecom=list(telecom))


def mail(value: str, **more: Any) -> Resource:
    return {"system": "email", "value": value, **more}


async def populate(store: Store) -> World:
    """LCM 1 (with an e-mail address) works for ECM 1, whose director sees all of its members."""
    world = World(store)
    lcm = {**person(LCM1, mail("lcm1@ecm.example")), "name": [{"family": "One"}]}
    await world.change(lcm, 1)
    await put(store, person(DIRECTOR, mail("director@ecm.example")), source=ECM1)
    await put(store, role("lcm-1", LCM1, ECM1, "lead-care-manager"), source=ECM1)
    await put(store, role("director-1", DIRECTOR, ECM1, "ecm-director"), source=ECM1)
    # No provider speaks for ECM 1, so its own entry makes nobody a director.
    client = new_client(
        "director", name="director", organization=ECM1, role="ecm-provider", scope="user/*.cruds", person=DIRECTOR,
        now_us=store.clock.now_us(),
    )  # fmt: skip
    await store.commit(insertion(client))
    await world.run()
    return world


async def put_alert(told: World, resource: Resource) -> None:
    await put(told.store, resource, source="Device/enlace")
