"""What the mapper noticed: a coded remark at an HL7 v2 location, never the value itself (it may be PHI)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is stable and countable, `location` an HL7 name such as "PV1-2", `text` says rule and remedy."""

    code: str
    location: str
    severity: Severity
    text: str
