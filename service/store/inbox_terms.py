"""What a message of the inbox is found by: keyed hashes of its numbers and names (table inbox_term).

No value can be read back from a hash. Written with the message's effect; job `adt.terms` does what came before, and
what no effect came of. Ids grow with time, so a term leads to its newest messages first.
"""

from collections.abc import Iterable, Iterator, Sequence

from mappers.hl7v2.event import AdtEvent, Identifier, Name
from service.search.strings import normalise
from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.inbox import Received

MOST = 64
"""Terms of one message; a merge of hundreds of numbers would make as many rows."""
_UPTO = "inbox_terms_upto"
_PUT = "INSERT INTO inbox_term (term, inbox_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
Term = tuple[str, ...]
"""Kind, then value in the form in which it is compared: ("mrn", "7001"), ("name", "garcia", "maria")."""


async def terms(store: Store, inbox_id: int, event: AdtEvent, patient: str) -> list[Statement]:
    """For the Change that handles the message, and for each event of it; written once, whatever is repeated."""
    return put(store, inbox_id, of_event(event, patient))


def put(store: Store, inbox_id: int, found: Iterable[Term]) -> list[Statement]:
    keys = sorted({store.keys.of("inbox-term", *term) for term in list(dict.fromkeys(found))[:MOST]})
    return [Statement(_PUT, (key, inbox_id)) for key in keys]


def of_event(event: AdtEvent, patient: str) -> Iterator[Term]:
    """The numbers that people look for come first: they stay where there are too many."""
    yield of_code(event.code)
    if patient:
        yield ("patient", patient)
    yield from _numbers("cin", event.patient.cins)
    yield from _ids(event.patient.ids)
    stay = event.stay
    yield from _numbers("visit", (stay.visit_number, stay.alternate_visit, stay.preadmit))
    yield from _numbers("account", (stay.account,))
    for name in event.patient.names:
        yield from of_name(name)
    for merge in event.merges:
        yield from _ids((*merge.surviving, *merge.retired))
        yield from _numbers("visit", (merge.surviving_visit, merge.retired_visit))
        yield from _numbers("account", (merge.surviving_account, merge.retired_account))


def of_code(code: str) -> Term:
    """Every message that was looked at has this one, with "" where it told no event: so it is known which were."""
    return ("event", code[:8].upper())


def of_number(kind: str, value: str) -> Term:
    """kind: mrn, cin, visit, account. Without case, blanks, and leading zeros, which some systems print."""
    bare = "".join(value.split()).upper()[:200]
    return (kind, bare.lstrip("0") or bare)


def of_names(family: str, given: str = "") -> Term:
    """As a person asks: the surname or a part of it, with a first name or without."""
    words = _words(given)
    return ("name", "".join(_words(family)), *words[:1])


def of_name(name: Name) -> Iterator[Term]:
    """GARCIA-LOPEZ is found by all of it and by each part, alone and with each first name."""
    parts = _words(name.family)
    given = [word for one in name.given for word in _words(one)]
    for family in dict.fromkeys(("".join(parts), *(part for part in parts if len(part) > 2))):
        if family:
            yield ("name", family)
            yield from (("name", family, word) for word in given[:3])


def _words(text: str) -> list[str]:
    kept = (char if char.isalnum() else " " for char in normalise(text) if char not in "'`\u2018\u2019\u02bc")
    return "".join(kept).split()


def _numbers(kind: str, values: Iterable[str]) -> Iterator[Term]:
    return (of_number(kind, value) for value in values if value.strip())


def _ids(ids: Sequence[Identifier]) -> Iterator[Term]:
    """Whatever number a hospital gives; not the social security number, by which nobody shall be looked for."""
    return _numbers("mrn", (i.value for i in ids if i.type != "SS"))


def forget(ids: Sequence[int]) -> list[Statement]:
    """For the purge of what strangers told: nobody finds their messages by a name or number any more.

    What says that the message was looked at goes too: `unseen` asks only behind the mark, so it is not read again.
    """
    return [Statement(f"DELETE FROM inbox_term WHERE inbox_id IN ({marks(len(ids))})", tuple(ids))] if ids else []


async def done_upto(store: Store) -> int:
    """All messages up to this number have their terms."""
    rows = await store.fetch("SELECT value FROM meta WHERE name = ?", (_UPTO,))
    return int(rows[0][0]) if rows else 0


def done(upto: int) -> Statement:
    return Statement(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_UPTO, str(upto)),
    )


async def beyond(store: Store, after: int, before_us: int, limit: int) -> list[tuple[Received, bytes, bool]]:
    """(row, bytes as received, whether it has terms) of the messages behind the mark, oldest first."""
    rows = await store.fetch(
        "SELECT i.id, i.source, i.control_id, i.received_us, i.event, i.state, i.reason, i.patient, i.stay, "
        "i.handled_us, i.raw, CASE WHEN EXISTS (SELECT 1 FROM inbox_term t WHERE t.inbox_id = i.id) THEN 1 ELSE 0 END "
        "FROM inbox i WHERE i.id > ? AND i.received_us < ? ORDER BY i.id LIMIT ?",
        (after, before_us, limit),
    )
    return [(Received(*row[:10]), bytes(row[10]), bool(row[11])) for row in rows]
