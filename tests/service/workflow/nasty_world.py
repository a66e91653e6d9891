"""Rows of nasty sequences: messages and what happens between them, as they come; and the outcome that is stated.

Minutes count from the frozen clock's start. A message comes a minute after what it tells of, unless told otherwise; the
clock never goes back. Outcome of the alerts of a stay, in words: `admission.0` stands (a key of stay_milestones.py),
`~admission.0` stands for the digest only, `-admission.0` was told and taken back, `discharge.0.HOME>2` went to lead 2.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from service.main import build
from service.search.dates import parse as instant
from service.settings import load
from service.store.engine import Store
from service.workflow.alert_known import thread_name
from service.workflow.transitions_of_care import THREAD_SYSTEM, alert_id
from tests.frozen_clock import START
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import CIN_SYSTEM, MINUTE, Sender, luis, said
from tests.service.workflow.tcs_world import plans, tasks
from tests.service.world import ECM1, LCM1, LCM2, PLAN1, access_token

ZERO = int(START.timestamp()) * 1_000_000
MIA = said("91000003A", "Larkspurling", birth_date="1969-09-30")
PEOPLE = {"rosa": said(), "luis": luis(), "mia": MIA}
LEADS = {"1": LCM1, "2": LCM2}
LEAD_OF = {"rosa": "1", "luis": "2", "mia": "1"}
PARTS = {"ED": "EMER", "IP": "IMP", "OBS": "OBSENC", "": ""}


@dataclass(frozen=True)
class Message:
    """who: of PEOPLE; `number` is a record number under which little is known of the person (no CIN, no telephone)."""

    event: str
    at: float
    klass: str = "I"
    who: str = "rosa"
    visit: str = "V"
    came: float | None = None
    number: str = ""
    fields: tuple[tuple[str, Any], ...] = ()


def m(event: str, at: float, klass: str = "I", who: str = "rosa", visit: str = "V", **fields: Any) -> Message:
    came, number = fields.pop("came", None), fields.pop("number", "")
    return Message(event, at, klass, who, visit, came, number, tuple(fields.items()))


@dataclass
class World:
    store: Store
    send: Sender
    tmp_path: Path
    patients: dict[str, str] = field(default_factory=lambda: {n: f"Patient/{n}" for n in PEOPLE})
    _app: Any = None

    def at(self, minute: float) -> None:
        now = self.store.clock.now_us()
        self.store.clock.advance(max(0, ZERO + int(minute * MINUTE) - now))  # type: ignore[attr-defined]

    async def client(self, role: str, organization: str, person: str | None = None) -> httpx.AsyncClient:
        if self._app is None:
            key = str(self.tmp_path / "secret.key")
            url = self.store.url
            settings = {"ENLACE_DATABASE_URL": url, "ENLACE_SECRET_KEY_FILE": key, "ENLACE_CLIENT_RATE": "0"}
            self._app = build(self.store, load(settings))
        token = await access_token(self.store, role, organization, person, "system/*.cruds")
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self._app),
            base_url="http://enlace.test/fhir",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"},
        )

    async def hears(self, message: Message) -> None:
        self.at(message.at + 1 if message.came is None else message.came)
        person = PEOPLE[message.who]
        if message.number:
            person = {**person, "cin": "", "phone": "", "mrn": message.number}
        at = ZERO + int(message.at * MINUTE)
        given = {"at_us": at, "occurred_us": at, "patient_class": message.klass, "visit_number": message.visit}
        assert await self.send.receiver.receive(self.send.adt(message.event, person, **given | dict(message.fields)))

    async def plays(self, steps: Iterable["Step"]) -> None:
        """Each message is processed as it comes; a tuple of messages comes at once, before any is processed."""
        for step in steps:
            if isinstance(step, Message | tuple):
                for one in step if isinstance(step, tuple) else (step,):
                    await self.hears(one)
            else:
                await step(self)
            await self.send.worker.drain()


Step = Message | tuple[Message, ...] | Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Stay:
    """An Encounter. start, end: minutes. thread: stays of one transition of care have the same word."""

    status: str
    klass: str
    alerts: str = ""
    start: float | None = None
    end: float | None = None
    who: str = "rosa"
    visits: str = "V"
    """All numbers under which it came."""
    beds: int | None = None
    thread: str = ""


@dataclass(frozen=True)
class Nasty:
    """corrections: separate ones; a new alert that says so by itself is none. checklists: status of each plan, then of
    its Tasks. states: of the inbox, where they are the point."""

    number: int
    what: str
    steps: tuple[Step, ...]
    stays: tuple[Stay, ...] = ()
    corrections: int = 0
    checklists: tuple[str, ...] = ()
    states: tuple[str, ...] = ()


async def check(world: World, row: Nasty) -> None:
    encounters = await resources(world.store, "Encounter")
    expected: dict[str, tuple[str, tuple[str, list[str]]]] = {}
    threads: dict[str, str] = {}
    seen: list[str] = []
    for stay in row.stays:
        alike = [e for e in encounters.values() if _is(e, stay, world.patients[stay.who]) and e["id"] not in seen]
        found = next((e for e in alike if _begins(e, stay)), {})
        assert found, (stay, list(encounters.values()))
        seen.append(found["id"])
        _same(stay, found)
        for word in stay.alerts.split():
            key, _, to = word.lstrip("-~").partition(">")
            people = [LEADS[one] for one in to or LEAD_OF[stay.who]]
            id = alert_id(f"Encounter/{found['id']}", key, people[0])
            how = {"-": "taken back", "~": "digest"}.get(word[0], "told")
            expected[id] = (f"{stay.who} {found['id']} {key}", (how, people))
        if stay.status != "entered-in-error":
            threads[found["id"]] = stay.thread or found["id"]
    assert sorted(seen) == sorted(encounters), f"no other Encounter: {encounters}"
    communications = await resources(world.store, "Communication")
    alerts = {id: c for id, c in communications.items() if id.startswith("al-")}
    told = {expected[id][0] if id in expected else _text(c): _how(c) for id, c in alerts.items()}
    assert told == dict(expected.values()), (told, expected)
    corrections = [_text(c) for id, c in communications.items() if id.startswith("co-")]
    assert len(corrections) == row.corrections, corrections
    checklists = tuple([await _checklist(world, plan) for plan in await plans(world.store)])
    assert checklists == row.checklists, checklists
    await _threads(world, threads, alerts.values())
    if row.states:
        states = await world.store.fetch("SELECT state, reason FROM inbox ORDER BY id")
        assert tuple(" ".join(one).strip() for one in states) == row.states, states
    left = await world.store.fetch("SELECT kind, last_error FROM job WHERE state = 'dead'")
    assert [tuple(one) for one in left] == []


def _is(encounter: dict[str, Any], stay: Stay, patient: str) -> bool:
    numbers = {str(one.get("value")) for one in encounter.get("identifier", ())}
    error = stay.status == "entered-in-error"  # of another person, it keeps no number of that person's
    alike = encounter["status"] == stay.status if error else set(stay.visits.split()) <= numbers
    return encounter["subject"]["reference"] == patient and alike


def _begins(encounter: dict[str, Any], stay: Stay) -> bool:
    """Two hospitals may use one number."""
    start = encounter.get("period", {}).get("start")
    return stay.start is None or start is None or (instant(start)[0] - ZERO) / MINUTE == stay.start


def _same(stay: Stay, found: dict[str, Any]) -> None:
    are = found["status"], found["class"]["code"]
    assert are == (stay.status, PARTS[stay.klass]), are
    period = found.get("period", {})
    for name, minute in (("start", stay.start), ("end", stay.end)):
        if minute is not None:
            told = (instant(period[name])[0] - ZERO) / MINUTE if name in period else None
            assert told == minute, (name, told, period)
    assert ("end" in period) == (stay.end is not None), period
    if stay.beds is not None:
        assert len(found["location"]) == stay.beds, len(found["location"])


def _text(alert: dict[str, Any]) -> str:
    return str(alert["payload"][0]["contentString"])


def _how(alert: dict[str, Any]) -> tuple[str, list[str]]:
    codes = [coding["code"] for concept in alert["category"] for coding in concept["coding"]]
    how = "digest" if "digest" in codes else "told"
    how = "taken back" if alert["status"] == "entered-in-error" else how
    return how, [one["reference"] for one in alert["recipient"]]


async def _checklist(world: World, plan: dict[str, Any]) -> str:
    made = await tasks(world.store, plan)
    return f"{plan['status']}: {' '.join(sorted({one['status'] for one in made.values()}))}"


async def _threads(world: World, expected: dict[str, str], alerts: Iterable[dict[str, Any]]) -> None:
    """One thread for each word of the table, of the stays and of their alerts."""
    rows = await world.store.fetch("SELECT stay, thread FROM care_transition")
    pairs = {(expected[stay], thread) for stay, thread in rows if stay in expected}
    assert len(pairs) == len({word for word, _ in pairs}) == len({thread for _, thread in pairs}), pairs
    thread_of = dict(tuple(row) for row in rows)
    for alert in alerts:
        stay = alert["encounter"]["reference"].partition("/")[2]
        if stay in thread_of and stay in expected:
            [named] = [one["value"] for one in alert["identifier"] if one["system"] == THREAD_SYSTEM]
            assert named == thread_name(world.store.keys, thread_of[stay])


# --- what happens between messages -------------------------------------------------------------------------------


def later(minute: float) -> Step:
    async def waits(world: World) -> None:
        world.at(minute)

    return waits


async def contact_made(world: World) -> None:
    """The lead care manager completes a Task of the checklist."""
    ana = await world.client("lcm", ECM1, LCM1)
    task = (await tasks(world.store, (await plans(world.store))[-1]))["contact"]
    await _put(ana, f"Task/{task['id']}", status="completed")


async def lead_changes(world: World) -> None:
    """To lead 2, of the same provider."""
    await _put(await world.client("mcp", PLAN1), "EpisodeOfCare/rosa", careManager={"reference": LCM2})


async def disenrolled(world: World) -> None:
    await _put(await world.client("mcp", PLAN1), "EpisodeOfCare/rosa", status="finished")


async def mia_joins(world: World) -> None:
    """The plan writes a new member with coverage and lead care manager 1."""
    plan = await world.client("mcp", PLAN1)
    person: dict[str, Any] = {"resourceType": "Patient", "gender": "female", "birthDate": MIA["birth_date"]}
    person |= {"identifier": [{"system": CIN_SYSTEM, "value": MIA["cin"]}]}
    person |= {"name": [{"family": MIA["family"], "given": [MIA["given"]]}]}
    subject = {"reference": await _post(plan, person)}
    world.patients["mia"] = subject["reference"]
    coverage = {"resourceType": "Coverage", "status": "active", "beneficiary": subject}
    await _post(plan, coverage | {"payor": [{"reference": PLAN1}]})
    episode = {"resourceType": "EpisodeOfCare", "status": "active", "patient": subject}
    await _post(plan, episode | {"managingOrganization": {"reference": ECM1}, "careManager": {"reference": LCM1}})


async def _post(client: httpx.AsyncClient, body: dict[str, Any]) -> str:
    answer = await client.post(f"/{body['resourceType']}", json=body)
    assert answer.status_code == 201, answer.text
    return f"{body['resourceType']}/{answer.json()['id']}"


async def _put(client: httpx.AsyncClient, reference: str, **elements: Any) -> None:
    found = (await client.get(f"/{reference}")).json()
    etag = {"If-Match": f'W/"{found["meta"]["versionId"]}"'}
    answer = await client.put(f"/{reference}", json={**found, **elements}, headers=etag)
    assert answer.status_code == 200, answer.text
