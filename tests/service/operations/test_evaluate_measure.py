"""$evaluate-measure over HTTP: each caller's own numbers, small ones hidden, wrong questions answered in words."""

import json
from typing import Any

import pytest
from fhir.resources.R4B.measurereport import MeasureReport

from fhir_profiles.validate import validate
from service.access.context import Context
from service.caller import system_caller
from service.store.engine import Store
from service.workflow.measure_definitions import stored
from tests.service.conftest import AppClient
from tests.service.workflow.measure_world import DAY, HOUR, OWNERS, PLANS, REQUESTERS, History
from tests.service.world import ECM1, LCM1, PLAN1

POSTGRESQL_IN_DEEP = True
YEAR = "periodStart=2026-01-01&periodEnd=2026-12-31"
MADE = f"/Measure/referrals-made/$evaluate-measure?{YEAR}"


@pytest.fixture
async def history(store: Store) -> History:
    made = History(store, seed=4)
    await made.begin()
    await made.run(80, 20)
    store.clock.advance(DAY)  # type: ignore[attr-defined]
    return made


def total(body: Any) -> int | None:
    found: int | None = body["group"][0]["population"][0].get("count")
    return found


async def test_the_operator_gets_all_and_others_their_own(store: Store, history: History, app_client: AppClient):
    operator = await app_client("admin", "Organization/op")
    answer = await operator.get(MADE)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert validate(report, "MeasureReport") == [] and MeasureReport.model_validate(report)
    assert report["type"] == "summary" and report["measure"].endswith("/Measure/referrals-made|1.0.0")
    strata = {one["code"][0]["text"] for one in report["group"][0]["stratifier"]}
    assert strata == {"need", "service", "plan", "requester", "owner", "race", "ethnicity", "language"}
    assert total(report) and "Patient/" not in answer.text
    counts = []
    for role, organization in (("mcp", PLANS[0]), ("mcp", PLANS[1])):
        counts.append(total((await (await app_client(role, organization)).get(MADE)).json()))
    assert sum(count or 0 for count in counts) == total(report), "each member has one plan"
    nobody = await app_client("cbo", "Organization/elsewhere")
    assert total((await nobody.get(MADE)).json()) == 0
    audit = await store.fetch("SELECT count(*) FROM audit WHERE kind = 'evaluate-measure'")
    assert audit[0][0] == 4


async def test_small_numbers_are_hidden_from_all_but_the_operator(
    store: Store, history: History, app_client: AppClient
):
    cbo, provider = await app_client("cbo", OWNERS[0]), await app_client("ecm-provider", REQUESTERS[0])
    for client in (cbo, provider):
        answer = (await client.get(MADE)).json()
        cells = [stratum for s in answer["group"][0].get("stratifier", ()) for stratum in s["stratum"]]
        assert cells
        for cell in (answer["group"][0], *cells):
            count = cell["population"][0].get("count")
            assert count is None or count == 0 or count >= 11
            masked = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                                     "valueCode": "masked"}]}  # fmt: skip
            assert (count is None) == (cell["population"][0].get("_count") == masked)
    own = (await cbo.get(MADE)).json()
    assert not {"race", "ethnicity"} & {s["code"][0]["text"] for s in own["group"][0]["stratifier"]}


async def test_a_lead_care_manager_counts_the_own_members_of_today(world: Store, app_client: AppClient):
    world.clock.advance(HOUR)  # type: ignore[attr-defined]
    asked = {"measure": "referrals-made", "periodStart": "2026", "periodEnd": "2026", "stratifier": "need"}
    lcm = await app_client("lcm", ECM1, LCM1)
    other = await app_client("lcm", ECM1, "Practitioner/lcm-2")
    found = [(await one.get("/Measure/$evaluate-measure", params=asked)).json() for one in (lcm, other)]
    assert [total(one) for one in found] == [None, 0], "one referral, which is a small number; and none"


async def test_a_past_instant_gives_the_same_bytes(store: Store, history: History, app_client: AppClient):
    operator = await app_client("admin", "Organization/op")
    url = f"/Measure/$evaluate-measure?{YEAR}&measure=service-received&asOf=2026-03-20"
    first = await operator.get(url)
    await history.run(45, 30)
    operator = await app_client("admin", "Organization/op")
    assert (await operator.get(url)).content == first.content
    values = [{"name": name, "valueDate": value} for name, value in (("periodStart", "2026-01-01"),
              ("periodEnd", "2026-12-31"), ("asOf", "2026-03-20"))]  # fmt: skip
    body = {"resourceType": "Parameters", "parameter": values}
    posted = await operator.post("/Measure/service-received/$evaluate-measure", json=body)
    assert posted.content == first.content


WRONG = {
    "": (400, ["periodStart", "periodEnd"]),
    "periodStart=2026-02-30&periodEnd=soon": (400, ["periodStart", "periodEnd"]),
    "periodStart=2026-03-01&periodEnd=2026-02-01": (400, ["periodEnd lies before periodStart"]),
    f"{YEAR}&subject=Patient/a": (400, ["subject"]),
    f"{YEAR}&reportType=subject&months=0": (400, ["reportType", "months"]),
    f"{YEAR}&months=1e9&practitioner=x&colour=red": (400, ["months", "practitioner", "colour"]),
    f"{YEAR}&asOf=2999-01-01": (400, ["future"]),
    f"{YEAR}&stratifier=shoe-size": (400, ["stratifier"]),
    f"{YEAR}&periodStart=2025": (400, ["once"]),
    f"{YEAR}&measure=referrals-made": (400, ["URL names the measure"]),
}


@pytest.mark.parametrize("query", WRONG)
async def test_wrong_questions_are_answered_in_words(world: Store, app_client: AppClient, query: str):
    status, words = WRONG[query]
    answer = await (await app_client()).get(f"/Measure/referrals-made/$evaluate-measure?{query}")
    assert answer.status_code == status, answer.text
    said = " ".join(issue["diagnostics"] for issue in answer.json()["issue"])
    assert [word for word in words if word not in said] == []


async def test_who_may_not_count_is_refused(world: Store, app_client: AppClient):
    for role, scopes, reason in (
        ("hospital", "system/*.cruds", "no referrals"),
        ("ecm-provider", "system/Measure.rs", "system/Task.s"),
        ("ecm-provider", "system/Task.rs", "system/Measure.r"),
        ("ecm-provider", "system/Measure.rs system/Task.rs?status=completed", "part of the Tasks"),
    ):
        answer = await (await app_client(role, scopes=scopes)).get(MADE)
        assert answer.status_code == 403 and reason in answer.text, (role, scopes, answer.text)
    plain = await app_client(scopes="system/Measure.rs system/Task.rs")
    assert (await plain.get(f"{MADE}&stratifier=race")).status_code == 400, "without scope for Patient not by race"
    assert (await plain.get(f"/Measure/unknown/$evaluate-measure?{YEAR}")).status_code == 404


async def test_periods_without_referrals_and_of_all_time(world: Store, app_client: AppClient):
    world.clock.advance(HOUR)  # type: ignore[attr-defined]
    operator = await app_client("admin", "Organization/op")
    counts = []
    for start, end in (("0001", "9999"), ("1990", "1991"), ("2026-03-01", "2026-03-31")):
        params = {"periodStart": start, "periodEnd": end}
        answer = await operator.get("/Measure/days-to-accept/$evaluate-measure", params=params)
        assert answer.status_code == 200, answer.text
        counts.append(total(answer.json()))
    assert counts == [2, 0, 2]


async def test_definitions_are_read_by_all_and_altered_by_nobody(world: Store, app_client: AppClient):
    operator, plan = await app_client("admin", "Organization/op"), await app_client("mcp", PLAN1)
    change = await stored(Context(world, system_caller(), world.clock.now_us()))
    await world.commit(change)
    assert (await stored(Context(world, system_caller(), world.clock.now_us()))).writes == []
    read = await plan.get("/Measure/days-to-close")
    assert read.status_code == 200 and "nearest rank" in json.dumps(read.json()["definition"])
    headers = {"If-Match": 'W/"1"'}
    other = {**read.json(), "title": "Another"}
    assert (await plan.put("/Measure/days-to-close", json=other, headers=headers)).status_code == 403
    assert (await operator.put("/Measure/days-to-close", json=other, headers=headers)).status_code == 422
    assert (await operator.delete("/Measure/days-to-close")).status_code == 422
    mine = {"resourceType": "Measure", "status": "draft", "title": "A measure of the operator's own"}
    assert (await operator.post("/Measure", json=mine)).status_code == 201
    assert (await plan.post("/Measure", json=mine)).status_code == 403


async def test_reports_that_are_kept_are_their_authors(world: Store, app_client: AppClient):
    plan, provider = await app_client("mcp", PLAN1), await app_client("ecm-provider", ECM1)
    world.clock.advance(HOUR)  # type: ignore[attr-defined]
    report = (await plan.get(MADE)).json()
    kept = await plan.post("/MeasureReport", json=report)
    assert kept.status_code == 201, kept.text
    path = f"/MeasureReport/{kept.json()['id']}"
    assert (await plan.get(path)).status_code == 200
    assert (await provider.get(path)).status_code == 404
