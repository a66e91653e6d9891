"""One member as a plan's member information file tells it, typed (facts/california.md B.4.1, B.4.3)."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, kw_only=True)
class MemberRow:
    """A member as a plan's file tells it; its fields are those of the layout packs. `row` is 1-based as in the sheet.

    Codes are ours (california.md C.3): ecm_status, pofs, discontinuation_reason; gender is FHIR's, languages BCP 47,
    telephone numbers 999-999-9999, tax ids nine digits.
    """

    row: int = field(compare=False, default=0)
    cin: str
    last_name: str
    first_name: str
    birth_date: date
    coverage_start: date
    ecm_status: str
    provider_npi: str
    provider_name: str
    plan_identifier: str | None = None
    plan_name: str | None = None
    mrn: str | None = None
    plan_member_id: str | None = None
    middle_name: str | None = None
    gender: str | None = None
    language_spoken: str | None = None
    language_written: str | None = None
    homeless: bool | None = None
    residential_line: str | None = None
    residential_city: str | None = None
    residential_state: str | None = None
    residential_zip: str | None = None
    mailing_line: str | None = None
    mailing_city: str | None = None
    mailing_state: str | None = None
    mailing_zip: str | None = None
    phone: str | None = None
    email: str | None = None
    coverage_end: date | None = None
    ecm_start: date | None = None
    ecm_end: date | None = None
    authorization_number: str | None = None
    authorization_start: date | None = None
    authorization_end: date | None = None
    pofs: tuple[str, ...] = ()
    provider_tin: str | None = None
    lcm_name: str | None = None
    lcm_npi: str | None = None
    lcm_phone: str | None = None
    lcm_email: str | None = None
    discontinuation_date: date | None = None
    discontinuation_reason: str | None = None
    pcp_npi: str | None = None
    pcp_name: str | None = None
    pcp_phone: str | None = None
