"""The pure side of stays: owners, aliases and accounts are the same for every order, whatever is repeated.

22 hand-written sequences, those of test_stays.py among them: all orders up to 7 events, 2,000 random beyond at deep
counts (a sample otherwise), each with duplicates and repeated cancels. Through the database: test_stay_orders.py.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, permutations
from random import Random

import pytest

from mappers.hl7v2.event import AdtEvent, Patient
from service.workflow import stay_threads
from service.workflow.stay_aliases import Edge, canonical
from service.workflow.stay_events import facts_of
from service.workflow.stay_milestones import milestones
from service.workflow.stay_owner import Claim, Decided, Owned, owned
from service.workflow.stay_threads import Stretch, stays_of, threads_of
from service.workflow.stay_transitions import transitions
from service.workflow.stays import reduce, timed_out, voided
from tests.service.workflow.made_up import MINUTE, adt, play, stored, us
from tests.service.workflow.test_stays import SEQUENCES

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
ORDERS = 2_000 if DEEP else 40

LONG: dict[str, list[AdtEvent]] = {
    "ED to ward to discharge, with a storm of moves": [
        adt("A04", 0, "E", admit=0, bed="ED 1"),
        *(adt("A02", 10 + n, "I", bed=f"5W {n % 5}") for n in range(25)),
        adt("A06", 9, "I", bed="5W 0"),
        adt("A03", 400, "I", out=400, disposition="HOME"),
    ],
    "tracking and a pending transfer that is taken back": [
        adt("A01", 0, "I", bed="4W 1"), adt("A09", 10, "I", bed="XRAY 1"), adt("A10", 20, "I", bed="4W 1"),
        adt("A15", 30, "I", bed="4W 1"), adt("A26", 40, "I", bed="4W 1"), adt("A15", 50, "I", bed="4W 1"),
        adt("A02", 60, "I", bed="ICU 1"), adt("A54", 70, "I", bed="ICU 1"),
    ],
    "psychiatric leaves": [
        adt("A01", 0, "I", bed="PSY 1"), adt("A21", 100, "I", bed="PSY 1"), adt("A22", 200, "I", bed="PSY 1"),
        adt("A21", 300, "I", bed="PSY 1"), adt("A52", 310, "I", bed="PSY 1"), adt("A21", 400, "I", bed="PSY 1"),
        adt("A22", 500, "I", bed="PSY 1"), adt("A03", 900, "I", out=900, disposition="HOME"),
    ],
    "pre-admission, cancelled, made again, admitted": [
        adt("A05", -900, "P"), adt("A38", -800, "P"), adt("A14", -700, "P"), adt("A27", -650, "P"),
        adt("A05", -600, "P"), adt("A01", 0, "I"), adt("A08", 5, "I"), adt("A13", 6, "I"),
    ],
    "death told by an update, corrected, told again": [
        adt("A01", 0, "I"), adt("A08", 10, "I", patient=Patient(deceased=True)),
        adt("A08", 20, "I", patient=Patient(deceased=False)), adt("A08", 30, "I", patient=Patient(deceased=True)),
        adt("A03", 40, "I", out=40, disposition="EXPIRED"), adt("A13", 50, "I"), adt("A03", 60, "I", out=60),
        adt("A08", 70, "I", out=60),
    ],
    "discharge after thirty days, cancelled, elsewhere": [
        adt("A01", 0, "I"), adt("A03", 100, "I", out=100, disposition="HOME"), adt("A13", 43_300, "I"),
        adt("A03", 43_400, "I", out=43_400, disposition="SNF"), adt("A08", 43_500, "I", out=43_400),
        adt("A08", 43_600, "I", out=43_400), adt("A21", 50, "I"), adt("A22", 60, "I"),
    ],
    "nightly sweeps of an inpatient": [
        adt("A01", 0, "I", admit=0), *(adt("A08", 700 + 1440 * n, "I", admit=0) for n in range(8)),
    ],
    "two admissions under one number": [
        adt("A01", 0, "I", admit=0), adt("A03", 600, "I", out=600, disposition="HOME"),
        adt("A04", 500_000, "E", admit=500_000), adt("A06", 500_100, "I"), adt("A07", 500_200, "V"),
        adt("A03", 500_300, "V", out=500_300, disposition="AMA"), adt("A13", 500_310, "V"),
        adt("A03", 500_320, "V", out=500_320, disposition="HOME"),
    ],
}  # fmt: skip


ALL = LONG | {name: events for name, (events, _, _) in SEQUENCES.items()}


def orders(count: int) -> Iterator[list[int]]:
    """All of them up to 7 at deep counts; else random ones."""
    if DEEP and count <= 7:
        yield from (list(order) for order in permutations(range(count)))
        return
    rng = Random(count)
    for _ in range(ORDERS):
        order = list(range(count))
        rng.shuffle(order)
        yield order


@pytest.mark.timeout(1800 if DEEP else 120)
@pytest.mark.parametrize("name", ALL)
def test_sequences_in_any_order_with_repeats(name: str) -> None:
    events = ALL[name]
    once = reduce(stored(*events))
    keys = {m.key for m in milestones(once)}
    # Each cancel is sent once more under another control id; the repeats come anywhere.
    repeated = [replace(e, control_id=f"{e.control_id}-again") for e in events if e.cancels]
    expected = reduce(stored(*events, *repeated))
    assert replace(expected, last=once.last) == once
    rng = Random(3)
    for order in orders(len(events)):
        again = [*(events[i] for i in order), *rng.sample(events, 2), *repeated]
        for _ in repeated:
            again.insert(rng.randrange(len(again)), again.pop())
        state, standing, _ = play(again)
        assert state == expected, order
        assert standing == keys, order


def test_a_leave_is_told_where_leaves_are_news_and_a_discharge_to_the_own_ward_is_not() -> None:
    _, standing, _ = play(LONG["psychiatric leaves"])
    assert standing == {"admission.0", "leave.0.0", "return.0.0", "leave.0.1", "return.0.1", "discharge.0.HOME"}
    _, standing, _ = play([adt("A01", 0, "I", bed="5W 1"), adt("A21", 10, "I", bed="5W 1")])
    assert standing == {"admission.0"}
    here = replace(adt("A03", 60, "E", out=60, disposition="ACUTE"))
    assert here.visit is not None
    here = replace(here, visit=replace(here.visit, disposition_code="09"))
    _, standing, _ = play([adt("A04", 0, "E"), here])
    assert standing == {"ed-arrival.0"}


def test_a_plan_is_for_the_digest_and_no_correction_follows_an_admission() -> None:
    state, standing, told = play([adt("A05", -60, "P")])
    assert (state.status, standing) == ("planned", {"pre-admission.0"})
    assert [(t.realtime, t.quiet_reason) for t in told] == [(False, "planned")]
    _, standing, told = play([adt("A05", -60, "P"), adt("A01", 0, "I")])
    gone = next(t for t in told if t.action == "retract")
    assert standing == {"admission.0"} and gone.replaced_by
    _, standing, told = play([adt("A05", -60, "P"), adt("A38", 0, "P")])
    assert standing == set() and told[-1].reason == "visit-cancelled" and not told[-1].replaced_by


def test_silence_makes_a_stay_unknown_and_tells_nobody() -> None:
    state = reduce(stored(adt("A04", 0, "E")))
    assert timed_out(state, us(47 * 60)) == state
    over = timed_out(state, us(49 * 60))
    assert (over.status, over.flags) == ("unknown", ("closed-by-timeout",))
    assert transitions(state, over) == []
    assert timed_out(reduce(stored(adt("A01", 0, "I"))), us(29 * 1440)).status == "in-progress"


def test_what_goes_on_under_another_number_is_taken_back_without_a_correction() -> None:
    state = reduce(stored(adt("A01", 0, "I")))
    [gone] = transitions(state, voided(state, "renumbered"))
    assert (gone.key, gone.reason, gone.replaced_by) == ("admission.0", "renumbered", "admission.0")
    [gone] = transitions(state, voided(state, "moved"))
    assert (gone.reason, gone.replaced_by) == ("moved", "")


EDGES = {
    "a chain": ([Edge("a", "b", 1), Edge("b", "c", 2)], {"a": "c", "b": "c", "c": "c"}),
    "a number given back": ([Edge("b", "a", 1), Edge("a", "b", 2)], {"a": "a", "b": "a"}),
    "merged into another later": ([Edge("a", "b", 1), Edge("a", "c", 2)], {"a": "c", "c": "c"}),
    "told twice": ([Edge("a", "b", 1), Edge("a", "b", 1)], {"a": "b", "b": "b"}),
    "a ring of three": ([Edge("a", "b", 1), Edge("b", "c", 2), Edge("c", "a", 3)], {"a": "c", "b": "c", "c": "c"}),
}


@pytest.mark.parametrize("name", EDGES)
def test_aliases_end_in_one_key_whatever_their_order(name: str) -> None:
    edges, expected = EDGES[name]
    for order in permutations(edges):
        assert canonical(order) == expected


CLAIMS: dict[str, tuple[Sequence[Claim], Decided, Owned]] = {
    "sparse ones join": (
        [Claim(0, "", "no-candidate"), Claim(1, "rosa", "matched"), Claim(2, "", "cin-conflict")],
        Decided(), Owned("rosa", frozenset({0, 1})),
    ),
    "the first that is named holds": (
        [Claim(0, "rosa", "matched"), Claim(1, "luis", "matched")], Decided(), Owned("rosa", frozenset({0})),
    ),
    "a move takes all that was the former one's": (
        [Claim(0, "rosa", "matched"), Claim(1, "", "no-candidate"), Claim(2, "luis", "matched", True),
         Claim(3, "luis", "matched"), Claim(4, "rosa", "matched")],
        Decided(), Owned("luis", frozenset({0, 1, 2, 3})),
    ),
    "a move to a stranger leaves nobody": (
        [Claim(0, "rosa", "matched"), Claim(1, "", "no-candidate", True)], Decided(), Owned("", frozenset()),
    ),
    "a move to somebody who is named later": (
        [Claim(0, "rosa", "matched"), Claim(1, "", "demographics-insufficient", True), Claim(2, "luis", "matched")],
        Decided(), Owned("luis", frozenset({0, 1, 2})),
    ),
    "moved there and back": (
        [Claim(0, "rosa", "matched"), Claim(1, "luis", "matched", True), Claim(2, "rosa", "matched", True)],
        Decided(), Owned("rosa", frozenset({0, 1, 2})),
    ),
    "a person's word weighs more": (
        [Claim(0, "rosa", "matched"), Claim(1, "", "cin-conflict")],
        Decided("luis"), Owned("luis", frozenset({0, 1})),
    ),
    "certainly not Rosa's": (
        [Claim(0, "rosa", "matched"), Claim(1, "", "no-candidate")],
        Decided(refused=frozenset({"rosa"})), Owned("", frozenset()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_whose_a_stay_is(name: str) -> None:
    claims, decided, expected = CLAIMS[name]
    assert owned(claims, decided) == expected


def account(name: str, began: str, start: float, end: float | None = None, **more: str) -> Stretch:
    facts = {"facility": "Organization/mercy", "disposition": "", "came_from": "", "klass": began} | more
    status = "in-progress" if end is None else "finished"
    times = us(start), None if end is None else us(end)
    return Stretch(
        name, facts["facility"], began, facts["klass"], facts["disposition"], facts["came_from"], status, *times, us(0)
    )


def chained(*accounts: Stretch) -> set[tuple[str, ...]]:
    found = {
        tuple(s.account for s in chain) for order in islice(permutations(accounts), 24) for chain in stays_of(order)
    }
    assert sum(len(chain) for chain in found) == len(accounts), "the same for every order"
    return found


def test_an_inpatient_account_follows_the_emergency_one() -> None:
    ed, ward = account("ed", "ED", 0, 100), account("ward", "INPATIENT", 110)
    assert chained(ed, ward) == {("ed", "ward")}
    assert chained(ed, account("ward", "INPATIENT", 110, facility="Organization/other")) == {("ed",), ("ward",)}
    assert chained(ed, account("again", "ED", 110)) == {("ed",), ("again",)}
    home = account("ed", "ED", 0, 100, disposition="HOME")
    assert chained(home, account("ward", "INPATIENT", 220)) == {("ed",), ("ward",)}
    three = (ed, account("obs", "OBSERVATION", 105, 500), account("ward", "INPATIENT", 505))
    assert chained(*three) == {("ed", "obs", "ward")}
    assert chained(account("ed1", "ED", 0, 50), account("ed2", "ED", 60, 100), ward) == {("ed1",), ("ed2", "ward")}


def test_a_transfer_to_another_hospital_is_one_thread_of_two_stays() -> None:
    out = account("a", "INPATIENT", 0, 1000, disposition="ACUTE")
    there = account("b", "INPATIENT", 1040, facility="Organization/valley", came_from="4")
    home = account("c", "INPATIENT", 1040, facility="Organization/valley")
    assert threads_of(stays_of([there, out])) == {"a": "a", "b": "a"}
    assert threads_of(stays_of([replace(out, disposition="HOME"), home])) == {"a": "a", "c": "c"}
    assert threads_of(stays_of([replace(out, end_us=None, status="in-progress"), there])) == {"a": "a", "b": "a"}
    late = replace(there, start_us=us(1000) + 25 * 60 * MINUTE)
    assert threads_of(stays_of([out, late])) == {"a": "a", "b": "b"}


def test_a_member_of_thousands_of_stays_is_not_compared_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("_follows", "_handed_on"):
        real = getattr(stay_threads, name)
        monkeypatch.setattr(stay_threads, name, lambda a, b, real=real, name=name: asked.append(name) or real(a, b))
    many = [account(f"A{n}", "ED" if n % 2 else "INPATIENT", 1440 * n, 1440 * n + 300) for n in range(400)]
    chains = stays_of(many)
    assert len(threads_of(chains)) == len(chains) == 400
    assert len(asked) < 4 * 400


def test_what_a_message_says_is_worked_out_once() -> None:
    events = stored(adt("A01", 0, "I"), adt("A08", 5, "I"))
    first = [facts_of(events), facts_of([replace(one, account="") for one in events])]
    assert [id(one) for one in first[0]] == [id(one) for one in first[1]]
