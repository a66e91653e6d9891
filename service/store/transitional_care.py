"""SQL of transitional care: the CarePlans of a member, their Tasks, and the roles of who leads the care."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.search.keys import edge
from service.store.dialect import marks
from service.store.engine import Store

_SUBJECT, _BASED_ON = edge("CarePlan", "subject"), edge("Task", "based-on")
_STAYS = edge("Encounter", "subject")
_PERSON = edge("PractitionerRole", "practitioner")


@dataclass(frozen=True)
class Stored:
    reference: str
    version: int
    body: bytes


async def care_plans(store: Store, patient: str) -> list[Stored]:
    """Current CarePlans of the patient, in a fixed order."""
    return await _bearing(store, "CarePlan", _SUBJECT, patient)


async def tasks(store: Store, care_plan: str) -> list[Stored]:
    """Current Tasks based on a CarePlan."""
    return await _bearing(store, "Task", _BASED_ON, care_plan)


async def roles(store: Store, practitioner: str) -> list[Stored]:
    """Current PractitionerRoles of a person."""
    return await _bearing(store, "PractitionerRole", _PERSON, practitioner)


async def present(store: Store, patient: str, statuses: Sequence[str]) -> list[str]:
    """References of the patient's Encounters of these statuses."""
    keys = [store.keys.token("Encounter", "status", None, one) for one in statuses]
    rows = await store.fetch(
        "SELECT v.fhir_id FROM ref e JOIN version v ON v.vid = e.vid WHERE e.param = ? AND e.target = ? "
        f"AND EXISTS (SELECT 1 FROM ix k WHERE k.vid = v.vid AND k.key IN ({marks(len(keys))})) ORDER BY v.fhir_id",
        (_STAYS, store.keys.resource(patient), *keys),
    )
    return [f"Encounter/{row[0]}" for row in rows]


async def _bearing(store: Store, rtype: str, element: int, target: str) -> list[Stored]:
    rows = await store.fetch(
        "SELECT v.fhir_id, v.version, v.body FROM ref e JOIN version v ON v.vid = e.vid "
        "WHERE e.param = ? AND e.target = ? AND v.rtype = ? ORDER BY v.fhir_id",
        (element, store.keys.resource(target), rtype),
    )
    return [Stored(f"{rtype}/{row[0]}", row[1], bytes(row[2])) for row in rows]
