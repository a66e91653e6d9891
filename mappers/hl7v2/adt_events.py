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
    leave, retract, digest or none.
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
    Row("A11", "cancel admit", "ADT_A09", "cancel-admit", CANCELLED, "retract", 80, ("admit", "register")),
    Row("A12", "cancel transfer", "ADT_A12", "cancel-transfer", CANCELLED, "retract", 80, ("transfer",)),
    Row("A13", "cancel discharge", "ADT_A01", "cancel-discharge", CANCELLED, "retract", 80, ("discharge",)),
    Row("A14", "pending admit", "ADT_A05", "pre-admit", HAPPENED, "digest", 10),
    Row("A16", "pending discharge", "ADT_A16", "pending-discharge", HAPPENED, "pending-discharge", 65),
    Row("A21", "leave of absence", "ADT_A21", "leave", HAPPENED, "leave", 55),
    Row("A22", "return from leave", "ADT_A21", "return", HAPPENED, "leave", 56),
    Row("A23", "delete visit", "ADT_A21", "delete", CANCELLED, "retract", 90),
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
    Row("A27", "cancel pending admit", "ADT_A21", "cancel-pre-admit", CANCELLED, "digest", 80, ("pre-admit",)),
    Row("A28", "add person", "ADT_A05", "demographics", HAPPENED, "none", 61),
    Row("A31", "update person", "ADT_A05", "demographics", HAPPENED, "none", 61),
    Row("A38", "cancel pre-admit", "ADT_A38", "cancel-pre-admit", CANCELLED, "digest", 80, ("pre-admit",)),
    Row("A40", "merge patients", "ADT_A39", "merge", HAPPENED, "none", 5),
    Row("A52", "cancel leave of absence", "ADT_A52", "cancel-leave", CANCELLED, "retract", 80, ("leave",)),
    Row("A53", "cancel return from leave", "ADT_A52", "cancel-return", CANCELLED, "retract", 80, ("return",)),
)
EVENTS = {row.code: row for row in ROWS}
WITHOUT_VISIT = frozenset({"demographics", "merge"})  # a PV1 in these is noise (often empty or class N)
