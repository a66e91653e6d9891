"""One notification as a channel is to deliver it: Bundle, words for who reads it, secrets, and how large it may be."""

from collections.abc import Iterable, Sequence

from service.auth.sealing import SealBroken
from service.notify import davinci, secrets
from service.notify.bundles import notification
from service.notify.model import Content, Kind, Message, Spec, State, Told
from service.notify.payloads import attaches
from service.notify.texts import said, spoken

AT_ONCE = 20
"""Events in one notification where the subscription does not say."""
MOST_AT_ONCE = 100
MAX_BYTES = 1_000_000
"""Of one notification with several events."""
TIMEOUT_S, LONGEST_S = 5, 30
_TEXTS = {Kind.HANDSHAKE: "handshake", Kind.HEARTBEAT: "heartbeat", Kind.EVENT: "event"}


NOTHING = b""
"""Body of a message that is not sent: in its format there is nothing to tell."""


class NoSecret(Exception):
    """The stored secret cannot be opened: the key file is another one than when it was made."""


def batch(spec: Spec) -> int:
    if spec.format:
        return 1  # a message tells of one event
    return min(spec.max_count or AT_ONCE, MOST_AT_ONCE)


def timeout_s(spec: Spec) -> float:
    return float(min(spec.timeout_s or TIMEOUT_S, LONGEST_S))


def fitting(told: Sequence[Told], spec: Spec) -> list[Told]:
    """As many from the first on as one notification may hold. One that is too large by itself goes as its id."""
    if spec.content is not Content.FULL:
        return list(told)
    kept: list[Told] = []
    size = 0
    for one in told:
        size += _size(one)
        if size > MAX_BYTES:
            return kept or [Told(one.number, one.at_us, one.reference, one.method, context=one.context)]
        kept.append(one)
    return kept


def _size(one: Told) -> int:
    return len(one.body or b"") + sum(len(text) for _, text in one.included) + 1000


def message(
    state: State,
    spec: Spec,
    kind: Kind,
    told: Sequence[Told],
    *,
    numbers: Iterable[int] = (),
    ident: str,
    base_url: str,
    key: bytes,
    now_us: int,
    test: bool = False,
) -> Message:
    """ident: the same at each attempt at the same events. key: that the secrets are sealed with. Raises NoSecret."""
    numbers = list(numbers)
    every = sorted([*(one.number for one in told), *numbers])
    first, last = (every[0], every[-1]) if every else (state.numbered, state.numbered)
    name = f"subscription.{'test' if test else _TEXTS[kind]}"
    words = said(name, spec.language, count=len(every), first=first, last=last, link=f"{base_url}/{state.reference}")
    body = None
    if spec.channel != "sms":
        body = notification(state, spec, kind, told, base_url, numbers=numbers, at_us=0 if every else now_us)
    if spec.format and kind is Kind.EVENT and not test:
        body = davinci.bundle(state, spec, told, base_url) or NOTHING
    return Message(
        id=ident,
        to=spec.endpoint,
        at_us=now_us,
        body=body,
        mime=spec.mime,
        subject=words.subject,
        text=words.sms if spec.channel == "sms" else words.text,
        attach=attaches(spec.channel, spec.mime),
        headers=spec.headers,
        secrets=opened(state, key, now_us),
        timeout_s=timeout_s(spec),
        language=spoken(spec.language),
    )


def opened(state: State, key: bytes, now_us: int) -> tuple[bytes, ...]:
    """All secrets that count now: the one before as well, for a time after it was replaced."""
    sealed = [state.secret] if state.secret else []
    if state.secret_before and now_us < state.secret_before_until_us:
        sealed.append(state.secret_before)
    try:
        return tuple(secrets.opened(key, one) for one in sealed)
    except SealBroken:
        raise NoSecret from None
