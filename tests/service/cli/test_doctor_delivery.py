"""`enlace doctor` on mail server, SMS gateway and client certificate: each trouble with its remedy, nothing sent."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from service.cli import doctor_delivery
from tests.service.cli.installation import Patient, listening
from tests.service.notify.channels.receivers import Authority, Mailbox


@pytest.fixture
def lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """Without the other checks: these need no database."""
    from service.cli import doctor_checks

    mine = tuple(check for check in doctor_checks.CHECKS if check.name in ("mail", "sms", "certificate"))
    assert len(mine) == 3
    monkeypatch.setattr(doctor_checks, "CHECKS", mine)
    return Patient(f"sqlite:///{tmp_path / 'enlace.db'}", tmp_path)


@pytest.fixture
def mail_server() -> Iterator[tuple[int, Mailbox]]:
    box = Mailbox()
    controller = Controller(
        box, "127.0.0.1", 0, authenticator=box.authenticate, auth_require_tls=False, auth_required=False
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        controller.port = free.getsockname()[1]
    controller.start()
    yield controller.port, box
    controller.stop()


def test_nothing_set_is_well(lite: Patient) -> None:
    assert all(lite.well(name) for name in ("mail", "sms", "certificate")) and len(lite.findings()) == 3


def test_mail(lite: Patient, mail_server: tuple[int, Mailbox], free_port: int) -> None:
    port, box = mail_server
    (found,) = (one for one in lite.findings(ENLACE_SMTP_URL=f"smtp://127.0.0.1:{port}") if one.name == "mail")
    assert found.level == "ok" and "without TLS" in found.sentence
    wrong = lite.ill("mail", ENLACE_SMTP_URL=f"smtp://enlace:canary@127.0.0.1:{port}")
    assert "(credentials)" in wrong.sentence and "password" in wrong.next and "canary" not in repr(wrong)
    bare = lite.ill("mail", ENLACE_SMTP_URL=f"smtp://127.0.0.1:{port}", ENLACE_ENV="production")
    assert "(no-tls)" in bare.sentence and "STARTTLS" in bare.next
    assert "(connect)" in lite.ill("mail", ENLACE_SMTP_URL=f"smtps://127.0.0.1:{free_port}").sentence
    assert box.taken == []


def test_sms(lite: Patient) -> None:
    assert "guard refuses" in lite.ill("sms", ENLACE_SMS_URL="https://10.0.0.1/canary").sentence
    with listening(lambda peer: peer.sendall(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")) as port:
        there = {"ENLACE_SMS_URL": f"http://127.0.0.1:{port}/sms", "ENLACE_EGRESS_ALLOW": f"127.0.0.1:{port}"}
        assert lite.ill("sms", **there).next == "set ENLACE_SMS_TOKEN"
        assert lite.well("sms", **there, ENLACE_SMS_TOKEN="canary")
    assert "does not answer" in lite.ill("sms", **there).sentence


def test_certificate(lite: Patient, tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def files(days: int) -> dict[str, str]:
        certificate, key = authority.issued("client", datetime.now(UTC) + timedelta(days=days))
        return {"ENLACE_CLIENT_CERTIFICATE_FILE": str(certificate), "ENLACE_CLIENT_KEY_FILE": str(key)}

    assert lite.well("certificate", **files(300))
    assert lite.ill("certificate", **files(doctor_delivery.SOON_DAYS - 1)).level == "warn"
    assert lite.ill("certificate", **files(-1)).level == "fail"
    given = files(300)
    Path(given["ENLACE_CLIENT_KEY_FILE"]).chmod(0o644)
    assert lite.ill("certificate", **given).next.startswith("chmod 600 ")
    Path(given["ENLACE_CLIENT_KEY_FILE"]).write_text("no key")
    assert "PEM" in lite.ill("certificate", **given).next
    assert "must name a file" in lite.ill("certificate", ENLACE_CLIENT_KEY_FILE="x.key").sentence
