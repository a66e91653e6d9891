"""SQL of how people want to be told, and of who a person is: its roles and clients. What follows: service/notify."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import NamedTuple

from service.search.keys import edge
from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store


@dataclass(frozen=True)
class Preference:
    """A row of table notice_preference (service/store/tables_notify.py), its lists as text separated by blanks.

    channels: "default" for those of the table of kinds. quiet: "22:00-06:00", and " all" where it holds back urgent
    notices too.
    """

    person: str
    role: str
    kind: str
    channels: str = "default"
    quiet: str = ""
    digest: str = ""
    zone: str = ""
    escalate_to: str = ""
    escalate_min: int = 0
    language: str = ""
    changed_us: int = 0


_COLUMNS = ", ".join(field.name for field in fields(Preference))


async def of_person(store: Store, person: str) -> list[Preference]:
    sql = f"SELECT {_COLUMNS} FROM notice_preference WHERE person = ? ORDER BY role, kind"
    return [Preference(*row) for row in await store.fetch(sql, (person,))]


def replaced(person: str, rows: Sequence[Preference]) -> list[Statement]:
    """All of the person's rows by these."""
    insert = f"INSERT INTO notice_preference ({_COLUMNS}) VALUES ({marks(len(fields(Preference)))})"
    gone = Statement("DELETE FROM notice_preference WHERE person = ?", (person,))
    return [gone, *(Statement(insert, astuple(row)) for row in rows)]


_ORGANIZATION = edge("PractitionerRole", "organization")
_PRACTITIONER = edge("PractitionerRole", "practitioner")


async def who_asked(store: Store, organization: str, kind: str) -> list[str]:
    """People named by a PractitionerRole of the organization who have a preference of their own for this kind.

    Whether the role counts is not looked at here: that is decided when they are told.
    """
    sql = (
        "SELECT DISTINCT n.person FROM ref o JOIN ref p ON p.vid = o.vid AND p.param = ? "
        "JOIN resource r ON r.key = p.target JOIN notice_preference n ON n.person = r.rtype || '/' || r.fhir_id "
        "WHERE o.param = ? AND o.target = ? AND n.kind = ? AND n.channels <> '' ORDER BY n.person"
    )
    params = (_PRACTITIONER, _ORGANIZATION, store.keys.resource(organization), kind)
    return [str(row[0]) for row in await store.fetch(sql, params)]


class OwnClient(NamedTuple):
    """A client registered for one person."""

    id: str
    role: str
    organization: str
    scopes: str
    purpose: str


async def clients_of(store: Store, person: str) -> list[OwnClient]:
    """Neither suspended nor ended."""
    sql = (
        "SELECT id, role, organization, scopes, purpose FROM client "
        "WHERE person = ? AND active = 1 AND suspended_us IS NULL ORDER BY id"
    )
    return [OwnClient(*row) for row in await store.fetch(sql, (person,))]
