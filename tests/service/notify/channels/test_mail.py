"""E-mail against a real SMTP server: under TLS, with STARTTLS demanded, refusals, attachments, no header injected."""

import asyncio
import email
import email.policy
import ssl
from email.message import EmailMessage
from typing import Any

import pytest

from service.notify.channels import mail as mail_channel
from service.notify.channels.mail import Mail, composed
from service.notify.model import Message, Outcome, Result
from tests.service.notify.channels.receivers import Authority, Mailbox, smtp_server

AT_US = 1_772_955_000_123_456
BODY = b'{"resourceType":"Bundle","type":"history"}'
ATTACHED = "text/plain;attach=application/fhir+json"
SENDER = "enlace@enlace.example.org"
TEXT = "Notificaciones nuevas: 3 (números 7 a 9).\nEntre en Enlace."


def message(**changed: Any) -> Message:
    given: dict[str, Any] = {
        "subject": "Enlace: notificación (3)",
        "text": TEXT,
        "mime": "text/plain",
        "language": "es",
    }
    return Message("evt-s1-7", changed.pop("to", "mailto:alerts@cbo.example.org"), AT_US, **(given | changed))


def parsed(envelope: Any) -> EmailMessage:
    read = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return read


async def sent(
    box: Mailbox, authority: Authority, scheme: str = "smtps", given: Message | None = None, **more: Any
) -> Result:
    """scheme smtps: TLS from the first byte; smtp: STARTTLS; plain: no TLS there."""
    offered = {"smtps": {"tls": authority.serving()}, "smtp": {"starttls": authority.serving()}, "plain": {}}[scheme]
    async with smtp_server(box, **offered) as port:
        url = f"{'smtps' if scheme == 'smtps' else 'smtp'}://enlace:s3cret-canary@localhost:{port}"
        return await Mail(url, SENDER, tls=more.pop("believed", authority.believed()), **more).send(given or message())


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_mail_under_tls(scheme: str, authority: Authority) -> None:
    box = Mailbox()
    assert await sent(box, authority, scheme) == Result(Outcome.OK, 250, receipt="4F2A91C0")
    ((envelope, encrypted),) = box.taken
    assert (encrypted or scheme == "smtps") and box.logins == [(b"enlace", b"s3cret-canary")]
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["alerts@cbo.example.org"])
    read = parsed(envelope)
    assert read["Subject"] == "Enlace: notificación (3)" and read.get_content().strip().replace("\r\n", "\n") == TEXT
    assert read["Auto-Submitted"] == "auto-generated" and read["Content-Language"] == "es"
    assert read["Message-ID"] == "<evt-s1-7@enlace.example.org>", "the same at each attempt"


async def test_starttls_is_demanded(authority: Authority) -> None:
    box = Mailbox()
    result = await sent(box, authority, "plain")
    assert result == Result(Outcome.FAILED, reason="no-tls") and box.taken == box.logins == []


async def test_a_sandbox_may_go_without_tls_on_its_own_machine(authority: Authority) -> None:
    box = Mailbox()
    given = message(attach=True, body=BODY, mime=ATTACHED)
    assert (await sent(box, authority, "plain", given, sandbox=True)).outcome is Outcome.OK
    assert not parsed(box.taken[0][0]).is_multipart(), "nothing is attached where the connection is not encrypted"
    away = Mail("smtp://mail.example.org", SENDER, sandbox=True)
    assert not away._plain and not Mail("smtps://localhost", SENDER, sandbox=True)._plain


async def test_an_unknown_authority_is_not_believed(authority: Authority) -> None:
    for scheme in ("smtps", "smtp"):
        box = Mailbox()
        result = await sent(box, authority, scheme, believed=ssl.create_default_context())
        assert result == Result(Outcome.FAILED, reason="tls") and box.taken == box.logins == []


@pytest.mark.parametrize(
    ("mime", "attach", "body", "there"),
    [
        (ATTACHED, True, BODY, True),
        ("text/plain; attach=application/fhir+json", True, BODY, True),
        (ATTACHED, False, BODY, False),
        ("text/plain", True, BODY, False),
        ("text/plain;charset=utf-8", True, BODY, False),
        ("application/fhir+json", True, BODY, True),
        (ATTACHED, True, None, False),
    ],
)
async def test_the_bundle_is_attached_where_all_allow_it(
    mime: str, attach: bool, body: bytes | None, there: bool, authority: Authority
) -> None:
    box = Mailbox()
    assert (await sent(box, authority, given=message(mime=mime, attach=attach, body=body))).outcome is Outcome.OK
    read = parsed(box.taken[0][0])
    attachments = list(read.iter_attachments())
    assert len(attachments) == there
    if there:
        (one,) = attachments
        assert one.get_content_type() == "application/fhir+json" and one.get_content() == BODY
        text = read.get_body()
        assert text is not None and "Bundle" not in text.as_string()


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ({"rcpt": "550 5.1.1 canary: no such user"}, Result(Outcome.REFUSED, 550, "recipient")),
        ({"rcpt": "451 4.7.1 canary: greylisted"}, Result(Outcome.FAILED, 451, "later")),
        ({"data": "554 5.7.1 canary: spam"}, Result(Outcome.REFUSED, 554, "content")),
        ({"data": "452 4.3.1 canary: disk full"}, Result(Outcome.FAILED, 452, "later")),
        ({"mail": "550 5.7.0 canary: who are you"}, Result(Outcome.FAILED, 550, "sender")),
        ({"data": "250 OK"}, Result(Outcome.OK, 250)),
    ],
)
async def test_answers_of_the_server(said: dict[str, str], result: Result, authority: Authority) -> None:
    assert await sent(Mailbox(**said), authority) == result  # type: ignore[arg-type]


async def test_a_wrong_password_is_ours_to_mend(authority: Authority, capfd: pytest.CaptureFixture[str]) -> None:
    async with smtp_server(Mailbox(), tls=authority.serving()) as port:
        adapter = Mail(f"smtps://enlace:canary-wrong@localhost:{port}", SENDER, tls=authority.believed())
        result = await adapter.send(message())
    assert result == Result(Outcome.FAILED, 535, "credentials")
    printed = capfd.readouterr()
    assert "canary" not in f"{printed.out}{printed.err}{adapter!r}{adapter._server!r}{result}"


async def test_slow_silent_and_absent_servers(
    authority: Authority, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_channel, "TIMEOUT_S", 0.3)
    quick = message(timeout_s=0.3)
    assert await sent(Mailbox(hold_s=2), authority, given=quick) == Result(Outcome.FAILED, reason="timeout")
    nobody = Mail(f"smtp://localhost:{free_port}", SENDER)
    assert await nobody.send(quick) == Result(Outcome.FAILED, reason="connect")

    async def banner(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()

    for said, reasons in (
        (b"", {"connect", "disconnected"}),
        (b"554 go away\r\n", {"connect"}),
        (b"\x00\xffgarbage\r\n", {"connect", "answer", "disconnected"}),
    ):
        server = await asyncio.start_server(lambda r, w, said=said: banner(r, w, said), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        result = await Mail(f"smtp://127.0.0.1:{port}", SENDER).send(quick)
        server.close()
        assert result.outcome is Outcome.FAILED and result.reason in reasons, result


@pytest.mark.parametrize(
    "to",
    [
        "mailto:a@example.org\r\nBcc: b@evil.example",
        "a@example.org,b@evil.example",
        "a@example.org>\r\nDATA",
        "mailto:a@example.org?bcc=b@evil.example",
        '"a b"@example.org',
        "Name <a@example.org>",
        "a@example.org\n",
        "nobody",
        "",
    ],
)
async def test_an_address_that_is_not_one_plain_address(to: str) -> None:
    assert await Mail("smtp://localhost:1", SENDER).send(message(to=to)) == Result(
        Outcome.REFUSED, reason="address-form"
    )


@pytest.mark.parametrize(
    "text", ["x\r\nBcc: b@evil.example", "x\nBcc: b@evil.example", "x\r\n\r\nbody", "x\u2028y\x00"]
)
def test_no_header_can_be_injected(text: str) -> None:
    given = Message(f"id>{text}", "a@example.org", AT_US, subject=text, text=f"{text}\r\n.\r\nQUIT", language=text)
    made = composed(given, SENDER, "a@example.org", encrypted=True).as_bytes()
    read = email.message_from_bytes(made, policy=email.policy.default)
    assert read["Bcc"] is None and read.get_all("Subject") and len(read.get_all("To", [])) == 1
    assert {name.lower() for name in read} <= {
        *("from", "to", "subject", "date", "message-id", "auto-submitted", "content-language"),
        *("content-type", "content-transfer-encoding", "mime-version"),
    }


async def test_a_line_with_a_dot_ends_nothing(authority: Authority) -> None:
    box = Mailbox()
    await sent(box, authority, given=message(text="one\r\n.\r\nQUIT\r\n.two"))
    assert len(box.taken) == 1
    assert parsed(box.taken[0][0]).get_content().splitlines() == ["one", ".", "QUIT", ".two"]


async def test_check_logs_in_and_sends_nothing(authority: Authority) -> None:
    box = Mailbox()
    async with smtp_server(box, tls=authority.serving()) as port:
        url = f"smtps://enlace:s3cret-canary@localhost:{port}"
        assert (await Mail(url, SENDER, tls=authority.believed()).check()).outcome is Outcome.OK
    assert box.logins and box.taken == []
