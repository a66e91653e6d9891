"""deploy/systemd: systemd itself finds nothing wrong and calls the units little exposed; keys come as credentials."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.api.server import GRACE_S
from service.settings import SettingsError, describe, load

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy" / "systemd"
UNITS = sorted(path.name for path in HERE.glob("*.service"))
STAYING = [name for name in UNITS if "backup" not in name]
MOST_EXPOSED = 20
"""Of 100, by `systemd-analyze security`; a service without any hardening has 96."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("There is no systemd-analyze here: install systemd to check the units.")
    return subprocess.run([tool, *arguments], capture_output=True, text=True)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a command that is there: systemd looks whether it can be run."""
    command = Path(sys.executable).with_name("enlace")
    for path in HERE.iterdir():
        text = (
            path.read_text().replace("/opt/enlace/bin/enlace", str(command)).replace("file:/opt/enlace", f"file:{ROOT}")
        )
        (tmp_path / path.name.replace("@.", "@8000.")).write_text(text)
    return tmp_path


def test_systemd_reads_them_without_a_complaint(units: Path) -> None:
    files = sorted(str(path) for path in units.iterdir() if path.suffix in (".service", ".timer"))
    done = analyze("verify", "--man=no", *files)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "enlace" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", UNITS)
def test_each_unit_is_little_exposed(name: str, units: Path) -> None:
    file = units / name.replace("@.", "@8000.")
    done = analyze("security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSED}", str(file))
    if "unrecognized option" in done.stderr:
        pytest.skip("This systemd cannot judge a unit offline: 250 or later can.")
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("name", UNITS)
def test_keys_are_credentials_and_nothing_else_is_writable(name: str) -> None:
    text = (HERE / name).read_text()
    for line in ("ProtectSystem=strict", "NoNewPrivileges=yes", "DynamicUser=yes", "StateDirectory=enlace"):
        assert f"\n{line}\n" in text
    assert "LoadCredential=secret.key:" in text and "ENLACE_SECRET_KEY_FILE=%d/secret.key" in text
    assert "LoadCredential=audit.key:" in text and "ENLACE_AUDIT_KEY_FILE=%d/audit.key" in text
    assert not re.search(r"^(ReadWritePaths|User=root)", text, re.M)


@pytest.mark.parametrize("name", STAYING)
def test_a_stop_has_time_for_the_drain_and_the_rest(name: str) -> None:
    found = re.search(r"^TimeoutStopSec=(\d+)s$", (HERE / name).read_text(), re.M)
    drain = load(example()).drain_seconds
    assert found and drain > 4 and int(found[1]) > drain + GRACE_S + 5


def example() -> dict[str, str]:
    lines = (HERE / "enlace.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_example_is_known_and_its_password_refused(tmp_path: Path) -> None:
    assert set(example()) <= {name for name, _default, _sentence in describe()}
    keys = {}
    for kind, letter in (("SECRET", "k"), ("AUDIT", "a")):
        (tmp_path / kind).write_text(letter * 64)
        (tmp_path / kind).chmod(0o400)
        keys[f"ENLACE_{kind}_KEY_FILE"] = str(tmp_path / kind)
    with pytest.raises(SettingsError) as caught:
        load(example() | keys).check()
    assert [problem.split()[0] for problem in caught.value.problems] == ["ENLACE_DATABASE_URL"]
    url = example()["ENLACE_DATABASE_URL"].replace("changeme", "x7Gq9")
    load(example() | keys | {"ENLACE_DATABASE_URL": url}).check()
