"""From a hospital's message to the mail of the lead care manager, through real processes and a real SMTP server.

And a worker that is killed when the mail server has taken a digest and nothing is recorded yet: sent again, never lost.
"""

import asyncio
import email
import email.policy
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from service.store import notice_preferences
from service.store.change import Change
from service.store.engine import Store
from service.store.notice_preferences import Preference
from tests.scenarios.harness import ROSA, Service, adt, look, rows, running, wait_for, write_world
from tests.service.notify.channels.receivers import Mailbox
from tests.service.notify.notice_world import alert
from tests.service.world import change_of

POSTGRESQL_IN_DEEP = True
ADA = "Practitioner/ada"
ADDRESS = "ada@north.example"
OVER = "UPDATE notice SET lease_until_us = 0, due_us = 1 WHERE state = 'waiting' RETURNING id"
"""The night passes, or the lease of a worker that is gone."""


class Killing(Mailbox):
    """Ends somebody when it has taken a mail, before it says so."""

    then: Callable[[], object] | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        if self.then is not None:
            then, self.then = self.then, None
            await asyncio.to_thread(then)
        return answer


@pytest.fixture
def mail_server() -> Iterator[tuple[int, Killing]]:
    """In a thread of its own: the test is synchronous."""
    box, ports = Killing(), list[int]()
    servers: list[asyncio.Server] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = await loop.create_server(lambda: SMTP(box, hostname="mx"), "127.0.0.1", 0)
        servers.append(server)
        ports.append(server.sockets[0].getsockname()[1])

    loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield ports[0], box
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.run_until_complete(asyncio.sleep(0))
    servers[0].close()
    loop.close()


def mails(box: Mailbox) -> list[EmailMessage]:
    read = [email.message_from_bytes(envelope.content, policy=email.policy.default) for envelope, _ in box.taken]
    assert all(envelope.rcpt_tos == [ADDRESS] for envelope, _ in box.taken)
    return [one for one in read if isinstance(one, EmailMessage)]


async def _ada(store: Store) -> None:
    """She has an address, wants Spanish, and all that is not urgent at eight."""
    found = {"resourceType": "Practitioner", "id": "ada", "name": [{"family": "Adair"}]}
    found |= {"telecom": [{"system": "email", "value": ADDRESS}]}
    await store.commit(change_of(store, found, "Device/enlace", 1))
    wish = Preference(ADA, "", "*", "in-app email", digest="08:00", language="es")
    client = await store.fetch("SELECT id FROM client WHERE person = ?", (ADA,))
    assert client, "she may look"
    await store.commit(Change(statements=notice_preferences.replaced(ADA, [wish])))


async def _alerts(store: Store) -> None:
    for number in range(3):
        one = alert(f"later-{number}", ROSA.reference, ADA, priority="routine")
        await store.commit(change_of(store, one, "Device/enlace"))


async def _over(store: Store) -> None:
    await store.db.execute(OVER)


def states(service: Service, *, digest: bool = False) -> list[tuple[Any, ...]]:
    kind = "kind = 'digest'" if digest else "kind = 'alert' AND target LIKE 'Communication/later-%'"
    return rows(service.url, f"SELECT state, digest FROM notice WHERE channel = 'email' AND {kind}")


def test_message_to_mail_and_a_digest_that_a_kill_cut_off(
    database_url: str, tmp_path: Path, mail_server: tuple[int, Killing]
) -> None:
    port, box = mail_server
    write_world(database_url)
    look(database_url, _ada)
    mail = {"ENLACE_SMTP_URL": f"smtp://127.0.0.1:{port}", "ENLACE_PUBLIC_URL": "http://enlace.test"}
    with running(database_url, tmp_path, **mail) as service:
        assert service.send(adt("A01", visit="V7")) == ["AA"]
        (told,) = wait_for(lambda: mails(box))
        check(told)
        assert told["Subject"] == "Enlace: una alerta nueva"

        look(database_url, _alerts)
        wait_for(lambda: [state for state, _ in states(service)] == ["waiting"] * 3)
        workers = [name for name in service.names if name.startswith("worker")] or ["serve"]
        killed = threading.Event()
        box.then = lambda: (service.kill(*workers), killed.set())
        look(database_url, _over)
        assert killed.wait(20)
        assert {state for state, _ in states(service)} == {"waiting"} and not states(service, digest=True)
        service.start(*workers)
        look(database_url, _over)
        wait_for(lambda: len(box.taken) == 3)
        wait_for(lambda: states(service, digest=True))
        _, first, second = mails(box)
        assert first["Message-ID"] == second["Message-ID"], "a mail program shows it once"
        assert "Alertas: 3" in first.get_content() and first.get_content() == second.get_content()
        check(first)
        assert {state for state, _ in states(service)} == {"collected"}
        assert len({number for _, number in states(service)}) == len(states(service, digest=True)) == 1
        logged = service.output()
        assert "Traceback" not in logged and ADDRESS not in logged and ROSA.family not in logged


def check(mail: EmailMessage) -> None:
    """Spanish, one link, nothing of the member, the hospital or the record."""
    whole = mail.as_string() + mail.get_content()
    bad = (ROSA.family, ROSA.given, ROSA.cin, ROSA.key, "Mercy", "EPIC", "V7", "Communication", "Patient", "1980")
    assert not [word for word in bad if word in whole]
    assert mail["Content-Language"] == "es" and not mail.is_multipart()
    assert [word for word in mail.get_content().split() if "://" in word] == ["http://enlace.test"]
