"""A reply link in odd states: two people at once, back button, a referral that ended or went to others, wrong links."""

import asyncio

from service.interactions.decision import Preconditions
from service.interactions.settle import settled
from service.interactions.update import update
from service.store.change import Change
from service.workflow import reply_links as law
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import text_of
from tests.service.web.county import put
from tests.service.web.replying import DAY, MINUTE, OTHER, PANTRY, Desk, links

POSTGRESQL_IN_DEEP = True


async def test_two_people_at_once(desk: Desk) -> None:
    first, page = await desk.inside()
    second = desk.browser()
    second.cookies.update(first.cookies)
    answers = await asyncio.gather(first.press(page, "Accept"), second.press(page, "No free place now"))
    assert sorted(a.status_code for a in answers) == [303, 409]
    [loser] = [a for a in answers if a.status_code == 409]
    assert "somebody else answered meanwhile" in text_of(loser) or "declined this referral" in text_of(loser)


async def test_who_takes_it_after_another_declined_is_told_that_nothing_came_of_it(desk: Desk) -> None:
    first, page = await desk.inside()
    second = desk.browser()
    second.cookies.update(first.cookies)
    await second.press(page, "No free place now")
    late, again = await first.press(page, "Accept"), await first.press(page, "No free place now")
    assert (late.status_code, again.status_code) == (409, 200)
    assert "You declined this referral" in text_of(late) and "You declined this referral" in text_of(again)


async def test_back_button_and_second_tap(desk: Desk) -> None:
    phone, page = await desk.inside()
    await phone.press(page, "Accept")
    again = await phone.press(page, "Accept")
    assert again.status_code == 409 and "accepted by you" in text_of(again)
    [link] = await links(desk.store)
    assert (await desk.task(link.task))["meta"]["versionId"] == "2"


async def test_opened_twice_without_a_new_code(desk: Desk) -> None:
    phone, _page = await desk.inside()
    assert "Rosita Quill" in text_of(await phone.get(desk.link()))
    stranger = desk.browser()
    assert "Rosita" not in (await stranger.get(desk.link())).text


async def test_cancelled_meanwhile_by_who_referred(desk: Desk) -> None:
    phone, page = await desk.inside()
    [link] = await links(desk.store)
    await desk.change(link.task, status="cancelled", statusReason={"text": "The member moved away"})
    answer = await phone.press(page, "Accept")
    assert answer.status_code == 409
    later = await phone.get(desk.link())
    assert "Nothing more to do" in text_of(later) and "The member moved away" in text_of(later)


async def test_a_link_ends_30_days_after_the_referral(desk: Desk, clock: FrozenClock) -> None:
    phone, page = await desk.inside()
    await phone.press(page, "No free place now")
    clock.advance(29 * DAY)
    assert (await desk.browser().get(desk.link())).status_code == 200
    clock.advance(DAY)
    ended = await desk.browser().get(desk.link())
    assert ended.status_code == 410 and "This link has ended" in text_of(ended)


async def test_a_replaced_link_says_so(desk: Desk, clock: FrozenClock) -> None:
    phone, _page = await desk.inside()
    old = desk.link()
    [link] = await links(desk.store)
    clock.advance(MINUTE)
    change = Change()
    await law.make(desk.context(), change, link.task)
    await desk.store.commit(change)
    await desk.work()
    answer = await phone.get(old)
    assert answer.status_code == 410 and "replaced" in text_of(answer)
    assert desk.link() != old and (await phone.get(desk.link())).status_code == 200


async def test_an_organization_that_ended_answers_no_more(desk: Desk) -> None:
    phone, _page = await desk.inside()
    await put(desk.store, {"resourceType": "Organization", "id": "pantry", "active": False, "name": "x"}, expect=1)
    assert (await phone.get(desk.link())).status_code == 410


async def test_unknown_links_and_forms_of_others(desk: Desk) -> None:
    phone, page = await desk.inside()
    for path in ("/r/ABCD-EFGH-JKMN-PQRS-TVWX", "/r/x", "/r/%00", "/r/" + "A" * 400):
        answer = await phone.get(path)
        assert answer.status_code == 404 and "five groups of four" in text_of(answer)
    foreign = await phone.press(page, "Accept", csrf="0" * 64)
    assert foreign.status_code == 403 and "no longer valid" in text_of(foreign)
    bad = await phone.press(page, "Accept", do="launch")
    assert bad.status_code == 400
    other_site = await phone.post(f"{desk.link()}/answer", headers={"Sec-Fetch-Site": "cross-site"}, data={"do": "x"})
    assert other_site.status_code == 403
    typed = desk.link().lower().replace("-", "")
    assert (await phone.get(typed)).status_code == 200, "as somebody types it from paper"


async def test_an_open_referral_that_another_took(desk: Desk) -> None:
    candidates = {"recipient": [{"reference": PANTRY}, {"reference": OTHER}]}
    task = await desk.refer(None, restriction=candidates)
    phone, page = await desk.inside(task)
    assert "no longer with you" not in text_of(page)
    ctx = desk.context(OTHER)
    found = await desk.context().resource(f"Task/{task['id']}")
    assert found is not None
    body = {**found[0], "owner": {"reference": OTHER}, "status": "accepted"}
    await settled(ctx, lambda c: update(c, "Task", task["id"], body, Preconditions(if_match=(found[1],))))
    answer = await phone.press(page, "Accept")
    assert answer.status_code == 410 and "no longer with you" in text_of(answer)


async def test_an_open_referral_is_claimed(desk: Desk) -> None:
    candidates = {"recipient": [{"reference": PANTRY}, {"reference": OTHER}]}
    task = await desk.refer(None, restriction=candidates)
    phone, page = await desk.inside(task)
    assert "Rosita" not in page.text and "Quill" not in page.text
    page = await phone.pressed(page, "Accept")
    assert (await desk.task(task["id"]))["owner"]["reference"] == PANTRY
    assert "Quill" in text_of(page), "who took it on learns of whom"
