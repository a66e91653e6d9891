"""Members, events and stored messages for the tests of matching through a store."""

from dataclasses import replace
from typing import Any

import orjson

from mappers.hl7v2.event import AdtEvent, Identifier, Merge, Name, Patient
from service.access.context import Context
from service.caller import system_caller
from service.store import inbox
from service.store.change import Change, Statement
from service.store.engine import Store
from service.workflow.matching import whose
from service.workflow.member_match import Match
from tests.service.adt_world import CIN_SYSTEM
from tests.service.workflow.made_up import adt
from tests.service.world import make, patient, put

CIN = "91000001A"
STAY = "stay-made-up"
AT_MERCY = "https://enlace.example.org/fhir/sid/mrn/mercy/MERCY"


def mrn(value: str) -> Identifier:
    return Identifier(value, "", "MERCY", "MR")


ROSA = Patient(
    names=(Name("Quillfeather", ("Rosalind",)),), birth_date="1980-05-17", birth_precision="day", sex="female"
)


def said(who: Patient = ROSA, code: str = "A01", **changes: Any) -> AdtEvent:
    return adt(code, 0, "I", patient=replace(who, **changes))


def merging(old: str, new: str) -> AdtEvent:
    return replace(said(code="A40"), visit=None, merges=(Merge((mrn(new),), (mrn(old),)),))


def context(store: Store) -> Context:
    return Context(store, system_caller(), store.clock.now_us())


async def member(store: Store, key: str = "rosa", cin: str = CIN, **changes: Any) -> str:
    person = patient(f"Patient/{key}") | {
        "identifier": [{"system": CIN_SYSTEM, "value": cin}],
        "name": [{"family": "Quillfeather", "given": ["Rosalind"]}],
        "birthDate": "1980-05-17",
        "gender": "female",
    }
    await put(store, person | changes)
    return f"Patient/{key}"


async def ask(store: Store, event: AdtEvent, stay: str = STAY) -> Match:
    return await whose(context(store), event, stay)


async def keep(
    store: Store, event: AdtEvent, inbox_id: int, patient: str = "", stay: str = STAY, *more: Statement
) -> None:
    """The message as it stands in the inbox once it was applied: for `patient`, or unmatched."""

    plain = orjson.dumps(event.to_json()).decode()
    state = "applied" if patient else "unmatched"
    insert = inbox.insert(
        id=inbox_id, source="mercy", control_id=f"C{inbox_id}", hash=str(inbox_id).encode(),
        received_us=store.clock.now_us(), event=event.code, raw=b"MSH|" + plain.encode(), ack=None, state="stored",
    )  # fmt: skip
    row = Statement(
        "INSERT INTO stay_event (stay, inbox_id, patient, occurred_us, event) VALUES (?, ?, ?, ?, ?)",
        (stay, inbox_id, patient, 0, plain),
    )
    done = inbox.handled(inbox_id, state, "no-candidate", patient=patient, stay=stay, now_us=store.clock.now_us())
    await store.commit(Change(statements=[insert]))
    await store.commit(Change(statements=[row, done, *more]))


async def jobs(store: Store, kind: str) -> list[dict[str, Any]]:

    rows = await store.fetch("SELECT payload FROM job WHERE kind = ? AND state = 'ready' ORDER BY id", (kind,))
    return [orjson.loads(row[0]) for row in rows]


async def mercy(store: Store) -> None:
    await put(store, make("Organization/mercy", name="Mercy Made-up"))
