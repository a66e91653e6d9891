"""PID/MRG groups -> what retires into what: HL7 v2.5.1 chapter 3, 3.3.30 to 3.3.51 (A30 to A51) and 3.4.10 (MRG)."""

from __future__ import annotations

from collections.abc import Sequence

from mappers.hl7v2.datatypes import authority, identifier
from mappers.hl7v2.event import Merge
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Segment
from mappers.hl7v2.source import SourceConfig

# What an effect must name beside the patient: (retired field of MRG, what it is called).
_NEEDS = {
    "merge-account": (3, "account"),
    "move-account": (3, "account"),
    "merge-visit": (5, "visit"),
    "move-visit": (5, "visit"),
    "change-visit": (5, "visit"),
    "change-alternate-visit": (6, "alternate visit"),
}
_NO_PV1 = Segment("PV1", "PV1")


def merges(
    group: Sequence[Segment],
    effect: str,
    source: SourceConfig,
) -> tuple[tuple[Merge, ...], list[Finding]]:
    """One Merge per MRG of a PID group; one that retires nothing is reported and left out."""
    findings: list[Finding] = []
    pid, found = group[0], []
    surviving = tuple(i for rep in pid.reps(3) if (i := identifier(rep, "PID-3", source, findings)))
    pairs = _pairs(group)
    if not pairs:
        findings.append(Finding("segment-missing", "MRG", "error", "A merge has no MRG segment."))
    for mrg, pv1 in pairs:
        retired = tuple(i for rep in mrg.reps(1) if (i := identifier(rep, "MRG-1", source, findings)))
        number, what = _NEEDS.get(effect, (1, "identifier"))
        # A47 and A49 share an effect: the one changes MRG-1, the other MRG-3.
        if not (mrg.get(number) or (effect == "change-id" and mrg.get(3))):
            text = f"A merge, move or change names no {what} to retire."
            findings.append(Finding("id-missing", f"MRG-{number}", "error", text))
            continue
        found.append(
            Merge(
                surviving=surviving,
                retired=retired,
                retired_account=mrg.get(3),
                retired_visit=mrg.get(5),
                surviving_account=pid.get(18),
                surviving_visit=pv1.get(19),
                retired_account_authority=authority(mrg, 3),
                retired_visit_authority=authority(mrg, 5),
                surviving_account_authority=authority(pid, 18),
                surviving_visit_authority=authority(pv1, 19),
                retired_alternate_visit=mrg.get(6),
                surviving_alternate_visit=pv1.get(50),
            )
        )
    return tuple(found), findings


def _pairs(group: Sequence[Segment]) -> list[tuple[Segment, Segment]]:
    """Each MRG with the PV1 that follows it before the next MRG (A45 repeats the pair), else the group's PV1."""
    common = next((one for one in group if one.name == "PV1"), _NO_PV1)
    pairs: list[tuple[Segment, Segment]] = []
    for one in group:
        if one.name == "MRG":
            pairs.append((one, common if not pairs else _NO_PV1))
        elif one.name == "PV1" and pairs:
            pairs[-1] = (pairs[-1][0], one)
    return pairs
