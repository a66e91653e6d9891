"""The page of a member's disclosures: for the lead care manager of the member, nobody else; CSV beside it."""

from service.store.change import AuditRow, Change
from service.store.engine import Store
from tests.service.web.browsing import Browser, text_of


async def disclose(store: Store, member: str) -> None:
    author = store.keys.resource("Organization/plan-1")
    detail = f'{{"d":[[0,"CarePlan",2,{author}]]}}'
    patient = f"Patient/{member}"
    row = AuditRow("E", "search-type", 0, "c", "Organization/ecm-9", "CarePlan?", (patient,), "", "", "TREAT", detail)
    await store.commit(Change(audit=[row]))


async def test_what_was_disclosed_of_a_member(ana: Browser, store: Store) -> None:
    await disclose(store, "maria")
    await ana.sign_in()
    page = await ana.get("/members/maria/disclosures")
    assert page.status_code == 200
    assert "Organization/ecm-9 2 CarePlan TREAT treatment, payment or operations" in text_of(page)
    answer = await ana.get("/members/maria/disclosures.csv")
    assert answer.headers["content-type"].startswith("text/csv") and answer.headers["cache-control"] == "no-store"
    assert "2 CarePlan" in answer.text
    rows = await store.fetch("SELECT target FROM audit WHERE kind = 'disclosures'")
    assert [row[0] for row in rows] == ["Patient/maria"] * 2


async def test_of_another_member_and_of_nobody_there_is_nothing(ana: Browser, store: Store) -> None:
    await disclose(store, "joe")
    await ana.sign_in()
    for path in ("disclosures", "disclosures.csv"):
        foreign, absent = [await ana.get(f"/members/{member}/{path}") for member in ("joe", "nobody")]
        assert foreign.status_code == absent.status_code == 404
        assert foreign.text.replace("joe", "") == absent.text.replace("nobody", "")


async def test_without_a_session_there_is_no_page(ana: Browser) -> None:
    assert (await ana.get("/members/maria/disclosures")).status_code in (302, 303, 401)
