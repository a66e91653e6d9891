"""PID/MRG groups -> which identifiers retire into which: HL7 v2.5.1 chapter 3, 3.3.40 (A40) and 3.4.10 (MRG)."""

from __future__ import annotations

from mappers.hl7v2.datatypes import identifier
from mappers.hl7v2.event import Merge
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Message
from mappers.hl7v2.source import SourceConfig


def merges(message: Message, source: SourceConfig) -> tuple[tuple[Merge, ...], list[Finding]]:
    """One Merge per PID/MRG pair; a pair without retired identifiers is reported and left out."""
    findings: list[Finding] = []
    found: list[Merge] = []
    for group in message.groups("PID"):
        pid, mrgs = group[0], [one for one in group if one.name == "MRG"]
        if not mrgs:
            findings.append(Finding("segment-missing", "MRG", "error", "A merge has no MRG segment."))
        surviving = tuple(i for rep in pid.reps(3) if (i := identifier(rep, "PID-3", source, findings)))
        for mrg in mrgs:
            retired = tuple(i for rep in mrg.reps(1) if (i := identifier(rep, "MRG-1", source, findings)))
            if not retired:
                findings.append(Finding("id-missing", "MRG-1", "error", "A merge names no identifier to retire."))
                continue
            found.append(Merge(surviving, retired, mrg.get(3), mrg.get(5)))
    return tuple(found), findings
