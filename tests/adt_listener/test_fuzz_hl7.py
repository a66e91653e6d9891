"""Any bytes at framing and parser: a few hundred inputs here, 30 minutes in make test-long (atheris)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli.processes import die_with_parent

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests/adt_listener/hl7_targets.py"


def fuzzed(folder: Path, seconds: int, runs: int) -> int:
    """How many inputs were tried."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(seconds), str(runs)],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True,
        timeout=seconds + 120, preexec_fn=die_with_parent, check=False,
    )  # fmt: skip
    said = (done.stdout + done.stderr).decode(errors="replace")
    left = [path.read_bytes()[:600] for path in folder.glob("crash-*")]
    assert done.returncode == 0, (left, said[-3000:])
    found = re.search(r"number_of_executed_units: (\d+)|^(\d+) runs without", said, re.MULTILINE)
    assert found, said[-2000:]
    print(said.splitlines()[-1])
    return int(found[1] or found[2])


def test_any_bytes_for_a_moment(tmp_path: Path) -> None:
    assert fuzzed(tmp_path, 3, 300) > 50


@pytest.mark.long
def test_any_bytes_for_half_an_hour(tmp_path: Path) -> None:
    assert fuzzed(tmp_path, 1800, -1) > 10_000
