"""Who gets a link, over which address, once; and who has to telephone where no address is listed."""

from dataclasses import replace
from typing import Any

import pytest

from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.auth.registration import insertion, new_client
from service.caller import Role, system_caller
from service.notify import reply_codes
from service.notify.model import Outcome, Result
from service.store import partners
from service.store.change import Change
from service.store.engine import Store
from service.workflow import derived, reply_links
from tests.frozen_clock import FrozenClock
from tests.service.web.county import ECM, put, register
from tests.service.web.replying import ADDRESS, OTHER, PANTRY, Desk, links, people_of

POSTGRESQL_IN_DEEP = True
APPOINTMENT = [{"url": reply_links.APPOINTMENT, "valueBoolean": True}]


@pytest.fixture(autouse=True)
def key_folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def desk(store: Store) -> Desk:
    await put(store, {"resourceType": "Organization", "id": "ecm-1", "name": "Made-up Care Collective"})
    await register(store, "ehr", role="ecm-provider")
    await people_of(store)
    return Desk(store)


def service(fhir_id: str, telecom: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    by = {"reference": PANTRY}
    return {"resourceType": "HealthcareService", "id": fhir_id, "providedBy": by, "telecom": telecom, **more}


def mail(value: str, **more: Any) -> dict[str, Any]:
    return {"system": "email", "value": value, **more}


async def calls(store: Store) -> list[tuple[Any, ...]]:
    sql = "SELECT body FROM version WHERE rtype = 'Task' AND fhir_id LIKE 'call-%'"
    return await store.fetch(sql)


async def test_once_however_often_the_job_runs(desk: Desk) -> None:
    task = await desk.refer()
    ctx = Context(desk.store, system_caller(), desk.store.clock.now_us(), desk.behaviour)
    for _ in range(2):
        await desk.store.commit(await reply_links.invite(ctx, {"task": task["id"]}))
        await desk.work()
    assert len(await links(desk.store)) == 1 and len(desk.email.got) == 1


@pytest.mark.parametrize(
    ("client", "extension", "wanted"),
    [
        ("", None, True),
        ("system/Task.rs", None, False),
        ("system/*.cruds", None, False),
        ("system/Task.r?status=requested", None, False),
        ("system/HealthcareService.cu", None, True),
        ("system/*.cruds", True, True),
        ("", False, False),
    ],
)
async def test_who_replies_by_link(desk: Desk, client: str, extension: bool | None, wanted: bool) -> None:
    if client:
        facts: dict[str, Any] = {"organization": PANTRY, "role": "cbo", "scope": client, "now_us": 1}
        await desk.store.commit(insertion(new_client("pantry-app", name="x", **facts)))
    if extension is not None:
        said = [{"url": reply_links.BY_LINK, "valueBoolean": extension}]
        telecom = [mail(ADDRESS)]
        body = {"resourceType": "Organization", "id": "pantry", "name": "x", "telecom": telecom, "extension": said}
        await put(desk.store, body, expect=1)
    assert await reply_links.replies_by_link(desk.context(), PANTRY) is wanted
    await desk.refer()
    await desk.work()
    assert len(desk.email.got) == wanted


async def test_a_partner_s_server_needs_no_link(desk: Desk) -> None:
    said: dict[str, Any] = dict.fromkeys(("client_id", "token_url", "scopes"), "")
    said |= {"name": "p", "organization": PANTRY, "base_url": "https://pantry.example.org/fhir"}
    one = partners.Partner(**said, direction="push", every_s=900)
    await desk.store.commit(Change(statements=[partners.put(one)]))
    assert not await reply_links.replies_by_link(desk.context(), PANTRY)


@pytest.mark.parametrize(
    ("services", "performer", "expected"),
    [
        ([], "", ADDRESS),
        ([service("b", [mail("b@x.org")])], "", "b@x.org"),
        ([service("a", [mail("a@x.org")]), service("b", [mail("b@x.org")])], "HealthcareService/b", "b@x.org"),
        ([service("a", [mail("a@x.org"), mail("book@x.org", extension=APPOINTMENT)])], "", "book@x.org"),
        ([service("a", [mail("a@x.org")], active=False)], "", ADDRESS),
        ([service("a", [mail("old@x.org", use="old")])], "", ADDRESS),
        ([service("a", [{"system": "phone", "value": "+12095550100"}])], "", ADDRESS),
    ],
)
async def test_which_address(desk: Desk, services: list[dict[str, Any]], performer: str, expected: str) -> None:
    if services:
        await put(desk.store, *services)
    request = {"performer": [{"reference": performer}]} if performer else {}
    await desk.refer(request=request)
    await desk.work()
    assert [one.to for one in desk.email.got] == [expected]


async def test_nobody_listed_so_the_requester_calls(desk: Desk) -> None:
    task = await desk.refer(OTHER)
    await desk.work()
    await desk.work()
    [row] = await calls(desk.store)
    body = bytes(row[0]).decode()
    assert f'"focus":{{"reference":"Task/{task["id"]}"}}' in body and f'"owner":{{"reference":"{ECM}"' in body
    assert "Made-up Kitchen" in body and await links(desk.store) == []


async def test_a_contact_person_is_written_to_where_nothing_else_is_listed(desk: Desk) -> None:
    person = {"name": {"text": "Ada Made-Up"}, "telecom": [mail("ada@kitchen.example.org")]}
    await put(desk.store, {"resourceType": "Organization", "id": "other", "name": "x", "contact": [person]}, expect=1)
    await desk.refer(OTHER)
    await desk.work()
    assert [one.to for one in desk.email.got] == ["ada@kitchen.example.org"] and await calls(desk.store) == []


async def test_a_refused_address_makes_somebody_call(desk: Desk) -> None:
    desk.email.results.append(Result(Outcome.REFUSED, 550, "recipient"))
    await desk.refer()
    await desk.work()
    assert len(await calls(desk.store)) == 1


async def test_where_no_mail_is_set_up(desk: Desk) -> None:
    desk.behaviour = Behaviour(base_url=desk.behaviour.base_url, page_key=desk.key)
    await desk.refer()
    await desk.work()
    assert len(await calls(desk.store)) == 1 and desk.email.got == []


async def test_drafts_and_other_tasks_tell_nobody(desk: Desk) -> None:
    task = await desk.refer(status="draft")
    await desk.work()
    assert desk.email.got == []
    await desk.change(task["id"], status="requested")
    await desk.work()
    assert len(desk.email.got) == 1


async def test_each_candidate_of_an_open_referral(desk: Desk) -> None:
    await put(desk.store, {"resourceType": "Organization", "id": "third", "telecom": [mail("third@x.org")]})
    recipients = [{"reference": one} for one in (PANTRY, "Organization/third", OTHER)]
    await desk.refer(None, restriction={"recipient": recipients})
    await desk.work()
    assert sorted(one.to for one in desk.email.got) == [ADDRESS, "third@x.org"]
    assert len(await calls(desk.store)) == 1


async def test_who_is_asked_later_is_told_too(desk: Desk) -> None:
    task = await desk.refer(None, restriction={"recipient": [{"reference": OTHER}]})
    await desk.work()
    assert desk.email.got == []
    both = {"restriction": {"recipient": [{"reference": OTHER}, {"reference": PANTRY}]}}
    for more in ({"note": [{"text": "x"}]}, both, {"note": [{"text": "y"}]}):
        ctx = Context(desk.store, system_caller(), desk.store.clock.now_us(), desk.behaviour)
        found, change = await ctx.resource(f"Task/{task['id']}"), Change()
        assert found is not None
        await derived.put(ctx, change, {**found[0], **more}, found[1], "test")
        await desk.store.commit(change)
        await desk.work()
    assert [one.to for one in desk.email.got] == [ADDRESS]


async def test_made_anew_and_withdrawn(desk: Desk, clock: FrozenClock) -> None:
    task = await desk.refer()
    await desk.work()
    clock.advance(1_000_000)
    change, ctx = Change(), desk.context()
    made = await reply_links.make(ctx, change, task["id"])
    await desk.store.commit(change)
    await desk.work()
    states = {one.link: one.state for one in await links(desk.store)}
    assert states.pop(made.link) == "open" and list(states.values()) == ["revoked"]
    assert reply_links.address(ctx, made).endswith(desk.link())
    change = Change()
    reply_links.unmake(ctx, change, task["id"], PANTRY, "Patient/rosita")
    await desk.store.commit(change)
    assert {one.state for one in await links(desk.store)} == {"revoked"}


async def test_who_may_not_make_one(desk: Desk) -> None:
    task = await desk.refer()
    for organization, role in ((OTHER, Role.CBO), ("Organization/ecm-9", Role.ECM_PROVIDER)):
        with pytest.raises(reply_links.NotMade):
            await reply_links.make(desk.context(organization, role), Change(), task["id"])
    with pytest.raises(reply_links.NotMade):
        await reply_links.make(desk.context(), Change(), task["id"], OTHER)
    ctx = desk.context()
    mute = replace(ctx, settings=replace(ctx.settings, channels=frozenset({"rest-hook"})))
    with pytest.raises(reply_links.NotMade, match="ENLACE_SMTP_URL"):  # not the organization's address is missing
        await reply_links.make(mute, Change(), task["id"])
    await desk.change(task["id"], status="cancelled", statusReason={"text": "x"})
    with pytest.raises(reply_links.NotMade):
        await reply_links.make(desk.context(), Change(), task["id"])


def test_tokens_and_codes() -> None:
    key = b"k" * 32
    token = reply_codes.token_of(key, "1", PANTRY, 7)
    assert token == reply_codes.token_of(key, "1", PANTRY, 7) != reply_codes.token_of(key, "1", PANTRY, 8)
    assert reply_codes.link_of(key, token) == reply_codes.link_of(key, token.lower().replace("-", ""))
    assert not reply_codes.link_of(key, "O" * 20) and not reply_codes.link_of(key, token + "A")
    assert reply_codes.link_of(b"j" * 32, token) != reply_codes.link_of(key, token)
    assert len({reply_codes.digits_of(key, "l", n, 9) for n in range(50)}) > 45
    told = reply_codes.Contact("email", "mailto:ann@pantry.org", "es")
    text = reply_codes.sealed(key, "l", told)
    assert "ann" not in text and reply_codes.opened(key, "l", text) == told
    assert reply_codes.masked(told) == "a***@p***.org"
    assert reply_codes.masked(reply_codes.Contact("sms", "+1-209-555-0177", "en")) == "***77"
    with pytest.raises(ValueError):
        reply_codes.opened(key, "other", text)


async def test_spanish_where_the_organization_writes_spanish(desk: Desk) -> None:
    body = {
        "resourceType": "Organization",
        "id": "pantry",
        "name": "x",
        "language": "es-MX",
        "telecom": [mail(ADDRESS)],
    }
    await put(desk.store, body, expect=1)
    await desk.refer()
    await desk.work()
    assert "derivación" in desk.email.got[0].text and desk.email.got[0].language == "es"
