"""What a hospital's message reads, and the answer to the hospital that follows most admissions: few statements."""

import pytest

from service.store.engine import Store
from service.workflow import hospital_answer
from service.workflow.hospital_events import apply_adt
from tests.service.adt_world import Sender, adt_world
from tests.service.workflow.made_up import adt
from tests.service.workflow.tcs_world import Stay, at, context, hospital
from tests.service.workflow.watching import Watch


async def test_a_message_is_decided_from_few_statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member's first stay, under a number that nobody knew; the next one; a change of that. (event, visit, sent)"""
    await adt_world(store)
    send, postgresql = Sender(store), store.db.name == "postgresql"
    for event, visit, sent in (("A01", "V1", 8 if postgresql else 32), ("A01", "V2", 7 if postgresql else 30),
                               ("A08", "V2", 6 if postgresql else 26)):  # fmt: skip
        assert await send.receiver.receive(send.adt(event, visit_number=visit))
        [last] = await store.fetch("SELECT max(id) FROM inbox")
        with monkeypatch.context() as patched:
            watch = Watch(store, patched)
            change = await apply_adt(context(store), {"inbox": int(last[0])})
        assert len(watch.sent) == sent, (event, visit)
        assert [job.kind for job in change.jobs] == ["hospital.answer"] * (event == "A01")
        await send.worker.drain()


async def test_an_answer_to_a_hospital_reads_each_thing_once(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL the stay, then what may be known of it, then who leads the care: a statement each."""
    await hospital(world)
    stay, postgresql = Stay(world), world.db.name == "postgresql"
    await stay.hears(adt("A01", 0, "I", processing="T"))
    at(world, 2)
    watch = Watch(world, monkeypatch)
    change = await hospital_answer.answer(context(world), {"encounter": stay.encounter})
    assert [write.rtype for write in change.writes] == ["Communication"] and len(change.epochs) == 2
    assert len(watch.sent) == len(set(watch.sent)) == (3 if postgresql else 11)
    await world.commit(change)
    watch.sent.clear()
    assert (await hospital_answer.answer(context(world), {"encounter": stay.encounter})).writes == []
    assert len(watch.sent) == (2 if postgresql else 5), "it has its answer"
