"""The sandbox's mail server takes what our own mail channel sends, and shows it whole."""

import asyncio
import contextlib

from service.cli import sandbox_mail
from service.notify.channels.mail import Mail
from service.notify.model import Message, Outcome
from tests.postgres_server import free_port


async def test_what_enlace_sends_is_printed() -> None:
    port, said = free_port(), list[str]()
    serving = asyncio.create_task(sandbox_mail.serve(port, said.append))
    try:
        while not said:
            await asyncio.sleep(0.01)
        assert f"ENLACE_SMTP_URL=smtp://127.0.0.1:{port}" in said[0]
        mail = Mail(f"smtp://127.0.0.1:{port}", "enlace@example.org", sandbox=True)
        assert (await mail.check()).outcome is Outcome.OK
        for number in (1, 2):
            text = f"Your code is 12345{number}.\n.\nÉl llama mañana.\n"
            message = Message(f"n{number}", "intake@cbo.example.org", 0, subject="Código", text=text)
            assert (await mail.send(message)).outcome is Outcome.OK
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    assert len(said) == 3
    assert "To: intake@cbo.example.org" in said[2] and "Subject: Código" in said[2]
    assert "code is 123452.\n.\nÉl llama mañana." in said[2]


async def test_what_is_no_mail_does_not_end_it() -> None:
    port, said = free_port(), list[str]()
    serving = asyncio.create_task(sandbox_mail.serve(port, said.append))
    try:
        while not said:
            await asyncio.sleep(0.01)
        for sent in (b"GET / HTTP/1.1\r\n\r\nDATA\r\nQUIT\r\n", b"RCPT TO:<a@b.example>\r\nDATA\r\nhalf"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            assert (await reader.read()).startswith(b"220 ")
            writer.close()
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    assert len(said) == 1
