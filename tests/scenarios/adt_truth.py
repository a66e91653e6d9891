"""What must hold in the database after any run of ADT messages, worked out anew from the bytes in the inbox."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import orjson

from mappers.hl7v2.adt import to_event
from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.message import Unreadable, parse
from mappers.hl7v2.simulate_pathways import Expected
from service.access.context import parse as parse_resource
from service.search.dates import parse as instant
from service.store import inbox
from service.store.engine import Store
from service.workflow.sending_systems import source_of
from service.workflow.stay_events import StoredEvent
from service.workflow.stay_identity import stay_key
from service.workflow.stay_milestones import milestones
from service.workflow.stays import StayState, reduce
from service.workflow.transitions_of_care import alert_id, task_id
from tests.scenarios.people import SOON

Net = dict[str, tuple[str, ...]]
"""patient and keys of standing alerts of each stay"""
ACT_CODES = {"ED": "EMER", "INPATIENT": "IMP", "OBSERVATION": "OBSENC", "AMBULATORY": "AMB"}


async def states(store: Store) -> dict[str, tuple[str, StayState]]:
    """stay -> (patient, the reducer's state over all messages of the inbox that were applied)."""
    found: dict[str, list[StoredEvent]] = {}
    whose: dict[str, str] = {}
    for id, patient in await store.fetch("SELECT id, patient FROM inbox WHERE state = 'applied' ORDER BY id"):
        stored = await inbox.message(store, id)
        assert stored is not None
        source = await source_of(store, stored[1])
        assert source is not None
        message = parse(stored[0], source.charset)
        assert not isinstance(message, Unreadable)
        event, _ = to_event(message, source, stored[2])
        assert isinstance(event, AdtEvent)
        key = stay_key(event, source.name)
        found.setdefault(key, []).append(StoredEvent(event, str(id), stored[2]))
        assert whose.setdefault(key, patient) == patient, "one stay, two members"
    return {key: (whose[key], reduce(events)) for key, events in found.items()}


async def resources(store: Store, rtype: str) -> dict[str, dict[str, Any]]:
    rows = await store.fetch(
        "SELECT v.fhir_id, v.body FROM resource r JOIN version v ON v.vid = r.vid WHERE r.rtype = ? AND r.deleted = 0",
        (rtype,),
    )
    return {row[0]: parse_resource(bytes(row[1])) for row in rows}


async def check_alerts(store: Store, leads: dict[str, str], *, at_most: int | None = None) -> Net:
    """Encounters are as the reducer says; what stands is told once to the lead, what does not stand is taken back.

    leads: patient -> lead care manager. at_most: versions that an alert may have (2: told, taken back).
    """
    encounters = await resources(store, "Encounter")
    communications = await resources(store, "Communication")
    tasks = await resources(store, "Task")
    net: Net = {}
    expected: set[str] = set()
    truth = await states(store)
    for stay, (patient, state) in truth.items():
        encounter = encounters[stay]
        assert encounter["status"] == state.status, stay
        assert encounter["subject"]["reference"] == patient
        keys = tuple(sorted(m.key for m in milestones(state)))
        net[stay] = (patient, *keys)
        for key in keys:
            one = alert_id(f"Encounter/{stay}", key, leads[patient])
            assert communications[one]["status"] == "completed", (stay, key)
            assert [r["reference"] for r in communications[one]["recipient"]] == [leads[patient]]
            expected.add(one)
        open_tasks = {task_id(f"Encounter/{stay}", key) for key in keys}
        for id, task in tasks.items():
            if task.get("encounter", {}).get("reference") == f"Encounter/{stay}" and id not in open_tasks:
                assert task["status"] == "cancelled", (stay, id)
    assert encounters.keys() == truth.keys(), "an Encounter without a message"
    for id, one in communications.items():
        if id.startswith("al-") and id not in expected:
            assert one["status"] == "entered-in-error", id
    if at_most is not None:
        for rtype, id, count in await store.fetch(
            "SELECT rtype, fhir_id, count(*) FROM version WHERE rtype = 'Communication' GROUP BY rtype, fhir_id"
        ):
            assert count <= at_most, f"{rtype}/{id} was told {count} times"
    return net


KINDS = range(6)
"""Ordinals that a key of an alert may hold here."""


async def check_expected(
    store: Store, expected: Iterable[Expected], whose: dict[str, str], leads: dict[str, str]
) -> int:
    """Every stay is as its pathway says, and what stands told about it is what the pathway says, once, to the lead.

    Worked out without the reducer. whose: CIN -> Patient. leads: Patient -> lead care manager. How many alerts stand.
    """
    encounters = await resources(store, "Encounter")
    communications = await resources(store, "Communication")
    standing = {i for i, c in communications.items() if i.startswith("al-") and c["status"] == "completed"}
    about: dict[str, set[str]] = {}
    for id in standing:
        about.setdefault(communications[id]["encounter"]["reference"], set()).add(id)
    told = 0
    for truth in expected:
        patient = whose[truth.who]
        found = [e for e in encounters.values() if e["subject"]["reference"] == patient and _visit(e, truth.visit)]
        # What came under another number or person first is left behind as an error: it may be there or not.
        wrong = [e for e in found if e["status"] == "entered-in-error"]
        if truth.status == "entered-in-error":
            assert found == wrong and not any(about.get(f"Encounter/{e['id']}") for e in wrong), truth
            continue
        found = [e for e in found if e not in wrong]
        assert len(found) == 1, (truth, [e["id"] for e in found])
        _check_encounter(truth, found[0])
        reference = f"Encounter/{found[0]['id']}"
        ids = {next(iter(_ids(reference, word, leads[patient]) & standing), word) for word in truth.alerts}
        assert ids == about.get(reference, set()), (truth, sorted(about.get(reference, set())))
        told += len(ids)
    assert told == len(standing), "an alert about a stay that no pathway tells of"
    return told


def _visit(encounter: dict[str, Any], number: str) -> bool:
    return number in {i.get("value") for i in encounter.get("identifier", ())}


def _check_encounter(truth: Expected, encounter: dict[str, Any]) -> None:
    assert encounter["status"] == truth.status, truth
    period = encounter.get("period", {})
    assert (instant(period["start"])[0] if "start" in period else None) == truth.start_us, (truth, period)
    assert (instant(period["end"])[0] if "end" in period else None) == truth.end_us, (truth, period)
    if truth.klass in ACT_CODES:
        assert encounter["class"]["code"] == ACT_CODES[truth.klass], truth


def _ids(encounter: str, word: str, lead: str) -> set[str]:
    """The ids under which an alert of this kind can stand: which attempt it was is no part of the truth."""
    kind, _, group = word.partition(" ")
    keys = {kind, *(f"{kind}.{n}" for n in KINDS), *(f"{kind}.{n}.{group or m}" for n in KINDS for m in KINDS)}
    return {alert_id(encounter, key, lead) for key in keys}


async def check_told_once(store: Store) -> None:
    """No alert is told again without having been taken back in between."""
    rows = await store.fetch("SELECT fhir_id, body FROM version WHERE rtype = 'Communication' ORDER BY fhir_id, vid")
    last: dict[str, str] = {}
    for id, body in rows:
        status = str(parse_resource(bytes(body)).get("status"))
        if id.startswith("al-"):
            assert last.get(id) != status, f"Communication/{id} was told twice"
            last[id] = status


async def check_audit(store: Store) -> int:
    """The hash chain of every slot is whole; how many rows."""
    rows = await store.fetch("SELECT * FROM audit ORDER BY slot, seq")
    slot, seq, head = -1, 0, b""
    for row in rows:
        *facts, stored, detail = row
        digest = bytes(stored)
        facts += [detail] if detail else []
        if facts[0] != slot:
            slot, seq, head = facts[0], 0, b""
        seq += 1
        assert facts[1] == seq, f"slot {slot}: row {seq} is missing"
        head = sha256(head + orjson.dumps(facts)).digest()
        assert digest == head, f"slot {slot}: the chain breaks at {seq}"
    return len(rows)


async def check_jobs(store: Store) -> None:
    """Nothing waits but timers, nothing is dead, and every message that should have a job had one."""
    left = await store.fetch(
        "SELECT state, last_error, count(*) FROM job WHERE state <> 'done' AND (state = 'dead' OR due_us <= ?) "
        "AND NOT (state = 'ready' AND kind = 'adt.rematch' AND payload LIKE '%again%') GROUP BY 1, 2",
        (store.clock.now_us() + SOON,),
    )
    assert [tuple(row) for row in left] == []
    waiting = await store.fetch("SELECT count(*) FROM inbox WHERE state IN ('stored', 'failed')")
    assert waiting[0][0] == 0, "a message without an end"
