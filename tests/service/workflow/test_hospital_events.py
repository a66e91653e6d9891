"""One message after the other into the store: what it says of whom, who is told, what a person must look at."""

from dataclasses import replace
from typing import Any

import pytest

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context
from service.caller import system_caller
from service.store import sources, stays
from service.store.change import Change, Job
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.workflow.candidates import candidates_of
from service.workflow.member_match import match
from service.workflow.source_form import BadSource, read_source
from tests.scenarios.adt_truth import check_alerts, check_audit, resources
from tests.service.adt_world import MERCY, Sender, adt_world, luis, member, said
from tests.service.world import ECM1, LCM1, LCM2, episode, make, put

POSTGRESQL_IN_DEEP = True

LEADS = {"Patient/rosa": LCM1, "Patient/luis": LCM2}


@pytest.fixture
async def send(store: Store) -> Sender:
    await adt_world(store)
    return Sender(store)


async def told(store: Store) -> list[dict[str, Any]]:
    """Alerts and corrections, without what the hospital is told."""
    found = (await resources(store, "Communication")).values()
    return sorted((c for c in found if c["id"].startswith(("al-", "co-"))), key=lambda c: c["id"])


async def replay(send: Sender, id: int) -> None:
    await send.store.commit(Change(jobs=[Job("adt.apply", {"inbox": id})]))
    await send.worker.drain()


async def test_an_admission_makes_an_encounter_an_alert_a_task_and_an_audit_row(store: Store, send: Sender) -> None:
    assert await send(send.adt("A01")) == [("applied", "matched")]
    [encounter] = (await resources(store, "Encounter")).values()
    [alert] = await told(store)
    [task] = (await resources(store, "Task")).values()
    assert encounter["status"] == "in-progress"
    assert alert["recipient"][0]["reference"] == LCM1
    assert "Rosalind Q." in alert["payload"][0]["contentString"]
    assert "Quillfeather" not in str(alert), "no more of the name than is needed"
    assert task["focus"]["reference"] == f"Communication/{alert['id']}"
    assert await store.fetch("SELECT count(*) FROM audit WHERE kind = 'adt-applied'") in ([(1,)], [[1]])
    await check_alerts(store, LEADS, at_most=1)
    await check_audit(store)


async def test_a_network_tells_of_each_of_its_hospitals_by_name(store: Store, send: Sender) -> None:
    """One source, no Organization of its own: Encounter, alert, answer and audit name the facility of the message."""
    phone = [{"system": "phone", "value": "(555) 555-0100", "use": "work"}]
    ctx = Context(store, system_caller(), store.clock.now_us())
    found = await ctx.resource(LCM1)
    lead = make(LCM1, name=[{"given": ["Ana"], "family": "Ruiz"}], telecom=phone)
    await store.commit(Change(writes=[ctx.write(lead, found[1] if found else 0)]))
    await put(store, make("Organization/west", name="West"))
    places = {"WEST": {"organization": "Organization/west", "display": "West Made-up"}}
    hie = RegisteredSource("hie", "", "HIE", "", {"display": "Network", "facilities": places}, True)
    await store.commit(Change(statements=[sources.put(hie)]))
    raw = send.adt("A01", PV1_39="WEST").replace(b"|MERCY|", b"|HIE|", 1)
    assert (await send(raw))[-1] == ("applied", "matched")
    [encounter] = (await resources(store, "Encounter")).values()
    assert encounter["serviceProvider"] == {"reference": "Organization/west", "display": "West Made-up"}
    [alert] = await told(store)
    assert "West Made-up" in alert["payload"][0]["contentString"] and "Network" not in str(alert)
    [answer] = [c for id, c in (await resources(store, "Communication")).items() if id.startswith("ha-")]
    assert answer["recipient"] == [{"reference": "Organization/west"}]
    [(detail,)] = await store.fetch("SELECT detail FROM audit WHERE kind = 'adt-applied'")
    assert '"organization":"Organization/west"' in detail


async def test_a_message_without_a_processing_id_is_no_test(store: Store, send: Sender) -> None:
    assert await send(send.adt("A01", MSH_11="")) == [("applied", "matched")]
    assert len(await told(store)) == 1


async def test_a_source_with_an_odd_name_is_no_fault_of_the_log(store: Store, send: Sender) -> None:
    """Its name might be a Medi-Cal number: it is not logged, and its messages are handled all the same."""
    odd = replace(MERCY, name="91234567A")
    await store.commit(Change(statements=[sources.put(replace(MERCY, active=False)), sources.put(odd)]))
    sender = Sender(store)
    raw = sender.adt("A01", PV1_36="ODD", MSH_13="5", control_id="odd-1")
    assert await sender.receiver.receive(raw)
    assert await sender.receiver.receive(sender.adt("A08", MSH_13="9", control_id="odd-2"))
    await sender.worker.drain()
    rows = await store.fetch("SELECT DISTINCT source, state FROM inbox")
    assert [tuple(row) for row in rows] == [("91234567A", "applied")]
    with pytest.raises(BadSource, match="no number of a person"):
        read_source({"name": "91234567A", "facility": "X", "organization": "Organization/mercy"})


async def test_what_could_not_be_read_stays_so_when_it_is_replayed(store: Store, send: Sender) -> None:
    await send.receiver.receive(b"PID|1||no header")
    [(id, state)] = await store.fetch("SELECT id, state FROM inbox")
    assert state == "unreadable"
    await replay(send, id)
    assert [tuple(r) for r in await store.fetch("SELECT state, reason FROM inbox")] == [("unreadable", "no-header")]


async def test_no_update_without_news(store: Store, send: Sender) -> None:
    await send(send.adt("A01"))
    before = await store.fetch("SELECT max(vid) FROM version")
    await replay(send, (await store.fetch("SELECT id FROM inbox"))[0][0])
    assert [tuple(r) for r in await store.fetch("SELECT max(vid) FROM version")] == [tuple(r) for r in before]


async def test_without_a_lead_the_organization_is_told(store: Store, send: Sender) -> None:
    who = said("91000003A", "Larkspurling")
    await member(store, "solo", who, None, ECM1)
    assert await send(send.adt("A01", who)) == [("applied", "matched")]
    [alert] = await told(store)
    assert alert["recipient"][0]["reference"] == ECM1


async def test_with_nobody_to_tell_the_message_says_so_until_it_is_replayed(store: Store, send: Sender) -> None:
    who = said("91000004A", "Thistledown")
    await member(store, "nobodys", who, None, None)
    assert await send(send.adt("A01", who), send.adt("A08", who, ago=50)) == [
        ("applied", "nobody-to-tell"),
        ("applied", "matched"),
    ]
    assert await told(store) == []
    assert (await resources(store, "Encounter")).keys()
    await member(store, "x", said("91000005A", "Unrelated"), LCM1, ECM1)
    await put(store, episode("EpisodeOfCare/late", "Patient/nobodys", ECM1, LCM1))
    await replay(send, (await store.fetch("SELECT id FROM inbox ORDER BY id"))[0][0])
    assert len(await told(store)) == 1
    assert (await send())[0] == ("applied", "matched")


async def test_a_replay_and_a_repeat_change_nothing_after_a_retraction(store: Store, send: Sender) -> None:
    await send(send.adt("A01"), send.adt("A03", ago=30, disposition="01"), send.adt("A13", ago=20))
    before = await told(store)
    for (id,) in await store.fetch("SELECT id FROM inbox"):
        await replay(send, id)
    assert await told(store) == before
    await check_alerts(store, LEADS, at_most=2)


async def test_a_cancelled_discharge_that_happens_again_is_told_again(store: Store, send: Sender) -> None:
    await send(
        send.adt("A01", ago=90),
        send.adt("A03", ago=60, disposition="01"),
        send.adt("A13", ago=50),
        send.adt("A03", ago=10, disposition="03"),
    )
    await check_alerts(store, LEADS)
    standing = [c for c in await told(store) if c["status"] == "completed" and not c.get("inResponseTo")]
    assert len(standing) == 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"processing_id": "T"}, ("ignored", "processing-id")),
        ({"MSH_9": "ORU^R01"}, ("ignored", "")),
        ({"PID_5": "DOE^JANE", "PID_3": "X1^^^MERCY^MR", "IN1_36": ""}, ("unmatched", "placeholder-name")),
    ],
)
async def test_each_end_has_a_state(send: Sender, fields: dict[str, str], expected: tuple[str, str]) -> None:
    [(state, reason)] = await send(send.adt("A01", **fields))
    assert state == expected[0]
    assert reason == expected[1] or (not expected[1] and reason)


async def test_contradictions_never_join_a_stay(store: Store, send: Sender) -> None:
    """Neither another member's number inside a matched stay, nor one that contradicted before the match."""
    states = await send(
        send.adt("A03", said(cin="91000002A"), ago=80, disposition="01"),  # Rosa's name under Luisa's number
        send.adt("A01", ago=70),
        send.adt("A03", luis(), ago=60, disposition="01"),
        send.adt("A08", ago=50),
    )
    assert [state for state, _ in states] == ["unmatched", "applied", "unmatched", "applied"]
    assert states[2][1] == "stay-of-another-member"
    [encounter] = (await resources(store, "Encounter")).values()
    assert encounter["status"] == "in-progress"
    await check_alerts(store, LEADS)


async def test_what_said_too_little_joins_when_the_stay_is_matched(store: Store, send: Sender) -> None:
    little = said(cin="", mrn="NEW")
    states = await send(send.adt("A01", {**little, "phone": ""}, ago=70), send.adt("A08", said(mrn="NEW"), ago=60))
    assert states[0] == ("applied", "matched-later")
    await check_alerts(store, LEADS)


async def test_an_acknowledged_alert_stays_acknowledged(store: Store, send: Sender) -> None:
    await send(send.adt("A01"))
    [alert] = await told(store)
    ctx = Context(store, system_caller(), store.clock.now_us())
    seen = {**alert, "received": "2026-03-07T23:00:00-08:00"}
    await store.commit(Change(writes=[ctx.write(seen, 1)]))
    await send(send.adt("A08", ago=50), send.adt("A03", ago=5, disposition="01"))
    assert (await resources(store, "Communication"))[alert["id"]]["received"]
    await send(send.adt("A11", ago=1))
    gone = (await resources(store, "Communication"))[alert["id"]]
    assert gone["status"] == "entered-in-error"
    assert gone["received"], "who has read it is kept"


async def test_candidates_are_found_by_number_record_number_and_birth_date(store: Store, send: Sender) -> None:
    await send(send.adt("A01"))
    [row] = await stays.events(store, (await store.fetch("SELECT stay FROM stay_event"))[0][0])
    event = AdtEvent.from_json(row.event)
    ctx = Context(store, system_caller(), store.clock.now_us())
    found = await candidates_of(ctx, event)
    by_kind = {lookup.kind: [c.patient_ref for c in hits] for lookup, hits in found.items()}
    assert by_kind["cin"] == ["Patient/rosa"]
    assert by_kind["mrn"] == ["Patient/rosa"], "the number is known since the first match"
    assert match(event, found).patient_ref == "Patient/rosa"
    unknown = replace(event, patient=replace(event.patient, cins=(), ids=()))
    [(lookup, hits)] = (await candidates_of(ctx, unknown)).items()
    assert (lookup.kind, [c.patient_ref for c in hits]) == ("demographics", ["Patient/rosa"])
    assert match(unknown, {lookup: hits}).patient_ref == "Patient/rosa", "name, birth date and telephone"
