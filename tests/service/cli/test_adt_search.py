"""`enlace adt inbox`: by control id, visit, record number, source and time; bounded, and it says where it ended."""

import pytest

from mappers.hl7v2.adt import to_event
from mappers.hl7v2.message import Unreadable, parse
from service.cli.adt_search import Asked, Found, find, visit_stay
from service.store.engine import Store
from service.workflow.sending_systems import config_of
from service.workflow.stay_identity import stay_key
from tests.service.adt_world import MERCY, Sender, adt_world, luis, said

HOUR_US = 3_600_000_000


async def filled(store: Store) -> Sender:
    """Oldest first: C1 rosa V1, C2 luis V2, C3 a stranger V3, C4 from an unknown sender V1."""
    await adt_world(store)
    sender = Sender(store)
    stranger = said("", "Nobody", mrn="M-777", given="Una", birth_date="1950-01-01")
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


async def test_each_question_finds_its_messages_newest_first(store: Store) -> None:
    await filled(store)
    now = store.clock.now_us()
    assert await ids(store) == ["C4", "C3", "C2", "C1"]
    assert await ids(store, limit=2) == ["C4", "C3"]
    assert await ids(store, control_id="C2") == ["C2"]
    assert await ids(store, control_id="C2", source="nobody") == []
    assert await ids(store, control_id="C4") == ["C4"], "of a sender that is not registered"
    assert await ids(store, control_id="c2") == await ids(store, control_id="C") == []
    assert await ids(store, visit="V1") == ["C4", "C1"]
    assert await ids(store, visit="V1", source="mercy") == ["C1"]
    assert await ids(store, visit="V") == await ids(store, visit="V1", mrn="M-777") == []
    assert await ids(store, mrn="M-777") == ["C3"]
    assert await ids(store, mrn=said()["mrn"]) == ["C4", "C1"]
    assert await ids(store, source="?CERNER/ELSE") == ["C4"]
    assert await ids(store, source="mercy", state="applied") == ["C2", "C1"]
    assert await ids(store, state="unmatched", source="mercy") == ["C3"]
    assert await ids(store, since_us=now - 2 * HOUR_US) == ["C4", "C3"]
    assert await ids(store, source="mercy", since_us=now - 2 * HOUR_US) == ["C3"]
    assert await ids(store, since_us=now) == await ids(store, control_id="C1", since_us=now) == []


async def test_the_look_is_bounded_and_says_so(store: Store) -> None:
    await filled(store)
    whole = await found(store, state="applied", source="mercy", look=4)
    assert (len(whole.rows), whole.unseen) == (2, False)
    part = await found(store, source="mercy", state="applied", look=1)
    assert (part.rows, part.looked, part.unseen) == ([], 1, True)
    exact = await found(store, source="mercy", look=3)
    assert (len(exact.rows), exact.looked, exact.unseen) == (3, 3, False)
    assert not (await found(store, limit=2, look=2)).unseen, "as many as asked for"


async def test_a_number_leads_to_older_messages_by_stay_and_by_known_member(store: Store) -> None:
    sender = await filled(store)
    for number in range(3):
        await sender(sender.adt("A08", luis(), visit_number="V2", control_id=f"N{number}"))
    assert await ids(store, visit="V1", look=3) == ["C1"], "its stay; the unknown sender has none"
    assert await ids(store, mrn=said()["mrn"], look=3) == ["C1"], "the match made the number known"
    assert (await found(store, mrn="M-777", look=3)).unseen
    assert await ids(store, mrn="M-777", look=3) == []


@pytest.mark.parametrize("authority", ["", "MERCY"])
async def test_the_stay_of_a_visit_is_the_one_that_the_workflow_makes(store: Store, authority: str) -> None:
    """The key is composed here again; if it is composed otherwise there, older messages are not found."""
    raw = Sender(store).adt("A01", PV1_19=f"V1^^^{authority}" if authority else "V1")
    message = parse(raw)
    assert not isinstance(message, Unreadable)
    event, _ = to_event(message, config_of(MERCY), 0)
    assert event is not None
    assert stay_key(event, "mercy") == visit_stay("mercy", authority or "Organization/mercy", "V1")
