"""THE table of what each channel can carry: MIME types of channel.payload, and how much of a resource.

http://hl7.org/fhir/uv/subscriptions-backport/payloads.html and channels.html: what a channel cannot honour is refused
when the Subscription is written. A text that a person reads never holds data of a member: such a payload is empty.
"""

from dataclasses import dataclass

from service.notify.model import Content

JSON, XML = "application/fhir+json", "application/fhir+xml"
TEXT = "text/plain"
ATTACHED = "text/plain;attach=application/fhir+json"
"""A text for a person, and the notification Bundle as an attachment."""


@dataclass(frozen=True)
class Carries:
    """mimes: of the payload -> content levels, the first of which is taken where none is asked for.

    headers: whether channel.header is sent. beats: whether a heartbeat makes sense. endpoint: whether there is one.
    """

    mimes: dict[str, tuple[Content, ...]]
    headers: bool = False
    beats: bool = False
    endpoint: bool = True


_BY_LEVEL = (Content.ID_ONLY, Content.EMPTY, Content.FULL)
CHANNELS = {
    "rest-hook": Carries({JSON: _BY_LEVEL, XML: _BY_LEVEL}, headers=True, beats=True),
    "websocket": Carries({JSON: _BY_LEVEL}, beats=True, endpoint=False),
    "email": Carries({ATTACHED: _BY_LEVEL, JSON: _BY_LEVEL, TEXT: (Content.EMPTY,)}),
    "sms": Carries({TEXT: (Content.EMPTY,)}),
}


def normal(mime: str) -> str:
    """As it stands in the table: small letters, no blanks, no charset=utf-8, which all payloads have."""
    parts = [part.strip().lower() for part in mime.split(";")]
    return ";".join(part for part in parts if part != "charset=utf-8")


def attaches(channel: str, mime: str) -> bool:
    """Whether an e-mail has the Bundle with it."""
    return channel == "email" and normal(mime) != TEXT
