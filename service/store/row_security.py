"""The third wall, on PostgreSQL: row-level security for the role that reads (../shared/decisions.md 11).

Policies on `resource` and `version` say what service/store/visible.py says of relation and Consents, so that a query
that forgets its predicate finds nothing foreign, in no join and no EXISTS. Scopes are not part of it. Whose rights
count stands in settings of the connection (reader.py), which fail where they are not set.
"""

import re
from typing import Any

from service.search.clearance import GENERAL
from service.search.restriction import Restriction, See
from service.store.visible import ASSIGNED, OWNED, PARTY_EDGES, _party, panel_row
from service.store.visible_consent import consented

SETTINGS = (
    "subjects", "own", "actors", "purposes", "open", "panel", "party", "owned", "view", "since", "until"
)  # fmt: skip
"""Each is `enlace.<name>`: arrays as text, instants as numbers; the instant asked for lies from since to until."""
READS = ("ix", "ix_date", "ix_num", "ix_str", "ref", "panel", "clearance")
SECOND = 1_000_000

_INT, _TEXT = "int8[]", "text[]"


def setting(name: str, kind: str) -> str:
    """A subselect: read once for a statement, not once for a row. Not set: an error, or no row."""
    # The second cast makes it a value: ANY (SELECT ...) would look through rows.
    return f"(SELECT current_setting('enlace.{name}')::{kind})::{kind}"


_SUBJECTS, _ACTORS = setting("subjects", _INT), setting("actors", _INT)
_OWN = setting("own", _INT)
_ANYBODY = Restriction(subjects=(1,), own=(2,), purposes=("x",), grace_us=1)
"""A person who acts for an organization: visible.py says more of it than of an organization that calls itself."""
_INSTANTS = {
    "start_us <= ?": f"start_us <= {setting('until', 'int8')}",
    "end_us > ?": f"end_us > {setting('since', 'int8')}",
}


def _bound(sql: str, names: str) -> str:
    """The condition with settings in the place of its parameters. names: whom its lists hold."""
    for row in ("p", "o"):
        sql = sql.replace(f"({row}.end_us > ? OR ({row}.end_us > ? AND", f"({row}.end_us > {setting('since', 'int8')} "
                          f"OR ({row}.end_us > {setting('graced', 'int8')} AND")  # fmt: skip
    # The organization's own row needs no other; what it is part of stands in actors, and so does the person itself.
    sql = sql.replace("(p.basis = 'break-glass' OR", f"(p.subject = ANY({_OWN}) OR p.basis = 'break-glass' OR")
    sql = sql.replace("o.subject IN (?)", f"o.subject = ANY({_ACTORS}) AND o.subject <> p.subject")
    for asked, told in _INSTANTS.items():
        sql = sql.replace(asked, told)
    sql = re.sub(r"([a-z]+\.purpose) IN \(\?, \?\)", rf"(\1 = '' OR \1 = ANY({setting('purposes', _TEXT)}))", sql)
    sql = re.sub(r"([a-z]+\.[a-z]+) IN \(0, \?\)", rf"(\1 = 0 OR \1 = ANY({names}))", sql)
    return re.sub(r"([a-z]+\.[a-z]+) IN \(\?\)", rf"\1 = ANY({names})", sql)


def _consent_function() -> str:
    """A function, called where the relation holds already: its text in each policy would be planned each time.

    It runs as the owner: what Consents say of data that goes with other data looks at that, as the first wall does; as
    the reader it would ask this policy again, of the same row without end. Its answer is all that the reader gets.
    """
    sql = _bound(consented("w", _ANYBODY)[0], _ACTORS)
    return (
        "CREATE OR REPLACE FUNCTION enlace_consented(key int8, rtype text, patient int8, labels int8, source_org int8) "
        "RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE COST 1000 "
        "SECURITY DEFINER SET search_path = public, pg_temp AS $f$ SELECT "
        f"{sql} FROM (SELECT $1 AS key, $2 AS rtype, $3 AS patient, $4 AS labels, $5 AS source_org) w $f$"
    )


def _consent(table: str) -> str:
    """The function is asked only where there is a label or a general refusal: each call of it costs a plan."""
    quiet = (
        f"{table}.labels = 0 AND NOT EXISTS (SELECT 1 FROM clearance cd WHERE cd.patient = {table}.patient "
        f"AND (cd.labels & {GENERAL}) <> 0 AND (cd.grade & 1) = 1)"
    )
    columns = ", ".join(f"{table}.{name}" for name in ("key", "rtype", "patient", "labels", "source_org"))
    return f"(({quiet}) OR enlace_consented({columns}))"


def _party_sql(rtype: str) -> str:
    edges = iter(_party("resource", rtype, _ANYBODY, "resource.vid")[1])
    sql = _party("resource", rtype, _ANYBODY, "resource.vid")[0]
    parts = sql.split("?")
    values = [str(value) if value != 1 else None for value in edges]
    text = "".join(part + ("?" if value is None else value) for part, value in zip(parts, [*values, ""], strict=True))
    return _bound(text, _SUBJECTS)


def _resource_policy() -> str:
    def panel(which: str, grace_us: int = 0) -> str:
        return _bound(panel_row("resource.patient", _ANYBODY, which, grace_us=grace_us)[0], _SUBJECTS)

    def of(rule: str) -> str:
        return f"resource.rtype = ANY({setting(rule, _TEXT)})"

    party = " OR ".join(f"(resource.rtype = '{rtype}' AND {_party_sql(rtype)})" for rtype in PARTY_EDGES)
    related = (
        f"({of('panel')} AND {panel(ASSIGNED, 1)}) OR (({of('panel')} OR {of('party')}) AND {panel('')} AND ({party})) "
        f"OR ({of('view')} AND {panel(OWNED)})"
    )
    consent = _consent("resource")
    mine = f"{of('owned')} AND resource.source_org = ANY({setting('own', _INT)})"
    return f"{of('open')} OR ({mine}) OR (({related}) AND {consent})"


def _version_policy() -> str:
    """As the head is seen; and what labels this version bears is allowed."""
    consent = _consent("version")
    return (
        "EXISTS (SELECT 1 FROM resource r WHERE r.key = version.key) AND ("
        f"version.rtype = ANY({setting('open', _TEXT)}) OR version.source_org = ANY({setting('own', _INT)}) "
        f"OR {consent})"
    )


def statements(reader: str) -> list[str]:
    """What the owner runs, again after each migration. reader: a role that exists and owns nothing."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", reader):
        raise ValueError("the reader's role must be a plain lower-case name")
    consented = "FUNCTION enlace_consented(int8, text, int8, int8, int8)"
    made = [_consent_function(), f"REVOKE ALL ON {consented} FROM PUBLIC", f"GRANT EXECUTE ON {consented} TO {reader}"]
    made.append(f"GRANT USAGE ON SCHEMA public TO {reader}")
    made.append(f"GRANT SELECT ON resource, version, {', '.join(READS)} TO {reader}")
    own = f"current_user <> '{reader}'"
    for table, policy in (("resource", _resource_policy()), ("version", _version_policy())):
        made += [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"DROP POLICY IF EXISTS enlace_reads ON {table}",
            f"DROP POLICY IF EXISTS enlace_writes ON {table}",
            f"CREATE POLICY enlace_reads ON {table} FOR SELECT TO {reader} USING ({policy})",
            f"CREATE POLICY enlace_writes ON {table} USING ({own}) WITH CHECK ({own})",
        ]
    return made


def rights(restriction: Restriction, *, exact: bool = False) -> tuple[str, ...]:
    """The values of SETTINGS and of `graced`. Instants are widened to their second, so that they seldom change: the
    first wall is exact."""
    now = restriction.now_us
    since, until = (now, now) if exact else (now - now % SECOND, now - now % SECOND + SECOND)
    types = restriction.types

    def ints(values: Any) -> str:
        return "{" + ",".join(str(value) for value in values) + "}"

    def of(*rules: See) -> str:
        return "{" + ",".join(sorted(rtype for rtype, rule in types.items() if rule in rules)) + "}"

    return (
        ints(restriction.subjects), ints(restriction.own), ints(restriction.actors),
        "{" + ",".join(restriction.purposes) + "}", of(See.OPEN), of(See.PANEL), of(See.PARTY),
        of(See.PANEL, See.PARTY, See.OWN, See.VIEW), of(See.VIEW), str(since), str(until),
        str(since - restriction.grace_us),
    )  # fmt: skip


_NAMES = (*SETTINGS, "graced")
SET = "SELECT " + ", ".join(f"set_config('enlace.{name}', ${at}, false)" for at, name in enumerate(_NAMES, 1))
"""For the session: the connection belongs to the reader's pool, which sets it before each statement (reader.py)."""
