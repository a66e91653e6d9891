"""E-mail by one SMTP server, under TLS: https://datatracker.ietf.org/doc/html/rfc8314

The body holds no PHI. The notification Bundle is attached where the message says so, its channel.payload is one with an
attachment (payloads.py) and the connection is encrypted.
"""

import asyncio
import re
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import TYPE_CHECKING

from service.clock import utc
from service.notify.model import Message, Outcome, Result
from service.notify.payloads import attaches
from service.setting_urls import mailbox, smtp_server

if TYPE_CHECKING:
    import ssl

TIMEOUT_S = 30.0
CHECK_S = 4.0
AT_ONCE = 8
"""Connections to the mail server at a time."""
_QUEUED = re.compile(r"(?:queued as|queued mail|id=|id:|message-id)\s*<?([A-Za-z0-9._-]{4,120})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Mail:
    """sandbox: to a server on the own machine mail may go without TLS; then nothing is attached.
    tls: authorities to believe instead of the system's."""

    def __init__(self, url: str, sender: str, *, sandbox: bool = False, tls: "ssl.SSLContext | None" = None):
        server = smtp_server(url)
        if server is None or not mailbox(sender):
            raise ValueError("no mail server or no sender")
        self._server, self._sender, self._tls = server, sender, tls
        self._plain = sandbox and server.loopback and not server.tls
        self._places = asyncio.Semaphore(AT_ONCE)

    def __repr__(self) -> str:
        return "Mail()"

    async def send(self, message: Message) -> Result:
        to = message.to.removeprefix("mailto:")
        if not mailbox(to):
            return Result(Outcome.REFUSED, reason="address-form")
        try:
            text = composed(message, self._sender, to, encrypted=not self._plain).as_bytes(policy=SMTP_POLICY)
        except ValueError:
            return Result(Outcome.REFUSED, reason="message-form")
        try:
            # Waiting for a place counts: who sends holds a lease, and its end is no time to begin.
            async with asyncio.timeout(TIMEOUT_S), self._places:
                return await self._handed(to, text)
        except TimeoutError:
            return Result(Outcome.FAILED, reason="timeout")

    async def check(self) -> Result:
        """Connect, encrypt, log in, leave: for `enlace doctor`."""
        try:
            async with asyncio.timeout(CHECK_S):
                return await self._handed("", b"")
        except TimeoutError:
            return Result(Outcome.FAILED, reason="timeout")

    async def _handed(self, to: str, text: bytes) -> Result:
        """Raises TimeoutError; what else goes wrong is a Result."""
        import ssl

        import aiosmtplib

        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            start_tls=False,
            tls_context=self._tls or ssl.create_default_context(),
            local_hostname=self._sender.rpartition("@")[2],
            timeout=TIMEOUT_S,
        )
        try:
            await client.connect()
            # A server, or who stands between, that does not offer STARTTLS is an error and no plain connection.
            if not server.tls and not self._plain:
                await client.ehlo()
                if not client.supports_extension("starttls"):
                    return Result(Outcome.FAILED, reason="no-tls")
                await client.starttls()
            if server.user:
                await client.login(server.user, server.password)
            if not to:
                return Result(Outcome.OK)
            _refused, answer = await client.sendmail(self._sender, [to], text)
            return Result(Outcome.OK, 250, receipt=_queue_id(answer))
        except TimeoutError:
            raise
        except Exception as error:
            return _judged(error)
        finally:
            client.close()


def composed(message: Message, sender: str, to: str, *, encrypted: bool) -> EmailMessage:
    """The mail. Its Message-ID is the same at each attempt, so that a mailbox may drop the second copy."""
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = sender
    mail["To"] = to
    mail["Subject"] = _CONTROL.sub(" ", message.subject)[:200] or "Enlace"
    mail["Date"] = utc(message.at_us)
    mail["Message-ID"] = f"<{re.sub(r'[^A-Za-z0-9._-]', '-', message.id)}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text, cte="quoted-printable")  # also where the server knows no 8BITMIME
    mail["Content-Language"] = "es" if message.language == "es" else "en"
    if message.attach and encrypted and message.body is not None and attaches("email", message.mime):
        name = "notification.json"
        mail.add_attachment(message.body, maintype="application", subtype="fhir+json", filename=name)
    return mail


def _judged(error: Exception) -> Result:
    """5xx for the recipient or the text: refused. For the sender, the login, the greeting: ours to mend, so failed."""
    import aiosmtplib

    recipients = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else []
    for inner in [*recipients, error]:
        if isinstance(inner, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError):
            reason = "content" if isinstance(inner, aiosmtplib.SMTPDataError) else "recipient"
            outcome = Outcome.REFUSED if 500 <= inner.code < 600 else Outcome.FAILED
            return Result(outcome, inner.code, reason if outcome is Outcome.REFUSED else "later")
    for kind, reason in _reasons():
        if isinstance(error, kind) or isinstance(error.__cause__, kind):
            code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else 0
            return Result(Outcome.FAILED, code if 200 <= code < 600 else 0, reason)
    return Result(Outcome.FAILED, reason="network")


def _reasons() -> tuple[tuple[type[Exception], str], ...]:
    import ssl

    import aiosmtplib

    return (
        (aiosmtplib.SMTPAuthenticationError, "credentials"),
        (aiosmtplib.SMTPSenderRefused, "sender"),
        (ssl.SSLError, "tls"),
        (aiosmtplib.SMTPConnectError, "connect"),
        (aiosmtplib.SMTPServerDisconnected, "disconnected"),
        (aiosmtplib.SMTPResponseException, "answer"),
    )


def _queue_id(answer: str) -> str:
    match = _QUEUED.search(answer)
    return match[1] if match else ""
