"""A Consent opens labelled data on every path, and its revocation closes them all on the next request."""

from typing import Any

import httpx

from tests.service.access.consent.consents import consent
from tests.service.interactions.test_consent_access import PERMIT, SUD, changed, posted
from tests.service.interactions.test_consent_access import two as two


async def paths(client: httpx.AsyncClient) -> dict[str, Any]:
    """What is seen of the labelled Condition on each path."""

    async def entries(path: str) -> Any:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        found = [f"{e['resource']['resourceType']}/{e['resource'].get('id')}" for e in answer.json().get("entry", ())]
        return SUD in found

    def total(answer: httpx.Response) -> int:
        return int(answer.json()["total"])

    return {
        "read": (await client.get(f"/{SUD}")).status_code == 200,
        "vread": (await client.get(f"/{SUD}/_history/1")).status_code == 200,
        "history": (await client.get(f"/{SUD}/_history")).status_code == 200,
        "type history": await entries("/Condition/_history"),
        "system history": await entries("/_history"),
        "search": await entries("/Condition?patient=Patient/a"),
        "id": await entries("/Condition?_id=sud-a"),
        "total": total(await client.get("/Condition?patient=Patient/a&_total=accurate")) == 2,
        "count": total(await client.get("/Condition?_summary=count&patient=Patient/a")) == 2,
        "include": await entries("/Observation?_id=of-sud&_include=Observation:focus"),
        "chain": total(await client.get("/Observation?focus:Condition.patient=Patient/a&_total=accurate")) == 1,
        "compartment": await entries("/Patient/a/Condition"),
        "everything": await entries("/Patient/a/$everything"),
    }


async def test_a_consent_opens_every_path_and_its_revocation_closes_them(two: Any) -> None:
    ours, theirs = two
    nothing = dict.fromkeys(await paths(theirs), False)
    assert await paths(theirs) == nothing
    everything = dict.fromkeys(nothing, True)
    assert await paths(ours) == everything
    given = await posted(ours, consent("Consent/c", PERMIT))
    assert await paths(theirs) == everything
    await changed(ours, given, status="inactive")
    assert await paths(theirs) == nothing
    assert (await theirs.get("/Condition/a")).status_code == 200
