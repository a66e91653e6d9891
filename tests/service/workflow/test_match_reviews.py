"""Reviews: one open for a stay, two persons where evidence contradicts itself, and what a decision leaves behind."""

from dataclasses import replace

import pytest

from service.access.context import Settings
from service.store import matches, reviews, timers
from service.store.change import Change, Job, Stale
from service.store.engine import Store
from service.store.reviews import Review
from service.worker import Worker
from service.workflow import match_reviews
from service.workflow import timers as timer_jobs
from service.workflow.match_reviews import NotDecided
from service.workflow.member_match import Lookup, Match, Ranked
from tests.service.workflow.match_world import AT_MERCY, CIN, STAY, ask, context, jobs, keep, member, mrn, said

POSTGRESQL_IN_DEEP = True

CANDIDATE = Ranked("Patient/rosa", 9.0, ("family=agree",))
UNSURE = Match(None, "", "demographics-insufficient", ("family=agree",), 9.0, (CANDIDATE,))
CONFLICT = replace(UNSURE, reason="cin-conflict")


async def opened(store: Store, match: Match = UNSURE, inbox_id: int = 1) -> None:
    ctx = context(store)
    await store.commit(Change(statements=match_reviews.opened(ctx, STAY, inbox_id, "mercy", match)))


async def only(store: Store) -> Review:
    [review] = await reviews.of_stay(store, STAY)
    return review


async def decide(store: Store, verdict: str, patient: str = "Patient/rosa", by: str = "pat") -> None:
    review = await only(store)
    await store.commit(await match_reviews.decide(context(store), review.id, verdict, patient, by))


async def audited(store: Store) -> list[str]:
    rows = await store.fetch("SELECT kind FROM audit WHERE kind LIKE 'match-%' ORDER BY seq")
    return [str(row[0]) for row in rows]


@pytest.mark.parametrize(
    ("match", "looked_at"),
    [
        (UNSURE, True),
        (CONFLICT, True),
        (replace(UNSURE, reason="ambiguous", score=0.0), True),
        (replace(UNSURE, score=3.0), False),
        (Match(None, "", "no-candidate"), False),
        (replace(UNSURE, reason="nobody"), False),
        (Match("Patient/rosa", "cin", "matched"), False),
    ],
)
async def test_a_person_looks_at_contradictions_and_at_what_is_likely(
    store: Store, match: Match, looked_at: bool
) -> None:
    await opened(store, match)
    assert len(await reviews.of_stay(store, STAY)) == looked_at


async def test_one_review_is_open_for_a_stay_until_it_settles(store: Store) -> None:
    await opened(store)
    first = await only(store)
    await opened(store, CONFLICT, 2)
    now = await only(store)
    assert (now.id, now.reason, now.inbox_id, now.due_us) == (first.id, "cin-conflict", 2, first.due_us)
    assert now.evidence["candidates"] == [{"patient": "Patient/rosa", "score": 9.0, "words": ["family=agree"]}]
    await store.commit(Change(statements=match_reviews.settled(STAY, 7)))
    assert ((await only(store)).state, (await only(store)).decided_us) == ("resolved", 7)
    await opened(store)
    assert [one.state for one in await reviews.of_stay(store, STAY)] == ["open", "resolved"]


async def test_one_person_links_what_says_too_little(store: Store) -> None:
    rosa = await member(store)
    event = said(ids=(mrn("7"),))
    await keep(store, event, 1)
    await opened(store)
    await decide(store, "link")
    done = await only(store)
    assert (done.state, done.patient, done.decided_by, done.second_by) == ("linked", rosa, "pat", "")
    assert await jobs(store, "adt.settle") == [{"stay": STAY}]
    assert (await ask(store, event)).patient_ref == rosa
    assert (await ask(store, event, "stay-next")).patient_ref == rosa, "and the hospital's number with it"
    assert await audited(store) == ["match-decided"]
    with pytest.raises(NotDecided, match="closed"):
        await decide(store, "nobody")


async def test_two_persons_decide_on_a_conflict(store: Store) -> None:
    rosa = await member(store)
    await keep(store, said(), 1)
    await opened(store, CONFLICT)
    await decide(store, "link")
    proposed = await only(store)
    assert (proposed.state, proposed.verdict, proposed.decided_by) == ("open", "link", "pat")
    assert await jobs(store, "adt.settle") == []
    assert await matches.decisions(store, [matches.stay_subject(STAY)]) == []
    for _ in range(2):
        with pytest.raises(NotDecided, match="another person"):
            await decide(store, "link")
    await store.commit(await match_reviews.second(context(store), proposed.id, "sam"))
    done = await only(store)
    assert (done.state, done.patient, done.decided_by, done.second_by) == ("linked", rosa, "pat", "sam")
    assert await audited(store) == ["match-proposed", "match-decided"]


async def test_another_proposal_needs_a_second_person_of_its_own(store: Store) -> None:
    await member(store)
    await keep(store, said(), 1)
    await opened(store, CONFLICT)
    await decide(store, "link")
    await decide(store, "nobody", by="sam")
    assert (await only(store)).verdict == "nobody"
    await decide(store, "nobody", by="pat")
    assert (await only(store)).state == "nobody"


async def test_a_record_that_the_messages_contradict_needs_two_though_nothing_else_did(store: Store) -> None:
    await member(store)
    await keep(store, said(birth_date="1950-01-01"), 1)
    await opened(store)
    await decide(store, "link")
    assert (await only(store)).state == "open"


async def test_nobody_bars_those_who_were_shown_and_ends_their_numbers(store: Store) -> None:
    rosa = await member(store)
    event = said(ids=(mrn("7"),))
    await keep(store, event, 1, "", STAY, matches.link((AT_MERCY, "7"), rosa, 1, 1))
    await opened(store)
    await decide(store, "nobody", "")
    assert (await ask(store, event)).reason == "nobody"
    assert await matches.linked(store, [(AT_MERCY, "7")]) == {}
    assert (await ask(store, event, "stay-next")).patient_ref is None


async def test_not_my_member_waits_for_a_second_person_and_takes_the_number_back(store: Store) -> None:
    rosa = await member(store)
    event = said(ids=(mrn("7"),), cins=(CIN,))
    await keep(store, event, 1, rosa, STAY, matches.link((AT_MERCY, "7"), rosa, 1, 1))
    await keep(store, event, 2, rosa, "stay-former")
    await keep(store, said(cins=(CIN,)), 3, rosa, "stay-elsewhere")
    await store.commit(await match_reviews.not_my_member(context(store), STAY, rosa, "lcm"))
    await store.commit(await match_reviews.not_my_member(context(store), STAY, rosa, "lcm"))
    claim = await only(store)
    assert (claim.state, claim.reason, claim.verdict, claim.decided_by) == ("open", "not-my-member", "unlink", "lcm")
    assert (await ask(store, event)).patient_ref == rosa, "it stays where it is"
    await store.commit(Change(statements=match_reviews.settled(STAY, 5)))
    await opened(store, CONFLICT, 9)
    assert (await only(store)).reason == "not-my-member", "no message settles what a person asked"
    with pytest.raises(NotDecided, match="another person"):
        await match_reviews.second(context(store), claim.id, "lcm")
    await store.commit(await match_reviews.second(context(store), claim.id, "sam"))
    assert (await only(store)).state == "unlinked"
    assert await matches.linked(store, [(AT_MERCY, "7")]) == {}
    assert (await ask(store, event)).patient_ref is None
    assert (await ask(store, event, "stay-next")).reason == "identifier-conflict", "the card is hers, the number is not"
    assert await jobs(store, "adt.settle") == [{"stay": STAY}, {"stay": "stay-former"}]


async def test_a_claim_about_an_encounter_concerns_all_its_numbers_and_makes_one_review(store: Store) -> None:
    rosa = await member(store)
    await keep(store, said(cins=(CIN,)), 1, rosa, "stay-first")
    await keep(store, said(cins=(CIN,), ids=(mrn("7"),)), 2, rosa, "stay-renumbered")
    for statement in (
        "INSERT INTO stay_account (stay, account, encounter, patient, facility, began, klass, disposition, came_from, "
        "status, seen_us) VALUES ('stay-first', 'stay-first', 'stay-first', 'Patient/rosa', '', '', '', '', '', '', 0)",
        "INSERT INTO stay_alias (stay, inbox_id, target, at_us) VALUES ('stay-renumbered', 1, 'stay-first', 0)",
    ):
        await store.db.execute(statement + " RETURNING stay")
    for key in ("stay-renumbered", "stay-first"):
        await store.commit(await match_reviews.not_my_member(context(store), key, rosa, "lcm"))
    rows = await reviews.listed(store, "open", 9)
    assert len(rows) == 1
    await store.commit(await match_reviews.second(context(store), rows[0].id, "sam"))
    rows = await matches.decisions(store, [matches.number_subject((AT_MERCY, "7"))])
    assert [row.verdict for row in rows] == ["other"]


async def test_one_person_may_say_that_a_claim_is_wrong(store: Store) -> None:
    rosa = await member(store)
    await keep(store, said(cins=(CIN,)), 1, rosa)
    await store.commit(await match_reviews.not_my_member(context(store), STAY, rosa, "lcm"))
    await decide(store, "link", rosa, by="sam")
    assert (await only(store)).state == "linked"
    with pytest.raises(NotDecided, match="not this member's"):
        await match_reviews.not_my_member(context(store), STAY, "Patient/other", "lcm")


async def test_a_stay_that_nobody_asked_about_can_be_decided_too(store: Store) -> None:
    rosa = await member(store)
    await keep(store, said(), 1)
    await store.commit(await match_reviews.decide_stay(context(store), STAY, "link", rosa, "pat"))
    assert ((await only(store)).state, (await only(store)).reason) == ("linked", "asked")
    await store.commit(await match_reviews.decide_stay(context(store), STAY, "link", rosa, "sam"))
    with pytest.raises(NotDecided, match="no stay"):
        await match_reviews.decide_stay(context(store), "stay-none", "link", rosa, "pat")


@pytest.mark.parametrize(
    ("verdict", "patient", "by", "words"),
    [
        ("perhaps", "Patient/rosa", "pat", "one of link"),
        ("link", "Patient/none", "pat", "that there is"),
        ("link", "", "pat", "that there is"),
        ("link", "Patient/rosa", " ", "who decides"),
        ("unlink", "", "pat", "from whom"),
    ],
)
async def test_what_cannot_be_decided_is_said(store: Store, verdict: str, patient: str, by: str, words: str) -> None:
    await member(store)
    await keep(store, said(), 1)
    await opened(store)
    with pytest.raises(NotDecided, match=words):
        await decide(store, verdict, patient, by)
    with pytest.raises(NotDecided, match="no review"):
        await match_reviews.decide(context(store), 1, "link", "Patient/rosa", "pat")


async def test_two_who_decide_at_once_do_not_both_win(store: Store) -> None:
    await member(store)
    await keep(store, said(), 1)
    await opened(store)
    id = (await only(store)).id
    one = await match_reviews.decide(context(store), id, "link", "Patient/rosa", "pat")
    two = await match_reviews.decide(context(store), id, "nobody", "", "sam")
    await store.commit(one)
    with pytest.raises(Stale):
        await store.commit(two)


async def test_what_would_have_found_a_member_is_kept_as_hashes(store: Store) -> None:
    await opened(store, Match(None, "", "no-candidate", wanted=(Lookup("cin", CIN),)))
    assert len(await store.fetch("SELECT term FROM inbox_term WHERE inbox_id = 1")) == 1


async def clocks(store: Store) -> list[tuple[str, bool]]:
    """(state, whether it has ended) of the clocks of reviews, in the order of the reviews."""
    found = sorted(await timers.listed(store, "match-review", "", 10), key=lambda one: one.subject)
    return [(one.state, one.ended_us is not None) for one in found]


async def test_a_review_has_a_clock_that_its_end_meets(store: Store) -> None:
    await opened(store)
    first = (await timers.listed(store, "match-review", "", 10))[0]
    assert first.subject == f"match_review/{(await only(store)).id}"
    store.clock.advance(3_600_000_000)  # type: ignore[attr-defined]
    await opened(store, CONFLICT, 2)
    assert await timers.listed(store, "match-review", "", 10) == [first], "what comes later moves no deadline"
    await store.commit(Change(statements=match_reviews.settled(STAY, store.clock.now_us())))
    assert await clocks(store) == [("met", True)]
    await opened(store)
    assert await clocks(store) == [("met", True), ("running", False)], "a review of its own has a clock of its own"
    [now] = [one for one in await reviews.of_stay(store, STAY) if one.state == "open"]
    await store.commit(await match_reviews.decide(context(store), now.id, "nobody", "", "pat"))
    assert await clocks(store) == [("met", True), ("met", True)]


async def test_a_review_that_nobody_decides_in_time_is_a_breach_told_once(store: Store) -> None:
    await opened(store)
    store.clock.advance(5 * 86_400_000_000)  # type: ignore[attr-defined]
    await store.commit(Change(jobs=[Job("timer.due", {})]))
    worker = Worker(store, Settings())
    await worker.drain()
    assert await clocks(store) == [("breached", False)]
    assert await store.fetch("SELECT count(*) FROM audit WHERE kind = 'timer-breached'") == [(1,)]
    review = await only(store)
    await store.commit(await match_reviews.decide(context(store), review.id, "nobody", "", "pat"))
    assert await clocks(store) == [("breached", True)], "done after all, and late"


async def test_of_a_decision_and_its_breach_at_once_one_wins(store: Store) -> None:
    """The breach relies on the stay: whoever decides about it goes first or last, never beside it."""
    await keep(store, said(), 1)
    await opened(store)
    review, [clock] = await only(store), await timers.listed(store, "match-review", "", 10)
    store.clock.advance(5 * 86_400_000_000)  # type: ignore[attr-defined]
    fired = await timer_jobs.fire(context(store), {"timer": clock.dedupe})
    await store.commit(await match_reviews.decide(context(store), review.id, "nobody", "", "pat"))
    with pytest.raises(Stale):
        await store.commit(fired)
