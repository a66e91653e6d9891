"""What Enlace must know of a sending system that its messages do not say: zone, charset, facilities, codes, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

PatientClass = Literal["ED", "INPATIENT", "OBSERVATION", "AMBULATORY", "PRE", "OTHER", "UNKNOWN"]
CLASSES: tuple[PatientClass, ...] = ("ED", "INPATIENT", "OBSERVATION", "AMBULATORY", "PRE", "OTHER", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class FacilityConfig:
    """One facility behind a feed of many: its Organization, its name in alerts, its zone ("" as the source's)."""

    reference: str
    display: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One sending system, found by MSH-3/MSH-4 (`Header.sender`) or by its certificate.

    `facility` is the reference of its one facility ("Organization/..."), "" for a feed with many (an HIE): then the
    facility is read from each message and looked up in `facilities`, by NPI or by name as sent (`at`).
    `class_map` maps "PV1-2:HOV", "PV1-18:OBS", "PV1-10:OBS" or "PV1-3:5 OBS" (the unit) to a class; PV1-18, PV1-10
    and PV1-3 are asked before PV1-2. `disposition_map` maps PV1-36.1 as sent to an NUBC code ("HOME" -> "01").
    `authorities` maps an assigning authority as sent (CX-4.1 or 4.2) to the URI that is its system.
    `certificates`: who may speak for this source ("sha256:<hex>", "dns:<name>", "cn:<name>", "client:<client id>").
    `ack_mode` overrides what MSH-15/16 ask; `hours` are those in which it sends at all ("mon" -> "08:00-18:00").
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
    disposition_map: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    authorities: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    facilities: Mapping[str, FacilityConfig] = field(default_factory=lambda: MappingProxyType({}))
    certificates: tuple[str, ...] = ()
    hours: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def tz(self) -> ZoneInfo:
        """The zone of times without an offset."""
        return ZoneInfo(self.zone)

    def authority(self, *told: str) -> str:
        """The system of the first of these assigning authorities that is registered, else ""."""
        return next(
            (self.authorities[one.strip().upper()] for one in told if one.strip().upper() in self.authorities), ""
        )

    def disposition(self, code: str) -> str:
        """The NUBC code that this sender means by PV1-36.1, "" where it is not registered."""
        return self.disposition_map.get(code.strip().upper(), "")

    def class_of(self, field: str, value: str) -> PatientClass | None:
        """What this sender means by a value of PV1-2, PV1-3, PV1-10 or PV1-18, in capitals or not."""
        exact = self.class_map.get(f"{field}:{value}")
        return exact or self.class_map.get(f"{field}:{value.strip().upper()}")

    def gives_cins(self, *told: str) -> bool:
        """Whether one of these assigning authorities is among `cin_authorities`, in capitals or not."""
        known = {one.strip().upper() for one in self.cin_authorities}
        return any(one.strip().upper() in known for one in told if one.strip())

    def at(self, *told: str) -> SourceConfig:
        """This source at the first of these facilities (NPI, id, name as sent) that is registered: its Organization,
        its name and its zone. Itself where none is; a network's name is not that of a hospital."""
        for one in told:
            found = self.facilities.get(one.strip().upper())
            if found:
                return replace(
                    self,
                    facility=found.reference,
                    facility_display=found.display or (self.facility_display if self.facility else ""),
                    zone=found.zone or self.zone,
                )
        many = self.facilities and not self.facility and any(told)
        return replace(self, facility_display="") if many else self
