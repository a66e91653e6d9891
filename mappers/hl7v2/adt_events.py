"""THE event table: what each ADT trigger event means for a stay (HL7 v2.5.1 chapter 3, 3.3.1 to 3.3.62).

To serve another event, or to alert on one: a row here and a golden pair in tests/golden/hl7v2.
"""

from __future__ import annotations

from typing import NamedTuple

ADMITTED = ("EVN-6", "PV1-44", "EVN-2", "MSH-7")
DISCHARGED = ("EVN-6", "PV1-45", "EVN-2", "MSH-7")
HAPPENED = ("EVN-6", "EVN-2", "MSH-7")
# On a cancellation EVN-6 is the time of the event that is taken back (3.4.1.6), not of the cancelling.
CANCELLED = ("EVN-2", "MSH-7")


class Row(NamedTuple):
    """`effect` is what the reducer does, `cancels` the effects it takes back, `rank` orders events of one instant.

    `alert` names the class of alert: admission, arrival, discharge, pending-discharge, transfer, upgrade, downgrade,
    leave, retract, digest or none. `structure` is MSH-9.3 of version 2.5.1 (table 0354).
    """

    code: str
    name: str
    structure: str
    effect: str
    times: tuple[str, ...]
    alert: str
    rank: int
    cancels: tuple[str, ...] = ()


ROWS = (
    Row("A01", "admit", "ADT_A01", "admit", ADMITTED, "admission", 30),
    Row("A02", "transfer", "ADT_A02", "transfer", HAPPENED, "transfer", 50),
    Row("A03", "discharge", "ADT_A03", "discharge", DISCHARGED, "discharge", 70),
    Row("A04", "register", "ADT_A01", "register", ADMITTED, "arrival", 20),
    Row("A05", "pre-admit", "ADT_A05", "pre-admit", HAPPENED, "digest", 10),
    Row("A06", "outpatient to inpatient", "ADT_A06", "class-change", HAPPENED, "upgrade", 40),
    Row("A07", "inpatient to outpatient", "ADT_A06", "class-change", HAPPENED, "downgrade", 40),
    Row("A08", "update", "ADT_A01", "update", HAPPENED, "none", 60),
    Row("A09", "departing, tracking", "ADT_A09", "tracking", HAPPENED, "none", 52),
    Row("A10", "arriving, tracking", "ADT_A09", "tracking", HAPPENED, "none", 52),
    Row("A11", "cancel admit", "ADT_A09", "cancel-admit", CANCELLED, "retract", 80, ("admit", "register")),
    Row("A12", "cancel transfer", "ADT_A12", "cancel-transfer", CANCELLED, "retract", 80, ("transfer",)),
    Row("A13", "cancel discharge", "ADT_A01", "cancel-discharge", CANCELLED, "retract", 80, ("discharge",)),
    Row("A14", "pending admit", "ADT_A05", "pre-admit", HAPPENED, "digest", 10),
    Row("A15", "pending transfer", "ADT_A15", "pending-transfer", HAPPENED, "none", 64),
    Row("A16", "pending discharge", "ADT_A16", "pending-discharge", HAPPENED, "pending-discharge", 65),
    Row("A17", "swap of beds", "ADT_A17", "transfer", HAPPENED, "none", 50),
    Row("A18", "merge patient information", "ADT_A18", "merge", HAPPENED, "none", 5),
    Row("A21", "leave of absence", "ADT_A21", "leave", HAPPENED, "leave", 55),
    Row("A22", "return from leave", "ADT_A21", "return", HAPPENED, "leave", 56),
    Row("A23", "delete visit", "ADT_A21", "delete", CANCELLED, "retract", 90),
    Row("A24", "link patients", "ADT_A24", "link", HAPPENED, "none", 6),
    Row(
        "A25",
        "cancel pending discharge",
        "ADT_A21",
        "cancel-pending-discharge",
        CANCELLED,
        "retract",
        80,
        ("pending-discharge",),
    ),
    Row(
        "A26",
        "cancel pending transfer",
        "ADT_A21",
        "cancel-pending-transfer",
        CANCELLED,
        "none",
        80,
        ("pending-transfer",),
    ),
    Row("A27", "cancel pending admit", "ADT_A21", "cancel-pre-admit", CANCELLED, "digest", 80, ("pre-admit",)),
    Row("A28", "add person", "ADT_A05", "demographics", HAPPENED, "none", 61),
    Row("A29", "delete person", "ADT_A21", "delete-person", CANCELLED, "retract", 90),
    Row("A30", "merge person", "ADT_A30", "merge", HAPPENED, "none", 5),
    Row("A31", "update person", "ADT_A05", "demographics", HAPPENED, "none", 61),
    Row("A32", "cancel arriving, tracking", "ADT_A21", "cancel-tracking", CANCELLED, "none", 80, ("tracking",)),
    Row("A33", "cancel departing, tracking", "ADT_A21", "cancel-tracking", CANCELLED, "none", 80, ("tracking",)),
    Row("A34", "merge patients, id only", "ADT_A30", "merge", HAPPENED, "none", 5),
    Row("A35", "merge accounts, number only", "ADT_A30", "merge-account", HAPPENED, "none", 5),
    Row("A36", "merge patients and accounts", "ADT_A30", "merge", HAPPENED, "none", 5),
    Row("A37", "unlink patients", "ADT_A37", "unlink", HAPPENED, "none", 6),
    Row("A38", "cancel pre-admit", "ADT_A38", "cancel-pre-admit", CANCELLED, "digest", 80, ("pre-admit",)),
    Row("A39", "merge persons", "ADT_A39", "merge", HAPPENED, "none", 5),
    Row("A40", "merge patients", "ADT_A39", "merge", HAPPENED, "none", 5),
    Row("A41", "merge accounts", "ADT_A39", "merge-account", HAPPENED, "none", 5),
    Row("A42", "merge visits", "ADT_A39", "merge-visit", HAPPENED, "none", 5),
    Row("A43", "move patient identifiers", "ADT_A43", "move-person", HAPPENED, "none", 5),
    Row("A44", "move account to another patient", "ADT_A43", "move-account", HAPPENED, "retract", 5),
    Row("A45", "move visit to another patient", "ADT_A45", "move-visit", HAPPENED, "retract", 5),
    Row("A46", "change patient id", "ADT_A30", "merge", HAPPENED, "none", 5),
    Row("A47", "change patient identifiers", "ADT_A30", "change-id", HAPPENED, "none", 5),
    Row("A48", "change alternate patient id", "ADT_A30", "alternate-id", HAPPENED, "none", 5),
    Row("A49", "change account number", "ADT_A30", "change-id", HAPPENED, "none", 5),
    Row("A50", "change visit number", "ADT_A50", "change-visit", HAPPENED, "none", 5),
    Row("A51", "change alternate visit id", "ADT_A50", "change-alternate-visit", HAPPENED, "none", 5),
    Row("A52", "cancel leave of absence", "ADT_A52", "cancel-leave", CANCELLED, "retract", 80, ("leave",)),
    Row("A53", "cancel return from leave", "ADT_A52", "cancel-return", CANCELLED, "retract", 80, ("return",)),
    Row("A54", "change attending doctor", "ADT_A54", "attending", HAPPENED, "none", 62),
    Row("A55", "cancel change of attending", "ADT_A52", "cancel-attending", CANCELLED, "none", 80, ("attending",)),
    Row("A60", "update allergies", "ADT_A60", "allergy", HAPPENED, "none", 63),
    Row("A61", "change consulting doctor", "ADT_A61", "consulting", HAPPENED, "none", 62),
    Row("A62", "cancel change of consulting", "ADT_A61", "consulting", HAPPENED, "none", 62),
)
EVENTS = {row.code: row for row in ROWS}
WITHOUT_PATIENT = frozenset({"A20"})
"""Of a bed (NPU), not of a person: nothing to map, and no fault of the sender's."""
WITH_MERGES = frozenset(
    {
        "merge",
        "merge-account",
        "merge-visit",
        "move-person",
        "move-account",
        "move-visit",
        "change-id",
        "change-visit",
        "change-alternate-visit",
    }
)
"""MRG says what retires; each PID group is an event of its own."""
NAMES_STAY = frozenset({"merge-account", "merge-visit", "move-account", "move-visit", "change-visit"}) | {
    "change-alternate-visit"
}
"""Without a state of a visit, but PV1-19 and PID-18 say which visit it is that goes on."""
LINKS = frozenset({"link", "unlink"})
"""Two PID segments of one person; each is an event, and names the other in `linked`."""
WITHOUT_VISIT = WITH_MERGES | LINKS | {"demographics", "delete-person", "allergy", "alternate-id"}
"""A PV1 in these is noise (often empty or class N)."""
SWAPS = frozenset({"A17"})
"""Two PID/PV1 pairs: two patients, two visits, two events."""
