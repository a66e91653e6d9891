"""`enlace adt simulate --stays`: whole stays over a real socket, and a check that finds what is not as told."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adt_listener.process import listener
from service.access.context import Settings
from service.cli import app
from service.cli.feed import county
from service.cli.feed_stays import Played, differences, planned, send_all
from service.store import sources
from service.store.change import Change
from service.store.engine import Store, open_store
from service.store.sources import RegisteredSource
from service.worker import Worker
from tests.scenarios.harness import look
from tests.service.adt_world import MERCY, adt_world

POSTGRESQL_IN_DEEP = True
NETWORK = RegisteredSource(
    "network", "NET", "NETWORK", "Organization/mercy",
    {"display": "Network", "facilities": {"1234567893": {"organization": "Organization/mercy", "display": "West"}}},
    True,
)  # fmt: skip


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await open_store(database_url)
    await adt_world(opened)
    await opened.commit(Change(statements=[sources.put(NETWORK)]))
    yield opened
    await opened.close()


async def played(store: Store, name: str, seed: int, *faults: str) -> Played:
    around = await county(store)
    await around.look(store)
    return planned(around, store.clock.now_us(), stays=1, seed=seed, names=[name], faults=faults)


async def test_stays_are_played_and_compared(store: Store) -> None:
    around = await county(store)
    assert [place.get("via") for _, place in around.hospitals] == [None, {"application": "NET", "facility": "NETWORK"}]
    server = listener(store)
    port = await server.start("127.0.0.1", 0)
    told = [
        await played(store, name, n, "duplicates", "lost-acks", "disorder")
        for n, name in enumerate(
            ("admission", "observation", "records-merged", "hospital-to-hospital", "through-the-ed", "leave-and-back")
        )
    ]
    try:
        for one in told:
            assert await send_all(("127.0.0.1", port), one.deliveries) == (len(one.deliveries),) * 2
    finally:
        await server.stop()
    assert any(b"|NET|NETWORK|" in d.payload for one in told for d in one.deliveries)
    expected = [truth for one in told for truth in one.expected]
    assert any("there are none" in words for words in await differences(store, expected, 0))
    await Worker(store, Settings()).drain()
    assert await differences(store, expected, 0) == []
    wrong = [replace(expected[0], status="in-progress"), replace(expected[1], end_us=None)]
    status, end = await differences(store, wrong, 0)
    assert "status is finished and should be in-progress" in status and "end is" in end and "None" in end


async def test_the_same_seed_plays_the_same_pathways_of_people_who_are_free(store: Store) -> None:
    around = await county(store)
    first = planned(around, store.clock.now_us(), stays=1, seed=4, names=(), faults=())
    again = planned(around, store.clock.now_us() + 60_000_000, stays=1, seed=4, names=(), faults=())
    assert [e.pathway for e in first.expected] == [e.pathway for e in again.expected]
    assert not {d.sent.control_id for d in first.deliveries} & {d.sent.control_id for d in again.deliveries}
    with pytest.raises(OSError, match="4 stays need 8 members"):
        planned(around, 0, stays=4, seed=4, names=(), faults=())


def test_messages_and_truth_are_written_to_files(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    look(database_url, adt_world)
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)
    out, truth = tmp_path / "feed.hl7", tmp_path / "truth.jsonl"
    ask = ["adt", "simulate", "--stays", "1", "--pathway", "died", "--fault", "all", "--out", str(out)]
    done = CliRunner().invoke(app, [*ask, "--truth", str(truth)])
    assert done.exit_code == 0 and "written to" in done.output, done.output
    [line] = [json.loads(line) for line in truth.read_text().splitlines()]
    assert line["alerts"] == ["admission", "death"] and line["visit"].encode() in out.read_bytes()
    assert out.read_bytes().count(b"MSH|") == int(done.output.split()[0]) >= 3
    assert MERCY.facility.encode() in out.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--stays", "1", "--pathway", "nowhere"), "no pathway nowhere"),
        (("--stays", "1", "--fault", "bad"), "no fault bad"),
        (("--check",), "go with --stays"),
    ],
)
def test_wrong_use_says_what_is_right(arguments: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(app, ["adt", "simulate", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 2 and words in " ".join(done.output.split())


def test_the_list_names_pathways_and_faults() -> None:
    done = CliRunner().invoke(app, ["adt", "simulate", "--list"])
    assert done.exit_code == 0 and "ed-treat-and-release" in done.output and "lost-acks" in done.output
