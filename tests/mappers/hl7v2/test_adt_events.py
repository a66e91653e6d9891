"""Every row of the event table has a golden pair: tests/golden/hl7v2/<code>_*.hl7 -> the same name .json.

ENLACE_TEST_GOLDEN=write rewrites the .json files; read the diff before keeping it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fhir_profiles.validate import validate
from mappers.hl7v2 import to_fhir
from mappers.hl7v2.adt import AdtEvent, SourceConfig, to_events
from mappers.hl7v2.adt_events import EVENTS, ROWS
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.times import read_time

GOLDEN = Path(__file__).parents[2] / "golden" / "hl7v2"
SOURCE = SourceConfig("valley", facility="Organization/valley", facility_display="Valley General Hospital")
FILES = sorted(GOLDEN.glob("*.hl7"))
EFFECTS = {
    "admit",
    "transfer",
    "discharge",
    "register",
    "update",
    "class-change",
    "pre-admit",
    "leave",
    "return",
    "delete",
    "demographics",
    "merge",
    "pending-discharge",
    "cancel-admit",
    "cancel-transfer",
    "cancel-discharge",
    "cancel-pre-admit",
    "cancel-pending-discharge",
    "cancel-leave",
    "cancel-return",
    "tracking",
    "cancel-tracking",
    "alternate-id",
    "pending-transfer",
    "cancel-pending-transfer",
    "link",
    "unlink",
    "delete-person",
    "merge-account",
    "merge-visit",
    "move-person",
    "move-account",
    "move-visit",
    "change-id",
    "change-visit",
    "change-alternate-visit",
    "attending",
    "cancel-attending",
    "allergy",
    "consulting",
}


def _golden(path: Path) -> dict[str, Any]:
    message = parse(path.read_bytes())
    assert isinstance(message, Message)
    events, findings = to_events(message, SOURCE)
    bundle, more = to_fhir.bundle(message, events, SOURCE)
    found = [[f.severity, f.code, f.location] for f in (*findings, *more)]
    made = {"event": events[0].to_json(), "others": [one.to_json() for one in events[1:]], "findings": found}
    resources = [entry["resource"] for entry in bundle["entry"]]
    for resource in resources:
        assert validate(resource, resource["resourceType"]) == [], resource
    return {name: value for name, value in made.items() if value != []} | {"findings": found, "bundle": resources}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_golden_pair(path: Path) -> None:
    found, beside = _golden(path), path.with_suffix(".json")
    if os.environ.get("ENLACE_TEST_GOLDEN") == "write":
        beside.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert found == json.loads(beside.read_text("utf-8"))
    assert path.stem.startswith(found["event"]["code"].lower())


def test_every_row_has_a_golden_pair() -> None:
    assert {row.code.lower() for row in ROWS} == {path.stem[:3] for path in FILES}
    assert {p.stem for p in FILES} == {p.stem for p in GOLDEN.glob("*.json")}


def test_every_event_of_the_page_is_served() -> None:
    """facts/adt.md 1.1, and A18, A32, A33, A48, which chapter 3 has beside them. A19 is a query, A20 of a bed."""
    on_page = {*range(1, 19), *range(21, 56), 60, 61, 62}
    assert set(EVENTS) == {f"A{n:02}" for n in on_page}


def test_a_message_of_a_bed_is_refused_in_words() -> None:
    message = parse(b"MSH|^~\\&|EPIC|VGH|||20260304110100||ADT^A20^ADT_A20|1|P|2.5.1\rEVN|A20\rNPU|4W^401^A|U\r")
    assert isinstance(message, Message)
    events, findings = to_events(message, SOURCE)
    assert events == () and [one.code for one in findings if one.severity == "error"] == ["no-patient"]
    assert "bed" in reason_words("no-patient")


def reason_words(code: str) -> str:
    table = json.loads((Path(__file__).parents[3] / "service/workflow/feed_words.json").read_text("utf-8"))
    return str(table["reasons"][code][0])


def test_the_events_that_the_first_issue_names_are_served() -> None:
    named = "A01 A02 A03 A04 A05 A06 A07 A08 A11 A12 A13 A14 A16 A21 A22 A23 A25 A27 A28 A31 A38 A40"
    assert set(named.split()) <= set(EVENTS)


def test_rows_are_well_formed() -> None:
    assert len(EVENTS) == len(ROWS)
    for row in ROWS:
        assert row.effect in EFFECTS
        assert row.times[-1] == "MSH-7"
        assert set(row.cancels) <= EFFECTS
        assert row.effect.startswith("cancel-") == bool(row.cancels)
        # EVN-6 of a cancellation is the time of what it takes back, never of the cancelling itself
        assert not (row.cancels and "EVN-6" in row.times)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_events_survive_json(path: Path) -> None:
    message = parse(path.read_bytes())
    assert isinstance(message, Message)
    for event in to_events(message, SOURCE)[0]:
        assert AdtEvent.from_json(json.loads(json.dumps(event.to_json()))) == event
        if event.occurred_text:
            moment, _ = read_time(event.occurred_text, SOURCE.tz)
            assert moment is not None and moment.us == event.occurred
