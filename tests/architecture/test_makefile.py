"""What the Makefile says while it sets up .venv, and when it cannot: a stand-in for Python fetches nothing."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = """#!/bin/bash
case "$*" in
    *version_info*) exit ${OLD:-0};;
    "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python
        printf '#!/bin/bash\\n[ "$1" != --version ] || echo "uv UVV"; exit ${OFFLINE:-0}\\n' > .venv/bin/uv
        printf '#!/bin/bash\\necho started\\n' > .venv/bin/enlace
        chmod +x .venv/bin/*; sleep ${SLOW:-0};;
    "-m pip"*) exit ${OFFLINE:-0};;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    [version] = [line.split()[-1] for line in (ROOT / "Makefile").read_text().splitlines() if "UV_VERSION :=" in line]
    (tmp_path / "python3").write_text(PYTHON.replace("UVV", version))
    (tmp_path / "python3").chmod(0o755)
    return tmp_path


def make(checkout: Path, *arguments: str, **env: str) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.Popen(
        ["make", "--no-print-directory", *arguments, f"PYTHON={checkout}/python3"], cwd=checkout,
        env=clean | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_the_first_set_up_is_said_once(checkout: Path) -> None:
    out, problem = make(checkout, "run").communicate(timeout=30)
    assert (out, problem) == ("Installing the packages into .venv (once) ...\nstarted\n", "")
    assert make(checkout, "run").communicate(timeout=30) == ("started\n", "")


def test_packages_that_cannot_be_fetched_name_the_remedy(checkout: Path) -> None:
    process = make(checkout, "run", OFFLINE="1")
    out, problem = process.communicate(timeout=30)
    assert process.returncode and "started" not in out
    assert "The packages could not be fetched. Behind a proxy or with an index of your own, set" in problem
    assert "started" in make(checkout, "run").communicate(timeout=30)[0], "and the next try begins anew"


def test_an_old_python_names_the_verb_that_was_typed(checkout: Path) -> None:
    assert "say which one with 'make run PYTHON=/" in make(checkout, "run", OLD="1").communicate(timeout=30)[1]
    assert "say which one with 'make setup PYTHON=/" in make(checkout, "setup", OLD="1").communicate(timeout=30)[1]


@pytest.mark.skipif(shutil.which("flock") is None, reason="Without flock(1) two makes are not kept apart.")
def test_two_at_once_set_up_one_after_the_other(checkout: Path) -> None:
    first = make(checkout, "run", SLOW="1.5")
    while not (checkout / ".venv" / "bin" / "enlace").exists():
        time.sleep(0.01)
    second = make(checkout, "run")
    assert first.communicate(timeout=30)[0].startswith("Installing")
    assert second.communicate(timeout=30) == ("Another make is setting up .venv: waiting for it ...\nstarted\n", "")
