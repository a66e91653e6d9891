"""What the pages of a reply link show, in which language; the sheet to print, and who referred and makes a new link."""

import asyncio
import re

from service.store.change import Change
from service.web.reply_facts import spoken_by
from service.web.reply_words import catalogue, words
from service.workflow import reply_links as law
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import Browser, text_of
from tests.service.web.county import patient, put
from tests.service.web.replying import DAY, HOUR, MINUTE, OTHER, Desk, links

POSTGRESQL_IN_DEEP = True


async def test_headers_and_languages(desk: Desk) -> None:
    phone, page = await desk.inside(**{"Accept-Language": "en-US"})
    assert (
        page.headers["cache-control"] == "no-store" and "script-src 'self'" in page.headers["content-security-policy"]
    )
    assert page.headers["referrer-policy"] == "no-referrer" and '<html lang="en">' in page.text
    assert "<script" not in page.text and len(page.content) < 100_000
    spanish = await phone.get(f"{desk.link()}?lang=es")
    assert '<html lang="es">' in spanish.text and "Aceptar" in spanish.text
    done = await phone.pressed(spanish, "Aceptar")
    assert '<html lang="es">' in done.text and "Gracias" in done.text
    abroad = await desk.browser(**{"Accept-Language": "fr, es-MX;q=0.8"}).get(desk.link())
    assert '<html lang="es">' in abroad.text


async def test_the_mail_s_decline_comes_first(desk: Desk) -> None:
    await desk.refer()
    await desk.work()
    phone = desk.browser()
    page = await phone.pressed(await phone.get(f"{desk.link()}?a=decline"), "Send me the code")
    await desk.work()
    page = await phone.pressed(page, "Open", code=desk.code())
    assert page.text.index("No free place") < page.text.index(">Accept<")


async def test_who_must_not_be_contacted(desk: Desk) -> None:
    system = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
    flag = {"orderDetail": [{"coding": [{"system": system, "code": "contacting-subject-prohibited"}]}]}
    task = await desk.refer(request=flag)
    _phone, page = await desk.inside(task)
    assert "Do not contact this person" in text_of(page) and "555-0142" not in page.text


async def test_left_on_this_device(desk: Desk) -> None:
    phone, page = await desk.inside()
    assert "new code comes then" in text_of(await phone.press(page, "Close this page"))
    assert "Rosita" not in (await phone.get(desk.link())).text


async def test_an_hour_later_a_new_code(desk: Desk, clock: FrozenClock) -> None:
    phone, page = await desk.inside()
    clock.advance(HOUR)
    answer = await phone.press(page, "Accept")
    assert "Send me the code" in answer.text and "Rosita" not in answer.text


async def test_the_sheet(desk: Desk) -> None:
    phone, _page = await desk.inside()
    sheet = await phone.get(f"{desk.link()}/sheet")
    assert f"http://enlace.test{desk.link()}" in sheet.text and "Rosita Quill" in text_of(sheet)
    assert "Rosita" not in (await desk.browser().get(f"{desk.link()}/sheet")).text


def test_both_languages_say_the_same() -> None:
    english, spanish = catalogue("en"), catalogue("es")
    assert set(english) == set(spanish)
    for key, text in english.items():
        assert set(re.findall(r"\{[a-z]+\}", text)) == set(re.findall(r"\{[a-z]+\}", spanish[key])), key
        assert text != spanish[key], key


def test_languages_are_named_for_whoever_reads() -> None:
    spanish, hmong = ({"language": {"coding": [{"code": code}]}} for code in ("es-MX", "hmn"))
    rare = {"language": {"coding": [{"code": "mxv"}], "text": "Mixteco"}}
    member = {"communication": [spanish, hmong | {"preferred": True}, rare]}
    assert spoken_by(words("en"), member) == ["Hmong", "Spanish", "Mixteco"]
    assert spoken_by(words("es"), member) == ["hmong", "español", "Mixteco"]


async def test_who_referred_prints_the_sheet_and_makes_a_new_link(desk: Desk, ana: Browser, clock: FrozenClock) -> None:
    task = await desk.refer()
    await desk.work()
    await ana.sign_in()
    ana.app.state.enlace.behaviour = desk.behaviour
    sheet = await ana.get(f"/referrals/{task['id']}/sheet")
    assert f"http://enlace.test{desk.link()}" in sheet.text and "Rosita Quill" in text_of(sheet)
    clock.advance(MINUTE)
    answer = await ana.press(sheet, "Make a new link")
    assert answer.status_code == 303
    await desk.work()
    assert len(desk.email.got) == 2
    assert desk.link() in (await ana.get(answer.headers["location"])).text
    assert (await ana.press(sheet, "Make a new link", csrf="x")).status_code == 403


async def test_new_links_have_an_end_for_who_referred(desk: Desk, ana: Browser, clock: FrozenClock) -> None:
    task = await desk.refer()
    await desk.work()
    await ana.sign_in()
    ana.app.state.enlace.behaviour = desk.behaviour
    sheet = await ana.get(f"/referrals/{task['id']}/sheet")
    for _ in range(law.MOST_A_DAY - 2):
        clock.advance(MINUTE)
        assert (await ana.press(sheet, "Make a new link")).status_code == 303
    clock.advance(MINUTE)
    both = await asyncio.gather(*(ana.press(sheet, "Make a new link") for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [303, 422], "of two at once one is the last"
    [refused] = [answer for answer in both if answer.status_code == 422]
    assert "the last one counts" in text_of(refused) and "tomorrow" in text_of(refused)
    await desk.work()
    assert len(await links(desk.store)) == law.MOST_A_DAY
    assert (await desk.browser().get(desk.link())).status_code == 200
    clock.advance(MINUTE)
    change = Change()
    await law.make(desk.context(), change, task["id"], most=None)
    await desk.store.commit(change)
    clock.advance(DAY)
    assert (await ana.press(sheet, "Make a new link")).status_code == 303


async def test_others_see_no_sheet(desk: Desk, ana: Browser) -> None:
    task = await desk.refer()
    assert (await ana.get(f"/referrals/{task['id']}/sheet")).status_code == 303
    foreign = {**task, "id": "foreign", "for": {"reference": "Patient/nobody"}, "requester": {"reference": OTHER}}
    await put(desk.store, patient("nobody", "No", "Body"), foreign)
    await ana.sign_in()
    page = await ana.get(f"/referrals/{task['id']}/sheet")
    token = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
    for fhir_id in ("foreign", "unknown"):
        assert (await ana.get(f"/referrals/{fhir_id}/sheet")).status_code == 404
        assert (await ana.post(f"/referrals/{fhir_id}/link", data={"csrf": token})).status_code == 404
