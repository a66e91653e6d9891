"""What a hospital feed must not tell: places of a program, hidden diagnoses, strangers in the wrong record."""

import json
from typing import Any

import pytest

from mappers.hl7v2.resources.condition import condition_id
from mappers.hl7v2.source import FacilityConfig, SourceConfig
from service.access.consent.compile import compiled
from service.access.consent.provisions import Source
from service.access.context import Context
from service.access.labels import ACT, BITS, bits_of
from service.caller import system_caller
from service.store import clearance, label_rules, matches
from service.store.change import Change, Job
from service.store.engine import Store
from service.store.label_rules import Rule
from service.workflow.alert_known import thread_name
from service.workflow.purging import DAY_US
from service.workflow.sending_systems import client_peer, may_speak
from tests.frozen_clock import FrozenClock
from tests.scenarios.adt_truth import resources
from tests.service.access.consent.consents import consent, rule
from tests.service.adt_world import Sender, adt_world, luis, said
from tests.service.world import BASE, ECM1, LCM1, put

POSTGRESQL_IN_DEEP = True
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
OPIOIDS = "F11.20^Opioid dependence"


@pytest.fixture
async def send(store: Store) -> Sender:
    await adt_world(store)
    return Sender(store)


async def label(store: Store, kind: str, value: str, *groups: str) -> None:
    await store.commit(Change(statements=[label_rules.put(store.keys, Rule(kind, value, bits_of(groups), ""))]))


async def versions(store: Store, rtype: str = "") -> list[tuple[str, int, str]]:
    """(reference, labels, text) of all versions."""
    rows = await store.fetch("SELECT rtype, fhir_id, labels, body FROM version WHERE body IS NOT NULL ORDER BY vid")
    return [(f"{r[0]}/{r[1]}", int(r[2]), bytes(r[3]).decode()) for r in rows if rtype in ("", r[0])]


async def test_a_program_is_named_by_nothing_without_its_label(store: Store, send: Sender) -> None:
    """42 CFR Part 2: that somebody was there says what for."""
    await label(store, "reference", "Organization/mercy", "sud")
    await send(send.adt("A01"), send.adt("A03", ago=50, disposition="01"), send.adt("A13", ago=40))
    await send(send.adt("A03", ago=30, disposition="01"), send.adt("A11", ago=20))
    await send(send.adt("A31", luis(), ago=10, PID_30="Y"), send.adt("A31", luis(), ago=5, PID_30="N"))
    said = await versions(store)
    assert {one.partition("/")[0] for one, _, _ in said} >= {"CarePlan", "Communication", "Encounter", "Task"}
    assert any("has died" in text and bits for _, bits, text in said)
    assert {one for one, bits, text in said if "Mercy Made-up" in text and not bits & BITS["sud"]} == set()


async def test_a_diagnosis_bears_the_label_of_its_place(store: Store, send: Sender) -> None:
    await label(store, "reference", "Organization/mercy", "sud")
    await send(send.adt("A01", diagnosis="E11.9^Diabetes"))
    assert [bits for _, bits, _ in await versions(store, "Condition")] == [BITS["sud"]]


async def test_an_encounter_does_not_point_at_a_hidden_diagnosis(store: Store, send: Sender) -> None:
    """A reader without clearance could try all codes against an id that follows from the code alone."""
    await send(send.adt("A01", diagnosis=OPIOIDS, DG1_3=f"{OPIOIDS}^I10"))
    await send(send.adt("A08", ago=30, diagnosis="R07.9^Chest pain"))
    [encounter] = (await resources(store, "Encounter")).values()
    found = {id: one["code"]["coding"][0]["code"] for id, one in (await resources(store, "Condition")).items()}
    assert sorted(found.values()) == ["F11.20", "R07.9"]
    shown = [found[one["condition"]["reference"].partition("/")[2]] for one in encounter["diagnosis"]]
    assert shown == ["R07.9"]
    assert all(condition_id(f"Encounter/{encounter['id']}", (ICD10, code)) not in found for code in found.values())


async def test_labels_that_people_set_outlive_the_next_message(store: Store, send: Sender) -> None:
    await send(send.adt("A01", diagnosis="R07.9^Chest pain"))
    for rtype in ("Encounter", "Condition", "Communication"):
        for id, one in (await resources(store, rtype)).items():
            meta = {**one.get("meta", {}), "security": [{"system": ACT, "code": "SUD"}]}
            await store.commit(Change(writes=[context(store).write({**one, "id": id, "meta": meta}, 1)]))
    await send(send.adt("A08", ago=30, reason="Pain", diagnosis="R07.9^Pain in the chest", DG1_6="F"))
    await send(send.adt("A11", ago=20))
    last = {one: (bits, text) for one, bits, text in await versions(store)}
    kept = {one: bits for one, (bits, _) in last.items() if one.startswith(("Encounter/", "Condition/"))}
    assert set(kept.values()) == {BITS["sud"]}
    assert all(bits == BITS["sud"] for one, (bits, _) in last.items() if one.startswith("Communication/al-"))


async def test_what_was_of_a_stranger_does_not_stay_in_the_wrong_record(store: Store, send: Sender) -> None:
    await send(send.adt("A01", diagnosis="R07.9^Chest pain", reason="Chest pain", visit_number="V777", PV1_4="C"))
    [stay] = await resources(store, "Encounter")
    word = matches.decide(
        matches.stay_subject(stay), "Patient/luis", matches.SAME, by="sup", now_us=store.clock.now_us(), review=None
    )
    await store.commit(Change(statements=word, jobs=[Job("adt.settle", {"stay": stay})]))
    await send.worker.drain()
    for rtype, fact in (("Encounter", "V777"), ("Condition", "R07.9")):
        found = (await resources(store, rtype)).values()
        wrong = [one for one in found if one["subject"]["reference"] == "Patient/rosa"]
        right = [one for one in found if one["subject"]["reference"] == "Patient/luis"]
        assert len(wrong) == len(right) == 1
        assert fact in json.dumps(right) and (rtype != "Encounter" or "Elective" in json.dumps(right))
        assert not any(word in json.dumps(wrong) for word in ("hest pain", "R07.9", "V777", "location", "Elective"))


async def test_what_another_files_about_a_stay_is_left_to_them(store: Store, send: Sender) -> None:
    """Written anew by the service it would lose the label that its author's writing bears."""
    await send(send.adt("A01"))
    [alert] = [one for id, one in (await resources(store, "Communication")).items() if id.startswith("al-")]
    copied = {**alert, "id": "al-copy", "recipient": [{"reference": ECM1}]}
    copied["identifier"] = [{**one, "value": "elsewhere"} for one in alert["identifier"]]
    await put(store, copied, source=ECM1)
    await send(send.adt("A03", ago=20, disposition="01"))
    assert len([one for one, _, _ in await versions(store) if one == "Communication/al-copy"]) == 1


async def test_numbers_of_strangers_that_were_merged_are_forgotten_too(
    store: Store, send: Sender, clock: FrozenClock
) -> None:
    other = said(cin="", family="Stranger", mrn="S1", birth_date="1955-01-09")
    await send(send.adt("A01"), send.adt("A01", other, visit_number="V9"))
    await send(send.adt("A40", retired="M-0"), send.adt("A40", other | {"mrn": "S2"}, retired="S1"))
    was = [tuple(r) for r in await store.fetch("SELECT state, reason FROM inbox ORDER BY id")]
    assert was[3] == ("applied", "numbers-noted"), "it touches a stay that is stored, of nobody's"
    clock.advance(31 * DAY_US)
    await store.commit(Change(jobs=[Job("adt.purge", {})]))
    await send.worker.drain()
    rows = await store.fetch("SELECT i.state, i.raw FROM inbox i ORDER BY i.id")
    assert [(row[0] == "purged", b"STRANGER" in bytes(row[1]).upper()) for row in rows] == [
        (False, False), (True, False), (False, False), (True, False),
    ]  # fmt: skip
    assert all(bytes(rows[n][1]) for n in (0, 2)), "a member's messages stay whole"
    assert [row[0] for row in await store.fetch("SELECT mrn FROM mrn_merge")] == ["M-0"]


@pytest.mark.parametrize(("kind", "value", "told"), [("", "", 1), ("source", ECM1, 0), ("reference", LCM1, 0)])
async def test_a_hospital_does_not_hear_that_a_program_cares_for_its_patient(
    store: Store, send: Sender, kind: str, value: str, told: int
) -> None:
    """42 CFR 2.12: name and number of a program's care manager say what the member is treated for."""
    if kind:
        await label(store, kind, value, "part2")
    await named(store)
    await send(send.adt("A01"))
    assert len([id for id in await resources(store, "Communication") if id.startswith("ha-")]) == told
    rows = await store.fetch("SELECT outcome, reason FROM audit WHERE kind = 'hospital-answered'")
    assert [tuple(row) for row in rows] == [(0, "") if told else (4, "consent")]


async def test_a_hospital_does_not_hear_what_a_consent_keeps_from_it(store: Store, send: Sender) -> None:
    deny = consent("Consent/c", rule("deny", to=("Organization/mercy",)), "Patient/rosa")
    compiled_rules = compiled(deny, Source(store.keys, BASE)).rules
    await store.commit(Change(statements=clearance.replaced(store.keys.resource("Consent/c"), compiled_rules)))
    await named(store)
    await send(send.adt("A01"))
    assert [id for id in await resources(store, "Communication") if id.startswith("ha-")] == []


async def named(store: Store) -> None:
    found = await context(store).resource(LCM1)
    assert found is not None
    person = {**found[0], "name": [{"given": ["Ana"], "family": "Ruiz"}]}
    await store.commit(Change(writes=[context(store).write(person, found[1])]))


def context(store: Store) -> Context:
    return Context(store, system_caller(), store.clock.now_us())


def hie(**more: Any) -> SourceConfig:
    places = {n: FacilityConfig(f"Organization/{n}") for n in ("mercy", "valley")}
    return SourceConfig("hie", facilities=places, **more)


def test_one_hospital_of_a_network_does_not_speak_for_the_others() -> None:
    """It would write into their stays, and so into what their patients' care managers hear."""
    mercy = client_peer("mercy", "Organization/mercy")
    assert not may_speak(hie(), mercy)
    assert not may_speak(hie(facility="Organization/hie"), mercy)
    assert may_speak(hie(certificates=("client:mercy",)), mercy)
    assert may_speak(hie(facility="Organization/hie"), client_peer("hie", "Organization/hie"))
    assert may_speak(SourceConfig("one", facilities={"m": FacilityConfig("Organization/mercy")}), mercy)
    assert may_speak(SourceConfig("one", facility="Organization/mercy"), mercy)


async def test_the_thread_of_an_alert_does_not_lead_to_another_stay(store: Store, send: Sender) -> None:
    """The id of the first stay follows from its numbers, which are short: it would tell at which place it was."""
    await send(send.adt("A01"))
    [encounter] = await resources(store, "Encounter")
    [alert] = [one for id, one in (await resources(store, "Communication")).items() if id.startswith("al-")]
    assert [one["value"] == thread_name(store.keys, encounter) for one in alert["identifier"]] == [False, True]
    assert encounter not in str(alert["identifier"])
