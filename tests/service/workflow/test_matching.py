"""Whose it is, through the store: decisions first, numbers that go on as other ones, the address of a shelter."""

from dataclasses import replace
from itertools import permutations

from mappers.hl7v2.event import Address, Contact
from service.store import matches
from service.store.change import Change
from service.store.engine import Store
from service.workflow.candidates import Candidates
from service.workflow.incoming import Incoming, remembered
from service.workflow.matching import ruling_of, whose
from service.workflow.record_numbers import merged_numbers, numbers_of
from service.workflow.stay_writes import Cause
from tests.service.workflow.match_world import (
    AT_MERCY,
    CIN,
    ROSA,
    STAY,
    ask,
    context,
    member,
    merging,
    mrn,
    said,
)
from tests.service.world import make, put

POSTGRESQL_IN_DEEP = True


async def link(store: Store, number: str, patient: str) -> None:
    await store.commit(Change(statements=[matches.link((AT_MERCY, number), patient, 1, 1)]))


async def rule(store: Store, subject: str, patient: str, verdict: str) -> None:
    made = matches.decide(subject, patient, verdict, by="pat", now_us=1, review=None)
    await store.commit(Change(statements=made))


def number(value: str) -> str:
    return matches.number_subject((AT_MERCY, value))


async def test_what_a_person_said_of_the_stay_goes_before_everything(store: Store) -> None:
    rosa, other = await member(store), await member(store, "other", "91000002A")
    event = said(cins=(CIN,))
    assert (await ask(store, event)).patient_ref == rosa
    await rule(store, matches.stay_subject(STAY), other, matches.SAME)
    found = await ask(store, event)
    assert (found.patient_ref, found.tier, found.reason) == (other, "person", "decided")
    assert (await ask(store, event, "stay-another")).patient_ref == rosa, "of this stay alone"
    await rule(store, matches.stay_subject(STAY), rosa, matches.SAME)
    assert (await ask(store, event)).patient_ref == rosa, "the latest word counts"
    await rule(store, matches.stay_subject(STAY), rosa, matches.OTHER)
    assert (await ask(store, event)).patient_ref is None


async def test_a_number_that_a_person_linked_needs_no_other_evidence(store: Store) -> None:
    rosa = await member(store)
    event = said(ids=(mrn("7"),), birth_date="1971-01-01")
    await link(store, "7", rosa)
    assert (await ask(store, event)).reason == "mrn-conflict"
    await rule(store, number("7"), rosa, matches.SAME)
    assert (await ask(store, event, "stay-next-year")).patient_ref == rosa
    await rule(store, matches.stay_subject(STAY), rosa, matches.OTHER)
    assert (await ask(store, event)).patient_ref is None, "the word about the stay outweighs the one about the number"


async def test_a_number_that_is_somebody_elses_bars_what_the_card_says(store: Store) -> None:
    rosa = await member(store)
    await rule(store, number("7"), rosa, matches.OTHER)
    found = await ask(store, said(ids=(mrn("7"),), cins=(CIN,)))
    assert (found.patient_ref, found.reason) == (None, "identifier-conflict")
    assert "mrn=somebody-else" in found.evidence


async def test_nobody_holds_until_the_roster_has_somebody_new(store: Store) -> None:
    rosa = await member(store)
    phone = Contact("phone", "9165550142", "home", "9165550142")
    event = said(contacts=(phone,))
    await rule(store, matches.stay_subject(STAY), "", matches.NOBODY)
    await rule(store, matches.stay_subject(STAY), rosa, matches.OTHER)
    assert (await ask(store, event)).reason == "nobody"
    late = await member(store, "late", "91000009A", telecom=[{"system": "phone", "value": "916-555-0142"}])
    assert (await ask(store, event)).patient_ref == late


async def test_a_decision_for_a_record_that_is_gone_counts_no_more(store: Store) -> None:
    await rule(store, matches.stay_subject(STAY), "Patient/gone", matches.SAME)
    assert (await ask(store, said())).patient_ref is None


async def test_numbers_go_on_as_others_along_a_chain_in_any_order(store: Store) -> None:
    """A into B into C: what was linked under A is found under each, whatever came first."""
    rosa = await member(store)
    chain = [merging("A", "B"), merging("B", "C")]
    rows = [matches.merge(*merged_numbers(one)[0], inbox_id, inbox_id) for inbox_id, one in enumerate(chain, 1)]
    for order in permutations([*rows, matches.link((AT_MERCY, "A"), rosa, 1, 1)]):
        await store.commit(Change(statements=[*order]))
        for value in "ABC":
            found = await ask(store, said(ids=(mrn(value),)))
            assert (found.patient_ref, found.tier) == (rosa, "mrn"), value


async def test_the_number_that_goes_on_outweighs_the_retired_one(store: Store) -> None:
    rosa = await member(store)
    other = await member(store, "other", "91000002A", name=[{"family": "Quillfeather", "given": ["Ottoline"]}])
    await link(store, "A", rosa)
    await link(store, "B", other)
    event = said(ids=(mrn("A"),))
    assert (await ask(store, event)).patient_ref == rosa
    await store.commit(Change(statements=[matches.merge(*merged_numbers(merging("A", "B"))[0], 9, 9)]))
    assert (await ask(store, event)).patient_ref is None, "the hospital says that A is the other: her name differs"


async def test_a_link_that_was_ended_leads_nowhere_and_can_be_made_anew(store: Store) -> None:
    rosa, other = await member(store), await member(store, "other", "91000002A")
    await link(store, "7", rosa)
    await link(store, "7", other)
    event = said(ids=(mrn("7"),))
    assert (await ask(store, event)).patient_ref == rosa, "a known number keeps its member"
    await store.commit(Change(statements=[matches.end_link((AT_MERCY, "7"), rosa, 5)]))
    assert (await ask(store, event)).patient_ref is None
    await link(store, "7", other)
    assert (await ask(store, event)).patient_ref == other


async def test_a_match_makes_the_numbers_known_once(store: Store) -> None:
    rosa = await member(store)
    event, ctx = said(cins=(CIN,), ids=(mrn("7"), mrn("8"))), context(store)
    incoming, seen, change = Incoming(3, 0, event, Cause()), Candidates(ctx), Change()
    await rule(store, number("8"), rosa, matches.OTHER)
    found = replace(await ask(store, said(cins=(CIN,))), reason="matched")
    await store.commit(await remembered(ctx, change, incoming, found, seen))
    assert await matches.linked(store, numbers_of(event)) == {(AT_MERCY, "7"): rosa}, "8 is known to be another's"
    assert await remembered(ctx, change, incoming, found, seen) == Change()


async def test_the_address_of_a_place_of_ours_corroborates_nothing(store: Store) -> None:
    home = {"line": ["77 Alder Street"], "postalCode": "95814"}
    await member(store, address=[home])
    event = said(addresses=(Address(("77 ALDER ST",), "", "CA", "95814"),))
    assert (await ask(store, event)).patient_ref == "Patient/rosa"
    await put(store, make("Organization/alder-house", name="Alder House", address=[home]))
    later = context(store)
    later.at(later.now_us + 61_000_000)
    assert (await whose(later, event, STAY)).reason == "demographics-insufficient"


async def test_who_might_be_meant_is_ranked_for_the_reviewer(store: Store) -> None:
    """Day and month the other way round: nobody matches, but the record is shown, likeliest first."""
    await member(store)
    await member(store, "other", "91000002A", name=[{"family": "Zz", "given": ["Q"]}], birthDate="1980-03-04")
    found = await ask(store, said(replace(ROSA, birth_date="1980-05-17"), sex="male"))
    assert found.reason == "demographics-insufficient"
    assert [one.patient_ref for one in found.ranked] == ["Patient/rosa"]
    await member(store, "swap", "91000003A", birthDate="1980-09-05", name=[{"family": "Ash", "given": ["Ida"]}])
    found = await ask(
        store, said(birth_date="1980-05-09", names=(replace(ROSA.names[0], family="Ash", given=("Ida",)),))
    )
    assert found.reason == "no-candidate"
    assert [one.patient_ref for one in found.ranked] == ["Patient/swap"]
    assert "birth-date=transposed" in found.ranked[0].words


def test_words_about_a_number_count_where_the_stay_is_not_decided() -> None:
    of_number = matches.Decided(number("1"), "Patient/a", "same")
    of_stay = matches.Decided(matches.stay_subject("stay-old"), "Patient/b", "same")
    assert ruling_of([of_number], [STAY]).same == {"Patient/a"}
    assert ruling_of([of_number, of_stay], [STAY, "stay-old"]).same == {"Patient/b"}, "under whichever of its keys"


async def test_a_move_merges_no_numbers(store: Store) -> None:
    assert merged_numbers(replace(merging("A", "B"), effect="move-visit")) == []
    assert merged_numbers(merging("A", "A")) == []
