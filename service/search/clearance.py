"""A rule of a Consent as plain data, one row of table `clearance`: made by service/access/consent/compile.py.

How rules decide, of one patient and for each label bit that a resource needs. First within each Consent: of the rules
that fit, the highest grade stands for it, and a grade counts depth first: an exception wins over the rule that it
excepts from. Then among the Consents: of those that stand for them the highest `weight` decides, which is twice the
specificity plus one for a deny: the more specific rule wins, and at equal specificity a deny. Depth does not count
here, so a permit that is an exception in one Consent does not win over an equally specific deny of another.

    grade = SPAN * depth + weight        weight = 2 * specificity + (1 if it denies)

A resource needs GENERAL and every label that it bears. GENERAL is permitted where no rule says otherwise, a label is
denied where no rule says otherwise: so a labelled resource needs a permit for each of its labels and no deny for data
in general.
"""

from dataclasses import dataclass
from enum import IntEnum

LABEL_BITS = 16
"""So many lower bits may be labels (service/access/labels.py); a bit beyond is cleared by nothing."""
GRADES = {"R": 1 << 7, "V": 1 << 8}
"""A confidentiality above normal that says nothing of its reason -> its bit."""
GRADED = sum(GRADES.values())
GENERAL = 1 << 40
"""What every resource needs, labelled or not."""
SPAN = 16
"""Weights are below it."""
EMERGENCY = 14
"""Weight of what an emergency access opens (service/store/break_glass.py): a permit above every Consent's word."""


class Specificity(IntEnum):
    """Of a rule as a whole, with what it inherits: what it names decides (../shared/decisions.md 18)."""

    ANY = 0
    PURPOSE = 1
    DATA = 2
    RECIPIENT = 3
    UNREADABLE = 4
    """Above all: what stands for a Consent that cannot be interpreted. It only denies."""


class DataKind(IntEnum):
    ANY = 0
    INSTANCE = 1
    RELATED = 2
    """The resource and those it refers to."""
    DEPENDENTS = 3
    """The resource and those that refer to it."""
    AUTHORED_BY = 4
    """What the organization wrote."""


@dataclass(frozen=True)
class Rule:
    """Fields are the columns of `clearance`, in their order; see service/store/tables_access.py."""

    patient: int
    consent: int
    number: int
    actor: int
    also: int
    purpose: str
    labels: int
    rtype: str
    data_kind: int
    data: int
    grade: int
    start_us: int
    end_us: int

    @property
    def denies(self) -> bool:
        return bool(self.grade & 1)

    @property
    def weight(self) -> int:
        """What counts among several Consents."""
        return self.grade % SPAN


def high_water(bits: int) -> int:
    """Labels of a resource: a confidentiality beside any other label says no more than that does, and R no more than V.

    Each sensitivity is at least R, so a sender that writes both has said one thing.
    """
    if bits & ~GRADED:
        return bits & ~GRADED
    return GRADES["V"] if bits & GRADES["V"] else bits


def grade(depth: int, specificity: int, *, denies: bool) -> int:
    return SPAN * depth + 2 * specificity + denies
