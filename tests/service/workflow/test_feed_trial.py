"""A trial of a replay: it changes and logs nothing, and says for each message what the replay would change."""

import pytest

from service.cli.adt_replay import lines
from service.store import inbox
from service.store.change import Change, Statement
from service.store.engine import Store
from service.workflow.feed_replay import replay_messages
from service.workflow.feed_trial import trial
from tests.service.adt_world import Sender, adt_world, member, said
from tests.service.world import ECM1, LCM1

POSTGRESQL_IN_DEEP = True


async def rows(store: Store) -> list[inbox.Received]:
    return await inbox.listed(store, state=None, limit=100)


async def counts(store: Store) -> list[tuple[int, ...]]:
    tables = ("version", "stay_event", "job", "audit", "mrn_link", "inbox_term")
    return [(await store.fetch(f"SELECT count(*) FROM {table}"))[0] for table in tables]


async def test_a_member_who_was_added_later(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    await adt_world(store)
    sender = Sender(store)
    late = said("91000003A", "Thistlewood", given="Ada", birth_date="1962-03-04")
    assert await sender(sender.adt("A01", late)) == [("unmatched", "no-candidate")]
    await member(store, "ada", late, LCM1, ECM1)
    before = await counts(store)
    capsys.readouterr()
    done = await trial(store, await rows(store))
    assert "adt.alerted" not in capsys.readouterr().err, "nothing was told, so no line says so"
    assert await counts(store) == before
    [one] = done["messages"]
    assert one["state"] == {"from": "unmatched", "to": "applied"} and one["patient"]["to"] == "Patient/ada"
    types = [write["reference"].split("/")[0] for write in one["writes"]]
    assert "Encounter" in types and "Communication" in types
    assert {write["change"] for write in one["writes"]} == {"new"}
    text = "\n".join(lines(done))
    assert "state unmatched -> applied" in text and "1 of 1 would change something" in text
    assert "Thistlewood" not in repr(done) and "91000003A" not in repr(done)
    await replay_messages(store, await rows(store))
    assert await sender() == [("applied", "matched")]
    assert (await trial(store, await rows(store)))["changed"] == 0


async def test_a_new_class_map_shows_the_elements_that_change(store: Store) -> None:
    await adt_world(store)
    sender = Sender(store)
    await sender(sender.adt("A01", PV1_2="HOV"))
    assert (await trial(store, await rows(store)))["changed"] == 0
    config = '{"class_map": {"PV1-2:HOV": "OBSERVATION"}, "display": "Mercy Made-up"}'
    mapped = Statement("UPDATE message_source SET config = ? WHERE name = 'mercy'", (config,))
    await store.commit(Change(statements=[mapped]))
    done = await trial(store, await rows(store))
    [encounter] = [w for w in done["messages"][0]["writes"] if w["reference"].startswith("Encounter/")]
    assert encounter["change"] == "changed" and "class" in encounter["elements"]


async def test_what_would_fail_and_what_is_purged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await adt_world(store)
    sender = Sender(store)
    await sender(sender.adt("A01"), sender.adt("A01"))
    first, _ = reversed(await rows(store))
    gone = Statement("UPDATE inbox SET state = 'purged', raw = ? WHERE id = ?", (b"", first.id))
    await store.commit(Change(statements=[gone]))

    async def broken(*_: object) -> Change:
        raise KeyError("Quillfeather")

    monkeypatch.setattr("service.workflow.feed_trial.apply_adt", broken)
    done = await trial(store, await rows(store))
    assert [one.get("purged") or one.get("fails") for one in done["messages"]] == [True, "KeyError"]
    assert "would fail with KeyError" in "\n".join(lines(done))
    assert (await replay_messages(store, await rows(store))).purged == 1
