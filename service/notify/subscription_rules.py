"""What a Subscription asks for, read into a Spec; or everything that cannot be honoured, all at once. Pure.

http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition-backport-subscription.html : "a server SHALL reject
a Subscription if it cannot honour its topic, filters, channel or payload". Limits are told in docs/limits.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.topics import Topic, topics
from service.errors import FhirError, Issue
from service.notify import davinci, endpoints, payloads
from service.notify import subscription_extensions as extensions
from service.notify.channel_headers import MOST_HEADERS, header_problem, header_problems
from service.notify.filters import compiled
from service.notify.model import Content, Spec
from service.search.dates import parse as parse_date
from service.search.keys import Keys
from service.search.syntax import Refused, Several

MOST_FILTERS = 10
FORMAT_URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-notification-format"
LEAST_HEARTBEAT_S, MOST_HEARTBEAT_S = 60, 86_400
MOST_TIMEOUT_S = 30
MOST_COUNT = 1_000
_RANGES = {
    extensions.HEARTBEAT: (LEAST_HEARTBEAT_S, MOST_HEARTBEAT_S),
    extensions.TIMEOUT: (1, MOST_TIMEOUT_S),
    extensions.MAX_COUNT: (1, MOST_COUNT),
}
_ENCRYPTED = (
    "A notification is attached to an e-mail only where the mail server is reached encrypted, and here it is not: ask "
    "for text/plain."
)


@dataclass(frozen=True)
class Circumstances:
    """What the answer depends on beside the resource.

    endpoints: those of the client. exceptions: ENLACE_EGRESS_ALLOW. channels: those that are set up here.
    mail_encrypted: mail leaves encrypted. reads: types that the token reads.
    """

    keys: Keys
    base_url: str
    now_us: int
    sandbox: bool
    endpoints: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    channels: frozenset[str] = frozenset({"rest-hook", "websocket"})
    mail_encrypted: bool = False
    reads: frozenset[str] = frozenset()


@dataclass
class _Reading:
    resource: Resource
    asked: Circumstances
    extensions: extensions.Extensions
    topic: Topic | None = None
    issues: list[Issue] = field(default_factory=list)

    @property
    def channel(self) -> Resource:
        found: Resource = self.resource["channel"]
        return found

    def refuse(self, text: str, expression: str, code: str = "not-supported") -> None:
        self.issues.append(Issue(text, f"Subscription.{expression}", code))


def read(resource: Resource, asked: Circumstances) -> tuple[Spec | None, list[Issue]]:
    """resource: of sound R4 structure. A Spec where there are no issues; one issue for each thing that is refused."""
    reading = _Reading(resource, asked, extensions.read(resource))
    reading.topic = _topic(reading)
    filters = tuple(_filters(reading))
    carries = _channel(reading)
    mime, content = _payload(reading, carries)
    end_us = _end(reading)
    form = _format(reading, mime, content)
    numbers = {name: _number(reading, name, carries) for name in _RANGES}
    issues = [*reading.issues, *reading.extensions.issues]
    if issues or reading.topic is None:
        return None, issues
    channel = reading.channel
    spec = Spec(
        reading.topic.url,
        channel["type"],
        channel.get("endpoint", ""),
        mime,
        content,
        tuple(channel.get("header", ())),
        filters,
        numbers[extensions.TIMEOUT],
        numbers[extensions.HEARTBEAT],
        numbers[extensions.MAX_COUNT],
        end_us,
        reading.resource.get("language", ""),
        form,
    )
    return spec, []


def _topic(reading: _Reading) -> Topic | None:
    """criteria is the canonical of a topic, with its version or without."""
    url, _, version = reading.resource["criteria"].partition("|")
    topic = topics().get(url)
    if topic is None or (version and version != topic.definition.get("version")):
        known = ", ".join(sorted(topics()))
        reading.refuse(f"The criteria are no topic that is served here. Topics are: {known}.", "criteria")
        return None
    if not reading.asked.reads & set(topic.rtypes):
        named = " or ".join(topic.rtypes)
        text = f"The topic tells of {named}, which the access token does not read: ask for a scope such as "
        reading.refuse(f"{text}system/{topic.rtypes[0]}.rs.", "criteria", "forbidden")
    return topic


def _filters(reading: _Reading) -> Iterator[str]:
    """Each is a search of the topic's type; all must fit. Without a topic nobody can say which are known."""
    given = reading.extensions.found.get(extensions.FILTER, [])
    if len(given) > MOST_FILTERS:
        reading.refuse(f"A Subscription has at most {MOST_FILTERS} filters.", "criteria", "too-long")
        return
    for expression, text in given:
        problems = [] if reading.topic is None else list(_filter_problems(reading.topic, text, reading.asked))
        reading.issues += [Issue(sentence, expression, code) for sentence, code in problems]
        if not problems:
            yield text


def _filter_problems(topic: Topic, text: str, asked: Circumstances) -> Iterator[tuple[str, str]]:
    try:
        compiled(topic, text, asked.keys, asked.base_url)
    except Several as refused:
        yield from (_sentence(part) for part in refused.parts)
    except Refused as refused:
        yield _sentence(refused)
    except FhirError as refused:
        yield from ((issue.diagnostics, issue.code or "not-supported") for issue in refused.issues)


def _sentence(refused: Refused) -> tuple[str, str]:
    """Some begin with the parameter, some with the verb that is to follow it."""
    text = refused.sentence
    return (text if text[:1].isupper() else f"The filter {text}"), refused.code


def _channel(reading: _Reading) -> payloads.Carries | None:
    """The row of the channel, None where it is refused; with what is wrong of type, endpoint and headers."""
    channel, asked = reading.channel, reading.asked
    carries = payloads.CHANNELS.get(channel["type"])
    expression, coding = reading.extensions.one(extensions.CHANNEL_TYPE)
    if coding is not None and coding.get("code") != channel["type"]:
        text = "The channel type of the extension is another one than channel.type: custom types are not supported."
        reading.issues.append(Issue(text, expression, "not-supported"))
    if carries is None or channel["type"] not in asked.channels:
        known = ", ".join(sorted(asked.channels & payloads.CHANNELS.keys()))
        reading.refuse(f"The channel type is not supported here. Channel types are: {known}.", "channel.type")
        return None
    endpoint = channel.get("endpoint", "")
    if not carries.endpoint:
        if endpoint:
            reading.refuse("A websocket has no endpoint: the client connects. Leave it out.", "channel.endpoint")
    elif sentence := endpoints.problem(
        channel["type"], endpoint, asked.endpoints, sandbox=asked.sandbox, exceptions=asked.exceptions
    ):
        reading.refuse(sentence, "channel.endpoint")
    _headers(reading, carries)
    return carries


def _headers(reading: _Reading, carries: payloads.Carries) -> None:
    headers = [text if isinstance(text, str) else "" for text in reading.channel.get("header", ())]
    if headers and not carries.headers:
        reading.refuse("Headers are sent with rest-hook only: leave them out.", "channel.header")
        return
    if len(headers) > MOST_HEADERS:
        reading.refuse(f"At most {MOST_HEADERS} headers are sent.", "channel.header", "too-long")
        return
    for number, text in enumerate(headers):
        if sentence := header_problem(text):
            reading.refuse(sentence[0].upper() + sentence[1:], f"channel.header[{number}]", "value")
    if not any(map(header_problem, headers)):
        for sentence in header_problems(headers):
            reading.refuse(sentence, "channel.header", "value")


def _payload(reading: _Reading, carries: payloads.Carries | None) -> tuple[str, Content]:
    """MIME type as sent, and the level; "" and EMPTY where they are refused."""
    mime = reading.channel.get("payload", "")
    expression, wanted = reading.extensions.one(extensions.CONTENT)
    known = carries is not None and payloads.normal(mime) in carries.mimes
    levels = carries.mimes[payloads.normal(mime)] if carries and known else tuple(Content)
    if carries and not known:
        reading.refuse(f"The payload of this channel is one of: {', '.join(carries.mimes)}.", "channel.payload")
    if wanted is not None and wanted not in set(Content):
        text = f"The payload content is one of: {', '.join(Content)}."
        reading.issues.append(Issue(text, expression, "not-supported"))
        return "", Content.EMPTY
    content = Content(wanted) if wanted is not None else levels[0]
    if content not in levels:
        text = f"The payload content of this channel and payload is {' or '.join(levels)}: ask for that, or for none."
        reading.issues.append(Issue(text, expression, "not-supported"))
    elif known and payloads.attaches(reading.channel["type"], mime) and not reading.asked.mail_encrypted:
        reading.refuse(_ENCRYPTED, "channel.payload")
    return mime, content


def _format(reading: _Reading, mime: str, content: Content) -> str:
    """ "" for the backport's Bundle. A message by Da Vinci holds an Encounter and its Patient, and has no heartbeat."""
    found = [
        (f"channel.payload.extension[{number}]", one)
        for number, one in enumerate((reading.channel.get("_payload") or {}).get("extension") or ())
        if one.get("url") == FORMAT_URL
    ]
    if not found:
        return ""
    at = found[0][0]
    needs = (
        (len(found) == 1 and found[0][1].get("valueCode") == davinci.FORMAT, f"stands once and is {davinci.FORMAT}"),
        (reading.topic is None or reading.topic.url == davinci.TOPIC, f"goes with the topic {davinci.TOPIC}"),
        (reading.channel["type"] == "rest-hook", "goes with the channel type rest-hook"),
        (payloads.normal(mime) == payloads.JSON, f"goes with the payload {payloads.JSON}"),
        (content is Content.FULL, "goes with the payload content full-resource"),
        (not reading.extensions.found.get(extensions.HEARTBEAT), "has no heartbeat: leave that out"),
        (
            "Patient" in reading.asked.reads,
            "holds the Patient: ask for a scope such as system/Patient.rs",
        ),
    )
    for fulfilled, words in needs:
        if not fulfilled:
            reading.refuse(f"The notification format {words}.", at)
    return davinci.FORMAT


def _number(reading: _Reading, name: str, carries: payloads.Carries | None) -> int:
    expression, value = reading.extensions.one(name)
    if not value:
        return 0
    least, most = _RANGES[name]
    if not least <= value <= most:
        text = f"{name} lies between {least} and {most}."
        reading.issues.append(Issue(text, expression, "value"))
    if name == extensions.HEARTBEAT and carries and not carries.beats:
        reading.issues.append(Issue("This channel has no heartbeat: leave it out.", expression, "not-supported"))
    return int(value)


def _end(reading: _Reading) -> int:
    end: Any = reading.resource.get("end")
    if end is None:
        return 0
    end_us = int(parse_date(end)[0])
    if end_us <= reading.asked.now_us:
        reading.refuse("The end is in the past: give a later one, or none.", "end", "business-rule")
    return end_us
