"""HL7 v2 bytes -> durable inbox -> ACK: shared by MLLP and HTTP. Nothing is acknowledged before its commit.

Only MSH is read here; whatever the content, a readable header is stored and answered positively (facts/adt.md 0.3).
The answer is the same for known and unknown patients (../shared/decisions.md 21).
"""

import asyncio
import time
from collections.abc import Sequence

from mappers.hl7v2.ack import Outcome, acknowledge, batch
from mappers.hl7v2.header import (
    Header,
    Unreadable,
    batch_count,
    batch_id,
    content_hash,
    is_batch,
    peek,
    split_messages,
    stay_hint,
)
from mappers.hl7v2.message import MAX_BYTES
from mappers.hl7v2.source import SourceConfig
from service import metrics
from service.interactions.inbox_keeping import Letter, Taken, keep
from service.log_events import ADT_BATCH_COUNT, ADT_GAP, REQUEST_FAILED, identifier, log, where
from service.store.change import AuditRow
from service.store.database import Unavailable
from service.store.engine import Store
from service.workflow.feed_tally import tally_of
from service.workflow.sending_systems import Peer, Senders

TOGETHER = 50
HEAD_BYTES = 4096
CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})
"""https://terminology.hl7.org/CodeSystem-v2-0008.html"""


class Receiver:
    """Receives for one process."""

    def __init__(self, store: Store):
        self.store, self.senders, self.tally = store, Senders(store), tally_of(store)
        self._numbers: dict[str, int] = {}
        """The last sequence number (MSH-13) of each source: a gap is told, and nothing is enforced."""

    async def receive(self, raw: bytes, audit: AuditRow | None = None, peer: Peer | None = None) -> bytes | None:
        """Stores a payload and returns its acknowledgement, None where none must be sent. Never raises.

        audit: who sent it, where that is known (HTTP); committed with each message. peer: what the other end has
        proven; None for the operator's own hands.

        A payload that holds several messages is stored as several. A batch (FHS, BHS) is answered by a batch, each
        message by its own. Of frames that ran together the answer is that of the last, and negative if any could not
        be stored, so that the sender sends all again (repeats have no effect).
        """
        if is_batch(raw):
            return await self._batch(raw, audit, peer)
        answer: bytes | None = None
        for message in split_messages(raw):
            taken = await self.receive_one(message, audit, peer)
            answer = taken.answer
            if not taken.kept:
                break
        return answer

    async def receive_each(
        self, messages: Sequence[bytes], audit: AuditRow | None = None, peer: Peer | None = None
    ) -> list[Taken]:
        """What became of each message of a batch or a file, in order. Some share a commit."""
        taken: list[Taken] = []
        for start in range(0, len(messages), TOGETHER):
            chunk = messages[start : start + TOGETHER]
            taken += await asyncio.gather(*(self.receive_one(one, audit, peer) for one in chunk))
        return taken

    async def _batch(self, raw: bytes, audit: AuditRow | None, peer: Peer | None) -> bytes | None:
        messages = split_messages(raw)
        told = batch_count(raw)
        if told is not None and told != len(messages):
            log(ADT_BATCH_COUNT, told=told, found=len(messages))
        given = [one.answer for one in await self.receive_each(messages, audit, peer) if one.answer]
        return batch(given, batch_id(raw)) if given or not messages else None

    async def refuse_oversize(self, head: bytes) -> bytes | None:
        """The negative answer to a message over the cap, of which only the beginning is held; nothing is stored."""
        answer = self._answer(peek(head), None, "oversize", self.store.clock.now_us(), "0")
        metrics.message_answered(_code(answer))
        return answer

    async def receive_one(self, raw: bytes, audit: AuditRow | None = None, peer: Peer | None = None) -> Taken:
        """One message and no batch: its answer, and what became of it."""
        if len(raw) > MAX_BYTES:
            return Taken(await self.refuse_oversize(raw[:HEAD_BYTES]), "refused")
        taken = await self._take(raw, audit, peer)
        metrics.message_answered(_code(taken.answer))
        return taken

    async def _take(self, raw: bytes, audit: AuditRow | None, peer: Peer | None) -> Taken:
        started = time.perf_counter()
        header = peek(raw)
        now_us = self.store.clock.now_us()
        config, unproven = None, False
        try:
            if isinstance(header, Header):
                config, unproven = await self.senders.speaking(header.sender, peer)
            taken = await keep(self.store, self._letter(raw, header, config, unproven, now_us, started), audit)
            self._counted(header, config)
            return taken
        except Unavailable:
            self.tally.answered(config.name if config else "", now_us, time.perf_counter() - started, negative=True)
            return Taken(self._answer(header, None, "transient", now_us, "0"), "refused")
        except Exception as error:  # a defect of ours: the sender hears it and its connection goes on
            log(REQUEST_FAILED, method="hl7v2", **where(error))
            self.tally.answered(config.name if config else "", now_us, time.perf_counter() - started, negative=True)
            return Taken(self._answer(header, None, "transient", now_us, "0"), "refused")

    def _letter(
        self,
        raw: bytes,
        header: Header | Unreadable,
        config: SourceConfig | None,
        unproven: bool,
        now_us: int,
        started: float,
    ) -> Letter:
        broken, inbox_id = isinstance(header, Unreadable), self.store.next_id(now_us)
        return Letter(
            id=inbox_id,
            raw=raw,
            sender=header.sender if isinstance(header, Header) else ("", ""),
            config=config,
            unproven=unproven,
            unreadable=header.reason if isinstance(header, Unreadable) else "",
            control_id=header.control_id,
            event=header.event if isinstance(header, Header) else "",
            digest=content_hash(raw),
            stay=stay_hint(raw),
            answer=self._answer(header, config, "unreadable" if broken else "stored", now_us, str(inbox_id)),
            received_us=now_us,
            started=started,
        )

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

    def _counted(self, header: Header | Unreadable, config: SourceConfig | None) -> None:
        """A message between this one and the last was lost, or is on its way by another connection."""
        if config is None or isinstance(header, Unreadable) or not header.sequence.isascii():
            return
        if header.sequence.isdigit():
            number, last = int(header.sequence[:15]), self._numbers.get(config.name)
            if number and last is not None and number > last + 1:
                log(ADT_GAP, source=identifier(config.name), missing=number - last - 1)
            self._numbers[config.name] = number


def _code(answer: bytes | None) -> str:
    """MSA-1 of an acknowledgement of ours; `none` where none is sent."""
    at = answer.find(b"\rMSA") + 5 if answer else 0
    code = answer[at : at + 2].decode("ascii", "replace") if answer else "none"
    return code if code in CODES else "none"
