"""Verifies the audit as a whole: chains, seals, receipts and the index of patients; names each broken place.

What is found: a row that was changed, deleted, inserted, moved; a chain whose end was cut off or exchanged for an
older one; all of it written anew under another key; a whole database that was put back (against receipts).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.store import chain, receipts, seals
from service.store.chain import MOST, Reads
from service.store.seals import Seal

PAGE = 200


@dataclass(frozen=True)
class Broken:
    """kind: row, seal, receipt, index. place: as a person finds it."""

    kind: str
    place: str
    sentence: str


@dataclass
class Report:
    """What was looked at, and what is broken, MOST places at most."""

    rows: int = 0
    seals: int = 0
    receipts: int = 0
    foreign: int = 0
    """Receipts of other databases, which say nothing of this one."""
    given_up: int = 0
    """Seals that a restore of a backup gave up, as its signed mark says."""
    unsealed_since_us: int | None = None
    broken: list[Broken] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.broken

    def add(self, kind: str, place: str, sentence: str) -> None:
        if len(self.broken) < MOST:
            self.broken.append(Broken(kind, place, sentence))


async def check(database: Reads, keys: Sequence[bytes], told: Path | None = None) -> Report:
    """keys: the audit key, and former ones. told: the file of receipts. Raises OSError where it cannot be read.

    The seals are read before the chains: rows that are written meanwhile lie behind them.
    """
    report = Report()
    site = await seals.site(database)
    held = _held(told, keys, site, report) if told else {}
    await _seals(database, keys, site, held, report)
    found = await chain.verify(database)
    report.rows = found.rows
    for slot, seq in found.broken:
        report.add("row", f"slot {slot}, row {seq}", "does not follow from the row before it, or is missing")
    await _index(database, found, report)
    report.unsealed_since_us = await _unsealed(database)
    return report


async def _unsealed(database: Reads) -> int | None:
    try:
        return await seals.unsealed_since_us(database)
    except ValueError:  # a seal that cannot be read is reported as such
        return None


def _held(path: Path, keys: Iterable[bytes], site: str, report: Report) -> dict[int, bytes]:
    """Number -> signature of the seals that the database must hold."""
    held: dict[int, bytes] = {}
    for receipt in receipts.read(path, keys):
        if receipt.site and receipt.site != site:
            report.foreign += 1
        elif not receipt.good:
            report.add("receipt", f"line {receipt.line}", "is not signed with this key, or cannot be read")
        elif receipt.seal is None:
            lost = [number for number in held if number > receipt.kept]
            report.given_up += len(lost)
            for number in lost:
                del held[number]
        else:
            report.receipts += 1
            held[receipt.seal.number] = receipt.seal.signature
    return held


async def _seals(database: Reads, keys: Sequence[bytes], site: str, held: dict[int, bytes], report: Report) -> None:
    """Each is signed, follows the one before, agrees with its receipt; and the rows that it names are there."""
    last = 0
    while found := await seals.after(database, site, last, PAGE):
        for seal in found:
            report.seals += 1
            if seal.number != last + 1:
                report.add("seal", f"seal {last + 1}", "is missing")
            last = seal.number
            receipt = held.pop(seal.number, None)
            if not seals.is_signed(keys, seal):
                report.add("seal", f"seal {seal.number}", "is not signed with this key, or was changed")
            elif receipt not in (None, seal.signature):
                report.add("seal", f"seal {seal.number}", "is not the one that its receipt shows")
        await _named(database, found, report)
    for number in sorted(held):
        report.add("seal", f"seal {number}", "has a receipt and is missing in the database")


async def _named(database: Reads, found: Sequence[Seal], report: Report) -> None:
    wanted: dict[tuple[int, int], tuple[str, int]] = {}
    for seal in found:
        try:
            heads = seal.parsed()
        except (ValueError, TypeError, LookupError, AttributeError):
            report.add("seal", f"seal {seal.number}", "cannot be read")
            continue
        wanted |= {(slot, seq): (digest, seal.number) for slot, (seq, digest) in heads.items()}
    places = list(wanted)
    for at in range(0, len(places), PAGE):
        stored = await chain.digests(database, places[at : at + PAGE])
        for place in places[at : at + PAGE]:
            digest, number = wanted[place]
            if stored.get(place) != digest:
                what = "is missing" if place not in stored else "is another one"
                report.add("row", f"slot {place[0]}, row {place[1]}", f"{what}: seal {number} names it")


async def _index(database: Reads, found: chain.Verified, report: Report) -> None:
    """Rows of audit_patient that were taken out would hide disclosures from a member's accounting."""
    for slot, (last, patients) in found.patients.items():
        counted = await chain.patients(database, slot, last)
        if counted != patients:
            report.add("index", f"slot {slot}", f"has {counted} rows of patients, {patients} follow from its rows")
