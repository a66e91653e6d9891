"""G12: what cannot be audited is not answered: 503 and no byte of PHI, on every way out."""

from typing import Any

import pytest

from service.store.change import Change
from service.store.database import Unavailable
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import observation

WAYS: list[tuple[str, str, Any]] = [
    ("GET", "/Patient/a", None),
    ("GET", "/Patient/a/_history/1", None),
    ("GET", "/Patient/a/_history", None),
    ("GET", "/Patient?family=Made", None),
    ("POST", "/Patient/_search", {}),
    ("GET", "/Patient/a/$everything", None),
    ("GET", "/Patient/a/$disclosures", None),
    ("GET", "/Provenance?target=Patient/a", None),
    ("GET", "/AuditEvent", None),
    ("GET", "/Patient/b", None),
    ("POST", "/Observation", observation("Observation/x", "Patient/a")),
    ("PUT", "/Observation/a", observation("Observation/a", "Patient/a", status="amended")),
    ("DELETE", "/Observation/a", None),
]


@pytest.mark.parametrize("error", [Unavailable("the disk is gone"), RuntimeError("a defect")])
async def test_g12_nothing_is_answered_that_is_not_audited(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    client = await app_client()
    before = await world.fetch("SELECT count(*) FROM version")

    async def fails(change: Change) -> Any:
        assert change.audit, "whatever is committed for a request bears its audit row"
        raise error

    monkeypatch.setattr(world.db, "commit", fails)
    for method, path, body in WAYS:
        given = {"data": body} if path.endswith("_search") else {"json": body} if body else {}
        answer = await client.request(method, path, **given)
        assert answer.status_code == 503, (method, path, answer.text)
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert not any(told in answer.text for told in ("Made", "mrn-", "Patient/a", "weight")), answer.text
    monkeypatch.undo()
    assert await world.fetch("SELECT count(*) FROM version") == before
