"""Real FHIR clients from npm and PyPI against one running server per database, each through its own API.

Each client is a program (`with_*.py`, `with_*.mjs`) that reads its facts on standard input and prints a JSON line per
step; a test asserts one step of one client. The npm clients need Node.js and `npm ci` in this folder.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.auth.registration import new_client, register
from service.cli.processes import die_with_parent
from service.store.engine import Store
from tests.conftest import missing
from tests.scenarios.harness import ROOT, Service, look, now_us, put, running
from tests.service.auth.smart_client import claims, header, jwks_text, jwt

POSTGRESQL_IN_DEEP = True

HERE = Path(__file__).parent
STEPS = {
    "with_fhirpy.py": "create read refresh conditional_create update conditional_update patch conditional_patch search "
    "batch paging paging_async include transaction history validate refusal delete conditional_delete",
    "with_fhirclient.py": "authorize create read update search unknown_parameter batch paging include transaction "
    "patch refusal delete history not_found everything every_type",
    "with_fhir_kit_client.mjs": "smart_metadata authorize create conditional_create read update conditional_update "
    "patch search search_compartment search_system batch paging include transaction transaction_refused history "
    "operation delete",
    "with_fhirclient.mjs": "fhir_version create create_minimal update patch search batch paging include transaction "
    "history refusal delete",
    "with_medplum.mjs": "create conditional_create read update conditional_update patch search batch paging include "
    "transaction history validate everything refusal delete",
}
"""Every program and its steps in order; a step builds on those before it."""
ALL = [(program, step) for program, steps in STEPS.items() for step in steps.split()]
NUMBERS = count(1)
EXAMPLES = ROOT / "fhir_profiles" / "examples"
Process = subprocess.Popen[bytes]


@dataclass
class Run:
    """What one program said: its lines by step (None: the program cannot be run here), and what it wrote to stderr."""

    lines: dict[str, dict[str, Any]] | None
    errors: str = ""


def runnable(program: str) -> list[str] | None:
    """The command of the program; None where Node.js or the npm packages are missing."""
    if program.endswith(".py"):
        return [sys.executable, str(HERE / program)]
    node = shutil.which("node")
    return [node, str(HERE / program)] if node and (HERE / "node_modules" / "fhir-kit-client").exists() else None


class Registered:
    """A system with keys that programs sign in as: SMART Backend Services, RS384."""

    def __init__(self, service: Service, name: str, role: str, organization: str):
        self.name, self.endpoint = name, f"{service.base}/auth/token"

        async def write(store: Store) -> None:
            facts: dict[str, Any] = {"organization": organization, "role": role, "now_us": now_us()}
            await register(store, new_client(name, name=name, jwks=jwks_text(), scope="system/*.cruds", **facts))

        look(service.url, write)

    def assertion(self) -> str:
        """A new signed statement, not used yet."""
        said = claims(now_us(), iss=self.name, sub=self.name, aud=self.endpoint, jti=f"jti-{next(NUMBERS)}")
        return jwt(header(), said)

    def token(self) -> str:
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        form = {"grant_type": "client_credentials", "scope": "system/*.cruds", "client_assertion_type": kind}
        answer = httpx.post(self.endpoint, data=form | {"client_assertion": self.assertion()})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


def started(program: str, service: Service, provider: Registered, operator: Registered) -> Process | None:
    command = runnable(program)
    if command is None:
        return None
    facts = {
        "name": program.replace(".", "-"),
        "base": f"{service.base}/fhir",
        "token_endpoint": provider.endpoint,
        "client_id": provider.name,
        "assertion": provider.assertion(),
        "token": provider.token(),
        "operator": {"client_id": operator.name, "assertion": operator.assertion()},
        "patient": "Patient/rosa",
        "organization": "Organization/north",
        "cbo": "Organization/cbo",
    }
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=HERE, preexec_fn=die_with_parent)
    assert process.stdin is not None
    process.stdin.write(json.dumps(facts).encode())
    process.stdin.close()
    process.stdin = None
    return process


def finished(process: Process | None, until: float) -> Run:
    """What it said; a program that follows pages without end, say, is ended and fails at the step it was in."""
    if process is None:
        return Run(None)
    try:
        out, errors = process.communicate(timeout=max(until - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
    lines = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    return Run({line["step"]: line for line in lines}, errors.decode(errors="replace"))


@pytest.fixture(scope="module")
def service(
    shared_url: str, world_tokens: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The API alone: no client waits for the worker or the listener. Two behind a proxy where the topology is five."""
    several = os.environ.get("ENLACE_TEST_TOPOLOGY") == "five"
    with running(shared_url, tmp_path_factory.mktemp("home"), parts=None if several else (("serve",),)) as api:
        yield api


@pytest.fixture(scope="module")
def runs(service: Service) -> Iterator[dict[str, Run]]:
    """All programs at once against the running service of one database, which holds an example of each type."""
    provider = Registered(service, "real-clients", "ecm-provider", "Organization/north")
    operator = Registered(service, "real-operator", "admin", "Organization/enlace")
    examples = [json.loads(path.read_bytes()) for path in EXAMPLES.glob("*.json")]
    look(service.url, lambda store: put(store, *(one for one in examples if one["resourceType"] != "AuditEvent")))
    processes = {program: started(program, service, provider, operator) for program in STEPS}
    until = time.monotonic() + 60
    yield {program: finished(process, until) for program, process in processes.items()}


@pytest.mark.parametrize(("program", "step"), ALL, ids=[f"{program}-{step}" for program, step in ALL])
def test_client(runs: dict[str, Run], program: str, step: str) -> None:
    run = runs[program]
    if run.lines is None:
        missing("clients", "Clients from npm need Node.js, and `npm ci` in tests/scenarios/clients.")
    assert run.lines is not None
    assert step in run.lines, f"{program} ended before this step: {run.errors[-3000:]}"
    assert "error" not in run.lines[step], run.lines[step]["error"]


def test_every_step_that_a_program_does_is_asserted(runs: dict[str, Run]) -> None:
    for program, steps in STEPS.items():
        if runs[program].lines is not None:
            assert list(runs[program].lines or ()) == steps.split(), runs[program].errors[-3000:]


def test_the_server_logged_no_fault(service: Service, runs: dict[str, Run]) -> None:
    """Aborted requests (the losers of fhir-kit-client's race) leave no traceback and no 5xx."""
    output = service.output()
    assert "Traceback" not in output, output[output.index("Traceback") :][:3000]
    assert '"event":"request.refused"' in output, "the log is not written as this test reads it"
    assert '"status":5' not in output and '"level":"error"' not in output, output[-3000:]
