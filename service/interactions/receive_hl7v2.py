"""HL7 v2 bytes -> durable inbox -> ACK: shared by MLLP and HTTP. Nothing is acknowledged before its commit.

Only MSH is read here; whatever the content, a readable header is stored and answered positively (facts/adt.md 0.3).
The answer is the same for known and unknown patients (../shared/decisions.md 21).
"""

import time
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from mappers.hl7v2.ack import Outcome, acknowledge
from mappers.hl7v2.header import Header, Unreadable, content_hash, peek, split_messages, stay_hint
from mappers.hl7v2.source import SourceConfig
from service import metrics
from service.log_events import (
    ADT_REPEATED,
    ADT_STORED,
    ADT_UNREADABLE,
    ADT_UNREGISTERED,
    REQUEST_FAILED,
    log,
    where,
)
from service.store import inbox, sources
from service.store.change import AuditRow, Change, Claim, ClaimTaken, Job, Stale
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.workflow.sending_systems import config_of

SOURCES_S = 2.0
MAX_TEXT = 200
TRIES = 5
CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})
"""https://terminology.hl7.org/CodeSystem-v2-0008.html"""


@dataclass
class Receiver:
    """Receives for one process; keeps the list of registered senders for two seconds."""

    store: Store
    _known: dict[tuple[str, str], RegisteredSource] = field(default_factory=dict)
    _read_at: float = -1e9

    async def receive(self, raw: bytes, audit: AuditRow | None = None) -> bytes | None:
        """Stores a payload and returns its acknowledgement, None where none must be sent. Never raises.

        audit: who sent it, where that is known (HTTP); committed with each message.

        A payload that holds several messages is stored as several; the answer is that of the last, and negative if any
        could not be stored, so that the sender sends all again (repeats have no effect).
        """
        answer: bytes | None = None
        for message in split_messages(raw):
            answer, stored = await self._one(message, audit)
            metrics.message_answered(_code(answer))
            if not stored:
                break
        return answer

    async def refuse_oversize(self, head: bytes) -> bytes | None:
        """The negative answer to a message over the cap, of which only the beginning is held; nothing is stored."""
        answer = self._answer(peek(head), None, "oversize", self.store.clock.now_us(), "0")
        metrics.message_answered(_code(answer))
        return answer

    async def _one(self, raw: bytes, audit: AuditRow | None) -> tuple[bytes | None, bool]:
        started = time.perf_counter()
        header = peek(raw)
        now_us = self.store.clock.now_us()
        try:
            source = await self._source(header)
            config = config_of(source) if source else None
            return await self._store(raw, header, config, audit, now_us, started), True
        except Unavailable:
            return self._answer(header, None, "transient", now_us, "0"), False
        except Exception as error:  # a defect of ours: the sender hears it and its connection goes on
            log(REQUEST_FAILED, method="hl7v2", **where(error))
            return self._answer(header, None, "transient", now_us, "0"), False

    async def _store(
        self,
        raw: bytes,
        header: Header | Unreadable,
        config: SourceConfig | None,
        audit: AuditRow | None,
        now_us: int,
        started: float,
    ) -> bytes | None:
        unreadable = isinstance(header, Unreadable)
        source = config.name if config else _unregistered(header)
        control_id = _plain(header.control_id)
        digest = content_hash(raw)
        inbox_id = self.store.next_id(now_us)
        state = "unreadable" if unreadable else "stored" if config else "unregistered"
        reason = header.reason if isinstance(header, Unreadable) else ""
        event = "" if isinstance(header, Unreadable) else _plain(header.event)[:8]
        ack = self._answer(header, config, "unreadable" if unreadable else "stored", now_us, str(inbox_id))
        change = Change(
            claims=[Claim(self.store.keys.of("inbox", source, control_id, digest), inbox_id)],
            statements=[
                inbox.insert(
                    id=inbox_id,
                    source=source,
                    control_id=control_id,
                    hash=bytes.fromhex(digest),
                    received_us=now_us,
                    event=event,
                    raw=raw,
                    ack=ack,
                    state=state,
                    reason=reason,
                )
            ],
        )
        # Over MLLP nobody signs in: the sender's registered organization stands for itself.
        row = audit or AuditRow("E", "hl7v2", 0, "mllp", config.facility if config else "", "hl7v2")
        change.audit.append(replace(row, detail=f'{{"inbox":{inbox_id}}}'))
        if state == "stored":
            change.jobs.append(Job("adt.apply", {"inbox": inbox_id}, ordering_key=_order(source, raw)))
        for _ in range(TRIES):
            try:
                await self.store.commit(change)
                break
            except Stale:
                continue
            except ClaimTaken:
                first = await inbox.repeated(self.store, source, control_id, bytes.fromhex(digest))
                if first is None:
                    continue
                log(ADT_REPEATED, inbox=first[0])
                return first[1]
        else:
            raise Unavailable("the same message kept arriving")
        metrics.message_stored(config.name if config else metrics.UNREGISTERED)
        ms = int((time.perf_counter() - started) * 1000)
        _log(state, inbox_id, config, event, len(raw), ms)
        return ack

    def _answer(
        self, header: Header | Unreadable, config: SourceConfig | None, outcome: Outcome, now_us: int, control_id: str
    ) -> bytes | None:
        return acknowledge(
            header,
            outcome=outcome,
            now_us=now_us,
            control_id=control_id,
            mode_override=config.ack_mode if config else None,
            reply_always=config.reply_always if config else True,
        )

    async def _source(self, header: Header | Unreadable) -> RegisteredSource | None:
        if isinstance(header, Unreadable):
            return None
        if time.monotonic() - self._read_at > SOURCES_S:
            found = await sources.all_sources(self.store)
            self._known = {(s.application, s.facility): s for s in found if s.active}
            self._read_at = time.monotonic()
        application, facility = header.sender
        return self._known.get((application, facility)) or self._known.get(("", facility))


def _code(answer: bytes | None) -> str:
    """MSA-1 of an acknowledgement of ours; `none` where none is sent."""
    at = answer.find(b"\rMSA") + 5 if answer else 0
    code = answer[at : at + 2].decode("ascii", "replace") if answer else "none"
    return code if code in CODES else "none"


def _order(source: str, raw: bytes) -> str:
    """One sender's messages about one stay follow each other; other stays need not wait for them.

    Where a stay comes under several numbers, its epoch and the reducer keep the order that matters.
    """
    return f"source:{source}:{blake2b(stay_hint(raw), digest_size=6).hexdigest()}"


def _unregistered(header: Header | Unreadable) -> str:
    """Name under which a message of an unknown sender is kept: what it says of itself, as one word."""
    if isinstance(header, Unreadable):
        return "?"
    return "?" + "/".join(_plain(part)[:60] for part in header.sender)


def _plain(text: str) -> str:
    """As the database can keep it: PostgreSQL has no NUL in text. The message itself is kept as it came."""
    return text.replace("\x00", "")[:MAX_TEXT]


def _log(state: str, inbox_id: int, config: SourceConfig | None, event: str, size: int, ms: int) -> None:
    if state == "unreadable":
        log(ADT_UNREADABLE, inbox=inbox_id, reason="no-header", bytes=size)
    elif config is None:
        log(ADT_UNREGISTERED, inbox=inbox_id)
    else:
        trigger = event if event.isascii() and event.isalnum() else None
        log(ADT_STORED, inbox=inbox_id, source=config.name, trigger=trigger, ms=ms)
