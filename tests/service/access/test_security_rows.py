"""Every row of the security tables has a test that is there, or a reason and the proof that it is not served."""

import ast
from functools import cache
from pathlib import Path

from fhir_profiles.catalog import catalog
from service.store.engine import Store
from tests.service.access.security_rows import ABSENT, NOT_SERVED, PROVEN
from tests.service.conftest import AppClient
from tests.service.world import ECM1

POSTGRESQL_IN_DEEP = True
TESTS = Path(__file__).resolve().parents[2]
ROWS = [f"{table}{n}" for table, last in (("T", 25), ("B", 12), ("L", 58), ("A", 35)) for n in range(1, last + 1)]


@cache
def defined(path: Path) -> frozenset[str]:
    body = ast.parse(path.read_text()).body
    return frozenset(one.name for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_row_is_proven_or_not_served() -> None:
    assert sorted({*PROVEN, *NOT_SERVED}) == sorted(ROWS)
    assert not set(PROVEN) & set(NOT_SERVED)
    assert set(ABSENT) == set(NOT_SERVED) and all(NOT_SERVED.values())


def test_the_tests_of_each_row_are_there() -> None:
    missing = []
    for row, names in PROVEN.items():
        assert names, row
        for name in names:
            path, _, function = name.partition("::")
            if not (TESTS / path).is_file() or function not in defined(TESTS / path):
                missing.append(f"{row}: {name}")
    assert missing == []


def test_the_statement_names_nothing_that_is_not_served() -> None:
    """Bulk export and Binary: once they are stated, their rows need tests."""
    types, stated = catalog().types, str(catalog().statement)
    assert not {"Binary", "SubscriptionStatus", "SubscriptionTopic"} & set(types)
    operations = {*catalog().operations, *(one for entry in types.values() for one in entry.operations)}
    assert not [one for one in operations if "export" in one]
    assert "bulk-data" not in stated and "$export" not in stated


async def test_what_is_not_served_is_answered_as_nothing(world: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM1, None, "system/*.cruds")
    for row, paths in ABSENT.items():
        for path in paths:
            for method in ("GET", "POST", "PUT", "DELETE"):
                answer = await client.request(method, path, json={"resourceType": "Parameters"})
                assert answer.status_code in (404, 405), (row, method, path, answer.status_code)
