"""SQL of work on alerts: who has to answer, until when; what is due; and the stays that flags and catch-up look at."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import orjson

from service.search.keys import PATIENT_EDGE, edge
from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import join

PRESENT = ("arrived", "in-progress", "onleave")
"""Encounter.status of who is in hospital."""
MOST_STAYS = 500
MOST_ROLES = 100


@dataclass(frozen=True)
class Work:
    """A row of table alert_work (tables_feeds.py). alert: Communication/id; patient: relative reference."""

    alert: str
    patient: str
    level: int
    state: str
    due_us: int
    sent_us: int
    by: str = ""
    outcome: str = ""


@dataclass(frozen=True)
class TransitionRow:
    """A row of table care_transition: a stay as the member's other stays are looked at."""

    stay: str
    patient: str
    thread: str
    start_us: int
    end_us: int | None
    status: str
    klass: str
    disposition: str
    facility: str
    seen_us: int


_WORK = ", ".join(field.name for field in fields(Work))
_STAY = ", ".join(field.name for field in fields(TransitionRow))


def put(work: Work) -> Statement:
    """A new row, or the alert's anew: told, taken back, true again."""
    names = [field.name for field in fields(Work)][1:]
    sets = ", ".join(f"{name} = excluded.{name}" for name in names)
    return Statement(
        f"INSERT INTO alert_work ({_WORK}) VALUES ({marks(len(names) + 1)}) ON CONFLICT (alert) DO UPDATE SET {sets}",
        astuple(work),
    )


def ended(alert: str, state: str, by: str, outcome: str = "") -> Statement:
    """state: acknowledged or ended. An outcome that was given stays."""
    return Statement(
        "UPDATE alert_work SET state = ?, by = ?, outcome = CASE WHEN ? <> '' THEN ? ELSE outcome END WHERE alert = ?",
        (state, by, outcome, outcome, alert),
    )


def waits(alert: str, *, state: str, due_us: int, by: str, level: int | None = None) -> Statement:
    """state: open or snoozed, until due_us."""
    moved, params = (", level = ?", [level]) if level is not None else ("", [])
    return Statement(
        f"UPDATE alert_work SET state = ?, due_us = ?, by = ?{moved} WHERE alert = ?",
        (state, due_us, by, *params, alert),
    )


def postponed(alert: str, by_us: int) -> Statement:
    """What cannot be escalated is looked at again later, and does not stand before all others until then."""
    sql = "UPDATE alert_work SET due_us = due_us + ? WHERE alert = ? AND state IN ('open', 'snoozed')"
    return Statement(sql, (by_us, alert))


async def of_alert(store: Store, alert: str) -> Work | None:
    rows = await of_alerts(store, [alert])
    return rows.get(alert)


async def of_alerts(store: Store, alerts: Sequence[str]) -> dict[str, Work]:
    if not alerts:
        return {}
    sql = f"SELECT {_WORK} FROM alert_work WHERE alert IN ({marks(len(alerts))})"
    return {row[0]: Work(*row) for row in await store.fetch(sql, tuple(alerts))}


async def due(store: Store, now_us: int, limit: int) -> list[str]:
    """Alerts to escalate, or whose snooze ends: by when they were due."""
    sql = "SELECT due_us, alert FROM alert_work WHERE state = ? AND due_us <= ? ORDER BY due_us LIMIT ?"
    found = [row for state in ("open", "snoozed") for row in await store.fetch(sql, (state, now_us, limit))]
    return [str(alert) for _, alert in sorted((row[0], row[1]) for row in found)[:limit]]


async def listed(store: Store, *, state: str = "", patient: str = "", limit: int = 50) -> list[Work]:
    """Newest first, for the operator."""
    asked = {"state": state, "patient": patient}
    condition, params = join(*((f"{name} = ?", [value]) for name, value in asked.items() if value))
    where = f"WHERE {condition} " if condition else ""
    sql = f"SELECT {_WORK} FROM alert_work {where}ORDER BY sent_us DESC, alert LIMIT ?"
    return [Work(*row) for row in await store.fetch(sql, (*params, limit))]


# --- stays of a member -----------------------------------------------------------------------------------------------


async def stays_since(store: Store, patient: str, since_us: int) -> list[TransitionRow]:
    """The member's stays that last, or ended no earlier; the newest."""
    sql = (
        f"SELECT {_STAY} FROM care_transition WHERE patient = ? AND (end_us IS NULL OR end_us >= ?) "
        "ORDER BY start_us DESC LIMIT ?"
    )
    return [TransitionRow(*row) for row in await store.fetch(sql, (patient, since_us, MOST_STAYS))]


async def in_hospital(store: Store, patients: Sequence[str]) -> list[TransitionRow]:
    """Stays of these members that last, oldest first."""
    if not patients:
        return []
    sql = (
        f"SELECT {_STAY} FROM care_transition WHERE patient IN ({marks(len(patients))}) AND end_us IS NULL "
        f"AND status IN ({marks(len(PRESENT))}) ORDER BY start_us, stay LIMIT ?"
    )
    return [TransitionRow(*row) for row in await store.fetch(sql, (*patients, *PRESENT, MOST_STAYS))]


async def watched(store: Store, patient: str, key: int) -> tuple[int, bool]:
    """(epoch of the member's stays, whether one of them lasts); key: of the epoch."""
    sql = (
        "SELECT (SELECT epoch FROM access_epoch WHERE subject = ?), EXISTS (SELECT 1 FROM care_transition "
        f"WHERE patient = ? AND end_us IS NULL AND status IN ({marks(len(PRESENT))}))"
    )
    rows = await store.fetch(sql, (key, patient, *PRESENT))
    return int(rows[0][0] or 0), bool(rows[0][1])


async def led_in_hospital(store: Store, person: str, now_us: int) -> list[TransitionRow]:
    """Stays that last, of the members whose care the person leads now; at most MOST_STAYS."""
    names = ", ".join(f"c.{field.name}" for field in fields(TransitionRow))
    sql = (
        f"SELECT DISTINCT {names} FROM panel p JOIN resource r ON r.key = p.patient AND r.rtype = 'Patient' "
        "JOIN care_transition c ON c.patient = 'Patient/' || r.fhir_id "
        "WHERE p.subject = ? AND p.role = 'lead-care-manager' AND p.start_us <= ? AND p.end_us > ? "
        f"AND c.end_us IS NULL AND c.status IN ({marks(len(PRESENT))}) ORDER BY c.start_us, c.stay LIMIT ?"
    )
    rows = await store.fetch(sql, (store.keys.resource(person), now_us, now_us, *PRESENT, MOST_STAYS), heavy=True)
    return [TransitionRow(*row) for row in rows]


async def patients_in_hospital(store: Store) -> list[str]:
    """Of all members who are matched: references."""
    sql = f"SELECT DISTINCT patient FROM care_transition WHERE end_us IS NULL AND status IN ({marks(len(PRESENT))})"
    return sorted(str(row[0]) for row in await store.fetch(sql, PRESENT, heavy=True))


async def leads_of(store: Store, patients: Sequence[str], now_us: int) -> list[str]:
    """Who leads the care of any of these now; references, each once."""
    found: set[str] = set()
    for first in range(0, len(patients), 200):
        keys = [store.keys.resource(one) for one in patients[first : first + 200]]
        sql = (
            "SELECT DISTINCT r.rtype, r.fhir_id FROM panel p JOIN resource r ON r.key = p.subject "
            f"WHERE p.patient IN ({marks(len(keys))}) AND p.role = 'lead-care-manager' AND p.start_us <= ? "
            "AND p.end_us > ? AND r.deleted = 0"
        )
        found |= {f"{rtype}/{id}" for rtype, id in await store.fetch(sql, (*keys, now_us, now_us))}
    return sorted(found)


async def has_member(store: Store, people: Sequence[str], patient: str, now_us: int) -> bool:
    """Whether one of these has the member now by an assignment, not by a Task."""
    if not people:
        return False
    sql = (
        f"SELECT 1 FROM panel WHERE patient = ? AND subject IN ({marks(len(people))}) AND basis <> 'task' "
        "AND role <> 'self' AND start_us <= ? AND end_us > ? LIMIT 1"
    )
    keys = [store.keys.resource(one) for one in people]
    return bool(await store.fetch(sql, (store.keys.resource(patient), *keys, now_us, now_us)))


async def expected_discharges(store: Store, encounters: Sequence[str]) -> dict[str, int]:
    """Encounter id -> when its newest message that says so expects the discharge (PV2-9)."""
    if not encounters:
        return {}
    sql = (
        "SELECT a.encounter, s.event FROM stay_account a JOIN stay_event s ON s.stay = a.stay "
        f"WHERE s.patient = a.patient AND a.encounter IN ({marks(len(encounters))}) AND s.event <> '' "
        "ORDER BY s.occurred_us, s.inbox_id"
    )
    found: dict[str, int] = {}
    for encounter, event in await store.fetch(sql, tuple(encounters), heavy=True):
        expected = (orjson.loads(event).get("visit") or {}).get("expected_discharge")
        if isinstance(expected, int):
            found[str(encounter)] = expected
    return found


# --- who else is there -----------------------------------------------------------------------------------------------


async def care_teams(store: Store, patient: str) -> list[bytes]:
    """Current CareTeams of a member."""
    sql = (
        "SELECT v.body FROM ref e CROSS JOIN version v CROSS JOIN resource r WHERE e.param = ? AND e.target = ? "
        "AND v.vid = e.vid AND r.key = v.key AND r.vid = v.vid AND r.deleted = 0 ORDER BY v.vid LIMIT ?"
    )
    given = (edge("CareTeam", PATIENT_EDGE), store.keys.resource(patient), MOST_ROLES)
    return [bytes(row[0]) for row in await store.fetch(sql, given)]


async def roles_at(store: Store, organization: str, system: str, code: str) -> list[bytes]:
    """Current PractitionerRoles of an organization with this code; whether they are in force is not looked at."""
    sql = (
        "SELECT v.body FROM ref e CROSS JOIN ix k CROSS JOIN version v CROSS JOIN resource r WHERE e.param = ? "
        "AND e.target = ? AND k.key = ? AND k.vid = e.vid AND v.vid = e.vid AND r.key = v.key AND r.vid = v.vid "
        "AND r.deleted = 0 ORDER BY v.vid LIMIT ?"
    )
    role = store.keys.token("PractitionerRole", "role", system, code)
    given = (edge("PractitionerRole", "organization"), store.keys.resource(organization), role, MOST_ROLES)
    return [bytes(row[0]) for row in await store.fetch(sql, given)]
