"""`enlace adt show`: what the mapper read and what it did not, what was made, what failed; no value without --raw."""

import json

from service.cli.adt_show import lines
from service.store.change import Change, Statement
from service.store.engine import Store
from service.workflow.feed_reading import read_again
from service.workflow.feed_view import view
from service.workflow.sending_systems import config_of
from tests.service.adt_world import MERCY, Sender, adt_world, said

RAW = (
    b"MSH|^~\\&|EPIC|MERCY|||20260307200000||ADT^A01^ADT_A01|7|P|2.5.1\r"
    b"EVN|A01|20260307200000\r"
    b"PID|1||M-1^^^MERCY^MR~90000001A^^^MEDI-CAL^MA~X9^^^Q^Zyxwv||Quillfeather^Rosalind||19800517|F||Roma\r"
    b"PV1|1|HOV^Zyxwv|4W^401^A||||||||||||||||V1^^^MERCY^VN||||||||||||||||||||||||||20260307250000\r"
    b"ZPV|1|Zyxwv\r"
)


def test_the_mapper_says_what_it_read_and_what_not() -> None:
    reading = read_again(RAW, config_of(MERCY), 1_772_942_400_000_000)
    found = {segment.segment: segment for segment in reading.segments}
    assert list(found) == ["MSH", "EVN", "PID", "PV1", "ZPV"]
    assert found["MSH"].read["MSH-10"] == "Message control id" and not found["MSH"].not_read
    assert found["PID"].read["PID-5"] == "Patient name"
    assert found["PID"].not_read == {"PID-1": "Set id", "PID-10": "Race"}
    assert found["PV1"].read["PV1-19"] == "Visit number" and "PV1-7" not in found["PV1"].read
    assert (found["ZPV"].read, found["ZPV"].not_read) == ({}, {"ZPV-1": "", "ZPV-2": ""})
    remarks = {(r["severity"], r["at"], r["code"]) for r in reading.remarks}
    assert ("warning", "PV1-2", "unmapped-code") in remarks
    [understood] = reading.understood
    assert understood["effect"] == "admit"
    assert (understood["class"], understood["stay_by"]) == ("UNKNOWN", "visit number")
    assert understood["identifiers"] == ["MA", "MR", "other"]
    text = repr(reading)
    assert not [word for word in ("Zyxwv", "Quill", "Roma", "M-1", "HOV") if word in text]


def test_what_makes_no_event_is_told_too() -> None:
    other = read_again(RAW.replace(b"ADT^A01^ADT_A01", b"ORU^R01"), config_of(MERCY), 0)
    assert other.understood == [] and other.segments
    assert "not-adt" in {remark["code"] for remark in other.remarks}
    assert read_again(b"PID|1", config_of(MERCY), 0).remarks[0]["code"] == "no-header"


async def test_one_message_from_its_answer_to_its_alert(store: Store) -> None:
    await adt_world(store)
    sender = Sender(store)
    await sender(sender.adt("A01"))
    before = await store.fetch("SELECT count(*), max(id) FROM job")
    [(id,)] = await store.fetch("SELECT id FROM inbox")
    facts = await view(store, id, content=True)
    assert facts is not None
    assert (facts["state"], facts["reason"], facts["answer"]) == ("applied", "matched", "MSA|AA|C1")
    assert facts["encounter"] == f"Encounter/{facts['stay']}"
    [alert] = facts["alerts"]
    assert alert["reference"].startswith("Communication/") and alert["status"] == "completed"
    assert facts["jobs"] == [] and facts["registered"]
    assert said()["family"] in facts.pop("raw")
    json.dumps(facts)
    text = "\n".join(lines(facts))
    for words in ("answer     MSA|AA|C1", "understood admit; class INPATIENT (PV1-2)", "alert      Communication/",
                  "segment    PID: 3 Patient identifier list, 5 Patient name"):  # fmt: skip
        assert words in text, text
    for value in (said()["family"], said()["given"], said()["cin"], said()["mrn"], "Rosalind Q."):
        assert value not in text
    assert await store.fetch("SELECT count(*), max(id) FROM job") == before, "looking has no effect"
    assert await view(store, 1, content=False) is None


async def test_a_dead_job_and_an_unknown_sender_are_shown(store: Store) -> None:
    await adt_world(store)
    sender = Sender(store)
    await sender.receiver.receive(sender.adt("A01"))
    await sender.receiver.receive(sender.adt("A01", MSH_3="CERNER"))
    broken = (
        "UPDATE job SET state = 'dead', attempts = 8, last_error = 'KeyError at stays.py:1' WHERE kind = 'adt.apply'"
    )
    await store.commit(Change(statements=[Statement(broken, ())]))
    known, unknown = [row[0] for row in await store.fetch("SELECT id FROM inbox ORDER BY id")]
    facts = await view(store, known, content=False)
    assert facts is not None and facts["encounter"] is None
    [job] = facts["jobs"]
    assert (job["state"], job["attempts"], job["last_error"]) == ("dead", 8, "KeyError at stays.py:1")
    assert f"job        {job['id']} dead after 8 attempts: KeyError at stays.py:1" in lines(facts)
    facts = await view(store, unknown, content=False)
    assert facts is not None and not facts["registered"] and facts["understood"][0]["effect"] == "admit"
    assert any("not registered" in line for line in lines(facts))
