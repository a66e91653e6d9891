"""Which messages of the inbox fit: by control id through an index, by visit or record number in the newest ones.

MSH-10 leads to its messages whatever their age. PV1-19 and PID-3 stand in the stored bytes only: the newest are read,
and older ones are reached through what was derived from these numbers (the stay, the known record numbers).
"""

import re
from dataclasses import dataclass, field

from mappers.hl7v2.message import Message, Unreadable, parse
from service.store import inbox_find, sources
from service.store.engine import Store
from service.store.inbox import Received
from service.workflow.stay_identity import derived_id

MOST = 1_000
SAMPLE = 200
"""So many messages of a sender tell which authorities it writes behind its visit numbers."""
_PLAIN = re.compile(r"[A-Za-z0-9 ._-]+\Z")
_PAGE, _PAGE_RAW = 1_000, 200


@dataclass(frozen=True)
class Asked:
    """What a person looks for; what is empty is not asked."""

    state: str = ""
    source: str = ""
    control_id: str = ""
    visit: str = ""
    mrn: str = ""
    since_us: int = 0

    @property
    def content(self) -> bool:
        return bool(self.visit or self.mrn)

    def fits(self, row: Received, raw: bytes) -> bool:
        return (
            (not self.state or row.state == self.state)
            and (not self.source or row.source == self.source)
            and (not self.control_id or row.control_id == self.control_id)
            and row.received_us >= self.since_us
            and (not self.content or self._says(raw))
        )

    def _says(self, raw: bytes) -> bool:
        wanted = [value for value in (self.visit, self.mrn) if value]
        if raw.startswith(b"MSH") and any(_PLAIN.match(w) and w.encode() not in raw for w in wanted):
            return False  # spares parsing nearly all
        message = parse(raw)
        if isinstance(message, Unreadable):
            return False
        return (not self.visit or self.visit in visits(message)) and (not self.mrn or self.mrn in mrns(message))


@dataclass
class Found:
    """rows newest first; unseen: there are older messages that nobody looked at; back_us: where the look ended."""

    rows: list[Received] = field(default_factory=list)
    looked: int = 0
    unseen: bool = False
    back_us: int = 0


def visits(message: Message) -> set[str]:
    return {segment.get(19) for segment in message.all("PV1")} - {""}


def mrns(message: Message) -> set[str]:
    """Identifiers of the patient (PID-3) and those that a merge retires (MRG-1), whatever their type."""
    reps = [rep for name, number in (("PID", 3), ("MRG", 1)) for s in message.all(name) for rep in s.reps(number)]
    return {rep.get(1) for rep in reps} - {""}


async def find(store: Store, asked: Asked, *, limit: int, look: int) -> Found:
    """Up to `limit` messages that fit, among the newest `look` and those that an index leads to."""
    if asked.control_id:
        messages = await inbox_find.by_control_id(store, asked.control_id, MOST, raw=asked.content)
        rows = [row for row, raw in messages if asked.fits(row, raw)]
        return Found(rows[:limit], len(messages), len(messages) == MOST, messages[-1][0].received_us if messages else 0)
    authorities: dict[str, list[str]] = {}
    found = await _walk(store, asked, limit, look, authorities)
    if found.unseen and asked.content:
        known = {row.id for row in found.rows}
        older = await _older(store, asked, found, authorities)
        found.rows += [row for row, raw in older if row.id not in known and asked.fits(row, raw)]
        found.rows = sorted(found.rows, key=lambda row: -row.id)[:limit]
    return found


async def _walk(store: Store, asked: Asked, limit: int, look: int, authorities: dict[str, list[str]]) -> Found:
    found, before = Found(), None
    size = _PAGE_RAW if asked.content else _PAGE
    while len(found.rows) < limit:
        wanted = min(size, look - found.looked)
        page = await inbox_find.newest(
            store, state=asked.state or None, source=asked.source or None, since_us=asked.since_us,
            before=before, limit=wanted + 1, raw=asked.content,
        )  # fmt: skip
        for row, raw in page[:wanted]:
            found.looked += 1
            found.back_us, before = row.received_us, row
            if asked.visit:
                _sample(row, raw, authorities)
            if asked.fits(row, raw) and len(found.rows) < limit:
                found.rows.append(row)
        if len(page) <= wanted:
            break
        if found.looked >= look:
            found.unseen = len(found.rows) < limit
            break
    return found


def _sample(row: Received, raw: bytes, authorities: dict[str, list[str]]) -> None:
    seen = authorities.setdefault(row.source, [])
    if len(seen) >= SAMPLE:
        return
    message = parse(raw)
    pv1 = None if isinstance(message, Unreadable) else message.first("PV1")
    if pv1 is not None and pv1.get(19):
        seen.append(pv1.get(19, comp=4, sub=2) or pv1.get(19, comp=4))


async def _older(
    store: Store, asked: Asked, found: Found, authorities: dict[str, list[str]]
) -> list[inbox_find.Message]:
    """What an index leads to beyond the newest: the stays under this visit number, the members with this number."""
    if not asked.visit:
        return await inbox_find.by_known_mrn(store, asked.mrn, MOST)
    stays = {row.stay for row in found.rows if row.stay}
    for source in await sources.all_sources(store):
        for place in {source.organization, *authorities.get(source.name, ())} - {""}:
            stays.add(visit_stay(source.name, place, asked.visit))
    return await inbox_find.by_stays(store, sorted(stays)[:SAMPLE], MOST)


def visit_stay(source: str, authority: str, number: str) -> str:
    """The stay under a visit number, as workflow/stay_identity.py derives it from a message."""
    return f"stay-{derived_id('visit', source, authority, number)}"
