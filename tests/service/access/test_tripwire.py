"""The second wall: where the SQL of visibility is broken, every path answers 500 and shows nothing."""

from typing import Any

import pytest

from service.access import tripwire
from service.store import visible
from service.store.engine import Store
from service.store.raw_facts import RawFacts
from tests.service.conftest import AppClient
from tests.service.world import ECM1, ECM2, SUD, condition, observation, put

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
FOREIGN = ("Made", "Patient/b", "weight", "c-secret")


@pytest.fixture
async def broken(world: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """All is visible to everybody, as far as SQL goes."""
    secret = [{"system": "http://example.org/c", "value": "c-secret"}]
    await put(world, condition("Condition/hid", "Patient/a", meta=SUD, identifier=secret), source=ECM2)
    await put(world, observation("Observation/x", "Patient/b"), source=ECM2)
    monkeypatch.setattr(visible, "_related", lambda *_: ("1 = 1", []))
    monkeypatch.setattr(visible, "consented", lambda *_, **__: ("1 = 1", []))
    return world


PATHS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("GET", "/Patient/b", None, {}),
    ("GET", "/Condition/hid", None, {}),
    ("HEAD", "/Patient/b", None, {}),
    ("GET", "/Patient/b/_history/1", None, {}),
    ("GET", "/Patient/b/_history", None, {}),
    ("GET", "/Patient/_history", None, {}),
    ("GET", "/_history", None, {}),
    ("GET", "/Patient?_id=b", None, {}),
    ("GET", "/Patient?gender=female&_count=1&_sort=_id&_id=b", None, {}),
    ("GET", "/Condition?identifier=c-secret", None, {}),
    ("GET", "/Organization?_id=ecm-2&_revinclude=Task:owner&_revinclude=Task:requester", None, {}),
    ("GET", "/Task?_id=b&_include=Task:patient&_elements=id", None, {}),
    ("GET", "/?_id=b&_type=Patient,Task", None, {}),
    ("POST", "/Patient/_search", "_id=b", {"Content-Type": "application/x-www-form-urlencoded"}),
    ("GET", "/Patient/b/Observation", None, {}),
    ("GET", "/Patient/b/*", None, {}),
    ("GET", "/Patient/b/$everything", None, {}),
    ("POST", "/Patient/$match", {"resourceType": "Patient", "identifier": [
        {"system": "http://example.org/mrn", "value": "mrn-b"}]}, {}),
    ("PUT", "/Observation/x", observation("Observation/x", "Patient/b"), {}),
    ("PATCH", "/Observation/x", [{"op": "test", "path": "/status", "value": "final"}], JSON_PATCH),
    ("PATCH", "/Observation?_id=x", [{"op": "test", "path": "/status", "value": "final"}], JSON_PATCH),
    ("DELETE", "/Observation/x", None, {}),
    ("DELETE", "/Observation?_id=x", None, {}),
    ("POST", "/Condition", condition("Condition/n", "Patient/a") | {"id": None}, {
        "If-None-Exist": "identifier=c-secret"}),
]  # fmt: skip


async def test_t_tripwire_every_path_answers_500_and_shows_nothing(broken: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM1)
    wrong = []
    for method, url, body, headers in PATHS:
        kind = {} if isinstance(body, str) or body is None else {"Content-Type": "application/fhir+json"}
        if isinstance(body, dict):
            body = {k: v for k, v in body.items() if v is not None}
        sent = {"content": body} if isinstance(body, str) else {"json": body} if body is not None else {}
        answer = await client.request(method, url, headers={**kind, **headers}, **sent)
        told = [word for word in FOREIGN if word in answer.text]
        if answer.status_code != 500 or told:
            wrong.append((method, url, answer.status_code, told))
    assert not wrong
    rows = await broken.fetch("SELECT count(*) FROM audit WHERE reason = ? AND outcome = 8", ("tripwire",))
    assert rows[0][0] == len(PATHS)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_t_tripwire_entries_of_bundles(broken: Store, app_client: AppClient, kind: str) -> None:
    client = await app_client("ecm-provider", ECM1)
    asked = ("Patient/b", "Patient?_id=b", "Patient/b/_history/1", "Patient/b/$everything")
    body = {"resourceType": "Bundle", "type": kind, "entry": [{"request": {"method": "GET", "url": u}} for u in asked]}
    answer = await client.post("", json=body)
    assert [one["response"]["status"][:3] for one in answer.json()["entry"]] == ["500"] * len(asked)
    assert not [word for word in ("Made", "weight") if word in answer.text]
    put_ = {"request": {"method": "PUT", "url": "Observation/x"}, "resource": observation("Observation/x", "Patient/b")}
    written = await client.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": [put_]})
    assert written.status_code == 500


async def test_the_alarm_is_logged(broken: Store, app_client: AppClient, capsys: pytest.CaptureFixture[str]) -> None:
    await (await app_client("ecm-provider", ECM1)).get("/Patient/b")
    assert "access.tripwire" in "".join(capsys.readouterr())


async def test_a_right_that_ends_between_is_no_alarm(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found while it was assigned, judged when it is not: decided again, and absent."""
    client = await app_client("ecm-provider", ECM1)
    real, ended = tripwire.raw_facts, []

    async def slow(store: Store, asked: Any) -> RawFacts:
        if not ended:
            ended.append(await store.db.execute("DELETE FROM panel RETURNING subject"))
        return await real(store, asked)

    await put(world, condition("Condition/theirs", "Patient/a"), source=ECM2)
    monkeypatch.setattr(tripwire, "raw_facts", slow)
    assert (await client.get("/Condition/theirs")).status_code == 404
    assert ended
