"""One-time codes of reply links: nobody guesses them, they go to the listed contact, and the tables open nothing."""

import asyncio

import httpx

from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import text_of
from tests.service.web.replying import ADDRESS, HOUR, MINUTE, Desk, Phone, links

POSTGRESQL_IN_DEEP = True


async def reasons(store: Store, kind: str = "reply-login") -> list[str]:
    rows = await store.fetch("SELECT reason FROM audit WHERE kind = ? ORDER BY slot, seq", (kind,))
    return [str(row[0]) for row in rows]


async def waiting(desk: Desk) -> tuple[Phone, httpx.Response]:
    await desk.refer()
    await desk.work()
    phone = desk.browser()
    page = await phone.pressed(await phone.get(desk.link()), "Send me the code")
    await desk.work()
    return phone, page


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def test_five_wrong_codes_lock_for_an_hour(desk: Desk, clock: FrozenClock) -> None:
    phone, page = await waiting(desk)
    code = desk.code()
    for _ in range(4):
        answer = await phone.press(page, "Open", code=wrong(code))
        assert answer.status_code == 422 and "not the code" in text_of(answer)
    answer = await phone.press(page, "Open", code=wrong(code))
    assert answer.status_code == 429 and "for an hour" in text_of(answer)
    right = await phone.press(page, "Open", code=code)
    assert right.status_code == 429, "also the right one"
    assert (await desk.browser().get(desk.link())).status_code == 429
    clock.advance(HOUR + MINUTE)
    page = await phone.pressed(await phone.get(desk.link()), "Send me the code")
    await desk.work()
    assert "Rosita" in (await phone.pressed(page, "Open", code=desk.code())).text
    assert (await reasons(desk.store)).count("wrong-code") == 5


async def test_fifteen_wrong_codes_end_the_link_and_somebody_calls(desk: Desk, clock: FrozenClock) -> None:
    phone, page = await waiting(desk)
    for turn in range(3):
        code = desk.code()
        for _ in range(5):
            await phone.press(page, "Open", code=wrong(code))
        clock.advance(HOUR + MINUTE)
        if turn < 2:
            page = await phone.pressed(await phone.get(desk.link()), "Send me the code")
            await desk.work()
    assert (await phone.get(desk.link())).status_code == 410
    await desk.work()
    assert len(await desk.store.fetch("SELECT 1 FROM version WHERE fhir_id LIKE 'call-%'")) == 1


async def test_many_guesses_at_once_count_each(desk: Desk) -> None:
    """Of guesses sent together no more than five are looked at, in whatever order."""
    phone, page = await waiting(desk)
    code = int(desk.code())
    tried = [f"{(code + n) % 1_000_000:06d}" for n in range(1, 13)]
    answers = await asyncio.gather(*(phone.press(page, "Open", code=one) for one in tried))
    [link] = await links(desk.store)
    assert link.tries == 5 and not link.code
    assert sum("not the code" in text_of(a) for a in answers) == 4


async def test_a_code_counts_once_and_ten_minutes(desk: Desk, clock: FrozenClock) -> None:
    phone, page = await waiting(desk)
    code = desk.code()
    assert "Rosita" in (await phone.pressed(page, "Open", code=f" {code[:3]} {code[3:]} ")).text
    other = desk.browser()
    gate = await other.get(desk.link())
    assert "Open the referral" not in gate.text, "no code waits"
    page = await other.pressed(gate, "Send me the code")
    await desk.work()
    clock.advance(10 * MINUTE)
    late = await other.press(page, "Open", code=desk.code())
    assert late.status_code == 422 and "no longer counts" in text_of(late)


async def test_codes_go_to_the_listed_contact_and_not_without_end(desk: Desk, clock: FrozenClock) -> None:
    phone, page = await waiting(desk)
    await phone.press(page, "Send a new code", to="thief@example.org", email="thief@example.org")
    await desk.work()
    assert {one.to for one in desk.email.got} == {ADDRESS} and len(desk.email.got) == 2, "none within a minute"
    for _ in range(4):
        clock.advance(2 * MINUTE)
        await phone.press(page, "Send a new code")
    clock.advance(2 * MINUTE)
    refused = await phone.press(page, "Send a new code")
    assert refused.status_code == 429 and "Too many codes" in text_of(refused)


async def test_a_code_that_is_late_is_not_sent(desk: Desk, clock: FrozenClock) -> None:
    await desk.refer()
    await desk.work()
    phone = desk.browser()
    await phone.press(await phone.get(desk.link()), "Send me the code")
    clock.advance(11 * MINUTE)
    await desk.work()
    assert len(desk.email.got) == 1
    rows = await desk.store.fetch("SELECT state, reason FROM notice WHERE kind = 'reply-code'")
    assert [tuple(row) for row in rows] == [("suppressed", "expired")]


async def test_guessing_links_is_slowed(desk: Desk) -> None:
    stranger = desk.browser()
    answers = [(await stranger.get(f"/r/ABCD-EFGH-JKMN-PQRS-TVW{last}")).status_code for last in "23456789ABCD"]
    assert answers == [404] * 10 + [429] * 2


async def test_the_table_opens_nothing(desk: Desk) -> None:
    await waiting(desk)
    [link] = await links(desk.store)
    stored = repr(link)
    code, letters = desk.code(), desk.link().removeprefix("/r/")
    assert code not in stored and letters not in stored and ADDRESS not in stored
    rows = repr(await desk.store.fetch("SELECT * FROM notice")) + repr(
        await desk.store.fetch("SELECT detail FROM audit")
    )
    assert letters not in rows and code not in rows and ADDRESS not in rows
