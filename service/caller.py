"""Who is calling: plain data, made by service/auth from a token and read by every layer above the store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """Roles of a client or person; what each sees and writes: ../shared/facts/california.md C.6."""

    ADMIN = "admin"
    ECM_PROVIDER = "ecm-provider"
    LCM = "lcm"
    MCP = "mcp"
    CBO = "cbo"
    HOSPITAL = "hospital"
    REFERRER = "referrer"
    SYSTEM = "system"  # the service itself: worker, plan files, seed; never on a token


@dataclass(frozen=True)
class Reached:
    """What one scope reaches: what fits all (parameter, value) pairs; patient: of the token's one Patient only."""

    query: tuple[tuple[str, str], ...] = ()
    patient: bool = False


WHOLE = Reached()


class Rights:
    """What the scopes of a token hold, by letter of c r u d s and type: a call says whether, `reaches` how far.

    table: (letter, type or "*") -> what each scope reaches. whole: types that are not narrowed, but refused instead.
    """

    def __init__(self, table: Mapping[tuple[str, str], tuple[Reached, ...]], whole: frozenset[str] = frozenset()):
        self._table, self._whole = table, whole

    def __call__(self, letter: str, rtype: str) -> bool:
        return bool(self.reaches(letter, rtype))

    def reaches(self, letter: str, rtype: str) -> tuple[Reached, ...]:
        """Alternatives, of which one must fit; (WHOLE,) where nothing is narrowed, () where nothing is allowed."""
        found = (*self._table.get((letter, rtype), ()), *self._table.get((letter, "*"), ()))
        if WHOLE in found:
            return (WHOLE,)
        return () if rtype in self._whole else found


@dataclass(frozen=True)
class Caller:
    """A client of one organization in one role, perhaps for one person.

    `organization` and `person` are relative references ("Organization/o1", "Practitioner/p1").
    `allows(letter, type)` says whether the granted scopes hold `letter` of c r u d s for the type; a Rights says how
    far as well (service/access/scoping.py).
    """

    client_id: str
    role: Role
    organization: str
    person: str | None = None
    scopes: str = ""
    allows: Callable[[str, str], bool] = field(default=lambda _letter, _type: False, compare=False)
    purpose: str = "TREAT"
    above: tuple[str, ...] = ()
    """Organizations of which the caller's is part, nearest first: what a Consent permits them it permits the caller."""
    patient: str | None = None
    """Launch context of the token: the one Patient for whom `patient/` scopes count."""
    token: str = ""
    """End of the token's digest, for audit; never enough to use it."""

    @property
    def agent(self) -> str:
        """The reference that Provenance and audit name: the person where there is one."""
        return self.person or self.organization


def system_caller(organization: str = "Device/enlace") -> Caller:
    return Caller("enlace", Role.SYSTEM, organization, allows=lambda _letter, _type: True)
