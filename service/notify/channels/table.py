"""The channels of this installation: one row each. A channel without its settings is not there, and is refused."""

from service.egress import Egress
from service.notify.channels.in_app import InApp
from service.notify.channels.mail import Mail
from service.notify.channels.rest_hook import RestHook
from service.notify.channels.sms import Sms
from service.notify.model import Channel, Channels
from service.settings import Settings


def egress_of(settings: Settings) -> Egress:
    """The outbound client of deliveries: it shows the client certificate of the settings to who asks for one.
    Raises SettingsError where the certificate cannot be used. The caller closes it."""
    return Egress(settings.egress_allow, tls=settings.client_tls())


def build(settings: Settings, egress: Egress) -> Channels:
    """name -> adapter. `websocket` is no row: its connection handler tails the events (api/websocket.py)."""
    channels: dict[str, Channel] = {"rest-hook": RestHook(egress), "in-app": InApp()}
    if settings.smtp_url:
        channels["email"] = Mail(settings.smtp_url.get_secret_value(), settings.sender, sandbox=settings.sandbox)
    if settings.sms_url:
        token = settings.sms_token.get_secret_value() if settings.sms_token else ""
        channels["sms"] = Sms(egress, settings.sms_url.get_secret_value(), token)
    return channels
