"""What a signed-in organization sees: the numbers, lists and JSON are those of the API for the same client."""

import json
import re

import pytest

from service.auth.sandbox import issue_sandbox_token
from service.caller import Role
from service.errors import Category, FhirError
from service.store.engine import Store
from service.web.rendering import breakable
from service.web.sees import writes
from tests.service.web.browsing import Browser, text_of
from tests.service.web.county import CBO, ECM, EVIL, episode, patient, put
from tests.service.world import task

POSTGRESQL_IN_DEEP = True

NAMES = {
    "ecm-provider": ("Made-up Care Collective", 4),
    "mcp": ("Made-up Plan", 0),
    "cbo": ("Made-up Steps", None),
    "lcm": ("Ana Quispe", 3),
}
"""Role -> (login, how many Patients it sees; None: the type is not for it)."""


def numbers(html: str) -> dict[str, int]:
    rows = re.findall(r'/sees/(\w+)">[\w<>]+</a></th>\s*<td class="number">(\d+)</td>', html)
    return {rtype: int(number) for rtype, number in rows}


async def test_the_numbers_are_those_of_the_api(sandbox: Browser, store: Store) -> None:
    for role, (name, patients) in NAMES.items():
        await sandbox.sign_in(name)
        page = await sandbox.get("/sees")
        seen = numbers(page.text)
        assert "Organization" in seen and seen.get("Patient") == patients, role
        token = await issue_sandbox_token(store, "sandbox", role, None, 60)
        for rtype, number in seen.items():
            answer = await sandbox.get(f"/fhir/{rtype}?_summary=count", headers={"Authorization": f"Bearer {token}"})
            assert answer.json()["total"] == number, (role, rtype)
        await sandbox.press(page, "Sign out")


async def test_the_list_and_the_resource_and_their_audit_rows(sandbox: Browser, store: Store) -> None:
    await sandbox.sign_in("Made-up Care Collective")
    page = await sandbox.get("/sees/Patient")
    assert set(re.findall(r'/sees/Patient/([\w-]+)"', page.text)) == {"maria", "joe", "rosa", "tia"}
    assert "Rosita Quill-Made-up, born 1970-02-03" in text_of(page)
    one = await sandbox.get("/sees/Patient/rosa")
    shown = re.search(r"<pre[^>]*><code>(.*?)</code>", one.text, re.S)
    assert shown and json.loads(shown[1].replace("&#34;", '"'))["id"] == "rosa"
    rows = await store.fetch("SELECT kind, actor, target FROM audit ORDER BY slot, seq")
    place = next(place for place, row in enumerate(rows) if row[0] == "read")
    read, listed, counted = rows[place], rows[place - 1], rows[place + 1 :]
    assert read == ("read", "ehr", "Patient/rosa")
    assert counted and {(row[0], row[1]) for row in counted} == {("search-type", "ehr")}
    assert (listed[0], listed[1]) == ("search-type", "ehr") and listed[2].startswith("Patient?")


async def test_what_is_seen_of_one_member(sandbox: Browser, store: Store) -> None:
    await sandbox.sign_in("Made-up Care Collective")
    page = await sandbox.get("/sees/Patient/rosa")
    seen = dict(re.findall(r'/sees/(\w+)\?member=rosa">[\w<>]+</a>: (\d+)', page.text))
    token = await issue_sandbox_token(store, "sandbox", "ecm-provider", None, 60)
    assert seen
    for rtype, number in seen.items():
        headers = {"Authorization": f"Bearer {token}"}
        answer = await sandbox.get(f"/fhir/{rtype}?patient=Patient/rosa&_summary=count", headers=headers)
        assert str(answer.json()["total"]) == number
        listed = await sandbox.get(f"/sees/{rtype}?member=rosa")
        assert "Only of one member" in text_of(listed) and len(re.findall(rf"/sees/{rtype}/", listed.text)) == int(
            number
        )


async def test_a_community_organization_finds_the_members_of_its_referrals(sandbox: Browser, store: Store) -> None:
    await put(store, task("Task/steps-rosa", "Patient/rosa", "ServiceRequest/none", ECM, CBO))
    await sandbox.sign_in("Made-up Steps")
    page = await sandbox.get("/sees/Patient")
    assert set(re.findall(r'/sees/Patient/([\w-]+)"', page.text)) == {"rosa"} and "1970-02-03" not in page.text
    one = await sandbox.get("/sees/Patient/rosa")
    assert one.status_code == 200 and "1970-02-03" not in one.text and "SUBSETTED" in one.text


async def test_what_is_not_theirs_is_not_there(sandbox: Browser, store: Store) -> None:
    await sandbox.sign_in("Made-up Steps")
    assert "None yet" in text_of(await sandbox.get("/sees/Patient"))
    foreign, absent = await sandbox.get("/sees/Patient/rosa"), await sandbox.get("/sees/Patient/nobody")
    assert foreign.status_code == absent.status_code == 404
    assert text_of(foreign) == text_of(absent)
    assert (await sandbox.get("/sees/Nonsense")).status_code == 404
    assert "None yet" in text_of(await sandbox.get("/sees/Task"))
    rows = await store.fetch("SELECT kind, actor, outcome FROM audit WHERE kind = 'refusal'")
    assert {row[1] for row in rows} == {"steps"}


async def test_one_type_that_cannot_be_counted_leaves_the_others(
    sandbox: Browser, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.web import sees

    whole = sees.search

    async def slow(ctx, rtype, *rest, **facts):  # type: ignore[no-untyped-def]
        if rtype == "Task":
            raise FhirError(Category.UNAVAILABLE, "too costly")
        return await whole(ctx, rtype, *rest, **facts)

    await sandbox.sign_in("Made-up Care Collective")
    monkeypatch.setattr(sees, "search", slow)
    page = await sandbox.get("/sees")
    assert page.status_code == 200 and "took too long" in text_of(page)
    assert "Task" not in numbers(page.text) and numbers(page.text)["Patient"] == 4


async def test_signed_out_leads_to_the_first_page(sandbox: Browser) -> None:
    for address in ("/sees", "/sees/Patient", "/sees/Patient/rosa"):
        answer = await sandbox.get(address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_a_system_has_no_inbox(sandbox: Browser) -> None:
    await sandbox.sign_in("Made-up Plan")
    for address in ("/inbox/list", "/inbox/events"):
        assert (await sandbox.get(address)).status_code == 403


async def test_stored_text_stays_text(sandbox: Browser, store: Store) -> None:
    await put(store, patient("evil", EVIL, "Made-up"), episode("e-evil", "evil", "ana"))
    await sandbox.sign_in("Made-up Care Collective")
    for address in ("/sees/Patient", "/sees/Patient/evil"):
        page = await sandbox.get(address)
        assert EVIL not in page.text and "&lt;script&gt;" in page.text


async def test_decimals_keep_their_digits() -> None:
    from service.access.context import parse
    from service.web.sees import pretty

    assert '"value": 1.50' in pretty(parse(b'{"valueQuantity":{"value":1.50}}'))


async def test_who_writes_the_own_entries_only_is_told_so(sandbox: Browser) -> None:
    page = text_of(await sandbox.sign_in("Made-up Steps"))
    for rtype, word in (("Organization", "its own"), ("Practitioner", "its own"), ("Task", "yes")):
        assert re.search(rf"{rtype} \d+ [a-z ,]+ {word} ", page), (rtype, page)
    assert writes(Role.ADMIN, "Organization") == "yes"
    assert writes(Role.CBO, "ServiceRequest") == "no"


async def test_a_long_name_breaks_before_a_capital() -> None:
    assert breakable("DocumentReference") == "Document<wbr>Reference"
    assert breakable("<b>") == "&lt;b&gt;" and breakable("Task") == "Task"
