"""A referral answered by a link: three taps from the mail to the answer, and what each answer makes of the Task."""

import pytest

from tests.service.web.browsing import text_of
from tests.service.web.replying import ADDRESS, PANTRY, PHI, Desk, links

POSTGRESQL_IN_DEEP = True


async def test_three_taps_from_the_mail_to_the_acceptance(desk: Desk) -> None:
    task = await desk.refer()
    await desk.work()
    [mail] = desk.email.got
    assert mail.to == ADDRESS and not any(word in mail.text + mail.subject for word in PHI)
    phone = desk.browser()
    gate = await phone.get(desk.link())
    assert gate.status_code == 200 and "f***@p***.org" in gate.text and "Made-up Pantry" in gate.text
    assert not any(word in gate.text for word in PHI) and ADDRESS not in gate.text
    waiting = await phone.pressed(gate, "Send me the code")
    await desk.work()
    page = await phone.pressed(waiting, "Open the referral", code=desk.code())
    words = text_of(page)
    assert "Food boxes" in words and "Rosita Quill" in words and "+1-209-555-0142" in words
    assert "Please call in the morning." in words and "Made-up Care Collective" in words
    done = await phone.pressed(page, "Accept")
    assert "Accepted. Thank you" in text_of(done)
    moved = await desk.task(task["id"])
    assert moved["status"] == "accepted" and moved["meta"]["versionId"] == "2"
    for sent in desk.email.got:
        assert not any(word in sent.text + sent.subject for word in PHI)


async def test_the_whole_way_to_what_was_done(desk: Desk) -> None:
    phone, page = await desk.inside()
    page = await phone.pressed(page, "Accept")
    page = await phone.pressed(page, "Couldn't reach, will try again")
    page = await phone.pressed(page, "We reached the person", **{"words-progress": "She comes on Friday."})
    assert "She comes on Friday." in text_of(page)
    page = await phone.pressed(page, "Done", on="2026-03-06")
    assert "who referred knows that the person received" in text_of(page)
    [link] = await links(desk.store)
    task = await desk.task(link.task)
    assert task["status"] == "completed" and task["note"][0]["text"] == "Tried to reach the member."
    output = task["output"][0]["valueReference"]["reference"]
    found = await desk.context(PANTRY).store.fetch(
        "SELECT v.body FROM version v JOIN resource r ON r.vid = v.vid WHERE v.rtype = 'Procedure' AND v.fhir_id = ?",
        (output.partition("/")[2],),
    )
    body = bytes(found[0][0]).decode()
    assert '"performedDateTime":"2026-03-06"' in body and task["focus"]["reference"] in body
    rows = await desk.store.fetch(
        "SELECT action, actor, organization, target FROM audit WHERE action IN ('C', 'U') AND actor = 'reply-link'"
    )
    assert {row[2] for row in rows} == {PANTRY} and {row[0] for row in rows} == {"C", "U"}
    assert "Nothing more to do" in text_of(page) and "Accept" not in page.text


async def test_done_is_one_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the Task cannot be moved there is no Procedure either."""
    phone, page = await desk.inside()
    page = await phone.pressed(page, "Accept")
    [link] = await links(desk.store)
    await desk.change(link.task, status="cancelled", statusReason={"text": "Asked somebody else"})
    answer = await phone.press(page, "Done", on="2026-03-06")
    assert answer.status_code == 409 and "somebody else answered meanwhile" in text_of(answer)
    assert await desk.store.fetch("SELECT 1 FROM version WHERE rtype = 'Procedure'") == []


@pytest.mark.parametrize(
    ("button", "status", "reason", "code"),
    [
        ("No free place now", "rejected", "We are at capacity", "at-capacity"),
        ("Not eligible", "rejected", "The member is not eligible for our service", "not-eligible"),
        (
            "Not the right help for this person",
            "rejected",
            "The service is not appropriate for the member",
            "not-appropriate",
        ),
        ("Another reason, as written", "rejected", "Closed for repairs", "other"),
    ],
)
async def test_declined_with_a_reason_in_three_taps(
    desk: Desk, button: str, status: str, reason: str, code: str
) -> None:
    phone, page = await desk.inside()
    typed = {"words-decline": "Closed for repairs"} if "written" in button else {}
    page = await phone.pressed(page, button, **typed)
    assert "You declined this referral. Thank you" in text_of(page)
    [link] = await links(desk.store)
    task = await desk.task(link.task)
    assert (task["status"], task["statusReason"]["text"]) == (status, reason)
    assert [c["code"] for c in task["statusReason"].get("coding", ())] == ([code] if code else [])


@pytest.mark.parametrize(
    ("button", "status", "code"),
    [
        ("Couldn't reach, we stop", "cancelled", "unable-to-reach"),
        ("The person no longer wants it", "cancelled", "no-longer-wanted"),
        ("Not the right help for this person", "cancelled", "not-appropriate"),
        ("Another reason, as written", "failed", "other"),
    ],
)
async def test_ended_without_the_service(desk: Desk, button: str, status: str, code: str) -> None:
    phone, page = await desk.inside()
    page = await phone.pressed(page, "Accept")
    page = await phone.pressed(page, button, **{"words-end": "The program ended"})
    [link] = await links(desk.store)
    task = await desk.task(link.task)
    assert task["status"] == status and task["statusReason"]["coding"][0]["code"] == code


async def test_what_is_missing_is_said_and_nothing_changes(desk: Desk) -> None:
    phone, page = await desk.inside()
    answer = await phone.press(page, "Another reason, as written")
    assert answer.status_code == 422 and "Write the reason" in text_of(answer)
    page = await phone.pressed(answer, "Accept")
    for day in ("2026-03-09", "2026-13-01", "soon", ""):
        answer = await phone.press(page, "Done", on=day)
        assert answer.status_code == 422 and "not in the future" in text_of(answer)
    [link] = await links(desk.store)
    assert (await desk.task(link.task))["status"] == "accepted"


SUPPORT = {"coding": [{"system": "https://enlace.example.org/fhir/CodeSystem/cs-service", "code": "housing-deposits"}]}


@pytest.mark.parametrize(
    ("buttons", "business"),
    [
        (("Accept", "Done"), "referral-loop-closed"),
        (("Not eligible",), "declined"),
        (("Accept", "Another reason"), "referral-loop-closed"),
    ],
)
async def test_a_community_support_keeps_its_closed_loop_status(
    desk: Desk, buttons: tuple[str, ...], business: str
) -> None:
    task = await desk.refer(request={"code": {**SUPPORT, "text": "Housing deposits"}})
    phone, page = await desk.inside(task)
    for button in buttons:
        typed = {"on": "2026-03-06"} if button == "Done" else {"words-end": "The program ended"}
        page = await phone.pressed(page, button, **typed)
        assert page.status_code == 200
    status = (await desk.task(task["id"]))["businessStatus"]["coding"]
    assert [one["code"] for one in status] == [business]
