"""What a caller may see, as plain data: built by service/access, turned into SQL by service/store/find.py.

Deny by default: a type that has no rule is not visible. The keys are resource keys (service/search/keys.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from service.search.criteria import Clause


class See(Enum):
    """How resources of one type become visible to a caller."""

    OPEN = "open"  # types without a patient: everyone with the scope
    PANEL = "panel"  # the resource's patient is in the caller's panel now
    PARTY = "party"  # in the panel, and an edge leads from the resource (or a Task about it) to the caller
    OWN = "own"  # only what the caller's organization wrote
    VIEW = "view"  # what the organization wrote, whole; of a Task that the caller owns a minimum view (views)


@dataclass(frozen=True)
class Reach:
    """What one scope of the token reaches: what fits all clauses, and is of this Patient's record (None: of any)."""

    clauses: tuple[Clause, ...] = ()
    patient: int | None = None


@dataclass(frozen=True)
class Restriction:
    """The caller's view of the store.

    subjects: keys of the organization and the person whose panels count. own: keys whose writes the caller always sees.
    types: rule per resource type. now_us: instant at which panels and consents are read. unrestricted: the service
    itself (and a sandbox operator).
    actors: keys under which a Consent may name the caller: person, organization, those it is part of. purposes: the
    caller's purpose of use and those that include it; a Consent that names none fits always.
    narrowed: type -> alternatives, of which one must hold; a type that is absent is not narrowed by scopes. It also
    holds where unrestricted.
    """

    subjects: tuple[int, ...] = ()
    own: tuple[int, ...] = ()
    types: dict[str, See] = field(default_factory=dict)
    now_us: int = 0
    unrestricted: bool = False
    actors: tuple[int, ...] = ()
    purposes: tuple[str, ...] = ()
    narrowed: Mapping[str, tuple[Reach, ...]] = field(default_factory=dict)
    views: bool = False
    """Whether See.VIEW also reaches what is shown as a minimum view: where it is read or included, nowhere else."""
    grace_us: int = 0
    """For so long after its end an assignment is still read by; never where something is written."""

    def rule(self, rtype: str) -> See | None:
        return self.types.get(rtype)


NOTHING = Restriction()
EVERYTHING = Restriction(unrestricted=True)
