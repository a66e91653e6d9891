import pytest
from tests.service.web.replying import Desk, people_of, links
from tests.service.web.browsing import text_of
CS = {"code": {"coding": [{"system": "https://enlace.example.org/fhir/CodeSystem/cs-service", "code": "housing-deposits"}], "text": "Meals"}}
@pytest.mark.parametrize("buttons", [("Accept","We reached","Done"),("No free place",),("Not eligible",),("Accept","Couldn't reach, we stop"),("Accept","Couldn't reach, will"),("Accept","Another reason")])
async def test_cs(store, buttons):
    await people_of(store)
    desk = Desk(store)
    phone, page = await desk.inside(await desk.refer(request=CS, businessStatus={"coding":[{"system":"https://enlace.example.org/fhir/CodeSystem/clr-referral-status","code":"pending"}]}))
    for b in buttons:
        page = await phone.pressed(page, b, **({"on":"2026-03-06"} if b=="Done" else {"words-end":"x"} if b=="Another reason" else {}))
        print(b, page.status_code)
        assert page.status_code == 200, text_of(page)
    [l] = await links(store)
    t = await desk.task(l.task)
    print(t["status"], t.get("businessStatus"), t.get("statusReason"))
