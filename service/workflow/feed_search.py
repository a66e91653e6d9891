"""Which messages of the inbox fit what a person asks: by numbers, names and event through inbox_terms, else the newest.

What has no terms yet (the last minute, or an inbox from before there were terms) is read as it stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mappers.hl7v2.source import SourceConfig
from service.store import inbox_find, inbox_terms, sources
from service.store.engine import Store
from service.store.inbox import Received
from service.store.inbox_terms import Term, of_code, of_names, of_number
from service.workflow.feed_terms import terms_of
from service.workflow.sending_systems import config_of

PACIFIC = "America/Los_Angeles"
MOST = 1_000
FOREVER_US = 2**62
_PAGE = 1_000
_UNREAD = 2_000
"""So many messages without terms are read for one question, of the newest."""


class NotADay(ValueError):
    """A sentence for the person who asked."""


@dataclass(frozen=True)
class Asked:
    """What a person looks for; what is empty is not asked. name: "Garcia" or "Garcia, Maria". patient: Patient/id."""

    state: str = ""
    source: str = ""
    control_id: str = ""
    visit: str = ""
    mrn: str = ""
    account: str = ""
    cin: str = ""
    name: str = ""
    patient: str = ""
    event: str = ""
    since_us: int = 0
    until_us: int = FOREVER_US

    @property
    def about(self) -> list[str]:
        """By what of a person it was asked: for the audit, without the values."""
        return [n for n in ("cin", "mrn", "visit", "account", "name", "patient", "control_id") if getattr(self, n)]

    def terms(self) -> Iterator[Term]:
        """The one that the fewest messages have first."""
        yield from (of_number(k, v) for k in ("cin", "mrn", "visit", "account") if (v := str(getattr(self, k))).strip())
        if self.name.strip():
            family, _, given = self.name.partition(",")
            yield of_names(family, given)
        if self.event:
            yield of_code(self.event)

    def fits(self, row: Received) -> bool:
        return (
            (not self.state or row.state == self.state)
            and (not self.source or row.source == self.source)
            and (not self.control_id or row.control_id == self.control_id)
            and self.since_us <= row.received_us < self.until_us
        )


@dataclass
class Found:
    """rows newest first; looked: so many were looked at, 0 where an index led to all; back_us: where the look ended.

    unseen: there are older messages that nobody looked at.
    """

    rows: list[Received] = field(default_factory=list)
    looked: int = 0
    unseen: bool = False
    back_us: int = 0


async def find(store: Store, asked: Asked, *, limit: int, look: int) -> Found:
    """Up to `limit` messages that fit; where no index leads to them all, among the newest `look`."""
    terms = list(asked.terms())
    if asked.control_id:
        return await _by_control_id(store, asked, terms, limit)
    if not terms and not asked.patient:
        return await _walk(store, asked, limit, look)
    found = await _by_terms(store, asked, terms, limit, look)
    rows, read_back_us = await _not_listed_yet(store, asked, terms, min(look, _UNREAD))
    found.rows = sorted({row.id: row for row in (*found.rows, *rows)}.values(), key=lambda row: -row.id)[:limit]
    if read_back_us and len(found.rows) < limit:
        found.unseen, found.looked = True, max(found.looked, min(look, _UNREAD))
        found.back_us = max(found.back_us, read_back_us)
    return found


async def _by_control_id(store: Store, asked: Asked, terms: list[Term], limit: int) -> Found:
    messages = await inbox_find.by_control_id(store, asked.control_id, MOST, raw=False)
    rows = [row for row, _ in messages if asked.fits(row) and (not asked.patient or row.patient == asked.patient)]
    unlisted, _ = await _not_listed_yet(store, asked, terms, _UNREAD) if terms else ([], 0)
    for term in terms:
        having = await inbox_find.with_term(store, [row.id for row in rows], _key(store, term))
        rows = [row for row in rows if row.id in having]
    rows = sorted({row.id: row for row in (*rows, *unlisted)}.values(), key=lambda row: -row.id)
    cut = len(messages) == MOST
    return Found(rows[:limit], len(messages) if cut else 0, cut, messages[-1][0].received_us if cut else 0)


async def _by_terms(store: Store, asked: Asked, terms: list[Term], limit: int, look: int) -> Found:
    keys = [_key(store, term) for term in terms]
    within = inbox_find.Within(asked.since_us, asked.until_us, asked.state, asked.source, limit, look)
    if asked.patient:
        member = _key(store, ("patient", asked.patient))
        rows, edge = await inbox_find.by_patient(store, asked.patient, member, keys, within)
    else:
        rows, edge = await inbox_find.by_terms(store, keys, within)
    back = await inbox_find.received_us(store, edge) if edge else 0
    return Found(rows, look if edge else 0, edge is not None, back)


async def _not_listed_yet(store: Store, asked: Asked, terms: list[Term], most: int) -> tuple[list[Received], int]:
    """(those that fit, by reading the newest `most`; where the look ended, 0 where it saw all that have no terms).

    A member's message that has no terms yet is not known to be the member's.
    """
    if asked.patient:
        return [], 0
    mark = await inbox_terms.done_upto(store)
    page = await inbox_find.without_terms(store, mark, asked.since_us, asked.until_us, most + 1)
    known = {source.name: config_of(source) for source in await sources.all_sources(store)} if page else {}
    wanted = set(terms)
    rows = [
        row
        for row, raw in page[:most]
        if asked.fits(row) and wanted <= set(terms_of(row, raw, known.get(row.source) or SourceConfig(row.source)))
    ]
    return rows, page[most - 1][0].received_us if len(page) > most else 0


async def _walk(store: Store, asked: Asked, limit: int, look: int) -> Found:
    found, before = Found(), None
    while len(found.rows) < limit:
        wanted = min(_PAGE, look - found.looked)
        page = await inbox_find.newest(
            store, state=asked.state or None, source=asked.source or None, since_us=asked.since_us,
            until_us=asked.until_us, before=before, limit=wanted + 1, raw=False,
        )  # fmt: skip
        for row, _ in page[:wanted]:
            found.looked += 1
            found.back_us, before = row.received_us, row
            if asked.fits(row) and len(found.rows) < limit:
                found.rows.append(row)
        if len(page) <= wanted:
            break
        if found.looked >= look:
            found.unseen = len(found.rows) < limit
            break
    return found


def day_bounds(day: str, zone: str) -> dict[str, int]:
    """{since_us, until_us} of a day as clocks of the zone have it, 23 or 25 hours where they are moved."""
    try:
        first, place = date.fromisoformat(day), ZoneInfo(zone)
        last = first + timedelta(days=1)
    except (ValueError, OverflowError, OSError, ZoneInfoNotFoundError):
        raise NotADay(f"A day is written YYYY-MM-DD and a zone like {PACIFIC}.") from None
    begin, end = (datetime.combine(at, time(), place).timestamp() for at in (first, last))
    return {"since_us": int(begin) * 1_000_000, "until_us": int(end) * 1_000_000}


def _key(store: Store, term: Term) -> int:
    return store.keys.of("inbox-term", *term)
