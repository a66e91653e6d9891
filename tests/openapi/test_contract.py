"""schemathesis over the served document: no 5xx, and no status, media type or body that the document does not name.

https://schemathesis.readthedocs.io. ENLACE_TEST_DEEP: every operation, many examples each; else those of some types.
"""

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from openapi.build import document
from service.main import build
from service.settings import load
from service.store.engine import open_store
from tests import postgres_server
from tests.frozen_clock import FrozenClock
from tests.service.world import access_token, build_world

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
EXAMPLES = 40 if DEEP else 3
SEED = int(os.environ.get("ENLACE_TEST_SEED", "20260307"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
TAGS = ("Patient", "Task", "AuditEvent", "service", "auth", "server")
"""The operations of three types stand for those of all: each kind of operation is among them."""
OTHERWISE = ("hl7v2", "health")
"""schemathesis cannot write HL7 v2 (tests/service/api/test_hl7v2.py does), and /readyz is 503 on purpose at times."""
OPERATIONS = [
    (method, path)
    for path, item in document()["paths"].items()
    for method, operation in item.items()
    if operation["tags"][0] in TAGS or (DEEP and operation["tags"][0] not in OTHERWISE)
]


class Running:
    """The service over HTTP in a thread with its own loop, as the operator of the made-up world."""

    def __init__(self, url: str, key: Path):
        self.base_url, self.token, self._database, self._key = "", "", url, key
        self._up = threading.Event()
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> "Running":
        self._thread.start()
        assert self._up.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(60)

    async def _serve(self) -> None:
        store = await open_store(self._database, FrozenClock())
        await build_world(store)
        self.token = await access_token(store, "admin", "Organization/operator")
        environ = {"ENLACE_DATABASE_URL": store.url, "ENLACE_CLIENT_RATE": "0"}
        app = build(store, load({**environ, "ENLACE_SECRET_KEY_FILE": str(self._key)}))
        port = postgres_server.free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        self._server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
        self._server.capture_signals = _no_signals  # type: ignore[method-assign]
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self._up.set()
        await serving
        await store.close()


class _no_signals:
    """They belong to the main thread."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def running(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("contract")
    for part in sqlite_template.parent.glob("template.db*"):
        shutil.copy(part, folder / ("enlace.db" + part.name.removeprefix("template.db")))
    with Running(f"sqlite:///{folder / 'enlace.db'}", folder / "key") as one:
        yield one


@pytest.fixture(scope="module")
def contract(running: Running) -> Any:
    """What the service itself serves."""
    return schemathesis.openapi.from_dict(requests.get(f"{running.base_url}/openapi.json", timeout=30).json())


def empty_as_asked(case: Any, answer: Any) -> bool:
    """OpenAPI has no words for a body that the request may do without; the description has."""
    return not answer.content and (case.headers or {}).get("Prefer") == "return=minimal" and answer.status_code < 300


@pytest.mark.timeout(3600 if DEEP else 120)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m.upper()} {p}" for m, p in OPERATIONS])
def test_the_contract_is_kept(running: Running, contract: Any, method: str, path: str) -> None:
    operation = contract[path][method.upper()]
    headers = {"Authorization": f"Bearer {running.token}"}
    with requests.Session() as session:

        @seed(SEED)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            answer = case.call(base_url=running.base_url, session=session, headers=headers, timeout=30)
            case.validate_response(answer, checks=CHECKS[:2] if empty_as_asked(case, answer) else CHECKS)

        check()
