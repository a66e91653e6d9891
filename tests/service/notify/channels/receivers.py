"""Receivers on loopback for the tests of channels: HTTP as a test wants it, SMTP by aiosmtpd, a CA of our own."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)


class Authority:
    """A certificate authority that signs what a test asks for; files stay in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
        self._certificate = self._signed("Test Authority", self._key, END, ca=True)
        self.path = folder / "ca.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _signed(self, name: str, key: Any, ends: datetime, *, ca: bool) -> x509.Certificate:
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(BEGIN, ends - timedelta(days=1)))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            built = built.add_extension(usage, critical=True)
        else:
            built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return built.sign(self._key, hashes.SHA256())

    def issued(self, name: str, ends: datetime = END) -> tuple[Path, Path]:
        """PEM files of a certificate for localhost and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(name, key, ends, ca=False)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        paths[1].chmod(0o600)
        return paths

    def believed(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.path)

    def serving(self, *, client: bool = False) -> ssl.SSLContext:
        """client: only who shows a certificate of this authority gets in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issued("server"))
        if client:
            context.load_verify_locations(self.path)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass
class Request:
    head: str
    body: bytes

    def header(self, name: str) -> str:
        lines = [line.partition(":") for line in self.head.split("\r\n")[1:]]
        return ", ".join(value.strip() for key, _, value in lines if key.lower() == name)


Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def http_receiver(
    answering: Answering, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[Request]]]:
    """Yields the port and what arrived. answering: writes what it wants once a whole request is there."""
    seen: list[Request] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request = Request(head.decode("latin-1").rstrip("\r\n"), b"")
                request.body = await reader.readexactly(int(request.header("content-length") or 0))
                seen.append(request)
                await answering(writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client hung up
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()


def saying(status: str, body: bytes = b"", *headers: str) -> Answering:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head + body)

    return answer


@dataclass
class Mailbox:
    """What aiosmtpd took in, and what it says to a recipient or a text."""

    rcpt: str = "250 OK"
    data: str = "250 2.0.0 Ok: queued as 4F2A91C0"
    mail: str = "250 OK"
    hold_s: float = 0
    taken: list[Any] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.mail

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        if self.rcpt.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.hold_s)
        if self.data.startswith("2"):
            self.taken.append((envelope, session.ssl is not None))
        return self.data

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3cret-canary", handled=False)


@contextlib.asynccontextmanager
async def smtp_server(
    mailbox: Mailbox, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """tls: from the first byte; starttls: offered and demanded; neither: plain."""
    auth = {"authenticator": mailbox.authenticate, "auth_require_tls": False, "auth_required": False}

    def protocol() -> SMTP:
        return SMTP(mailbox, tls_context=starttls, require_starttls=starttls is not None, hostname="mx", **auth)

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
