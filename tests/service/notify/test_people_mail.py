"""From an alert to a real SMTP server: who gets the mail, in which words, and that it tells nothing of the member."""

import email
import email.policy
from email.message import EmailMessage

import pytest

from service.notify import people
from service.notify.channels.mail import Mail
from service.notify.matching import match
from service.store.engine import Store
from service.store.notice_preferences import Preference
from tests.frozen_clock import FrozenClock
from tests.service.notify.channels.receivers import Mailbox, smtp_server
from tests.service.notify.notice_world import BEHAVIOUR, HOUR, World, alert, populate
from tests.service.world import BASE, LCM1, make, put, ref

POSTGRESQL_IN_DEEP = True
SENDER = "enlace@enlace.example.org"
LINK = BASE.removesuffix("/fhir")
PHI = ("Made", "Patient/", "Communication/", "EpisodeOfCare/", "admitted", "Valley", "mrn-", "HIV")


@pytest.fixture
async def told(world: Store) -> World:
    made = await populate(world)
    await made.wish(LCM1, Preference(LCM1, "", "*", "in-app email", digest="08:00", language="es"))
    return made


async def sent(told: World, box: Mailbox) -> list[EmailMessage]:
    """What the server has taken in after a run."""
    while await match(told.store, BASE):
        pass
    async with smtp_server(box) as port:
        channels = {"email": Mail(f"smtp://127.0.0.1:{port}", SENDER, sandbox=True)}
        while await people.deliver_due(told.store, BEHAVIOUR, channels, told.store.clock.now_us()):
            pass
    read = [email.message_from_bytes(envelope.content, policy=email.policy.default) for envelope, _ in box.taken]
    assert all(envelope.rcpt_tos == ["lcm1@ecm.example"] for envelope, _ in box.taken)
    return [one for one in read if isinstance(one, EmailMessage)]


async def test_an_alert_and_a_digest_in_spanish(told: World, clock: FrozenClock) -> None:
    said = {"payload": [{"contentString": "Maria Made-up was admitted to Valley with HIV."}]}
    await put(told.store, alert("now", **said), source="Device/enlace")
    for number in range(3):
        await put(told.store, alert(f"later-{number}", priority="routine", **said), source="Device/enlace")
    secret = make("Communication/letter", status="completed", subject=ref("Patient/a"), recipient=[ref(LCM1)])
    await put(told.store, secret, source="Device/enlace")
    box = Mailbox()
    (urgent,) = await sent(told, box)
    clock.advance(9 * HOUR)
    _, digest = await sent(told, box)
    assert "alerta" in urgent.get_content() and "Alertas: 3" in digest.get_content()
    for mail in (urgent, digest):
        whole = mail.as_string() + mail.get_content() + str(mail["Subject"])
        assert not [word for word in PHI if word in whole.replace("Made-up", "Made")], "no PHI"
        assert mail["Content-Language"] == "es" and not mail.is_multipart()
        links = [word for word in mail.get_content().split() if "://" in word]
        assert [link.rstrip(".") for link in links] == [LINK], "the start page: an id in a mail would be a trace"
    assert {n.state for n in await told.rows(kind="alert") if n.channel == "email"} == {"sent", "collected"}
    assert (await told.rows(kind="digest"))[0].receipt == "4F2A91C0"


async def test_a_server_that_refuses_the_address_is_a_visible_failure(told: World, clock: FrozenClock) -> None:
    await put(told.store, alert("now"), source="Device/enlace")
    box = Mailbox(rcpt="550 5.1.1 lcm1@ecm.example Maria: no such user")
    for _ in range(4):
        assert await sent(told, box) == []
        clock.advance(10_000_000)
    (failed,) = await told.rows(state="failed")
    assert (failed.channel, failed.reason, failed.attempts) == ("email", "recipient", 3)
    assert "Maria" not in repr(await told.rows())
