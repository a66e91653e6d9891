"""Reads give back what was written, byte-true in value, and nothing that the restriction hides."""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from fhir_profiles.json_text import write_json
from service.access.context import parse
from service.access.new_version import deletion
from service.search.restriction import EVERYTHING, NOTHING
from service.store import read
from service.store.change import Change
from service.store.engine import Store, open_store
from service.store.read import Found
from tests.service.world import change_of, make, observation, patient, put

WIDE: dict[str, Any] = observation(
    "Observation/wide",
    "Patient/p",
    effectiveDateTime="2026-03-08T02:30:00.123456789-08:00",
    _effectiveDateTime={"extension": [{"url": "http://example.org/x", "valueDecimal": Decimal("1.0E+2")}]},
    valueQuantity={"value": Decimal("1.500"), "unit": 'kg\u2028é\U0001f600 \\ " /'},
    referenceRange=[{"low": {"value": Decimal("0.0000000001000")}, "high": {"value": Decimal("-0.0")}}],
    component=[{"code": {"text": "n"}, "valueInteger": 12345678901234567}],
    note=[{"text": "a", "_text": {"id": "z"}}, {"_text": {"extension": [{"url": "u", "valueCode": "c"}]}}],
)


async def test_what_was_sent_comes_back_in_full(store: Store) -> None:
    await put(store, WIDE)
    found = await read.head(store, "Observation", "wide", EVERYTHING)
    assert found is not None
    back = parse(found.body)
    meta = back.pop("meta")
    assert set(meta) == {"versionId", "lastUpdated"}
    assert write_json(back) == write_json({k: v for k, v in WIDE.items()})
    assert b'"value":1.500,' in found.body and b"0.0000000001000" in found.body  # type: ignore[operator]


async def test_meta_of_the_client_stays_and_that_of_the_server_is_ours(store: Store) -> None:
    meta = {"versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z", "tag": [{"code": "t"}], "source": "urn:x"}
    await put(store, patient("Patient/p", meta=meta))
    found = await read.head(store, "Patient", "p", EVERYTHING)
    assert found is not None
    kept = parse(found.body)["meta"]
    assert kept["versionId"] == "1" and kept["lastUpdated"].startswith("2026-") and kept["tag"] == [{"code": "t"}]


async def test_nothing_is_seen_without_a_rule(store: Store) -> None:
    await put(store, patient("Patient/p"))
    assert await read.head(store, "Patient", "p", NOTHING) is None
    assert await read.heads(store, ["Patient/p"], NOTHING) == {}
    assert await read.version(store, "Patient", "p", 1, NOTHING) is None
    assert await read.history(store, "Patient", "p", NOTHING, limit=5) == []


async def test_reads_at_once_each_get_their_own(store: Store) -> None:
    await put(store, *(patient(f"Patient/p{n}") for n in range(40)))
    wanted = [f"p{n % 50}" for n in range(300)]
    random.Random(1).shuffle(wanted)
    found = await asyncio.gather(
        *(read.head(store, "Patient", i, EVERYTHING if n % 3 else NOTHING) for n, i in enumerate(wanted))
    )
    for number, (asked, one) in enumerate(zip(wanted, found, strict=True)):
        visible = number % 3 != 0 and int(asked[1:]) < 40
        assert (one.fhir_id if isinstance(one, Found) else None) == (asked if visible else None)


async def test_history_pages_by_version(store: Store) -> None:
    await put(store, patient("Patient/p"))
    for version in range(1, 6):
        await store.commit(change_of(store, patient("Patient/p", birthDate=f"19{version}0"), expect=version))
    await store.commit(Change(writes=[deletion("Patient", "p", 6, patient=None, source_org=1)]))
    first = await read.history(store, "Patient", "p", EVERYTHING, limit=3)
    rest = await read.history(store, "Patient", "p", EVERYTHING, limit=9, before=first[-1].version)
    assert [f.version for f in first + rest] == [7, 6, 5, 4, 3, 2, 1]
    assert [f.deleted for f in first + rest] == [True] + [False] * 6


INDEX_TABLES = ("ix", "ix_date", "ix_str", "ix_num", "ref")


@pytest.mark.parametrize("seed", [1, 2])
async def test_index_rows_are_those_of_the_current_versions_alone(store: Store, seed: int, clock: Any) -> None:
    """After a random series of creates, updates and deletes, alone and in groups."""
    chance = random.Random(seed)
    heads: dict[str, tuple[int, Any]] = {}
    for _ in range(12):
        clock.advance(7)
        changes, picked = [], chance.sample(range(12), 6)
        for number in picked:
            reference = f"{_type(number)}/n{number}"
            version, _ = heads.get(reference, (0, None))
            body = _random(reference, chance)
            if version and chance.random() < 0.2 and heads[reference][1] is not None:
                gone = deletion(*reference.split("/"), version, patient=None, source_org=1)  # type: ignore[call-arg]
                changes.append((reference, None, Change(writes=[gone])))
            else:
                changes.append((reference, body, change_of(store, body, expect=version)))
        for (reference, body, change), _done in zip(
            changes, await asyncio.gather(*(store.commit(c) for _, _, c in changes)), strict=True
        ):
            heads[reference] = (heads.get(reference, (0, None))[0] + 1, change.writes[0] if body else None)
    await _same_rows(store, heads)


def _type(number: int) -> str:
    return ("Patient", "EpisodeOfCare", "Observation")[number % 3]


def _random(reference: str, chance: random.Random) -> Any:
    match reference.split("/")[0]:
        case "Patient":
            return patient(reference, birthDate=f"19{chance.randint(10, 99)}", active=chance.random() < 0.5)
        case "EpisodeOfCare":
            return make(
                reference,
                status=chance.choice(("active", "finished", "planned")),
                patient={"reference": f"Patient/n{chance.choice((0, 3, 6))}"},
                managingOrganization={"reference": f"Organization/{chance.randint(1, 3)}"},
                period={"start": f"20{chance.randint(10, 30)}-01-01"},
            )
        case _:
            return observation(
                reference, f"Patient/n{chance.choice((0, 3))}", effectiveDateTime=f"20{chance.randint(10, 30)}"
            )


async def _same_rows(store: Store, heads: dict[str, tuple[int, Any]]) -> None:
    vids = dict(await store.fetch("SELECT key, vid FROM resource"))
    wanted: dict[str, Counter[Any]] = {table: Counter() for table in (*INDEX_TABLES, "panel")}
    for reference, (_, write) in heads.items():
        if write is None:
            continue
        key = store.keys.resource(reference)
        vid, index = vids[key], write.index
        wanted["ix"].update({(k, vid) for k in index.keys})
        wanted["ix_date"].update({(k, lo, vid, hi) for k, lo, hi in index.dates})
        wanted["ix_str"].update({(k, text, vid) for k, text in index.strings})
        wanted["ix_num"].update({(k, lo, vid, hi) for k, lo, hi in index.numbers})
        wanted["ref"].update({(param, target, vid) for param, target in index.edges})
        wanted["panel"].update(
            {(p.subject, p.patient, key, p.basis, p.role, p.start_us, p.end_us) for p in write.panel}
        )
    columns = {
        "ix": "key, vid",
        "ix_date": "key, lo, vid, hi",
        "ix_str": "key, val, vid",
        "ix_num": "key, lo, vid, hi",
        "ref": "param, target, vid",
        "panel": "subject, patient, source, basis, role, start_us, end_us",
    }
    for table, names in columns.items():
        stored = Counter(tuple(row) for row in await store.fetch(f"SELECT {names} FROM {table}"))
        assert stored == wanted[table], table
    assert sum(map(len, wanted.values())) > 50


async def test_the_store_can_be_opened_again_and_goes_on(store: Store, clock: Any) -> None:
    await put(store, patient("Patient/p"))
    other = await open_store(store.url, clock)
    try:
        written = await other.commit(change_of(other, patient("Patient/p"), expect=1))
        assert written.written[0].version == 2
        slots = await store.fetch("SELECT count(*) FROM worker_slot")
        assert slots[0][0] == 2
        assert store.keys.of("a") == other.keys.of("a")
    finally:
        await other.close()
