"""Through the database: whatever the order in which the messages of a stay come, the same Encounters and alerts.

A few orders of each sequence; all of them with ENLACE_TEST_DEEP. The reducer alone: test_stay_permutations.py.
"""

import json
import os
import re
from collections.abc import Callable
from itertools import permutations
from random import Random
from typing import Any

import pytest

from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import Sender, adt_world, member, said
from tests.service.world import ECM1, ECM2, LCM1, LCM2, make, put

POSTGRESQL_IN_DEEP = True
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
VALLEY = RegisteredSource("valley", "EPIC", "VALLEY", "Organization/valley", {"display": "Valley Made-up"}, True)
WHEN = re.compile(
    r"(The visit began )?(at |on )?(\d+:\d\d [AP]M on )?March \d+\.?| after observation,| from its emergency department"
)
"""A time that was told while the admission had not come is not told again; the Encounter has the right one."""
FLAG = re.compile(r" Another inpatient stay within the last \d+ days\.")
"""So it looked while one visit stood under two numbers, of which nobody had said yet that they are one."""
Person = dict[str, Any]
Sequence = Callable[[Sender, Person, Person, str], list[bytes]]


def sparse(who: Person, **more: Any) -> Person:
    """As a hospital sends it that knows its own number only: no Medi-Cal number, no telephone."""
    return {**who, "cin": "", "phone": "", **more}


def merged(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    """An unknown record number that turns out to be Rosa's (A40, from A to B to hers)."""
    old, middle = f"OLD{v}", f"MID{v}"
    return [
        send.adt("A01", sparse(rosa, mrn=old), ago=90, visit_number=f"{v}a"),
        send.adt("A40", sparse(rosa, mrn=middle), ago=70, retired=old),
        send.adt("A40", sparse(rosa), ago=60, retired=middle),
        send.adt("A01", rosa, ago=50, visit_number=f"{v}b"),
        send.adt("A03", rosa, ago=40, visit_number=f"{v}b", disposition="01"),
    ]


def account_moved(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    return [
        send.adt("A01", rosa, ago=90, visit_number=v, account=f"AC{v}"),
        send.adt("A02", rosa, ago=80, visit_number=v, account=f"AC{v}", location="6E^1^A"),
        send.adt("A44", luis, ago=70, account=f"AC{v}", retired_account=f"AC{v}", retired=rosa["mrn"]),
        send.adt("A03", luis, ago=60, visit_number=v, account=f"AC{v}", disposition="03"),
    ]


def visit_moved(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    return [
        send.adt("A04", rosa, ago=90, visit_number=v, patient_class="E"),
        send.adt("A08", rosa, ago=85, visit_number=v, patient_class="E"),
        send.adt("A45", luis, ago=70, visit_number=v, retired_visit=v, retired=rosa["mrn"]),
        send.adt("A03", luis, ago=60, visit_number=v, patient_class="E", disposition="01"),
    ]


def visit_renumbered(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    return [
        send.adt("A01", rosa, ago=90, visit_number=f"{v}a"),
        send.adt("A50", rosa, ago=80, visit_number=f"{v}b", retired_visit=f"{v}a", retired=rosa["mrn"]),
        send.adt("A50", rosa, ago=70, visit_number=f"{v}c", retired_visit=f"{v}b", retired=rosa["mrn"]),
        send.adt("A03", rosa, ago=60, visit_number=f"{v}c", disposition="07"),
    ]


def visits_merged(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    return [
        send.adt("A04", rosa, ago=90, visit_number=f"{v}a", patient_class="E"),
        send.adt("A01", rosa, ago=80, visit_number=f"{v}b"),
        send.adt("A42", rosa, ago=70, PV1_19=f"{v}b^^^MERCY^VN", retired_visit=f"{v}a", retired=rosa["mrn"]),
        send.adt("A16", rosa, ago=60, visit_number=f"{v}b"),
    ]


def known_later(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    who = sparse(rosa, mrn=f"NEW{v}")
    return [
        send.adt("A01", who, ago=90, visit_number=v),
        send.adt("A08", {**rosa, "mrn": f"NEW{v}"}, ago=80, visit_number=v),
        send.adt("A03", who, ago=70, visit_number=v, disposition="02"),
        send.adt("A04", who, ago=4000, visit_number=f"{v}old", patient_class="E"),
    ]


def new_account(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    """From the emergency department into a bed under a new account: one stay."""
    return [
        send.adt("A04", rosa, ago=300, visit_number=f"{v}e", patient_class="E"),
        send.adt("A03", rosa, ago=120, visit_number=f"{v}e", patient_class="E", disposition="09"),
        send.adt("A01", rosa, ago=110, visit_number=f"{v}i"),
        send.adt("A08", rosa, ago=60, visit_number=f"{v}i"),
        send.adt("A03", rosa, ago=30, visit_number=f"{v}i", disposition="01"),
    ]


def transferred(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    """Two hospitals: two stays, one thread."""
    valley = {"name": "Valley Made-up", "application": "EPIC", "facility": "VALLEY"}
    there = {"MSH_4": valley["facility"], "PV1_14": "4"}
    return [
        send.adt("A01", rosa, ago=300, visit_number=v),
        send.adt("A03", rosa, ago=100, visit_number=v, disposition="02"),
        send.adt("A01", rosa, ago=60, visit_number=v, **there),
        send.adt("A02", rosa, ago=50, visit_number=v, location="ICU^1^B", **there),
    ]


def deleted_person(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    return [
        send.adt("A01", rosa, ago=90, visit_number=f"{v}a"),
        send.adt("A29", rosa, ago=80),
        send.adt("A04", rosa, ago=70, visit_number=f"{v}b", patient_class="E"),
    ]


def died(send: Sender, rosa: Person, luis: Person, v: str) -> list[bytes]:
    """Death is told of the person; the stay is the last one that had begun."""
    return [
        send.adt("A04", rosa, ago=900, visit_number=f"{v}a", patient_class="E"),
        send.adt("A01", rosa, ago=90, visit_number=f"{v}b"),
        send.adt("A31", rosa, ago=60, PID_30="Y"),
    ]


SEQUENCES = [
    merged,
    account_moved,
    visit_moved,
    visit_renumbered,
    visits_merged,
    known_later,
    new_account,
    transferred,
    deleted_person,
]


@pytest.fixture
async def send(store: Store) -> Sender:
    await adt_world(store)
    await put(store, make("Organization/valley", name="Valley Made-up"))
    await store.commit(Change(statements=[sources.put(VALLEY)]))
    return Sender(store)


async def pair(store: Store, number: int) -> tuple[Person, Person]:
    """Two members whom nobody was told of before."""
    rosa = said(f"92{number:06d}A", f"Quill{chr(97 + number % 26)}{chr(97 + number // 26)}", mrn=f"R{number}")
    luis = said(
        f"93{number:06d}A",
        f"Bramble{chr(97 + number % 26)}{chr(97 + number // 26)}",
        mrn=f"L{number}",
        birth_date="1971-11-02",
    )
    rosa |= {"birth_date": f"19{50 + number // 300:02d}-{1 + number % 12:02d}-{1 + number // 12 % 28:02d}"}
    await member(store, f"rosa-{number}", rosa, LCM1, ECM1)
    await member(store, f"luis-{number}", luis, LCM2, ECM2)
    return rosa, luis


async def picture(store: Store, number: int) -> dict[str, list[Any]]:
    """What stands for the two members: of Encounters and alerts, without ids and without whose number it is."""
    seen: dict[str, list[Any]] = {}
    for who in ("rosa", "luis"):
        patient = f"Patient/{who}-{number}"
        stays = [
            (e["status"], e["class"]["code"], e.get("period"), sorted(str(i["value"]) for i in e["identifier"]),
             [p["location"]["display"] for p in e.get("location", ())])
            for e in (await resources(store, "Encounter")).values()
            if e["subject"]["reference"] == patient and e["status"] != "entered-in-error"
        ]  # fmt: skip
        alerts = [
            (WHEN.sub("", c["payload"][0]["contentString"]), [r["reference"] for r in c["recipient"]])
            for c in (await resources(store, "Communication")).values()
            if c["id"].startswith("al-") and c["subject"]["reference"] == patient and c["status"] == "completed"
        ]
        threads = await store.fetch("SELECT count(DISTINCT thread) FROM care_transition WHERE patient = ?", (patient,))
        seen[who] = [sorted(stays, key=str), sorted(alerts), threads[0][0]]
    return seen


@pytest.mark.timeout(1800 if DEEP else 120)
@pytest.mark.parametrize("sequence", [*SEQUENCES, died])
async def test_every_order_ends_in_the_same_encounters_and_alerts(
    store: Store, send: Sender, sequence: Sequence
) -> None:
    count = len(sequence(send, said(), said(), "X"))
    orders = list(permutations(range(count)))
    if not DEEP:
        orders = [orders[0], orders[-1], *Random(7).sample(orders[1:-1], 2)]
    expected: Any = None
    for number, order in enumerate(orders):
        rosa, luis = await pair(store, number)
        v = f"V{number:04d}"
        messages = sequence(send, rosa, luis, v)
        for index in order:
            await send(messages[index])
        said_then = json.dumps(await picture(store, number)).replace(v, "V")
        seen = json.loads(FLAG.sub("", said_then) if sequence is visit_renumbered else said_then)
        expected = expected or seen
        assert seen == expected, f"{sequence.__name__}, {order}"
    rows = await store.fetch("SELECT state, last_error FROM job WHERE state = 'dead'")
    assert [tuple(r) for r in rows] == []


async def test_a_stay_of_the_same_transition_is_no_other_stay(store: Store, send: Sender) -> None:
    """The second hospital tells of it first: the admission here is no readmission, though it is told after that one."""
    rosa, luis = await pair(store, 0)
    here, _, there, _ = transferred(send, rosa, luis, "V")
    await send(there, here)
    alerts = [c for id, c in (await resources(store, "Communication")).items() if id.startswith("al-")]
    assert len(alerts) == 2
    assert not any(c.get("reasonCode") for c in alerts)
