"""SQL of service_use: what of a capped service a member was authorized or has used, a row for each plan's Task."""

from service.store.change import Statement
from service.store.engine import Store

COLUMNS = "task, patient, service, units, start_us, end_us, state"


def epoch_key(store: Store, patient: str) -> int:
    """Whose epoch each Change about the member's caps relies on and bumps: of two at once one is decided again."""
    return store.keys.of("service-use", patient)


async def of_patient(store: Store, patient: str) -> list[tuple[str, str, int, int, int, str]]:
    """(task, service, units, start_us, end_us, state) of all of the member, in a fixed order."""
    rows = await store.fetch(
        "SELECT task, service, units, start_us, end_us, state FROM service_use WHERE patient = ? ORDER BY task",
        (patient,),
    )
    return [(str(r[0]), str(r[1]), int(r[2]), int(r[3]), int(r[4]), str(r[5])) for r in rows]


def authorized(task: str, patient: str, service: str, units: int, start_us: int, end_us: int) -> Statement:
    """The authorization of this Task, in the place of what it was before."""
    return Statement(
        f"INSERT INTO service_use ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, 'authorized') ON CONFLICT (task) DO UPDATE SET "
        "patient = excluded.patient, service = excluded.service, units = excluded.units, "
        "start_us = excluded.start_us, end_us = excluded.end_us, state = excluded.state",
        (task, patient, service, units, start_us, end_us),
    )


def moved(task: str, state: str) -> Statement:
    """used: the service was given; released: it will not be. What was released stays so."""
    return Statement("UPDATE service_use SET state = ? WHERE task = ? AND state = 'authorized'", (state, task))
