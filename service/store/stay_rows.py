"""SQL of what a stay is decided from, its messages under all its numbers, and of what was decided of the stays."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store

SET_EVENT = (
    "INSERT INTO stay_event (stay, inbox_id, patient, occurred_us, event, own, reason) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (stay, inbox_id) DO UPDATE SET patient = excluded.patient, occurred_us = excluded.occurred_us, "
    "event = excluded.event, own = excluded.own, reason = excluded.reason"
)


@dataclass(frozen=True)
class MessageRow:
    """A message of a stay (or kept with a number). patient: for whom it counts; own: whom it names by itself."""

    stay: str
    inbox_id: int
    received_us: int
    patient: str
    event: str
    """AdtEvent as JSON"""
    own: str
    reason: str


@dataclass(frozen=True)
class AccountRow:
    """A row of table stay_account (tables_feeds.py)."""

    stay: str
    account: str
    encounter: str
    patient: str
    facility: str
    began: str
    klass: str
    disposition: str
    came_from: str
    status: str
    start_us: int | None
    end_us: int | None
    seen_us: int


@dataclass(frozen=True)
class ThreadRow:
    """A row of table care_transition: one for each Encounter."""

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


def _columns(kind: type) -> str:
    return ", ".join(field.name for field in fields(kind))


async def messages(store: Store, keys: Iterable[str]) -> list[MessageRow]:
    """Purged ones are left out: nothing is known of them any more."""
    wanted = sorted(set(keys))
    if not wanted:
        return []
    rows = await store.fetch(
        "SELECT s.stay, s.inbox_id, i.received_us, s.patient, s.event, COALESCE(s.own, s.patient), "
        "COALESCE(s.reason, i.reason) FROM stay_event s JOIN inbox i ON i.id = s.inbox_id "
        f"WHERE s.stay IN ({marks(len(wanted))}) AND s.event <> '' ORDER BY s.inbox_id, s.stay",
        tuple(wanted),
    )
    return [MessageRow(*r) for r in rows]


def put_message(row: MessageRow, occurred_us: int) -> Statement:
    """The same message again (a replay) takes the place of its former reading."""
    return Statement(SET_EVENT, (row.stay, row.inbox_id, row.patient, occurred_us, row.event, row.own, row.reason))


def counted(row: MessageRow) -> Statement:
    """For whom a known message counts now."""
    return Statement(
        "UPDATE stay_event SET patient = ?, own = ?, reason = ? WHERE stay = ? AND inbox_id = ?",
        (row.patient, row.own, row.reason, row.stay, row.inbox_id),
    )


def answered(inbox_id: int, state: str, reason: str, patient: str, stay: str) -> Statement:
    """What became of a message that was handled before, now that its stay was decided anew."""
    return Statement(
        "UPDATE inbox SET state = ?, reason = ?, patient = ?, stay = ? "
        "WHERE id = ? AND state IN ('applied', 'unmatched', 'ignored')",
        (state, reason, patient, stay, inbox_id),
    )


def moved(inbox_id: int, stay: str) -> Statement:
    """The message belongs to a stay with another Encounter now."""
    sql = "UPDATE inbox SET stay = ? WHERE id = ? AND state = 'applied' AND stay <> ?"
    return Statement(sql, (stay, inbox_id, stay))


# --- numbers ---------------------------------------------------------------------------------------------------------


async def aliases(store: Store, keys: Iterable[str]) -> list[tuple[str, str, int]]:
    """(stay, target, at_us) of all rows that begin or end at one of the keys."""
    wanted = sorted(set(keys))
    if not wanted:
        return []
    some = marks(len(wanted))
    rows = await store.fetch(
        f"SELECT stay, target, at_us FROM stay_alias WHERE stay IN ({some}) "
        f"UNION SELECT stay, target, at_us FROM stay_alias WHERE target IN ({some})",
        (*wanted, *wanted),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def alias(stay: str, target: str, at_us: int, inbox_id: int) -> Statement:
    return Statement(
        "INSERT INTO stay_alias (stay, inbox_id, target, at_us) VALUES (?, ?, ?, ?) ON CONFLICT (stay, inbox_id) "
        "DO UPDATE SET target = excluded.target, at_us = excluded.at_us",
        (stay, inbox_id, target, at_us),
    )


async def numbers(store: Store, stays: Iterable[str]) -> set[tuple[str, str]]:
    """(number, stay): the accounts and record numbers under which the messages of these stays came."""
    wanted = sorted(set(stays))
    if not wanted:
        return set()
    sql = f"SELECT number, stay FROM stay_number WHERE stay IN ({marks(len(wanted))})"
    return {(row[0], row[1]) for row in await store.fetch(sql, tuple(wanted))}


async def stays_of_numbers(store: Store, numbers: Iterable[str]) -> list[str]:
    wanted = sorted(set(numbers))
    if not wanted:
        return []
    sql = f"SELECT DISTINCT stay FROM stay_number WHERE number IN ({marks(len(wanted))}) ORDER BY stay"
    return [str(row[0]) for row in await store.fetch(sql, tuple(wanted))]


def number(number: str, stay: str) -> Statement:
    return Statement("INSERT INTO stay_number (number, stay) VALUES (?, ?) ON CONFLICT DO NOTHING", (number, stay))


# --- what was decided ------------------------------------------------------------------------------------------------


async def keys_of_encounter(store: Store, encounter: str) -> list[str]:
    """Keys of the stay whose Encounter has this id."""
    rows = await store.fetch("SELECT stay FROM stay_account WHERE encounter = ? ORDER BY stay", (encounter,))
    return [str(row[0]) for row in rows]


async def accounts(store: Store, patient: str) -> list[AccountRow]:
    sql = f"SELECT {_columns(AccountRow)} FROM stay_account WHERE patient = ? ORDER BY stay"
    return [AccountRow(*row) for row in await store.fetch(sql, (patient,))]


async def accounts_of_keys(store: Store, keys: Iterable[str]) -> list[AccountRow]:
    wanted = sorted(set(keys))
    if not wanted:
        return []
    sql = f"SELECT {_columns(AccountRow)} FROM stay_account WHERE stay IN ({marks(len(wanted))}) ORDER BY stay"
    return [AccountRow(*row) for row in await store.fetch(sql, tuple(wanted))]


def put_account(row: AccountRow) -> Statement:
    names = [field.name for field in fields(AccountRow)]
    sets = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    return Statement(
        f"INSERT INTO stay_account ({', '.join(names)}) VALUES ({marks(len(names))}) "
        f"ON CONFLICT (stay) DO UPDATE SET {sets}",
        astuple(row),
    )


def drop_account(row: AccountRow) -> Statement:
    """Unless it is another member's by now."""
    return Statement("DELETE FROM stay_account WHERE stay = ? AND patient = ?", (row.stay, row.patient))


async def threads(store: Store, patient: str) -> dict[str, ThreadRow]:
    sql = f"SELECT {_columns(ThreadRow)} FROM care_transition WHERE patient = ?"
    return {row[0]: ThreadRow(*row) for row in await store.fetch(sql, (patient,))}


def put_thread(row: ThreadRow) -> Statement:
    names = [field.name for field in fields(ThreadRow)]
    sets = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    return Statement(
        f"INSERT INTO care_transition ({', '.join(names)}) VALUES ({marks(len(names))}) "
        f"ON CONFLICT (stay) DO UPDATE SET {sets}",
        astuple(row),
    )


def drop_thread(encounter: str) -> Statement:
    return Statement("DELETE FROM care_transition WHERE stay = ?", (encounter,))


async def silent(store: Store, statuses: Sequence[str], limits: Sequence[tuple[str, int]], most: int) -> list[str]:
    """Encounter ids of stays that last and of which nothing was heard since the time of their class."""
    found: list[str] = []
    for klass, before_us in limits:
        rows = await store.fetch(
            f"SELECT stay FROM care_transition WHERE status IN ({marks(len(statuses))}) AND klass = ? AND seen_us < ? "
            "ORDER BY seen_us LIMIT ?",
            (*statuses, klass, before_us, most),
        )
        found += [str(row[0]) for row in rows]
    return found
