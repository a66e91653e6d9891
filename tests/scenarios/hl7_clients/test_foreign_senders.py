"""Three senders that others wrote, against a real listener: PyPI `hl7`, npm `node-hl7-client`, npm `@medplum/hl7`.

Each is a program (`with_*`) that reads its facts on standard input and prints a JSON line per step. The npm senders
need Node.js and `npm ci` in this folder.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adt_listener.process import listener
from service.cli.processes import die_with_parent
from service.store.engine import Store, open_store
from tests.conftest import missing
from tests.frozen_clock import FrozenClock
from tests.service.adt_world import Sender, adt_world, said

POSTGRESQL_IN_DEEP = True
HERE = Path(__file__).parent
PROGRAMS = ("with_hl7.py", "with_node_hl7_client.mjs", "with_medplum_hl7.mjs")
STEPS = ["once", "stay", "again", "accents", "enhanced", "many"]
MANY = 30


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[Store]:
    store = await open_store(database_url, FrozenClock())
    await adt_world(store)
    yield store
    await store.close()


def facts(sender: Sender, program: str) -> dict[str, Any]:
    """Messages of this program, each with its own control id and visits."""
    mark = program.split("_")[1][:3].upper()

    def one(event: str, visit: str, ago: float, who: dict[str, Any] | None = None, **more: Any) -> str:
        return sender.adt(event, who, ago=ago, visit_number=f"{mark}{visit}", **more).decode()

    stay = [one("A04", "S", 300, patient_class="E"), one("A06", "S", 200), one("A03", "S", 10, disposition="01")]
    accented = said(given="Rosalínd", address="7 Calle Peñón \\T\\ Sons")
    return {
        "admit": one("A01", "A", 60),
        "stay": stay,
        "accents": one("A08", "A", 50, accented),
        "enhanced": one("A08", "A", 40, MSH_15="AL", MSH_16="NE"),
        "many": [one("A08", "A", 30 - n / 10) for n in range(MANY)],
    }


async def said_by(program: str, told: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], str]:
    if program.endswith(".py"):
        command = [sys.executable, str(HERE / program)]
    else:
        node = shutil.which("node")
        if node is None or not (HERE / "node_modules" / "@medplum" / "hl7").exists():
            missing("clients", "Senders from npm need Node.js, and `npm ci` in tests/scenarios/hl7_clients.")
        command = [str(node), str(HERE / program)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=HERE, preexec_fn=die_with_parent
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(json.dumps(told).encode()), 40)
    finally:
        if process.returncode is None:
            process.kill()
    lines = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    return {line["step"]: line for line in lines}, errors.decode(errors="replace")


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_foreign_sender(world: Store, program: str) -> None:
    sender = Sender(world)
    told = facts(sender, program)
    server = listener(world)
    port = await server.start("127.0.0.1", 0)
    try:
        lines, errors = await said_by(program, {"port": port, **told})
    finally:
        await server.stop()
    failed = {name: line["error"] for name, line in lines.items() if "error" in line}
    assert not failed, failed
    assert list(lines) == STEPS, errors[-3000:]
    states = await sender()
    # What was sent again is one row; everything else is stored once and understood.
    assert len(states) == 1 + 3 + 1 + 1 + MANY
    assert {state for state, _ in states} == {"applied"}
    alerts = await world.fetch("SELECT count(*) FROM resource WHERE rtype = 'Communication' AND deleted = 0")
    assert alerts[0][0] >= 3
