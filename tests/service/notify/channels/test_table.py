"""The table of channels: what is not configured is not there."""

import pytest

from service.egress import Egress
from service.notify.channels.table import build, egress_of
from service.notify.model import Message, Outcome
from service.notify.offer import offered
from service.settings import SettingsError, load
from tests.service.notify.channels.receivers import Authority

SMTP = {"ENLACE_SMTP_URL": "smtps://enlace:canary@mail.example.org"}
SMS = {"ENLACE_SMS_URL": "https://sms.example.org/send", "ENLACE_SMS_TOKEN": "canary"}


@pytest.mark.parametrize(
    ("environ", "channels"),
    [({}, set()), (SMTP, {"email"}), (SMS, {"sms"}), (SMTP | SMS, {"email", "sms"})],
)
def test_what_is_set_is_there(environ: dict[str, str], channels: set[str]) -> None:
    settings = load(environ)
    built = build(settings, Egress())
    assert set(built) == {"rest-hook", "in-app"} | channels
    assert offered(settings) == {"rest-hook", "websocket"} | channels
    assert "canary" not in repr(built) + repr(settings)


async def test_in_app_is_delivered_by_being_stored() -> None:
    assert (await build(load({}), Egress())["in-app"].send(Message("n1", "", 1))).outcome is Outcome.OK


def test_the_egress_has_the_exceptions_and_the_certificate(authority: Authority) -> None:
    certificate, key = authority.issued("client")
    names = {"ENLACE_CLIENT_CERTIFICATE_FILE": str(certificate), "ENLACE_CLIENT_KEY_FILE": str(key)}
    made = egress_of(load({**names, "ENLACE_EGRESS_ALLOW": "127.0.0.1:9000"}))
    assert made._tls is not None and made._allow == {"127.0.0.1:9000"}
    with pytest.raises(SettingsError, match="ENLACE_CLIENT_CERTIFICATE_FILE"):
        egress_of(load(names | {"ENLACE_CLIENT_KEY_FILE": str(certificate)}))
