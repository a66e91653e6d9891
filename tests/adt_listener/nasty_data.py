"""The nasty inputs of facts/adt.md 6 that are about what a message says: numbers 35 to 46 and 60."""

from typing import Any

from tests.adt_listener.nasty import Nasty, adt, frame


def one(number: int, what: str, *findings: str, facts: dict[str, Any] | None = None, **fields: Any) -> Nasty:
    """One message with these fields, which counts for the member unless `state` says otherwise."""
    state = fields.pop("state", "applied")
    answer = f"AA {fields.get('control_id', '1')}"
    return Nasty(number, what, (frame(adt(**fields)),), (answer,), (state,), facts or {}, frozenset(findings))


def _deleted() -> list[Nasty]:
    gone = {"patient.contacts": (), "deleted": ("PID-13",)}
    return [
        one(35, "the telephone is taken away", PID_13='""', facts=gone),
        one(35, "nothing is said of the telephone", PID_13="", facts={"patient.contacts": (), "deleted": ()}),
        one(35, "the name is taken away", "name-missing", PID_5='""', facts={"deleted": ("PID-5",)}),
        Nasty(
            35,
            "A13 takes the discharge away",
            (
                frame(adt("A03", visit_number="N35", ago=90, disposition="01")),
                frame(adt("A13", "2", visit_number="N35", PV1_36='""', PV1_45='""')),
            ),
            ("AA 1", "AA 2"),
            ("applied", "applied"),
        ),
    ]


# PV1-44 as sent -> FHIR text, findings
TIMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "202603072200": ("2026-03-07T22:00:00-08:00", ()),
    "20260307220000": ("2026-03-07T22:00:00-08:00", ()),
    "20260307220000.1234-0800": ("2026-03-07T22:00:00.1234-08:00", ()),
    "20260307220000-0700000": ("2026-03-07T22:00:00-07:00", ("time-offset-odd",)),
    "20210527018000": ("2021-05-27", ("time-impossible",)),
    "03/07/2026 22:00:00": ("2026-03-07T22:00:00-08:00", ()),
    "2026-03-07T22:00:00": ("2026-03-07T22:00:00-08:00", ()),
    "00000000": ("", ("time-placeholder",)),
    "0000": ("", ("time-placeholder",)),
    "19000101": ("", ("time-placeholder",)),
    "20260308023000": ("2026-03-08T03:30:00-07:00", ("time-dst-gap", "time-in-future")),
    "20251102013000": ("2025-11-02T01:30:00-08:00", ("time-dst-overlap",)),
    "20260306240000": ("2026-03-07T00:00:00-08:00", ("time-midnight-2400",)),
}
# PID-7 as sent -> birth date, state, findings
BIRTHS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "1983": ("1983", "applied|unmatched", ()),
    "00000000": ("", "applied|unmatched", ("time-placeholder",)),
    "19000101": ("", "applied|unmatched", ("time-placeholder",)),
    "20300101": ("", "applied|unmatched", ("birth-in-future",)),
}


def _times() -> list[Nasty]:
    rows = [
        one(36, f"PV1-44 is {sent}", *findings, PV1_44=sent, EVN_6="", facts={"visit.admit_text": text})
        for sent, (text, findings) in TIMES.items()
    ]
    rows += [
        one(36, f"PID-7 is {sent}", *findings, PID_7=sent, state=state, facts={"patient.birth_date": text})
        for sent, (text, state, findings) in BIRTHS.items()
    ]
    return [
        *rows,
        one(37, "PV1-44 is a bare date: EVN-2 tells the hour", "time-coarse", PV1_44="20260307", EVN_6="",
            facts={"visit.admit_text": "2026-03-07", "occurred_source": "EVN-2"}),
        one(37, "discharged before admitted", event="A03", PV1_44="20260305100000", PV1_45="20260301100000"),
        one(37, "EVN-6 is in the future", "time-in-future", EVN_6="20270307220000", facts={"occurred_source": "EVN-2"}),
    ]  # fmt: skip


CLASSES = {"INPATIENT": "INPATIENT", "DAY CASE": "UNKNOWN", "": "UNKNOWN", "QX": "UNKNOWN", "99": "UNKNOWN"}
DISPOSITIONS = {"Home": "HOME", "1": "HOME", "01^HOME^X": "HOME", "30": "STILL", "": "NOT_STATED", "Dead": "EXPIRED"}


def _codes() -> list[Nasty]:
    classes = [
        one(38, f"PV1-2 is {sent or 'blank'}", PV1_2=sent, facts={"visit.patient_class": read})
        for sent, read in CLASSES.items()
    ]
    return classes + [
        one(39, f"PV1-36 is {sent or 'blank'}", event="A03", PV1_36=sent, facts={"visit.disposition": read})
        for sent, read in DISPOSITIONS.items()
    ]


def _numbers() -> list[Nasty]:
    own = {"PV1_19": "7^^^NORTH^VN"}, {"PV1_19": "7^^^SOUTH^VN"}
    both = {"answers": ("AA 1", "AA 2"), "states": ("applied", "applied")}
    return [
        one(40, "PV1-19 is absent", "visit-number-missing", PV1_19="", facts={"stay.visit_number": ""}),
        Nasty(40, "one number at two facilities", (frame(adt(**own[0])), frame(adt("A04", "2", **own[1]))), **both),
        Nasty(
            41,
            "ED to inpatient under a new account",
            (
                frame(adt(visit_number="N41", ago=120)),
                frame(adt("A01", "2", visit_number="N41B", patient_class="I", PV1_50="N41")),
            ),
            **both,
        ),
        one(42, "PID-3 without authority", PID_3="M1", facts={"patient.ids.0.authority": ""}),
        one(42, "PID-3 with an empty authority", PID_3="M1^^^&&^MR", facts={"patient.ids.0.authority": ""}),
        one(
            42,
            "one MRN under two authorities",
            PID_3="M1^^^A^MR~M1^^^B^MR",
            facts={"patient.ids.0.authority": "A", "patient.ids.1.authority": "B"},
        ),
        one(42, "SSN 000-00-0000", PID_19="000-00-0000", facts={"patient.ssn4": ""}),
        one(42, "SSN 999-99-9999", PID_19="999-99-9999", facts={"patient.ssn4": ""}),
        one(42, "CIN in small letters", PID_3="91000001a^^^X^MA", IN1_36="", facts={"patient.cins": ("91000001A",)}),
        one(42, "CIN with its card's suffix", IN1_36="91000001A12345", facts={"patient.cins": ("91000001A",)}),
    ]


def _people() -> list[Nasty]:
    none = {"patient.placeholder": True}
    formula, script = '=HYPERLINK("http://x")', "<script>alert(1)</script>"
    stays = {"visit_number": "N43"}
    noise = b"GT1|1||" + b"x" * 150_000 + b"\rIN2||" + b"y" * 150_000 + b"\r"
    name = {"patient.names.0.family": "Quillfeather"}
    return [
        one(43, "a time of death with the flag N", "death-unconfirmed", PID_29="20260307", PID_30="N",
            facts={"patient.deceased": False, "patient.death_text": "2026-03-07"}),
        Nasty(43, "an update after death", (
            frame(adt("A03", ago=90, disposition="20", PID_30="Y", **stays)), frame(adt("A08", "2", **stays))),
            ("AA 1", "AA 2"), ("applied", "applied")),
        *(one(44, f"PID-5 is {name}", "placeholder-name", PID_5=name, state="unmatched", facts=none)
          for name in ("UNKNOWN^MALE", "TRAUMA^ALPHA", "DOE^JANE", "zzTEST^Zz")),
        one(44, "a VIP under an alias", PID_5="Doe^Jane~Quillfeather^Rosalind^^^^^L", PV1_16="VIP",
            state="unmatched"),
        Nasty(45, "300 KB of GT1 and IN2", (frame(adt() + noise),), facts=name),
        one(46, "a formula in the name", PID_5=f"{formula}^Rosalind", facts={"patient.names.0.family": formula}),
        one(46, "a script in the name", PID_5=f"{script}^Rosalind", facts={"patient.names.0.family": script}),
        Nasty(46, "FS and NUL in what is echoed", (frame(adt(control_id="1\x1c\x00")),)),
        one(60, "MSH-11 is T on the production port", processing_id="T", state="ignored"),
        one(60, "MSH-11 is D on the production port", processing_id="D", state="ignored"),
    ]  # fmt: skip


ROWS: tuple[Nasty, ...] = (*_deleted(), *_times(), *_codes(), *_numbers(), *_people())
