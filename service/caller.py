"""Who is calling: plain data, made by service/auth from a token and read by every layer above the store."""

from collections.abc import Callable
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
class Caller:
    """A client of one organization in one role, perhaps for one person.

    `organization` and `person` are relative references ("Organization/o1", "Practitioner/p1").
    `allows(letter, type)` says whether the granted scopes hold `letter` of c r u d s for the type.
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
