"""A refusal is told and audited the same way for a request and an entry of a Bundle; what cannot be audited is 503."""

from typing import Any

import pytest

from service.errors import Category, FhirError
from service.interactions.audit_match import holds
from service.search.criteria import HasNear, Linked
from service.search.index_rows import IndexRows
from service.store.change import Change
from service.store.database import Unavailable
from service.store.engine import Store
from tests.service.bundles.sending import entry, post
from tests.service.conftest import AppClient
from tests.service.world import ECM1

WAYS = ("request", "entry")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here reaches SQL."""
    return sqlite_url


async def refused(world: Store, app_client: AppClient, way: str) -> tuple[int, dict[str, Any]]:
    """The answer to a read of nothing: status and OperationOutcome."""
    client = await app_client("ecm-provider", ECM1)
    if way == "request":
        answer = await client.get("/Patient/nobody")
        return answer.status_code, answer.json()
    response = (await post(client, "batch", entry("GET", "Patient/nobody"))).json()["entry"][0]["response"]
    return int(response["status"][:3]), response["outcome"]


@pytest.mark.parametrize("way", WAYS)
async def test_it_has_its_audit_row(world: Store, app_client: AppClient, way: str) -> None:
    status, outcome = await refused(world, app_client, way)
    assert (status, outcome["issue"][0]["code"]) == (404, "not-found")
    rows = await world.fetch("SELECT target, outcome FROM audit WHERE kind = 'refusal'")
    assert [tuple(row) for row in rows] == [("Patient", 4)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("fault", "code"), [(RuntimeError("x"), "transient"), (Unavailable("away"), "transient")])
async def test_what_cannot_be_audited_is_503_and_logged(
    world: Store,
    app_client: AppClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    way: str,
    fault: Exception,
    code: str,
) -> None:
    real = world.commit

    async def broken(change: Change) -> Any:
        if any(row.kind == "refusal" for row in change.audit):
            raise fault
        return await real(change)

    monkeypatch.setattr(world, "commit", broken)
    status, outcome = await refused(world, app_client, way)
    assert (status, outcome["issue"][0]["code"]) == (503, code)
    assert "nobody" not in str(outcome)
    told = [line for line in capsys.readouterr().err.splitlines() if "request.refusal-unrecorded" in line]
    assert len(told) == 1 and type(fault).__name__ in told[0]


@pytest.mark.parametrize("clause", [Linked((1,), "Patient", ()), HasNear(1, 0.0, 0.0, 1.0)])
def test_a_clause_that_no_audit_row_can_answer_is_refused(clause: Linked | HasNear) -> None:
    with pytest.raises(FhirError) as caught:
        holds(clause, IndexRows(), "1", 0)
    assert caught.value.category is Category.MALFORMED
