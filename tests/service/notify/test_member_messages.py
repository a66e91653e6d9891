"""Messages to members: over their own channel, without PHI, by day, and never where they said do not contact."""

from typing import Any

import pytest

from service.notify.contact import DO_NOT_CONTACT, SDOHCC_CODES, language_of, may_contact, preferred
from service.notify.model import Outcome, Result
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.notify.notice_world import HOUR, World, mail, message
from tests.service.world import SUD, change_of, make, patient, put, ref, request

POSTGRESQL_IN_DEEP = True
PHONE = {"system": "sms", "value": "+15555550100", "rank": 1}
MAIL = mail("member@home.example", rank=2)
NO = {"extension": [{"url": DO_NOT_CONTACT, "valueBoolean": True}]}
NOW = 1_772_955_000_000_000


@pytest.fixture
async def told(store: Store, clock: FrozenClock) -> World:
    clock.advance(9 * HOUR)  # half past nine in the morning
    await put(store, patient("Patient/c", telecom=[MAIL, PHONE]), patient("Patient/d", telecom=[MAIL]))
    return World(store)


async def write(told: World, *resources: dict[str, Any]) -> None:
    await put(told.store, *resources)
    await told.run()


async def outcome(told: World, fhir_id: str = "m") -> list[str]:
    return await told.states(target=f"Communication/{fhir_id}")


async def test_over_the_preferred_channel_without_what_it_says(told: World) -> None:
    await write(told, message("m", "Patient/c"))
    assert await outcome(told) == ["preferred sent"] and not told.email.got
    (sms,) = told.sms.got
    assert sms.to == PHONE["value"] and "SECRET" not in sms.text and "Made" not in sms.text


async def test_at_night_it_waits(told: World, clock: FrozenClock) -> None:
    clock.advance(13 * HOUR)
    await write(told, message("m", "Patient/c"))
    assert await outcome(told) == ["preferred waiting"] and not told.sms.got
    clock.advance(9 * HOUR + HOUR // 2)
    await told.run()
    assert await outcome(told) == ["preferred sent"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (NO, "do-not-contact"),
        ({"extension": [{"url": DO_NOT_CONTACT}]}, "do-not-contact"),
        ({"deceasedBoolean": True}, "deceased"),
        ({"deceasedDateTime": "2026-01-01"}, "deceased"),
        ({"active": False}, "inactive"),
        ({"telecom": []}, "no-preferred-channel"),
    ],
)
async def test_never_where_the_member_must_not_be_told(told: World, more: dict[str, Any], reason: str) -> None:
    changed = {**patient("Patient/c", telecom=[MAIL, PHONE]), **more}
    await told.store.commit(change_of(told.store, changed, expect=1))
    await write(told, message("m", "Patient/c"))
    assert await outcome(told) == [f"preferred suppressed {reason}"] and not told.sms.got + told.email.got
    rows = await told.store.fetch("SELECT outcome, reason, patients FROM audit WHERE kind = 'notice'")
    assert [tuple(row) for row in rows] == [(4, reason, "Patient/c")]


async def test_said_while_it_waits(told: World, clock: FrozenClock) -> None:
    told.sms.results = [Result(Outcome.FAILED, 503, "http-5xx")]
    await write(told, message("m", "Patient/c"))
    stopped = {**patient("Patient/c", telecom=[PHONE]), **NO}
    await told.store.commit(change_of(told.store, stopped, expect=1))
    clock.advance(HOUR)
    await told.run()
    assert await outcome(told) == ["preferred suppressed do-not-contact"] and len(told.sms.got) <= 2


async def test_a_message_about_somebody_else_is_not_told(told: World) -> None:
    await write(told, message("m", "Patient/d"))
    assert await outcome(told) == ["preferred suppressed not-related"]


async def test_relatives_of_the_member_and_only_of_it(told: World) -> None:
    def relative(fhir_id: str, member: str, **more: Any) -> dict[str, Any]:
        return make(f"RelatedPerson/{fhir_id}", patient=ref(member), telecom=[mail(f"{fhir_id}@home.example")], **more)

    await put(
        told.store,
        relative("mother", "Patient/c"),
        relative("stranger", "Patient/d"),
        relative("former", "Patient/c", period={"end": "2025-01-01"}),
        relative("silent", "Patient/c", **NO),
    )
    for fhir_id in ("mother", "stranger", "former", "silent"):
        await write(told, message(f"m-{fhir_id}", f"RelatedPerson/{fhir_id}"))
    await write(told, message("m-label", "RelatedPerson/mother", meta=SUD))
    assert [m.to for m in told.email.got] == ["mother@home.example"]
    assert await outcome(told, "m-stranger") == await outcome(told, "m-former") == ["preferred suppressed not-related"]
    assert await outcome(told, "m-silent") == ["preferred suppressed do-not-contact"]
    assert await outcome(told, "m-label") == ["preferred suppressed consent"]


async def test_a_member_who_said_no_is_not_told_by_relatives_either(told: World) -> None:
    stopped = {**patient("Patient/c"), **NO}
    await told.store.commit(change_of(told.store, stopped, expect=1))
    await put(told.store, make("RelatedPerson/mother", patient=ref("Patient/c"), telecom=[MAIL]))
    await write(told, message("m", "RelatedPerson/mother"))
    assert await outcome(told) == ["preferred suppressed do-not-contact"]


@pytest.mark.parametrize(("status", "sent"), [("active", False), ("completed", True)])
async def test_a_referral_may_prohibit_contact(told: World, status: str, sent: bool) -> None:
    """SDOHCC-ServiceRequest.orderDetail, as long as the referral is open."""
    detail = {"coding": [{"system": SDOHCC_CODES, "code": "contacting-subject-prohibited"}]}
    asked = request("ServiceRequest/c", "Patient/c", "Organization/ecm-1", orderDetail=[detail])
    await write(told, {**asked, "status": status}, message("m", "Patient/c"))
    assert await outcome(told) == (["preferred sent"] if sent else ["preferred suppressed do-not-contact"])


@pytest.mark.parametrize("status", ["preparation", "not-done", "entered-in-error"])
async def test_what_was_not_sent_is_not_told(told: World, status: str) -> None:
    await write(told, message("m", "Patient/c", status=status))
    assert await outcome(told) == []


async def test_alerts_of_the_care_team_never_go_to_members(told: World) -> None:
    from tests.service.notify.notice_world import alert

    await write(told, alert("m", "Patient/c", "Patient/c"))
    assert await outcome(told) == []


def test_the_channel_that_the_member_prefers() -> None:
    assert preferred([MAIL, PHONE], NOW) == ("sms", PHONE["value"])
    assert preferred([mail("a@b.example")], NOW) == ("email", "a@b.example")
    assert preferred([mail("a@b.example"), mail("c@d.example")], NOW) is None, "the member did not say which"
    assert preferred([{"system": "phone", "use": "mobile", "value": "+15555550100"}], NOW) is None, "for calls"
    assert preferred([mail("a@b.example", use="old")], NOW) is None
    assert preferred([mail("a@b.example", period={"end": "2020"})], NOW) is None
    assert preferred(None, NOW) is None


def test_whether_and_in_which_language() -> None:
    assert may_contact({"extension": [{"url": DO_NOT_CONTACT, "valueBoolean": False}]}) == ""
    english, spanish = ({"language": {"coding": [{"code": code}]}} for code in ("en-US", "es"))
    assert language_of({"communication": [english, {**spanish, "preferred": True}]}) == "es"
    assert language_of({}) == "en"
