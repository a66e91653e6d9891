"""PID (and IN1, for the Medi-Cal number) -> who the patient is: HL7 v2.5.1 chapter 3, 3.4.2; chapter 6, 6.5.6."""

from __future__ import annotations

import re

from mappers.hl7v2.code_tables import look_up, table
from mappers.hl7v2.datatypes import address, contact, identifier, moment, name
from mappers.hl7v2.event import Address, Contact, Identifier, Name, Patient
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Segment
from mappers.hl7v2.source import SourceConfig
from mappers.hl7v2.times import Moment

# A CIN is 9nnnnnnnA; a Benefits Identification Card (BIC) number goes on with a check digit and the date of issue.
_CIN = re.compile(r"(9\d{7}[A-Z])\d{0,5}\Z", re.ASCII)
_NOT_CIN_TEXT = re.compile(r"[\s-]")
MEDICAID_TYPES = frozenset({"MA", "MB"})
_SELF = frozenset({"", "SEL", "SELF", "18", "PATIENT"})
_LETTERS = re.compile(r"[^A-Z]")


def patient(
    pid: Segment,
    insurances: list[Segment],
    source: SourceConfig,
    message_time: int | None = None,
) -> tuple[Patient, list[Finding]]:
    """Identity facts of one PID with the IN1 segments of its message."""
    findings: list[Finding] = []
    ids = _identifiers(pid, source, findings)
    names = _names(pid, findings)
    birth = _birth(pid, source, message_time, findings)
    death = moment(pid, 29, source, findings)
    sex = look_up("sex", pid.get(8), "PID-8", findings).get("gender", "")
    found = Patient(
        ids=tuple(i for i in ids if i.type != "SS"),
        cins=cins(pid, ids, insurances, source, findings),
        names=names,
        birth_date=birth.fhir[:10] if birth else "",
        birth_precision=_birth_precision(birth),
        sex=sex,
        contacts=_contacts(pid, findings),
        addresses=_addresses(pid, findings),
        language=pid.get(15),
        deceased=_flag(pid, findings),
        death=death.us if death else None,
        death_text=death.fhir if death else "",
        ssn4=_ssn4(pid, ids),
        identity_unknown=pid.get(31).upper() == "Y",
        placeholder=_placeholder(names, findings),
        mother_ids=tuple(i for rep in pid.reps(21) if (i := identifier(rep, "PID-21", source, findings))),
    )
    return found, findings


def cins(
    pid: Segment,
    ids: list[Identifier],
    insurances: list[Segment],
    source: SourceConfig,
    findings: list[Finding],
) -> tuple[str, ...]:
    """Well-formed CINs, best source first: PID-3 by type or authority, PID-2, PID-4, IN1-36, IN1-49, IN1-2."""
    found: dict[str, None] = {}
    for one in ids:
        named = source.gives_cins(one.authority, one.system)
        if not named and one.type not in MEDICAID_TYPES:
            continue
        if value := cin(one.value):
            found[value] = None
        elif named or one.type == "MA":
            text = "A Medi-Cal number is not of the form 9nnnnnnnA; correct it at the source."
            findings.append(Finding("cin-format", "PID-3", "warning", text))
    loose = [rep.get(1) for number in (2, 4) for rep in pid.reps(number)]
    for in1 in insurances:
        # IN1-49 is the insured's number: somebody else's where IN1-17 says so. IN1-36 is that of the member's card.
        numbers = (36, 49, 2) if in1.get(17).upper() in _SELF else (36, 2)
        loose += [rep.get(1) for number in numbers for rep in in1.reps(number)]
    found.update(dict.fromkeys(value for value in map(cin, loose) if value))
    return tuple(found)


def cin(text: str) -> str:
    """The CIN in a text (upper-cased, card suffix removed), or ""."""
    match = _CIN.match(_NOT_CIN_TEXT.sub("", text).upper())
    return match[1] if match else ""


def mrn(ids: tuple[Identifier, ...]) -> Identifier | None:
    """The medical record number: type MR, else PI or PT, else one without a type."""
    for kind in ("MR", "PI", "PT", ""):
        if hit := next((i for i in ids if i.type == kind), None):
            return hit
    return None


def _identifiers(pid: Segment, source: SourceConfig, findings: list[Finding]) -> list[Identifier]:
    ids = [i for rep in pid.reps(3) if (i := identifier(rep, "PID-3", source, findings))]
    if not ids:
        ids = [i for rep in pid.reps(2) if (i := identifier(rep, "PID-2", source, findings))]
    if not ids:
        findings.append(Finding("id-missing", "PID-3", "warning", "The patient has no identifier."))
    return ids


def _names(pid: Segment, findings: list[Finding]) -> tuple[Name, ...]:
    names = [n for rep in pid.reps(5) if (n := name(rep, "PID-5", findings))]
    if not names:
        findings.append(Finding("name-missing", "PID-5", "warning", "The patient has no name."))
    aliases = (name(rep, "PID-9", findings) for rep in pid.reps(9))
    return (*names, *(Name(n.family, n.given, n.suffix, n.prefix, "alias") for n in aliases if n))


def _placeholder(names: tuple[Name, ...], findings: list[Finding]) -> bool:
    known = table("placeholder_name")
    hit = any(_LETTERS.sub("", n.family.upper()) in known for n in names if n.use != "alias")
    if hit:
        findings.append(Finding("placeholder-name", "PID-5", "information", "The name is invented; never match by it."))
    return hit


def _birth(pid: Segment, source: SourceConfig, message_time: int | None, findings: list[Finding]) -> Moment | None:
    birth = moment(pid, 7, source, findings)
    if birth and message_time is not None and birth.us > message_time + 86_400_000_000:
        findings.append(Finding("birth-in-future", "PID-7", "warning", "The birth date is after the message."))
        return None
    return birth


def _birth_precision(birth: Moment | None) -> str:
    if birth is None:
        return ""
    return "day" if birth.timed else birth.precision


def _contacts(pid: Segment, findings: list[Finding]) -> tuple[Contact, ...]:
    found: dict[Contact, None] = {}
    for number, use in ((13, "home"), (14, "work"), (40, "")):
        for rep in pid.reps(number):
            if one := contact(rep, f"PID-{number}", findings, use):
                found[one] = None
    return tuple(found)


def _addresses(pid: Segment, findings: list[Finding]) -> tuple[Address, ...]:
    return tuple(a for rep in pid.reps(11) if (a := address(rep, "PID-11", findings)))


def _flag(pid: Segment, findings: list[Finding]) -> bool | None:
    said = pid.get(30).upper()
    if said not in ("", "Y", "N"):
        findings.append(Finding("unmapped-code", "PID-30", "warning", "The death indicator is neither Y nor N."))
    if said != "Y" and pid.get(29):
        text = "A death time came without the death indicator; confirm before acting on it."
        findings.append(Finding("death-unconfirmed", "PID-29", "warning", text))
    return {"Y": True, "N": False}.get(said)


def _ssn4(pid: Segment, ids: list[Identifier]) -> str:
    """Last four digits only, of a number that can exist (not 000, 666, 9xx, nor one digit throughout)."""
    for sent in (pid.get(19), *(i.value for i in ids if i.type == "SS")):
        digits = re.sub(r"[^0-9]", "", sent)
        if len(digits) == 4 and len(set(digits)) > 1:
            return digits
        if (
            len(digits) == 9
            and digits[:3] not in ("000", "666")
            and digits[0] != "9"
            and digits[3:5] != "00"
            and digits[5:] != "0000"
            and len(set(digits)) > 1
            and digits not in ("123456789", "078051120")
        ):
            return digits[5:]
    return ""
