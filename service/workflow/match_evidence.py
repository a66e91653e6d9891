"""One patient of a message beside one Patient resource: what agrees, what differs, what is not known.

The words carry no value of either side (they go to logs and review queues). Source: facts/adt.md section 5.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fhir_profiles import Resource
from mappers.hl7v2.event import AdtEvent, Name, Patient
from service.workflow.person_names import comparable, half_given, plain, same_family, same_given, suffix_of
from service.workflow.street_names import street_name

Said = Literal["agree", "differ", "unknown"]
CIN_SYSTEM = "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin"
SSN_SYSTEM = "http://hl7.org/fhir/sid/us-ssn"
COMMUNAL = re.compile(
    r"\b(shelter|mission|hospital|medical center|homeless|transient|no fixed|general delivery|unknown|rescue|motel|"
    r"detention|jail|prison|skilled nursing|nursing home|convalescent|recuperative|navigation center)\b"
)
"""Words of an address that many share: it says nothing about who somebody is."""


@dataclass(frozen=True)
class Evidence:
    """corroboration: of phone, email, ssn4, address those that agree.

    transposed: day and month of the birth date the other way round; near: it differs as a slip of the pen does.
    half: the first names agree in a part only that brothers and sisters may share (Maria, of Maria Elena).
    """

    birth_date: Said
    family: Said
    given: Said
    suffix: Said
    sex: Said
    cin: Said
    corroboration: tuple[str, ...]
    transposed: bool
    near: bool = False
    half: bool = False

    @property
    def name(self) -> Said:
        """Both parts of the name, and a suffix that does not contradict (father and son)."""
        if "differ" in (self.family, self.given, self.suffix):
            return "differ"
        return "agree" if self.family == self.given == "agree" else "unknown"

    @property
    def twin(self) -> bool:
        """Same family and birth date under another first name."""
        return self.birth_date == "agree" and self.family == "agree" and self.given == "differ"

    @property
    def stranger(self) -> bool:
        """Neither part of the name is the same."""
        return self.family == "differ" and self.given == "differ"

    @property
    def own(self) -> bool:
        """Whether something agrees that nobody else of the household has; they share telephone and address."""
        return bool({"email", "ssn4"} & set(self.corroboration))

    @property
    def corroborated(self) -> bool:
        return self.own if self.half else bool(self.corroboration)

    def words(self) -> tuple[str, ...]:
        parts = ("birth_date", "family", "given", "suffix", "sex", "cin")
        told = [f"{p.replace('_', '-')}={getattr(self, p)}" for p in parts if getattr(self, p) != "unknown"]
        told += [f"{c}=agree" for c in self.corroboration]
        told += ["given=shared-by-siblings"] if self.half else []
        return tuple(told) + (("birth-date=transposed",) if self.transposed else ())


def compare(event: AdtEvent, patient: Resource, communal: frozenset[tuple[str, str]] = frozenset()) -> Evidence:
    """communal: (street number, five-digit ZIP) of shelters, hospitals and the like, which corroborate nothing."""
    return compare_person(event.patient, patient, communal)


def compare_person(who: Patient, patient: Resource, communal: frozenset[tuple[str, str]] = frozenset()) -> Evidence:
    """As compare, for whoever asks with the facts of a person: a message, or Patient/$match."""
    name = _best_name(who.names, patient)
    day = who.birth_date if who.birth_precision in {"day", ""} else who.birth_date[:4]
    born = str(patient.get("birthDate", ""))
    numbers = {str(i.get("value", "")).upper() for i in identifiers(patient, CIN_SYSTEM)}
    return Evidence(
        birth_date=_dates(day, born),
        family=name[0],
        given=name[1],
        suffix=name[2],
        sex=_sexes(who.sex, str(patient.get("gender", ""))),
        cin=_either(bool(numbers & set(who.cins))) if numbers and who.cins else "unknown",
        corroboration=_corroboration(who, patient, communal),
        transposed=_transposed(day, born),
        near=_near(day, born),
        half=_half(who.names, patient),
    )


def surname_shared(names: Iterable[Name], patient: Resource) -> bool:
    """Whether any name of the one and any of the other have the same surname: what twins have in common."""
    theirs = [str(other.get("family", "")) for other in patient.get("name", ())]
    return any(same_family(name.family, other) for name in names for other in theirs)


def identifiers(patient: Resource, system: str) -> list[Mapping[str, Any]]:
    return [i for i in patient.get("identifier", ()) if i.get("system") == system]


def _best_name(names: Iterable[Name], patient: Resource) -> tuple[Said, Said, Said]:
    """(family, given, suffix) of the pair of names that agrees most; of names in two scripts nothing is known."""
    best: tuple[Said, Said, Said] = ("unknown", "unknown", "unknown")
    pairs = [(n, p) for n in names for p in patient.get("name", ()) if comparable(_written(n), _letters(p))]
    for name, other in pairs:
        theirs, given = str(other.get("family", "")), _words(other.get("given"))
        mine = suffix_of(name.family, name.suffix)
        suffix = suffix_of(theirs, " ".join(_words(other.get("suffix"))))
        found: tuple[Said, Said, Said] = (
            _either(same_family(name.family, theirs)) if name.family and theirs else "unknown",
            _either(same_given(name.given, given)) if name.given and given else "unknown",
            _either(mine == suffix) if mine and suffix else "unknown",
        )
        if best == ("unknown", "unknown", "unknown") or _weight(found) > _weight(best):
            best = found
    return best


def _written(name: Name) -> str:
    return " ".join((name.family, *name.given))


def _letters(name: Mapping[str, Any]) -> str:
    return " ".join((str(name.get("family", "")), *_words(name.get("given"))))


def _words(values: Iterable[str | None] | None) -> list[str]:
    """A value that has an extension only stands in its list as null."""
    return [value for value in values or () if value]


def _weight(said: tuple[Said, Said, Said]) -> int:
    return sum({"agree": 2, "unknown": 1, "differ": 0}[one] for one in said)


def _either(same: bool) -> Said:
    return "agree" if same else "differ"


def _dates(one: str, other: str) -> Said:
    """Whole days only agree; a year alone can at most differ."""
    if len(one) == len(other) == 10:
        return _either(one == other)
    short = min(len(one), len(other))
    return "differ" if short >= 4 and one[:short] != other[:short] else "unknown"


def _transposed(one: str, other: str) -> bool:
    """Month and day swapped: a hint for a reviewer, never a match."""
    return one != other and swapped(one) == other != ""


def swapped(day: str) -> str:
    """YYYY-MM-DD with month and day the other way round; "" where that is no other date."""
    if len(day) != 10 or day[8:] > "12" or day[5:7] == day[8:]:
        return ""
    return f"{day[:5]}{day[8:]}-{day[5:7]}"


def _near(one: str, other: str) -> bool:
    """Day and month changed round, or one of the three parts another; a year, by less than a generation."""
    if len(one) != 10 or len(other) != 10 or one == other:
        return False
    parts = [a != b for a, b in zip(one.split("-"), other.split("-"), strict=False)]
    years = one[:4].isdigit() and other[:4].isdigit() and abs(int(one[:4]) - int(other[:4])) < 12
    return _transposed(one, other) or (years and sum(parts) == 1)


def _half(names: Iterable[Name], patient: Resource) -> bool:
    """Whether all first names that agree do so by half, under one surname or, mistyped or married, under two."""
    givens = [(name.given, _words(other.get("given"))) for name in names for other in patient.get("name", ())]
    pairs = [half_given(one, other) for one, other in givens if same_given(one, other)]
    return bool(pairs) and all(pairs)


def _sexes(one: str, other: str) -> Said:
    known = {"male", "female"}
    return _either(one == other) if one in known and other in known else "unknown"


def _corroboration(who: Patient, patient: Resource, communal: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    found = []
    telecom = patient.get("telecom", ())
    theirs = {digits(str(t.get("value", ""))) for t in telecom if t.get("system") in {"phone", "sms"}} - {""}
    if theirs & {digits(c.digits or c.value) for c in who.contacts if c.system == "phone"}:
        found.append("phone")
    mails = {str(t.get("value", "")).strip().casefold() for t in telecom if t.get("system") == "email"} - {""}
    if mails & {c.value.strip().casefold() for c in who.contacts if c.system == "email"}:
        found.append("email")
    ssn = {re.sub(r"\D", "", str(i.get("value", "")))[-4:] for i in identifiers(patient, SSN_SYSTEM)}
    if len(who.ssn4) == 4 and who.ssn4 in ssn:
        found.append("ssn4")
    homes = {_street_of(a) for a in patient.get("address", ())}
    mine = {_street(a.lines, a.zip) for a in who.addresses if a.use not in {"old", "work"}}
    if any(home is not None and home[:2] not in communal for home in homes & mine):
        found.append("address")
    return tuple(found)


def digits(phone: str) -> str:
    """The last ten digits; "" for what cannot be a person's number (too short, one digit throughout, 555-5555)."""
    number = re.sub(r"\D", "", phone)[-10:]
    return "" if len(number) < 10 or len(set(number[3:])) == 1 or number.endswith("5551212") else number


def home_of(address: Mapping[str, Any]) -> tuple[str, str] | None:
    """As _home, of a FHIR Address."""
    return _home(_words(address.get("line")), str(address.get("postalCode", "")))


def _street_of(address: Mapping[str, Any]) -> tuple[str, str, str] | None:
    return _street(_words(address.get("line")), str(address.get("postalCode", "")))


def _street(lines: Iterable[str], postcode: str) -> tuple[str, str, str] | None:
    """As _home, with the name of the street: one number stands in many streets of a ZIP. None where it has no name."""
    lines = list(lines)
    home, name = _home(lines, postcode), street_name(plain(" ".join(lines)))
    return (*home, name) if home and name else None


def _home(lines: Iterable[str], postcode: str) -> tuple[str, str] | None:
    """(street number, five-digit ZIP); None where it has none or many people share it."""
    text = plain(" ".join(lines))
    number = re.match(r"(\d+[a-z]?)\b", text)
    if number is None or len(postcode) < 5 or COMMUNAL.search(text):
        return None
    return number[1], postcode[:5]
