"""A member with a lead care manager, a registered hospital, and messages that go in and are processed at once."""

from typing import Any

from mappers.hl7v2.simulate import message as er7
from service.access.context import Settings
from service.interactions.receive_hl7v2 import Receiver
from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.worker import Worker
from tests.service.world import ECM1, ECM2, LCM1, LCM2, PLAN1, coverage, episode, make, patient, put

CIN_SYSTEM = "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin"
HOSPITAL = {"name": "Mercy Made-up", "application": "EPIC", "facility": "MERCY"}
MERCY = RegisteredSource("mercy", "EPIC", "MERCY", "Organization/mercy", {"display": "Mercy Made-up"}, True)
MINUTE = 60_000_000


def said(cin: str = "91000001A", family: str = "Quillfeather", **more: Any) -> dict[str, Any]:
    known = {"cin": cin, "mrn": f"M-{cin}", "family": family, "given": "Rosalind", "birth_date": "1980-05-17"}
    return {**known, "sex": "F", "phone": "(555) 555-0142", **more}


def luis() -> dict[str, Any]:
    return said("91000002A", "Brambleton", birth_date="1971-11-02")


async def member(store: Store, key: str, who: dict[str, Any], lead: str | None, ecm: str | None) -> None:
    """Patient/<key> of plan 1; with an EpisodeOfCare where there is an ECM provider."""
    person = patient(f"Patient/{key}") | {
        "identifier": [{"system": CIN_SYSTEM, "value": who["cin"]}],
        "name": [{"family": who["family"], "given": [who["given"]]}],
        "birthDate": who["birth_date"],
        "telecom": [{"system": "phone", "value": who["phone"]}],
    }
    await put(store, person, coverage(f"Coverage/{key}", f"Patient/{key}", PLAN1))
    if ecm:
        await put(store, episode(f"EpisodeOfCare/{key}", f"Patient/{key}", ecm, lead))


async def adt_world(store: Store) -> None:
    """Patient/rosa (LCM 1 of ECM 1), Patient/luis (LCM 2 of ECM 2), and Mercy as a sending system."""
    organizations = (ECM1, ECM2, PLAN1, "Organization/mercy")
    await put(store, *(make(o, name=o) for o in organizations), make(LCM1), make(LCM2))
    await member(store, "rosa", said(), LCM1, ECM1)
    await member(store, "luis", luis(), LCM2, ECM2)
    await store.commit(Change(statements=[sources.put(MERCY)]))


class Sender:
    """Sends into the inbox of a store without sockets, and lets a worker process what came."""

    def __init__(self, store: Store):
        self.store, self.receiver, self.worker = store, Receiver(store), Worker(store, Settings())
        self._number = 0

    def adt(self, event: str, who: dict[str, Any] | None = None, *, ago: float = 60, **fields: Any) -> bytes:
        """A message about something that happened `ago` minutes before the store's (frozen) now."""
        self._number += 1
        at = self.store.clock.now_us() - int(ago * MINUTE)
        fields = {"control_id": f"C{self._number}", "at_us": at, "occurred_us": at, **fields}
        return er7(event, who or said(), HOSPITAL, **fields)

    async def __call__(self, *messages: bytes) -> list[tuple[str, str]]:
        """(state, reason) of every message of the inbox, oldest first."""
        for one in messages:
            assert await self.receiver.receive(one)
        await self.worker.drain()
        return [tuple(r) for r in await self.store.fetch("SELECT state, reason FROM inbox ORDER BY id")]
