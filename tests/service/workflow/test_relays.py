"""The 24-hour rule and the nursing facility's 48 hours: what is measured, and from when to when."""

import pytest

from service.store import timers as rows
from service.store.engine import Store
from service.workflow import transitional_care
from tests.service.workflow.made_up import adt
from tests.service.workflow.tcs_world import DAY, Stay, context, hospital
from tests.service.world import ECM1, LCM1, change_of, episode, make

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def stay(world: Store) -> Stay:
    await hospital(world)
    return Stay(world)


async def relays(store: Store, kind: str = "adt-relay") -> list[tuple[str, int, int | None, str]]:
    """(event, minutes from event to receipt, minutes from event to telling, state)"""
    found = sorted(await rows.listed(store, kind, "", 100), key=lambda t: (t.start_us, t.dedupe))
    return [
        (
            str(t.payload.get("event", "")),
            (int(t.payload.get("received_us", t.start_us)) - t.start_us) // 60_000_000,
            None if t.ended_us is None else (t.ended_us - t.start_us) // 60_000_000,
            t.state,
        )
        for t in found
    ]


async def test_event_receipt_and_telling_are_kept(world: Store, stay: Stay) -> None:
    await stay.hears(adt("A01", 0, "I"), minute=5)
    await stay.hears(adt("A03", 60, "I", disposition="HOME"), minute=60 + 2 * DAY)
    told = await relays(world)
    assert [(event, after, state) for event, _, after, state in told] == [
        ("admission", 5, "met"),
        ("discharge", 2 * DAY, "breached"),
    ]


async def test_an_event_that_nobody_was_told_of_waits_until_there_is_somebody(world: Store) -> None:
    await hospital(world)
    await world.commit(change_of(world, make("Patient/n", name=[{"family": "N"}])))
    stay = Stay(world, "n", "Patient/n")
    await stay.hears(adt("A01", 0, "I"), minute=1)
    assert [state for *_, state in await relays(world)] == ["running"]
    await world.commit(change_of(world, episode("EpisodeOfCare/n", "Patient/n", ECM1, LCM1)))
    await stay.hears(adt("A03", 60, "I"), minute=61)
    assert [state for *_, state in await relays(world)] == ["met", "met"]
    assert not (await transitional_care.settle_member(context(world), {"patient": "Patient/n"})).statements


async def test_a_nursing_facility_has_48_hours_to_tell(world: Store, stay: Stay) -> None:
    await stay.hears(adt("A01", 0, "I"), adt("A03", 60, "I", disposition="SNF"))
    assert [state for *_, state in await relays(world, "snf-notice")] == ["running"]
    await Stay(world, "snf").hears(adt("A01", 300, "I"))
    assert [(after, state) for _, _, after, state in await relays(world, "snf-notice")] == [(241, "met")]


async def test_a_discharge_that_did_not_happen_asks_no_facility(world: Store, stay: Stay) -> None:
    await stay.hears(adt("A01", 0, "I"), adt("A03", 60, "I", disposition="SNF"))
    await stay.hears(adt("A13", 90, "I"))
    assert [state for *_, state in await relays(world, "snf-notice")] == ["cancelled"]
