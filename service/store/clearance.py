"""SQL of the compiled Consents: the rows of a patient, what replaces them, and which Consent replaces which."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import NamedTuple

from service.search.clearance import Rule
from service.search.keys import edge
from service.store.change import Statement
from service.store.dialect import columns, marks
from service.store.engine import Store

_COLUMNS = columns("clearance")
_SOURCE = edge("Consent", "source-reference")


class Stored(NamedTuple):
    """A current resource and who wrote it."""

    reference: str
    body: bytes
    source_org: int


async def rules_of(store: Store, patient: int) -> list[Rule]:
    """All rules of a patient, in force or not."""
    sql = f"SELECT {', '.join(_COLUMNS)} FROM clearance WHERE patient = ? ORDER BY consent, number"
    return [Rule(*row) for row in await store.fetch(sql, (patient,))]


async def opens_to(store: Store, patient: int, actor: int) -> bool:
    """Whether a Consent permits anything to this actor, by its key: a CareTeam."""
    sql = "SELECT 1 FROM clearance WHERE patient = ? AND actor = ? AND (grade & 1) = 0 LIMIT 1"
    return bool(await store.fetch(sql, (patient, actor)))


def replaced(consent: int, rules: Sequence[Rule]) -> list[Statement]:
    """The rows of one Consent make way for these. A group runs all deletions first, then what comes in their place."""
    return [Statement("DELETE FROM clearance WHERE consent = ?", (consent,)), *_inserts(rules)]


def _inserts(rules: Sequence[Rule]) -> Iterator[Statement]:
    # Two entries of a transaction may both replace the Consent that both supersede: with the same rows.
    sql = f"INSERT INTO clearance ({', '.join(_COLUMNS)}) VALUES ({marks(len(_COLUMNS))}) ON CONFLICT DO NOTHING"
    return (Statement(sql, astuple(rule)) for rule in rules)


def orphans() -> Statement:
    """Drops the rows of Consents that are no more."""
    sql = (
        "DELETE FROM clearance WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.key = consent AND r.deleted = 0) "
        "AND NOT EXISTS (SELECT 1 FROM panel p WHERE p.source = consent AND p.basis = 'break-glass')"
    )
    return Statement(sql, ())


async def successors(store: Store, consent: int) -> list[Stored]:
    """Current Consents whose source is this one."""
    rows = await store.fetch(
        "SELECT v.rtype, v.fhir_id, v.body, v.source_org FROM ref e JOIN version v ON v.vid = e.vid "
        "WHERE e.param = ? AND e.target = ?",
        (_SOURCE, consent),
    )
    return [_stored(row) for row in rows]


async def consents(store: Store, after: int, limit: int) -> list[tuple[int, Stored]]:
    """(vid, Consent) of the next current Consents in order of vid."""
    rows = await store.fetch(
        "SELECT v.rtype, v.fhir_id, v.body, v.source_org, v.vid FROM ix i JOIN version v ON v.vid = i.vid "
        "WHERE i.key = ? AND i.vid > ? ORDER BY i.vid LIMIT ?",
        (store.keys.marker("Consent"), after, limit),
        heavy=True,
    )
    return [(row[4], _stored(row)) for row in rows]


def _stored(row: Sequence[object]) -> Stored:
    rtype, fhir_id, body, source_org = row[:4]
    assert isinstance(body, bytes | memoryview) and isinstance(source_org, int)
    return Stored(f"{rtype}/{fhir_id}", bytes(body), source_org)
