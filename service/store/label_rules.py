"""Sensitivity that follows from where data comes from (table label_rule), and the labels of stored versions.

A rule of the kind `source` is about what an organization writes (a program under 42 CFR Part 2), one of the kind
`reference` about what refers to an organization, place, service or person. store/commit.py reads the rules that its
writes meet within its transaction; what is stored already is labelled by service/workflow/relabelling.py.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from service.search.keys import Keys
from service.store.change import Statement
from service.store.engine import Store

KINDS = ("source", "reference")
REFERRED = ("HealthcareService/", "Location/", "Organization/", "Practitioner/", "PractitionerRole/")
"""What rules of the kind `reference` may be about."""
_MADE_BY, _PROGRESS = "labels_made_by", "labels_progress"
_FIRST = -(2**63)


class Rule(NamedTuple):
    kind: str
    value: str
    labels: int
    note: str


class Stored(NamedTuple):
    """A version that is stored. body: None of a deletion. labels: as they are. before: those of the version before."""

    vid: int
    key: int
    body: bytes | None
    labels: int
    source_org: int
    before: int


def from_source(source_org: int) -> int:
    """Key of the rule about what this organization (its resource key) writes."""
    return ~source_org


def key_of(keys: Keys, kind: str, value: str) -> int:
    key = keys.resource(value)
    return from_source(key) if kind == "source" else key


async def rules(store: Any) -> list[Rule]:
    """`store`: anything with fetch."""
    sql = "SELECT kind, value, labels, note FROM label_rule ORDER BY kind DESC, value"
    return [Rule(*row) for row in await store.fetch(sql)]


async def by_key(store: Store) -> dict[int, int]:
    return dict(await store.fetch("SELECT key, labels FROM label_rule"))


async def of_source(store: Store, source_org: int) -> int:
    """Bits that the rule about an organization's (key) writing gives; 0 where there is none."""
    rows = await store.fetch("SELECT labels FROM label_rule WHERE key = ?", (from_source(source_org),))
    return int(rows[0][0]) if rows else 0


def put(keys: Keys, rule: Rule) -> Statement:
    return Statement(
        "INSERT INTO label_rule (key, kind, value, labels, note) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET labels = excluded.labels, note = excluded.note",
        (key_of(keys, rule.kind, rule.value), *rule),
    )


def remove(keys: Keys, kind: str, value: str) -> Statement:
    return Statement("DELETE FROM label_rule WHERE key = ?", (key_of(keys, kind, value),))


async def places_of(store: Store, organization: str, edges: Sequence[int]) -> list[str]:
    """Directory entries that belong to an organization: over which references, by their numbers in table ref."""
    if not edges:
        return []
    sql = (
        "SELECT DISTINCT r.rtype, r.fhir_id FROM ref f JOIN resource r ON r.vid = f.vid "
        f"WHERE f.target = ? AND r.deleted = 0 AND f.param IN ({', '.join('?' * len(edges))}) ORDER BY 1, 2"
    )
    return [f"{row[0]}/{row[1]}" for row in await store.fetch(sql, (store.keys.resource(organization), *edges))]


# --- labels of what is stored ----------------------------------------------------------------------------------------


def wanted(known: Sequence[Rule], code_lists: str) -> str:
    """What all labels should follow. code_lists: digest of the value sets."""
    facts = [[rule.kind, rule.value, rule.labels] for rule in known]
    return sha256(orjson.dumps([facts, code_lists])).hexdigest()


async def is_applied(store: Any, code_lists: str) -> bool:
    """Whether the labels of all versions follow the rules as they are, or there is nothing stored."""
    made = await store.fetch("SELECT value FROM meta WHERE name = ?", (_MADE_BY,))
    if made and made[0][0] == wanted(await rules(store), code_lists):
        return True
    return not await store.fetch("SELECT key FROM resource LIMIT 1")


async def progress(store: Store, rules_now: str) -> int:
    """vid of the last version done; progress towards other rules does not count."""
    rows = await store.fetch("SELECT value FROM meta WHERE name = ?", (_PROGRESS,))
    made_for, _, after = str(rows[0][0] if rows else "").partition(" ")
    return int(after) if made_for == rules_now else _FIRST


def reached(rules_now: str, after: int) -> Statement:
    return _note(_PROGRESS, f"{rules_now} {after}")


def applied(rules_now: str) -> Statement:
    return _note(_MADE_BY, rules_now)


def _note(name: str, value: str) -> Statement:
    return Statement(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


async def batch(store: Store, after: int, limit: int) -> list[Stored]:
    """The next versions in the order in which they were made, former ones too."""
    rows = await store.fetch(
        "SELECT v.vid, v.key, v.body, v.labels, v.source_org, CASE WHEN v.op = 3 THEN (SELECT p.labels FROM version p "
        "WHERE p.key = v.key AND p.version = v.version - 1) ELSE 0 END "
        "FROM version v WHERE v.vid > ? ORDER BY v.vid LIMIT ?",
        (after, limit),
        heavy=True,
    )
    return [
        Stored(vid, key, body, labels, source_org, before or 0) for vid, key, body, labels, source_org, before in rows
    ]


def relabel(vid: int, key: int, labels: int) -> list[Statement]:
    """A version, and the head where it is still this version, gets other labels; no version comes of it."""
    return [
        Statement("UPDATE version SET labels = ? WHERE vid = ?", (labels, vid)),
        Statement("UPDATE resource SET labels = ? WHERE key = ? AND vid = ?", (labels, key, vid)),
    ]
