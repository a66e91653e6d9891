"""Finding messages: by number, name, event, day and member through terms, and before there are terms; bounded."""

import pytest

from service.store import inbox_terms
from service.store.change import Change, Job, Statement
from service.store.engine import Store
from service.workflow.feed_search import Asked, Found, NotADay, day_bounds, find
from tests.service.adt_world import Sender, adt_world, luis, said

POSTGRESQL_IN_DEEP = True

HOUR_US = 3_600_000_000


async def filled(store: Store) -> Sender:
    """Oldest first: C1 rosa V1, C2 luis V2, C3 a stranger V3, C4 from an unknown sender V1."""
    await adt_world(store)
    sender = Sender(store)
    stranger = said("", "Garc\u00eda-L\u00f3pez", mrn="M-777", given="Una Mar\u00eda", birth_date="1950-01-01")
    for who, more in (
        (said(), {"visit_number": "V1"}), (luis(), {"visit_number": "V2"}), (stranger, {"visit_number": "V3"}),
        (said(), {"visit_number": "V1", "MSH_3": "CERNER", "MSH_4": "ELSE"}),
    ):  # fmt: skip
        await sender(sender.adt("A01", who, **more))
        store.clock.advance(HOUR_US)  # type: ignore[attr-defined]
    return sender


async def ids(store: Store, *, limit: int = 50, look: int = 10_000, **asked: object) -> list[str]:
    return [row.control_id for row in (await found(store, limit=limit, look=look, **asked)).rows]


async def found(store: Store, *, limit: int = 50, look: int = 10_000, **asked: object) -> Found:
    return await find(store, Asked(**asked), limit=limit, look=look)  # type: ignore[arg-type]


async def listed(store: Store, sender: Sender) -> None:
    """As the worker does every minute, some time later."""
    store.clock.advance(HOUR_US)  # type: ignore[attr-defined]
    await store.commit(Change(jobs=[Job("adt.terms", {})]))
    await sender.worker.drain()


async def test_each_question_finds_its_messages_newest_first(store: Store) -> None:
    await filled(store)
    now = store.clock.now_us()
    assert await ids(store) == ["C4", "C3", "C2", "C1"]
    assert await ids(store, limit=2) == ["C4", "C3"]
    assert await ids(store, control_id="C2") == ["C2"]
    assert await ids(store, control_id="C2", source="nobody") == []
    assert await ids(store, control_id="C4") == ["C4"], "of a sender that is not registered"
    assert await ids(store, control_id="c2") == await ids(store, control_id="C") == []
    assert await ids(store, source="?CERNER/ELSE") == ["C4"]
    assert await ids(store, source="mercy", state="applied") == ["C2", "C1"]
    assert await ids(store, state="unmatched", source="mercy") == ["C3"]
    assert await ids(store, since_us=now - 2 * HOUR_US) == ["C4", "C3"]
    assert await ids(store, source="mercy", since_us=now - 2 * HOUR_US) == ["C3"]
    assert await ids(store, since_us=now) == await ids(store, control_id="C1", since_us=now) == []
    assert await ids(store, until_us=now - 3 * HOUR_US) == ["C1"]


@pytest.mark.parametrize("filled_in", [False, True], ids=["as they stand", "by terms"])
async def test_what_a_message_says_leads_to_it(store: Store, filled_in: bool) -> None:
    sender = await filled(store)
    if filled_in:
        await listed(store, sender)
        assert await inbox_terms.done_upto(store)
    assert await ids(store, visit="V1") == ["C4", "C1"]
    assert await ids(store, visit="V1", source="mercy") == ["C1"]
    assert await ids(store, visit="V") == await ids(store, visit="V1", mrn="M-777") == []
    assert await ids(store, mrn="m-777") == ["C3"]
    assert await ids(store, mrn=said()["mrn"]) == ["C4", "C1"]
    assert await ids(store, cin=luis()["cin"].lower()) == ["C2"]
    assert await ids(store, event="A01", visit="V2") == ["C2"]
    assert await ids(store, event="A03") == []
    assert await ids(store, name="Quillfeather") == ["C4", "C1"]
    assert await ids(store, name="quillfeather, rosalind", source="mercy") == ["C1"]
    assert await ids(store, name="Quillfeather, Una") == []
    for name in ("garcia-lopez", "Garcia Lopez", "Lopez", "GARC\u00cdA, maria", "garcia, Una"):
        assert await ids(store, name=name) == ["C3"], name
    assert await ids(store, control_id="C1", visit="V1") == ["C1"]


async def test_a_member_finds_what_was_matched_later_too(store: Store) -> None:
    sender = await filled(store)
    await listed(store, sender)
    assert await ids(store, patient="Patient/rosa") == ["C1"]
    assert await ids(store, patient="Patient/rosa", visit="V2") == []
    matched = Statement("UPDATE stay_event SET patient = 'Patient/rosa' WHERE patient = ''", ())
    await store.commit(Change(statements=[matched]))
    assert await ids(store, patient="Patient/rosa") == ["C3", "C1"]


async def test_what_was_purged_is_found_by_no_number(store: Store) -> None:
    sender = await filled(store)
    await listed(store, sender)
    [(stranger,)] = await store.fetch("SELECT id FROM inbox WHERE control_id = 'C3'")
    await store.commit(Change(statements=inbox_terms.forget([stranger])))
    assert await ids(store, mrn="M-777") == await ids(store, name="Lopez") == []
    assert await ids(store, control_id="C3") == ["C3"]


async def test_the_job_does_a_page_at_a_time_and_nothing_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.workflow.feed_terms.PAGE", 2)
    sender = await filled(store)
    await store.commit(Change(statements=[Statement("DELETE FROM inbox_term", ())]))
    await listed(store, sender)
    mark = await inbox_terms.done_upto(store)
    [(last, terms)] = await store.fetch("SELECT max(i.id), (SELECT count(*) FROM inbox_term) FROM inbox i")
    assert mark == last and terms > 4 * 5
    assert await ids(store, visit="V1") == ["C4", "C1"]
    await listed(store, sender)
    assert await store.fetch("SELECT count(*) FROM inbox_term") == [(terms,)]
    assert await store.fetch("SELECT count(*) FROM job WHERE state <> 'done'") == [(0,)]


async def test_the_look_is_bounded_and_says_so(store: Store) -> None:
    sender = await filled(store)
    whole = await found(store, state="applied", source="mercy", look=4)
    assert (len(whole.rows), whole.unseen) == (2, False)
    part = await found(store, source="mercy", state="applied", look=1)
    assert (part.rows, part.looked, part.unseen) == ([], 1, True)
    exact = await found(store, source="mercy", look=3)
    assert (len(exact.rows), exact.looked, exact.unseen) == (3, 3, False)
    assert not (await found(store, limit=2, look=2)).unseen, "as many as asked for"
    await listed(store, sender)
    common = await found(store, event="A01", state="applied", look=2)
    assert (common.rows, common.unseen) == ([], True), "the newest two are of no member"
    assert common.back_us == (await found(store, control_id="C3")).rows[0].received_us
    assert await ids(store, event="A01", state="applied", look=4) == ["C2", "C1"]
    assert not (await found(store, event="A01", state="applied", look=4)).unseen


def test_a_day_is_the_hospitals() -> None:
    summer, autumn = day_bounds("2026-07-01", "America/Los_Angeles"), day_bounds("2026-11-01", "America/Los_Angeles")
    assert summer["until_us"] - summer["since_us"] == 24 * HOUR_US
    assert autumn["until_us"] - autumn["since_us"] == 25 * HOUR_US
    assert summer["since_us"] == 1_782_889_200_000_000
    for day, zone in (("2026-13-01", "UTC"), ("yesterday", "UTC"), ("2026-07-01", "Nowhere/Else"), ("9999-12-31", "")):
        with pytest.raises(NotADay, match="YYYY-MM-DD"):
            day_bounds(day, zone)
