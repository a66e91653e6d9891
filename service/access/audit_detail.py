"""AuditRow.detail: what an audit row says beside its columns, as JSON; read by service/audit.py and disclosures.

net: address of the client. app: the client, where a person used it. tok: end of the token's digest. q: the request as
sent, of a search. d: what was shown of others' writing, [number of the patient in the row, type, how many, key of the
author, label bits]. w (added by store/commit.py): vids of the versions that the act wrote. consents: by patient, what
permits that labelled data of others was shown. source: the message or file that an act followed from.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from service.caller import Caller, Role
from service.store.change import AuditRow
from service.store.read import Found

MAX_ASKED = 8192
"""Characters of a request that are kept: as much as a URL may have."""
QUERIES = frozenset({"search-type", "search-system", "history", "everything", "match", "disclosures"})


def detail_of(
    caller: Caller,
    kind: str,
    asked: str,
    network: str,
    disclosed: Sequence[Sequence[object]],
    more: Mapping[str, Any] | None,
) -> str:
    """ "" where there is nothing to say: the service's own acts."""
    facts: dict[str, Any] = {}
    if network:
        facts["net"] = network
    if caller.person and caller.role is not Role.SYSTEM:
        facts["app"] = caller.client_id
    if caller.token:
        facts["tok"] = caller.token
    if asked and kind in QUERIES:
        facts["q"] = asked[:MAX_ASKED]
    if disclosed:
        facts["d"] = disclosed
    if more:
        facts.update(more)
    if not facts:
        return ""
    try:
        return orjson.dumps(facts).decode()
    except TypeError:  # half of a surrogate pair, in the URL of an entry
        facts["q"] = asked[:MAX_ASKED].encode("utf-8", "backslashreplace").decode()
        return orjson.dumps(facts).decode()


def consulted(row: AuditRow, consents: Mapping[str, Sequence[str]]) -> AuditRow:
    """The row with the Consents that its answer rests on, by patient."""
    if not consents:
        return row
    facts = {**(orjson.loads(row.detail) if row.detail else {}), "consents": consents}
    return replace(row, detail=orjson.dumps(facts).decode())


def disclosed(patients: Sequence[str], whose: Sequence[str], shown: Sequence[Found], own: int) -> list[list[object]]:
    """What leaves its author: resources of a patient that another organization wrote. whose: patient of each shown."""
    numbers = {patient: number for number, patient in enumerate(patients)}
    counted = Counter(
        (numbers[patient], one.rtype, one.source_org, one.labels)
        for patient, one in zip(whose, shown, strict=True)
        if patient and one.source_org != own
    )
    return [[number, rtype, count, *more] for (number, rtype, *more), count in sorted(counted.items())]
