"""The nasty inputs of facts/adt.md 6 that are sequences: 47 to 59 and 61 to 63, and 40 and 41 as far as they are stays.

One table: what comes in which order, and what Encounters, alerts and checklists stand in the end (nasty_world.py says
how a row is written). 1 to 46 and 60 are in tests/adt_listener/test_nasty_inputs.py.
"""

from pathlib import Path

import pytest

from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from tests.service.adt_world import Sender, adt_world
from tests.service.workflow.nasty_world import (
    Nasty,
    Stay,
    World,
    check,
    contact_made,
    disenrolled,
    later,
    lead_changes,
    m,
    mia_joins,
)
from tests.service.world import make, put

POSTGRESQL_IN_DEEP = True
VALLEY = RegisteredSource("valley", "EPIC", "VALLEY", "Organization/valley", {"display": "Valley Made-up"}, True)
NETWORK = RegisteredSource("network", "HIE", "NETWORK", "", {"display": ""}, True)
DAY, HOUR = 1440, 60
THERE = {"MSH_4": "VALLEY", "PV1_14": "4"}
ROUTED = {"MSH_3": "HIE", "MSH_4": "NETWORK"}
ACTIVE, REVOKED = "active: requested", "revoked: cancelled"
IN = Stay("in-progress", "IP", "admission.0", start=0)
OUT = Stay("finished", "IP", "admission.0 discharge.0.HOME", start=0, end=100)
HOME = {"disposition": "01"}
A01, A03 = m("A01", 0), m("A03", 100, **HOME)

ROWS: tuple[Nasty, ...] = (
    Nasty(47, "A03 before A01", (A03, m("A01", 0, came=120)),
          (Stay("finished", "IP", "~admission.0 discharge.0.HOME", start=0, end=100),), checklists=(ACTIVE,)),
    Nasty(48, "A08 after A03 does not reopen", (A01, A03, m("A08", 110), m("A08", 500)), (OUT,), checklists=(ACTIVE,)),
    Nasty(48, "A08 after A03 says where to",
          (A01, m("A03", 100), m("A08", 110, disposition="03")),
          (Stay("finished", "IP", "admission.0 -discharge.0.NOT_STATED discharge.0.SNF", start=0, end=100),),
          checklists=(ACTIVE,)),
    Nasty(49, "A01 twice, then A13 without a discharge", (A01, m("A01", 5), m("A13", 50)), (IN,)),
    Nasty(50, "A11 before the A01 that it cancels", (m("A11", 10), m("A01", 0, came=20)), (Stay("cancelled", "IP"),)),
    Nasty(50, "A11 twice", (A01, m("A11", 10), m("A11", 12)), (Stay("cancelled", "IP", "-admission.0"),), 1),
    Nasty(51, "A13 after thirty days", (A01, A03, m("A13", 43_300)),
          (Stay("in-progress", "IP", "admission.0 -discharge.0.HOME", start=0),), 1, (REVOKED,)),
    Nasty(51, "A13 after thirty days, and A03 with another disposition",
          (A01, A03, m("A13", 43_300), m("A03", 43_400, disposition="03")),
          (Stay("finished", "IP", "admission.0 -discharge.0.HOME discharge.1.SNF", start=0, end=43_400),), 1,
          (REVOKED, ACTIVE)),
    Nasty(52, "25 bed moves",
          (m("A01", 0, location="5W^0^A"), *(m("A02", 10 + n, location=f"5W^{1 + n % 7}^A") for n in range(25))),
          (Stay("in-progress", "IP", "admission.0", start=0, beds=26),)),
    Nasty(53, "A01 and A06 both for ED to inpatient",
          (m("A04", 0, "E"), m("A01", 60), m("A06", 61), m("A08", 62)),
          (Stay("in-progress", "IP", "ed-arrival.0 admission.0", start=0),)),
    Nasty(53, "A01 of class E, then A08 of class I without an A06", (m("A01", 0, "E"), m("A08", 60)),
          (Stay("in-progress", "IP", "ed-arrival.0 admission.0", start=0),)),
    Nasty(54, "A40 while both record numbers have open stays",
          (m("A01", 0, visit="V1"), m("A01", 10, visit="V2", number="OLD"), m("A40", 20, retired="OLD"),
           m("A03", 100, visit="V2", number="OLD", **HOME)),
          (Stay("in-progress", "IP", "admission.0", start=0, visits="V1"),
           Stay("finished", "IP", "admission.0 discharge.0.HOME", start=10, end=100, visits="V2")),
          checklists=(ACTIVE,)),
    Nasty(54, "a chain of A40, A to B to C",
          (m("A01", 0, number="OLD"), m("A40", 10, number="MID", retired="OLD"), m("A40", 20, retired="MID")), (IN,)),
    Nasty(54, "A40, then a late A01 with the retired number",
          (m("A01", 0, visit="V1"), m("A40", 20, retired="OLD"), m("A01", 10, visit="V2", number="OLD", came=40)),
          (Stay("in-progress", "IP", "admission.0", start=0, visits="V1"),
           Stay("in-progress", "IP", "admission.0", start=10, visits="V2"))),
    Nasty(55, "A45 moves a visit that was told to another person",
          (A01, m("A45", 30, who="luis", retired="M-91000001A", retired_visit="V"), m("A03", 100, who="luis", **HOME)),
          (Stay("entered-in-error", "IP", "-admission.0"),
           Stay("finished", "IP", "admission.0 discharge.0.HOME", start=0, end=100, who="luis")), 1, (ACTIVE,)),
    Nasty(56, "A28 and A31 with PV1 filled",
          (m("A28", 0, PV1_2="I", PV1_19="V", PV1_44="20260307220000"), m("A31", 5, PV1_2="E", PV1_19="V")), ()),
    Nasty(56, "A31 with PV1 of class N during a stay", (A01, m("A31", 5, PV1_2="N", PV1_19="V"), m("A31", 6)), (IN,)),
    Nasty(57, "nightly A08 of every inpatient",
          (A01, m("A01", 3, who="luis", visit="W"),
           *((m("A08", n * DAY), m("A08", n * DAY, who="luis", visit="W")) for n in range(1, 6))),
          (IN, Stay("in-progress", "IP", "admission.0", start=3, who="luis", visits="W"))),
    Nasty(57, "the nightly A08 finds one of whom nobody was told",
          (m("A08", 3 * DAY, PV1_44="20260307233000"),), (Stay("in-progress", "IP", "~admission.0", start=0),)),
    Nasty(58, "replay of six months that we had not heard of",
          (later(180 * DAY), m("A01", 0), m("A03", 100, **HOME), m("A01", 170 * DAY, visit="W"),
           m("A03", 171 * DAY, visit="W", **HOME)),
          (Stay("finished", "IP", "", start=0, end=100),
           Stay("finished", "IP", "~admission.0 ~discharge.0.HOME", start=170 * DAY, end=171 * DAY, visits="W")),
          checklists=("active: requested",)),
    Nasty(58, "replay of six months that we know, under new stamps and control ids",
          (A01, A03, m("A13", 120), m("A03", 200, **HOME), later(90 * DAY),
           *(m(e, at, came=90 * DAY + n, PV1_36=d, MSH_7="20260606000000")
             for n, (e, at, d) in enumerate((("A01", 0, None), ("A03", 100, "01"), ("A13", 120, None),
                                             ("A03", 200, "01"))))),
          (Stay("finished", "IP", "admission.0 -discharge.0.HOME discharge.1.HOME", start=0, end=200),), 1,
          (REVOKED, ACTIVE)),
    Nasty(59, "six hours of silence, then six hours of messages at once",
          (tuple(m(*one[:3], who=one[3], visit=one[4], came=360, **one[5]) for one in (
              ("A04", 0, "E", "rosa", "V", {}), ("A01", 30, "I", "luis", "W", {}),
              ("A03", 120, "E", "rosa", "V", HOME), ("A08", 130, "I", "luis", "W", {}))),),
          (Stay("finished", "ED", "ed-arrival.0 discharge.0.HOME", start=0, end=120),
           Stay("in-progress", "IP", "admission.0", start=30, who="luis", visits="W")), checklists=(ACTIVE,)),
    Nasty(61, "A13 after the follow-up had begun", (A01, A03, contact_made, m("A13", 150)),
          (Stay("in-progress", "IP", "admission.0 -discharge.0.HOME", start=0),), 1, ("revoked: cancelled completed",)),
    Nasty(61, "and discharged again, the checklist begins anew",
          (A01, A03, contact_made, m("A13", 150), m("A03", 300, **HOME)),
          (Stay("finished", "IP", "admission.0 -discharge.0.HOME discharge.1.HOME", start=0, end=300),), 1,
          ("revoked: cancelled completed", ACTIVE)),
    Nasty(62, "discharged to another hospital, admitted there 40 minutes later",
          (A01, m("A03", 100, disposition="02"), m("A01", 140, **THERE)),
          (Stay("finished", "IP", "admission.0 discharge.0.ACUTE", start=0, end=100, thread="one"),
           Stay("in-progress", "IP", "admission.0", start=140, thread="one")), checklists=(ACTIVE,)),
    Nasty(62, "and the other hospital tells of it first",
          (A01, m("A01", 140, **THERE), m("A03", 100, disposition="02", came=200)),
          (Stay("finished", "IP", "admission.0 discharge.0.ACUTE", start=0, end=100, thread="one"),
           Stay("in-progress", "IP", "admission.0", start=140, thread="one")), checklists=(ACTIVE,)),
    Nasty(62, "home, and 40 minutes later to another hospital by itself: two threads",
          (A01, A03, m("A01", 140, MSH_4="VALLEY")),
          (OUT, Stay("in-progress", "IP", "admission.0", start=140)), checklists=(ACTIVE,)),
    Nasty(63, "the member is added after the admission",
          (m("A01", 0, who="mia"), later(HOUR), mia_joins),
          (Stay("in-progress", "IP", "admission.0", start=0, who="mia"),)),
    Nasty(63, "the member is added days after the admission",
          (m("A01", 0, who="mia"), later(3 * DAY), mia_joins),
          (Stay("in-progress", "IP", "admission.0", start=0, who="mia"),)),
    Nasty(63, "disenrolled during the stay: nobody has it any more", (A01, disenrolled, A03),
          (Stay("finished", "IP", "admission.0", start=0, end=100),), checklists=(ACTIVE,),
          states=("applied matched", "applied nobody-to-tell")),
    Nasty(63, "disenrolled, and the admission is cancelled: who was told hears it", (A01, disenrolled, m("A11", 100)),
          (Stay("cancelled", "IP", "-admission.0"),), 1),
    Nasty(63, "another lead care manager during the stay", (A01, lead_changes, A03),
          (Stay("finished", "IP", "admission.0>12 discharge.0.HOME>2", start=0, end=100),), checklists=(ACTIVE,)),
    Nasty(63, "another lead care manager, and the admission is cancelled: both hear it",
          (A01, lead_changes, m("A11", 100)), (Stay("cancelled", "IP", "-admission.0>12"),), 1),
    Nasty(40, "no visit number: one stay by record number and minute of admission",
          (m("A01", 0, PV1_19="", PV1_44="20260307233000"), m("A03", 100, PV1_19="", PV1_44="20260307233000", **HOME)),
          (Stay("finished", "IP", "admission.0 discharge.0.HOME", start=0, end=100, visits=""),), checklists=(ACTIVE,)),
    Nasty(40, "the visit number is used again next year: one Encounter, that of the new visit; alerts of both",
          (A01, A03, m("A04", 365 * DAY, "E")),
          (Stay("arrived", "ED", "admission.0 discharge.0.HOME ed-arrival.1", start=365 * DAY),), checklists=(ACTIVE,)),
    Nasty(40, "one number at two facilities behind one feed, with authorities: two stays",
          (m("A01", 0, PV1_19="7^^^NORTH^VN", **ROUTED, PV1_39="North"),
           m("A04", 10, "E", PV1_19="7^^^SOUTH^VN", **ROUTED, PV1_39="South"),
           m("A03", 100, PV1_19="7^^^NORTH^VN", **ROUTED, PV1_39="North", **HOME)),
          (Stay("finished", "IP", "admission.0 discharge.0.HOME", start=0, end=100, visits="7"),
           Stay("arrived", "ED", "ed-arrival.0", start=10, visits="7")), checklists=(ACTIVE,)),
    Nasty(40, "one number at two facilities behind one feed, without authorities: two stays by their NPI",
          (m("A01", 0, PV1_19="7", **ROUTED, EVN_7="North^1992999999^NPI"),
           m("A04", 10, "E", PV1_19="7", **ROUTED, EVN_7="South^1992888888^NPI"),
           m("A03", 100, PV1_19="7", **ROUTED, EVN_7="North^1992999999^NPI", **HOME)),
          (Stay("finished", "IP", "admission.0 discharge.0.HOME", start=0, end=100, visits="7"),
           Stay("arrived", "ED", "ed-arrival.0", start=10, visits="7")), checklists=(ACTIVE,)),
    Nasty(41, "ED to inpatient under a new account: one stay",
          (m("A04", 0, "E", visit="V"), m("A03", 100, "E", visit="V", disposition="09"),
           m("A01", 110, visit="W", PV1_50="V")),
          (Stay("in-progress", "IP", "ed-arrival.0 admission.0", start=0, visits="V W"),)),
    Nasty(41, "and the account of the ED ends as if the member had gone home",
          (m("A04", 0, "E", visit="V"), m("A01", 110, visit="W"), m("A03", 115, "E", visit="V")),
          (Stay("in-progress", "IP", "ed-arrival.0 admission.0", start=0, visits="V W"),)),
)  # fmt: skip


@pytest.fixture
async def stage(store: Store, tmp_path: Path) -> World:
    await adt_world(store)
    await put(store, make("Organization/valley", name="Valley Made-up"))
    await store.commit(Change(statements=[sources.put(VALLEY), sources.put(NETWORK)]))
    return World(store, Sender(store), tmp_path)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.number} {row.what}" for row in ROWS])
async def test_nasty(stage: World, row: Nasty) -> None:
    await stage.plays(row.steps)
    await check(stage, row)


def test_every_number_has_its_row() -> None:
    assert {row.number for row in ROWS} == {40, 41, *range(47, 60), 61, 62, 63}
