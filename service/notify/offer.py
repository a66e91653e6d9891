"""What this installation offers to subscribers, from its settings: channels that are set up, what mail may hold."""

from dataclasses import replace

from service.access.context import Settings as Behaviour
from service.setting_urls import smtp_server
from service.settings import Settings


def offering(behaviour: Behaviour, settings: Settings) -> Behaviour:
    """The behaviour of a process in which Subscriptions are written."""
    allowed = tuple(settings.egress_allow)
    return replace(behaviour, egress_allow=allowed, channels=offered(settings), mail_encrypted=_encrypted(settings))


def offered(settings: Settings) -> frozenset[str]:
    """Channels that a Subscription may ask for here."""
    given = {"rest-hook": True, "websocket": True, "email": settings.smtp_url, "sms": settings.sms_url}
    return frozenset(name for name, there in given.items() if there)


def _encrypted(settings: Settings) -> bool:
    """STARTTLS is demanded everywhere but of the own machine in a sandbox."""
    server = smtp_server(settings.smtp_url.get_secret_value()) if settings.smtp_url else None
    return server is not None and (server.tls or not (settings.env == "sandbox" and server.loopback))
