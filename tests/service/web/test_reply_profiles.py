"""What an answer by a link writes fits Gravity's profiles."""

from service.store.engine import Store
from tests.scenarios.adt_truth import resources
from tests.service.operations.test_written_profiles import all_unfit
from tests.service.web.replying import Desk, people_of

POSTGRESQL_IN_DEEP = True


async def test_what_the_answer_page_writes(store: Store) -> None:
    await people_of(store)
    desk = Desk(store)
    task = await desk.refer()
    phone, page = await desk.inside(task)
    for words in ("Accept", "Done"):
        page = await phone.pressed(page, words)
    await desk.work()
    assert (await desk.task(task["id"]))["status"] == "completed"
    assert len(await resources(store, "Procedure")) == 1
    assert await all_unfit(store) == {}
