"""What Enlace must know of a sending system that its messages do not say: zone, charset, facility, codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

PatientClass = Literal["ED", "INPATIENT", "OBSERVATION", "AMBULATORY", "PRE", "OTHER", "UNKNOWN"]


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One sending system, found by MSH-3/MSH-4 (`Header.sender`).

    `facility` is the reference of its one facility ("Organization/..."), "" for a feed with many (an HIE): then the
    facility is read from each message. `class_map` maps "PV1-2:HOV", "PV1-18:OBS", "PV1-10:OBS" or "PV1-3:5 OBS"
    (the unit) to a class; PV1-18, PV1-10 and PV1-3 are asked before PV1-2. `ack_mode` overrides what MSH-15/16 ask.
    """

    name: str
    facility: str = ""
    facility_display: str = ""
    zone: str = "America/Los_Angeles"
    charset: str = ""
    class_map: Mapping[str, PatientClass] = field(default_factory=lambda: MappingProxyType({}))
    ack_mode: Literal["original", "enhanced"] | None = None
    reply_always: bool = True
    cin_authorities: tuple[str, ...] = ()
    processing_ids: tuple[str, ...] = ("P",)

    @property
    def tz(self) -> ZoneInfo:
        """The zone of times without an offset."""
        return ZoneInfo(self.zone)
