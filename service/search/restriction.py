"""What a caller may see, as plain data: built by service/access, turned into SQL by service/store/find.py.

Deny by default: a type that has no rule is not visible. The keys are resource keys (service/search/keys.py).
"""

from dataclasses import dataclass, field
from enum import Enum


class See(Enum):
    """How resources of one type become visible to a caller."""

    OPEN = "open"  # types without a patient: everyone with the scope
    PANEL = "panel"  # the resource's patient is in the caller's panel now
    PARTY = "party"  # in the panel, and an edge leads from the resource (or a Task about it) to the caller
    OWN = "own"  # only what the caller's organization wrote


@dataclass(frozen=True)
class Restriction:
    """The caller's view of the store.

    subjects: keys of the organization and the person whose panels count. own: keys whose writes the caller always sees.
    types: rule per resource type. cleared: bits of the sensitivity labels that the caller may see of others' resources.
    now_us: instant at which panel periods are read. unrestricted: the service itself (and a sandbox operator).
    """

    subjects: tuple[int, ...] = ()
    own: tuple[int, ...] = ()
    types: dict[str, See] = field(default_factory=dict)
    cleared: int = 0
    now_us: int = 0
    unrestricted: bool = False

    def rule(self, rtype: str) -> See | None:
        return self.types.get(rtype)


NOTHING = Restriction()
EVERYTHING = Restriction(unrestricted=True)
