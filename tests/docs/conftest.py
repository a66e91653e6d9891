"""One sandbox for all pages: `enlace demo` with its paced feed in a copy of the checkout, free ports, a new database.

Database and keys are where `make run` has them, so that `. docs/try.sh` must find them.

The pages' `enlace` is warm.py's: the same program without its start.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.cli.processes import die_with_parent
from tests.docs import warm
from tests.postgres_server import free_port
from tests.scenarios.harness import ROOT, wait_for

COPIED = ("service", "mappers", "fhir_profiles", "adt_listener", "openapi", "deploy", "docs")
FILES = ("pyproject.toml", "compose.yaml", "Dockerfile", "README.md")


@dataclass(frozen=True)
class Sandbox:
    """checkout: the copy in which pages work; its .venv/bin/enlace is the copy's program."""

    checkout: Path
    env: dict[str, str]
    ports: dict[str, str]
    folder: Path


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("documents")
    checkout = _copy(folder / "checkout")
    http, mllp, hook = str(free_port()), str(free_port()), str(free_port())
    env = {name: value for name, value in os.environ.items() if not name.startswith("ENLACE_")} | {
        "ENLACE_HTTP_PORT": http,
        "ENLACE_MLLP_PORT": mllp,
        "ENLACE_EGRESS_ALLOW": f"127.0.0.1:{hook}",
        "PYTHONPATH": str(checkout),
    }
    log = folder / "demo.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "demo"], env=env, cwd=checkout,
            stdout=output, stderr=output, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        commands = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/docs/warm.py"), str(folder / "enlace.socket")], env=env, cwd=checkout,
            stdout=output, stderr=output, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        wait_for(lambda: _ready(demo, log) and (folder / "enlace.socket").exists(), 90)
        yield Sandbox(checkout, env, {"8000": http, "2575": mllp, "9009": hook}, folder)
    finally:
        commands.kill()
        commands.wait()
        demo.terminate()
        try:
            demo.wait(20)
        except subprocess.TimeoutExpired:
            demo.kill()
            demo.wait()


def _ready(demo: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert demo.poll() is None, log.read_text()
    return "Ready after" in log.read_text()


def _copy(to: Path) -> Path:
    to.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("*.png"))
    for name in FILES:
        shutil.copy(ROOT / name, to / name)
    programs = to / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "python3"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "enlace").write_text(warm.CLIENT.format(python=sys.executable, path=str(to.parent / "enlace.socket")))
    for program in programs.iterdir():
        program.chmod(0o755)
    return to
