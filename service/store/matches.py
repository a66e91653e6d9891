"""SQL of matches: what people decided about them, known record numbers, and numbers that go on as other ones."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.together import each

SAME, OTHER, NOBODY = "same", "other", "nobody"
"""The patient is the one; is certainly not the one; none of our members is the one (patient is then "")."""
Number = tuple[str, str]
"""(authority as in mrn_link, record number)"""


class Decided(NamedTuple):
    """A row of match_decision."""

    subject: str
    patient: str
    verdict: str


class Merged(NamedTuple):
    """A message said that `number` goes on as `into`."""

    number: Number
    into: Number
    at_us: int
    inbox_id: int


def stay_subject(stay: str) -> str:
    return f"stay:{stay}"


def number_subject(number: Number) -> str:
    return f"mrn:{number[0]}|{number[1]}"


async def decisions(store: Store, subjects: Sequence[str]) -> list[Decided]:
    if not subjects:
        return []
    rows = await store.fetch(
        f"SELECT subject, patient, verdict FROM match_decision WHERE subject IN ({marks(len(subjects))}) "
        "ORDER BY subject, patient",
        tuple(subjects),
    )
    return [Decided(*row) for row in rows]


def decide(subject: str, patient: str, verdict: str, *, by: str, now_us: int, review: int | None) -> list[Statement]:
    """Of one subject at most one patient is the same; what is known of others beside it stays."""
    made = []
    if verdict != OTHER:
        # The row that is written below is left alone: within a group the deletion may run after it.
        sql = "DELETE FROM match_decision WHERE subject = ? AND verdict <> 'other' AND patient <> ?"
        made.append(Statement(sql, (subject, patient)))
    made.append(
        Statement(
            "INSERT INTO match_decision (subject, patient, verdict, by, at_us, review) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (subject, patient) DO UPDATE SET verdict = excluded.verdict, by = excluded.by, "
            "at_us = excluded.at_us, review = excluded.review",
            (subject, patient, verdict, by, now_us, review),
        )
    )
    return made


def link(number: Number, patient: str, now_us: int, inbox_id: int) -> Statement:
    """A known number keeps its Patient; one whose link was ended may be linked anew."""
    return Statement(
        "INSERT INTO mrn_link (authority, mrn, patient, since_us, ended_us, inbox_id) VALUES (?, ?, ?, ?, NULL, ?) "
        "ON CONFLICT (authority, mrn) DO UPDATE SET patient = excluded.patient, since_us = excluded.since_us, "
        "ended_us = NULL, inbox_id = excluded.inbox_id WHERE mrn_link.ended_us IS NOT NULL",
        (*number, patient, now_us, inbox_id),
    )


def end_link(number: Number, patient: str, now_us: int) -> Statement:
    return Statement(
        "UPDATE mrn_link SET ended_us = ? WHERE authority = ? AND mrn = ? AND patient = ? AND ended_us IS NULL",
        (now_us, *number, patient),
    )


async def linked(store: Store, numbers: Iterable[Number]) -> dict[Number, str]:
    """Number -> reference of the Patient to whom an earlier match linked it."""
    wanted = list(dict.fromkeys(numbers))
    sql = "SELECT patient FROM mrn_link WHERE authority = ? AND mrn = ? AND ended_us IS NULL"
    found = await each(store, (store.fetch(sql, number) for number in wanted))
    return {number: str(rows[0][0]) for number, rows in zip(wanted, found, strict=True) if rows}


def merge(number: Number, into: Number, inbox_id: int, at_us: int) -> Statement:
    """The same message again takes the place of its former reading."""
    return Statement(
        "INSERT INTO mrn_merge (authority, mrn, inbox_id, into_authority, into_mrn, at_us) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (authority, mrn, inbox_id) DO UPDATE SET into_authority = excluded.into_authority, "
        "into_mrn = excluded.into_mrn, at_us = excluded.at_us",
        (*number, inbox_id, *into, at_us),
    )


async def merges_at(store: Store, number: Number) -> list[Merged]:
    """All that retires the number, and all that goes on as it."""
    rows = await store.fetch(
        "SELECT authority, mrn, into_authority, into_mrn, at_us, inbox_id FROM mrn_merge "
        "WHERE authority = ? AND mrn = ? UNION "
        "SELECT authority, mrn, into_authority, into_mrn, at_us, inbox_id FROM mrn_merge "
        "WHERE into_authority = ? AND into_mrn = ?",
        (*number, *number),
    )
    return [Merged((row[0], row[1]), (row[2], row[3]), row[4], row[5]) for row in rows]
