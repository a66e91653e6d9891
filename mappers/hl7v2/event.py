"""AdtEvent: what one ADT message says, as plain JSON-able facts for matching and for the reducer of stays.

Times are microseconds since the epoch; the `*_text` beside them is the FHIR text with the precision as sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from mappers.hl7v2.record import as_plain, from_plain
from mappers.hl7v2.source import PatientClass


@dataclass(frozen=True, slots=True)
class Identifier:
    """A CX. `system` is a URI; `authority` the assigning authority as sent (namespace or universal id), maybe ""."""

    value: str
    system: str = ""
    authority: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """An XPN. `use` is the FHIR code, or "alias" for PID-9."""

    family: str = ""
    given: tuple[str, ...] = ()
    suffix: str = ""
    prefix: str = ""
    use: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """An XTN: system phone, email, fax or pager; `digits` for comparing telephone numbers (no country code)."""

    system: str
    value: str
    use: str = ""
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """An XAD with FHIR use and type codes."""

    lines: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    zip: str = ""
    county: str = ""
    use: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """An XCN: a clinician. `npi` only where the sender says that the id is one."""

    id: str = ""
    npi: str = ""
    family: str = ""
    given: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A PL: where the patient is."""

    unit: str = ""
    room: str = ""
    bed: str = ""
    facility: str = ""
    building: str = ""
    floor: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Coded:
    """A CWE. `system` is a URI, "" where the sender's coding system is unknown (reported)."""

    code: str = ""
    text: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A DG1; `kind` is A admitting, W working, F final as sent; `delete` when DG1-21 says so."""

    coded: Coded
    kind: str = ""
    rank: int = 0
    delete: bool = False
    at_text: str = ""
    """DG1-19 or DG1-5, when it was attested or diagnosed; FHIR text with the precision as sent."""


@dataclass(frozen=True, slots=True)
class StayKey:
    """Parts of the key of a stay, best first: visit number, account, then MRN with the admission time.

    visit_system, account_system: URI of the numbers as registered for the source, "" where none is; no part of the key.
    """

    facility: str = ""
    visit_number: str = ""
    visit_authority: str = ""
    account: str = ""
    account_authority: str = ""
    mrn: str = ""
    mrn_authority: str = ""
    admit: int | None = None
    alternate_visit: str = ""  # PV1-50
    preadmit: str = ""  # PV1-5
    visit_system: str = ""
    account_system: str = ""


@dataclass(frozen=True, slots=True)
class Facility:
    """Who sent it: `reference` from the source's settings, the rest as the message says."""

    reference: str = ""
    name: str = ""
    npi: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """Identity for matching. `cins` are well-formed Medi-Cal CINs. `placeholder`: an invented name (UNKNOWN)."""

    ids: tuple[Identifier, ...] = ()
    cins: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()
    birth_date: str = ""
    birth_precision: str = ""
    sex: str = ""
    contacts: tuple[Contact, ...] = ()
    addresses: tuple[Address, ...] = ()
    language: str = ""
    deceased: bool | None = None
    death: int | None = None
    death_text: str = ""
    ssn4: str = ""
    identity_unknown: bool = False
    placeholder: bool = False
    mother_ids: tuple[Identifier, ...] = ()
    """PID-21: a newborn is not its mother."""


@dataclass(frozen=True, slots=True)
class Visit:
    """PV1, PV2, DG1 of one visit. `disposition` is a group of facts/adt.md 1.4, "" where nothing was sent."""

    patient_class: PatientClass = "UNKNOWN"
    class_code: str = ""
    class_source: str = ""
    patient_type: str = ""
    service: str = ""
    location: Place | None = None
    prior_location: Place | None = None
    pending_location: Place | None = None
    admit: int | None = None
    admit_text: str = ""
    discharge: int | None = None
    discharge_text: str = ""
    expected_discharge: int | None = None
    expected_discharge_text: str = ""
    disposition: str = ""
    disposition_code: str = ""
    disposition_text: str = ""
    discharged_to: str = ""
    admission_type: str = ""
    admit_source: str = ""
    arrival_mode: str = ""
    vip: str = ""
    newborn: bool = False
    protected: bool = False
    reason: Coded | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    attending: Person | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """One PID/MRG pair: what stays (PID-3, PID-18, PV1-19, PV1-50), what retires (MRG-1, MRG-3, MRG-5, MRG-6).

    In a move (A43, A44, A45) `retired` is the patient it was filed under, `surviving` the right one. The authorities
    are universal ids, else namespaces, as in StayKey.
    """

    surviving: tuple[Identifier, ...] = ()
    retired: tuple[Identifier, ...] = ()
    retired_account: str = ""
    retired_visit: str = ""
    surviving_account: str = ""
    surviving_visit: str = ""
    retired_account_authority: str = ""
    retired_visit_authority: str = ""
    surviving_account_authority: str = ""
    surviving_visit_authority: str = ""
    retired_alternate_visit: str = ""
    surviving_alternate_visit: str = ""


@dataclass(frozen=True, slots=True)
class AdtEvent:
    """One message, or one patient of it (A17, A24, A37, A40 with several groups).

    `effect`, `rank`, `alert` and `cancels` come from its row in adt_events.py. `occurred` is when it happened, by
    `occurred_source` ("EVN-6", "PV1-44", ..., "received"); for a cancellation it is when the cancelling happened, and
    `cancelled` the time of the event that it takes back. `visit` is None where the event says nothing of the state of
    a visit (adt_events.WITHOUT_VISIT). `deleted` lists fields that the sender asked to remove (`""`).
    """

    code: str
    effect: str
    rank: int
    alert: str
    cancels: tuple[str, ...]
    source: str
    control_id: str
    processing_id: str
    occurred: int | None
    occurred_text: str
    occurred_source: str
    cancelled: int | None
    message_time: int | None
    recorded: int | None
    planned: int | None
    facility: Facility
    stay: StayKey
    patient: Patient
    visit: Visit | None
    merges: tuple[Merge, ...] = ()
    deleted: tuple[str, ...] = ()
    linked: tuple[Identifier, ...] = ()
    """A24, A37: PID-3 of the other record of the pair."""

    def to_json(self) -> dict[str, object]:
        """Plain JSON; empty values are left out."""
        return as_plain(self)

    @staticmethod
    def from_json(plain: dict[str, object]) -> AdtEvent:
        """The inverse of `to_json`."""
        return from_plain(AdtEvent, plain)
