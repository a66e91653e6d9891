"""GET /sandbox/token: a token that works, a sentence for what is wrong, a limit; production has no such address."""

from tests.service.web.browsing import Browser

POSTGRESQL_IN_DEEP = True

ADDRESS = "/sandbox/token"


async def test_a_token_of_each_role(sandbox: Browser) -> None:
    for role in ("lcm", "ecm-provider", "mcp", "cbo", "hospital"):
        answer = await sandbox.get(ADDRESS, params={"role": role})
        assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert (body["token_type"], body["expires_in"]) == ("bearer", 8 * 3600)
        call = await sandbox.get("/fhir/Organization", headers={"Authorization": f"Bearer {body['access_token']}"})
        assert call.status_code == 200


async def test_of_a_client_by_name(sandbox: Browser) -> None:
    token = (await sandbox.get(ADDRESS, params={"role": "lcm", "client": "ben"})).json()["access_token"]
    found = await sandbox.get("/fhir/Patient", headers={"Authorization": f"Bearer {token}"})
    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == ["joe"]


async def test_what_is_wrong_is_said(sandbox: Browser) -> None:
    for query in ("", "?role=", "?role=system", "?role=king", "?role=lcm&client=nobody"):
        answer = await sandbox.get(ADDRESS + query)
        assert answer.status_code == 400, query
        assert answer.json()["error"] == "invalid_request" and answer.json()["error_description"].endswith(".")


async def test_another_site_causes_none(sandbox: Browser) -> None:
    for site in ("cross-site", "same-site"):
        answer = await sandbox.get(f"{ADDRESS}?role=lcm", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403 and "access_token" not in answer.json()


async def test_as_often_as_signing_in(sandbox: Browser) -> None:
    statuses = [(await sandbox.get(f"{ADDRESS}?role=king")).status_code for _ in range(31)]
    assert statuses == [400] * 30 + [429]
    assert int((await sandbox.get(f"{ADDRESS}?role=lcm")).headers["retry-after"]) >= 1


async def test_production_has_no_such_address(production: Browser) -> None:
    assert (await production.get(f"{ADDRESS}?role=lcm")).status_code == 404
