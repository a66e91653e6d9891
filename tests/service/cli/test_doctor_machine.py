"""`enlace doctor` about this machine: settings, keys, files, disk, ports, clock."""

import os
import resource
from pathlib import Path

import pytest

from service.cli import doctor_machine
from service.cli.doctor import readable
from service.cli.doctor_machine import descriptors, free_space
from service.settings import SettingsError, load
from tests.service.cli.installation import Patient, listening

PRODUCTION = {"ENLACE_ENV": "production", "ENLACE_PUBLIC_URL": "https://enlace.example.org"}


@pytest.fixture
def lite(sqlite_url: str, tmp_path: Path) -> Patient:
    return Patient(sqlite_url, tmp_path)


def test_settings(lite: Patient) -> None:
    assert "did you mean ENLACE_HTTP_PORT" in lite.ill("settings", ENLACE_HTTP_PROT="1").sentence
    assert "ENLACE_HTTP_PORT has a bad value" in lite.ill("settings", ENLACE_HTTP_PORT="abc").sentence
    refused = lite.ill("settings", ENLACE_ENV="production")
    assert (refused.level, refused.sentence.split(" ")[0]) == ("fail", "ENLACE_PUBLIC_URL")
    assert lite.well("settings") and lite.well("settings", **PRODUCTION)
    found = {one.name: one for one in lite.findings(ENLACE_DATABASE_URL="mysql://x")}
    assert (found["database"].level, found["database"].next) == ("fail", "see settings")


def test_readable_leaves_out_what_is_wrong_only() -> None:
    settings, problems = readable({"ENLACE_HTTP_PORT": "9", "ENLACE_MLLP_PORT": "x", "ENLACE_X": "1"})
    assert (settings.http_port, len(problems)) == (9, 2)


@pytest.mark.parametrize(
    ("text", "mode", "sandbox", "production"),
    [
        (None, 0, "ok", "fail"), (b"short\n", 0o600, "fail", "fail"), (b"x" * 32, 0o600, "ok", "ok"),
        (b"sandbox-" + b"x" * 32, 0o600, "ok", "fail"), (b"x" * 32, 0o604, "warn", "fail"),
        (b"x" * 32, 0o640, "warn", "warn"),
    ],
)  # fmt: skip
def test_keys(lite: Patient, text: bytes | None, mode: int, sandbox: str, production: str) -> None:
    for name, wanted in (("ENLACE_SECRET_KEY_FILE", 0), ("ENLACE_AUDIT_KEY_FILE", 1)):
        path = Path(lite.env[name])
        if text is not None:
            path.write_bytes(text + str(wanted).encode())
            path.chmod(mode)
        for env, level in (({}, sandbox), (PRODUCTION, production)):
            found = [one for one in lite.findings(**env) if one.name == "keys"][wanted]
            assert found.level == level and bool(found.next) == (level != "ok"), found
    try:
        load(lite.env | PRODUCTION).check()
        assert production != "fail", "the doctor refuses what the service takes"
    except SettingsError:
        assert production == "fail", "the service refuses what the doctor takes"


def test_disk(lite: Patient) -> None:
    stat = os.statvfs(lite.home)
    free_mb = stat.f_bavail * stat.f_frsize // 1_000_000
    assert lite.ill("disk", ENLACE_DISK_RESERVE_MB=str(free_mb + 1000)).level == "fail"
    assert lite.ill("disk", ENLACE_DISK_RESERVE_MB=str(free_mb // 4)).level == "warn"
    assert free_space("/x", 2 * 10**9, 10**12, 0).level == "warn", "two of a thousand GB are little"
    assert free_space("/x", 9 * 10**10, 10**12, 0).level == "ok"


def test_who_makes_the_keys(lite: Patient) -> None:
    def told(**env: str) -> list[bool]:
        return ["first start" in one.sentence for one in lite.findings(**env) if one.name == "keys"]

    assert told() == [False, False], "there was a start"
    assert told(ENLACE_DATABASE_URL=f"sqlite:///{lite.home}/none.db") == [True, True]


def test_one_key_for_both(lite: Patient) -> None:
    for name in ("ENLACE_SECRET_KEY_FILE", "ENLACE_AUDIT_KEY_FILE"):
        Path(lite.env[name]).write_bytes(b"x" * 32)
        Path(lite.env[name]).chmod(0o600)
    assert (lite.ill("keys").level, lite.ill("keys", **PRODUCTION).level) == ("warn", "fail")


def test_ntp(lite: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "ntp_synchronised", lambda: False)
    assert lite.ill("ntp").level == "warn"
    for said in (True, None):
        monkeypatch.setattr(doctor_machine, "ntp_synchronised", lambda said=said: said)
        assert lite.well("ntp")


def test_ports(lite: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "_ANSWER_S", 0.3)
    assert lite.well("ports")
    with listening(lambda peer: peer.sendall(b"SSH-2.0-somebody\r\n")) as port:
        assert "Another program" in lite.ill("ports", ENLACE_HTTP_PORT=str(port)).sentence
        assert "ENLACE_MLLP_PORT" in lite.ill("ports", ENLACE_MLLP_PORT=str(port)).next
    with listening(lambda _peer: None) as port:
        assert lite.ill("ports", ENLACE_HTTP_PORT=str(port)).level == "fail", "it takes connections and is silent"
        assert lite.ill("ports", ENLACE_MLLP_PORT=str(port)).level == "fail"
    assert "cannot be used" in lite.ill("ports", ENLACE_HTTP_HOST="192.0.2.1").sentence


def test_outbound(lite: Patient) -> None:
    assert lite.well("outbound")
    assert lite.ill("outbound", ENLACE_IG_PACKAGES="a.tgz").next == "leave ENLACE_IG_PACKAGES unset"


def test_files(lite: Patient) -> None:
    assert [descriptors(n).level for n in (256, 1024, 65536, resource.RLIM_INFINITY)] == ["fail", "warn", "ok", "ok"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
        assert "LimitNOFILE" in lite.ill("files").next
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
