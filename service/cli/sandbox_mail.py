"""`enlace sandbox mail`: a mail server for trying out. It takes what Enlace sends, prints it, and passes nothing on.

Only as much of SMTP (https://datatracker.ietf.org/doc/html/rfc5321) as a client needs that sends one message after the
other; on the loopback only, since it asks nobody who they are.
"""

import asyncio
import contextlib
from collections.abc import Callable
from email import message_from_bytes, policy

HOST = "127.0.0.1"
MAX_BYTES = 1_000_000
_OK = {"EHLO": "250 HELP", "HELO": "250 enlace", "MAIL": "250 OK", "RSET": "250 OK", "NOOP": "250 OK"}


def shown(to: list[str], content: bytes) -> str:
    """The message as a person reads it: to whom, about what, the text."""
    message = message_from_bytes(content, policy=policy.default)
    body = message.get_body(("plain",))
    text = "\n".join(body.get_content().strip().splitlines()) if body is not None else ""
    return f"To: {', '.join(to)}\nSubject: {message['subject'] or ''}\n\n{text}\n"


async def serve(port: int, say: Callable[[str], None]) -> None:
    """Until cancelled. Raises OSError where the port is taken."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await _session(reader, writer, say)
        writer.close()

    server = await asyncio.start_server(connected, HOST, port, limit=MAX_BYTES)
    async with server:
        say(f"Mail comes here: start Enlace with ENLACE_SMTP_URL=smtp://{HOST}:{port}. Ctrl-C ends it.\n")
        await server.serve_forever()


async def _session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, say: Callable[[str], None]) -> None:
    to: list[str] = []
    writer.write(b"220 enlace sandbox mail\r\n")
    while line := await reader.readline():
        verb = line[:4].decode("ascii", "replace").upper()
        if verb == "DATA" and to:
            writer.write(b"354 Go on\r\n")
            content = b"\r\n" + await reader.readuntil(b"\r\n.\r\n")
            say(shown(to, content[2:-5].replace(b"\r\n..", b"\r\n.")))
            answer, to = "250 OK: it was printed", []
        elif verb == "RCPT":
            to.append(line.decode("utf-8", "replace").partition(":")[2].strip().strip("<>").partition(">")[0])
            answer = "250 OK"
        elif verb == "QUIT":
            writer.write(b"221 Bye\r\n")
            return
        else:
            answer = _OK.get(verb, "502 Not here")
        writer.write(f"{answer}\r\n".encode())
        await writer.drain()
