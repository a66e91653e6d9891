"""A message of whatever form into the durable inbox, once: its claim, its row, its job and its audit in one commit."""

import time
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from mappers.hl7v2.source import SourceConfig
from service import metrics
from service.log_events import ADT_REPEATED, ADT_STORED, ADT_UNREADABLE, ADT_UNREGISTERED, identifier, log
from service.store import inbox, sources
from service.store.change import AuditRow, Change, Claim, ClaimTaken, Job, Stale
from service.store.database import Unavailable
from service.store.engine import Store
from service.workflow.feed_tally import tally_of

MAX_TEXT = 200
TRIES = 5


class Taken(NamedTuple):
    """What became of one message. state: stored, unregistered, unreadable, repeated, or refused: not stored."""

    answer: bytes | None
    state: str
    inbox_id: int = 0

    @property
    def kept(self) -> bool:
        return self.state != "refused"


@dataclass(frozen=True)
class Letter:
    """A message on its way into the inbox. digest: hex, of what makes it the same message when it comes again.

    sender: MSH-3 and MSH-4, or what stands for them. stay: what its messages have in common, as far as can be seen
    unparsed. unproven: it says to be a source for which its end may not speak. unreadable: why, or "".
    """

    id: int
    raw: bytes
    sender: tuple[str, str]
    config: SourceConfig | None
    unproven: bool
    unreadable: str
    control_id: str
    event: str
    digest: str
    stay: bytes
    answer: bytes | None
    received_us: int
    started: float

    @property
    def state(self) -> str:
        return "unreadable" if self.unreadable else "stored" if self.config else "unregistered"

    @property
    def source(self) -> str:
        """Name under which it is kept: of an unknown sender what it says of itself, as one word."""
        if self.config:
            return self.config.name
        mark = sources.UNPROVEN if self.unproven else "?"
        return mark if self.unreadable else mark + "/".join(_plain(part)[:60] for part in self.sender)


async def keep(store: Store, letter: Letter, audit: AuditRow | None) -> Taken:
    """Raises Unavailable. What came before is not stored again: its first answer is given once more."""
    change, name = _change(store, letter, audit), letter.config.name if letter.config else ""
    control_id, digest = _plain(letter.control_id), bytes.fromhex(letter.digest)
    for _ in range(TRIES):
        try:
            await store.commit(change)
            break
        except Stale:
            continue
        except ClaimTaken:
            first = await inbox.repeated(store, letter.source, control_id, digest)
            if first is None:
                continue
            log(ADT_REPEATED, inbox=first[0])
            tally_of(store).answered(name, letter.received_us, time.perf_counter() - letter.started, repeat=True)
            return Taken(first[1], "repeated", first[0])
    else:
        raise Unavailable("the same message kept arriving")
    metrics.message_stored(name or metrics.UNREGISTERED)
    seconds = time.perf_counter() - letter.started
    tally_of(store).answered(name, letter.received_us, seconds, negative=bool(letter.unreadable))
    _log(letter, int(seconds * 1000))
    return Taken(letter.answer, letter.state, letter.id)


def _change(store: Store, letter: Letter, audit: AuditRow | None) -> Change:
    control_id = _plain(letter.control_id)
    reason = letter.unreadable or ("sender-not-proven" if letter.unproven else "")
    row = inbox.insert(
        id=letter.id,
        source=letter.source,
        control_id=control_id,
        hash=bytes.fromhex(letter.digest),
        received_us=letter.received_us,
        event=_plain(letter.event)[:8],
        raw=letter.raw,
        ack=letter.answer,
        state=letter.state,
        reason=reason,
    )
    claim = Claim(store.keys.of("inbox", letter.source, control_id, letter.digest), letter.id)
    # Over MLLP nobody signs in: the sender's registered organization stands for itself.
    who = audit or AuditRow("E", "hl7v2", 0, "mllp", letter.config.facility if letter.config else "", "hl7v2")
    change = Change(claims=[claim], statements=[row], audit=[replace(who, detail=f'{{"inbox":{letter.id}}}')])
    if letter.state == "stored":
        change.jobs.append(Job("adt.apply", {"inbox": letter.id}, ordering_key=_order(letter)))
    return change


def _order(letter: Letter) -> str:
    """One sender's messages about one stay follow each other; other stays need not wait for them.

    Where a stay comes under several numbers, its epoch and the reducer keep the order that matters.
    """
    return f"source:{letter.source}:{sha256(letter.stay).hexdigest()[:12]}"


def _plain(text: str) -> str:
    """As the database can keep it: PostgreSQL has no NUL in text. The message itself is kept as it came."""
    return text.replace("\x00", "")[:MAX_TEXT]


def _log(letter: Letter, ms: int) -> None:
    if letter.unreadable:
        log(ADT_UNREADABLE, inbox=letter.id, reason="no-header", bytes=len(letter.raw))
    elif letter.config is None:
        log(ADT_UNREGISTERED, inbox=letter.id)
    else:
        event = letter.event[:8]
        trigger = event if event.isascii() and event.isalnum() else None
        log(ADT_STORED, inbox=letter.id, source=identifier(letter.config.name), trigger=trigger, ms=ms)
