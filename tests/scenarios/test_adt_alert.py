"""ADT over MLLP to the lead care manager's inbox, by separately started processes, on both databases (issue 2, 7)."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios.harness import Cast, Service, ack_code, adt, as_json, cast, wait_for

POSTGRESQL_IN_DEEP = True

ALERTS = "Communication?_count=100&category=enlace-alert"
CHECKLIST = [f"tcs-{word}" for word in ("contact", "documents", "medication", "pcp", "services", "support", "visit")]
"""What a discharge gives the lead care manager to do (PlanDefinition enlace-tcs), one Task of each kind."""


@dataclass
class Story:
    """One test's people at the running service, and the messages that it sends."""

    service: Service
    cast: Cast
    since: int
    visit: str

    def adt(self, event: str, who: dict[str, Any] | None = None, *, visit: str = "", **fields: Any) -> bytes:
        return adt(event, who or self.cast.rosa.said, visit=self.visit + visit, **fields)

    def send(self, *messages: bytes) -> list[str]:
        return self.service.send(*messages)

    def found(self, who: str, query: str) -> list[dict[str, Any]]:
        return self.service.found(self.cast.tokens[who], query)

    def alerts(self, who: str, *, status: str = "") -> list[dict[str, Any]]:
        found = [c for c in self.found(who, ALERTS) if not status or c["status"] == status]
        return sorted(found, key=lambda c: str(c["sent"]))

    def inbox(self) -> list[dict[str, Any]]:
        return self.service.inbox(self.since)

    def settled(self, count: int) -> list[dict[str, Any]]:
        """This test's part of the inbox, once it has `count` messages and none waits."""

        def look() -> list[dict[str, Any]]:
            rows = self.inbox()
            return rows if len(rows) == count and all(r["state"] != "stored" for r in rows) else []

        return wait_for(look)


@pytest.fixture
def story(service: Service, world_tokens: dict[str, str]) -> Story:
    people = cast(service.url, world_tokens)
    before = service.inbox()
    return Story(service, people, before[-1]["id"] if before else 0, people.rosa.key)


def texts(resources: list[dict[str, Any]]) -> str:
    return " / ".join(r["payload"][0]["contentString"] for r in resources)


def kinds(tasks: list[dict[str, Any]]) -> list[str]:
    return sorted(t["code"]["coding"][0]["code"] for t in tasks)


def test_a_stay_from_admission_to_discharge(story: Story) -> None:
    sent = time.monotonic()
    assert story.send(story.adt("A01", reason="R07.9^Chest pain")) == ["AA"]
    [alert] = wait_for(lambda: story.alerts("ada"))
    print(f"latency: ACK and alert visible after {(time.monotonic() - sent) * 1000:.0f} ms")
    assert alert["recipient"] == [{"reference": story.cast.rosa.lead}]
    assert alert["status"] == "completed"
    assert "received" not in alert
    assert alert["subject"]["reference"] == story.cast.rosa.reference
    assert "Mercy Made-up" in texts([alert])
    [encounter] = story.found("ada", "Encounter?status=in-progress")
    assert alert["about"] == [{"reference": f"Encounter/{encounter['id']}"}]
    assert encounter["class"]["code"] == "IMP"
    tasks = story.found("ada", f"Task?owner={story.cast.rosa.lead}&status=requested")
    assert [t["focus"]["reference"] for t in tasks] == [f"Communication/{alert['id']}"]

    for stranger in ("ben", "south", "cbo"):
        assert story.found(stranger, f"{ALERTS}&subject={story.cast.rosa.reference}") == []
        assert story.found(stranger, f"Task?patient={story.cast.rosa.reference}") == []
    with story.service.client(story.cast.tokens["ben"]) as client:
        assert client.get(f"/Communication/{alert['id']}").status_code == 404
        assert client.get(f"/Encounter/{encounter['id']}").status_code in (403, 404)
    with story.service.client(story.cast.tokens["mercy"]) as client:
        assert client.get(f"/Communication/{alert['id']}").status_code in (403, 404)

    assert story.send(story.adt("A08", ago=50, admit_us=None)) == ["AA"]
    story.settled(2)
    assert len(story.alerts("ada")) == 1
    assert story.send(story.adt("A03", ago=5, disposition="01")) == ["AA"]
    wait_for(lambda: len(story.alerts("ada")) == 2)
    assert "discharged" in texts(story.alerts("ada")).lower()
    assert story.found("ada", "Encounter?status=finished")
    tasks = story.found("ada", f"Task?owner={story.cast.rosa.lead}&status=requested")
    assert kinds(tasks) == ["contact-hospital", *CHECKLIST]
    assert story.alerts("ben") == []


def test_a_cancelled_discharge_and_a_cancelled_admission_are_taken_back(story: Story) -> None:
    story.send(story.adt("A01", ago=90), story.adt("A03", ago=30, disposition="01"))
    wait_for(lambda: len(story.alerts("ada")) == 2)
    story.send(story.adt("A13", ago=20, PV1_36='""', PV1_45='""'))
    [gone] = wait_for(lambda: story.alerts("ada", status="entered-in-error"))
    [correction] = [c for c in story.alerts("ada") if c.get("inResponseTo")]
    assert correction["inResponseTo"] == [{"reference": f"Communication/{gone['id']}"}]
    assert correction["recipient"] == [{"reference": story.cast.rosa.lead}]
    cancelled = story.found("ada", "Task?status=cancelled")
    assert kinds(cancelled) == CHECKLIST
    assert {t["focus"]["reference"] for t in cancelled} == {f"Communication/{gone['id']}"}
    assert all(t["statusReason"]["text"] for t in cancelled)
    assert story.found("ada", "Encounter?status=in-progress")

    story.send(story.adt("A11", ago=10))
    wait_for(lambda: len(story.alerts("ada", status="entered-in-error")) == 2)
    assert kinds(story.found("ada", "Task?status=cancelled")) == ["contact-hospital", *CHECKLIST]
    assert story.found("ada", "Task?status=requested") == []
    assert story.found("ada", "Encounter?status=in-progress") == []


def test_repeats_have_no_effect_and_get_the_stored_answer(story: Story) -> None:
    message = story.adt("A01")
    with story.service.mllp() as connection:
        first = connection.exchange(message)
        again = [connection.exchange(message) for _ in range(3)]
    assert again == [first] * 3
    restamped = message.replace(message.split(b"|")[6], b"20260101000000", 1)
    with httpx.Client(
        base_url=story.service.base, headers={"Authorization": f"Bearer {story.cast.tokens['mercy']}"}
    ) as http:
        over_http = http.post("/hl7v2", content=restamped, headers={"Content-Type": "application/hl7-v2"})
    assert (over_http.status_code, over_http.content) == (200, first)
    story.settled(1)
    assert len(wait_for(lambda: story.alerts("ada"))) == 1
    # Another content under the same control id is stored as new, accepted, and flagged until it is processed.
    control_id = message.split(b"|")[9].decode()
    assert story.send(story.adt("A01", story.cast.luis.said, control_id=control_id, visit="V2")) == ["AA"]
    wait_for(lambda: story.alerts("ben"))


def test_a_discharge_that_comes_before_its_admission(story: Story) -> None:
    story.send(story.adt("A03", ago=20, disposition="01", admit_us=None))
    wait_for(lambda: story.alerts("ada"))
    story.send(story.adt("A01", ago=300))
    story.settled(2)
    [encounter] = story.found("ada", "Encounter?status=finished")
    standing = [c for c in story.alerts("ada", status="completed") if not c.get("inResponseTo")]
    assert any("discharged" in texts([c]).lower() for c in standing)
    admitted = [c for c in standing if "discharged" not in texts([c]).lower()]
    assert all(c["priority"] == "routine" for c in admitted), "an old admission must not ring"
    assert encounter["period"]["start"] < encounter["period"]["end"]


def test_strangers_and_contradictions_wait_for_a_person(story: Story) -> None:
    stranger = {
        "mrn": f"X-{story.visit}",
        "family": "Elsewhere",
        "given": "Orla",
        "birth_date": "1990-01-01",
        "sex": "F",
    }
    conflict = {**story.cast.rosa.said, "cin": story.cast.luis.cin}
    with story.service.mllp() as connection:
        known = connection.exchange(story.adt("A01", control_id="SAME", visit="VA"))
        unknown = connection.exchange(story.adt("A01", stranger, control_id="SAME", visit="VB"))
    assert ack_code(known) == "AA"
    assert _timeless(known) == _timeless(unknown)
    story.send(story.adt("A01", conflict, visit="VC"))
    found = {r["reason"]: r for r in story.settled(3)}
    assert [r["state"] for r in story.inbox()] == ["applied", "unmatched", "unmatched"]
    assert set(found) == {"matched", "no-candidate", "cin-conflict"}
    assert story.alerts("ben") == []
    listed = as_json(story.service.cli("adt", "inbox", "--state", "unmatched", "--limit", "2", "--json"))
    assert {line["reason"] for line in listed} == {"no-candidate", "cin-conflict"}


def _timeless(ack: bytes) -> bytes:
    """Without our own control id (MSH-10) and time (MSH-7)."""
    head, rest = ack.split(b"\r", 1)
    fields = head.split(b"|")
    fields[6] = fields[9] = b""
    return b"|".join(fields) + rest


def test_a_later_update_with_the_cin_makes_earlier_events_count(story: Story) -> None:
    nameless = {
        "mrn": f"NEW-{story.visit}",
        "family": story.cast.rosa.family,
        "given": story.cast.rosa.given,
        "birth_date": story.cast.rosa.birth_date,
        "sex": "F",
    }
    story.send(story.adt("A01", nameless, ago=120))
    [row] = story.settled(1)
    assert (row["state"], row["reason"]) == ("unmatched", "demographics-insufficient")
    story.send(story.adt("A08", {**story.cast.rosa.said, "mrn": f"NEW-{story.visit}"}, ago=60))
    [first, second] = story.settled(2)
    assert (first["state"], first["reason"], first["patient"]) == (
        "applied",
        "matched-later",
        story.cast.rosa.reference,
    )
    assert second["state"] == "applied"
    assert len(wait_for(lambda: story.alerts("ada"))) == 1
    # Its record number is known now: a sparse message of another stay matches by it.
    story.send(story.adt("A01", nameless, ago=10, visit="V9"))
    assert story.settled(3)[2]["state"] == "applied"


def test_a_contradiction_inside_a_matched_stay_never_counts(story: Story) -> None:
    story.send(
        story.adt("A01", ago=90),
        story.adt("A03", story.cast.luis.said, ago=60, disposition="01"),
        story.adt("A08", ago=30),
    )
    states = [(r["state"], r["reason"]) for r in story.settled(3)]
    assert states[1] == ("unmatched", "stay-of-another-member")
    assert states[2][0] == "applied"
    assert story.found("ada", "Encounter?status=in-progress"), "another member's discharge ended the stay"
    assert len(story.alerts("ada")) == 1
    assert story.alerts("ben") == []


def test_what_cannot_be_read_is_refused_and_kept(story: Story) -> None:
    with story.service.mllp() as connection:
        assert ack_code(connection.exchange(b"PID|1||no header here\r")) == "AR"
        assert ack_code(connection.exchange(story.adt("A01"))) == "AA"
    rows = story.settled(2)
    assert rows[0]["state"] == "unreadable"


def test_a_sender_that_is_registered_later(story: Story) -> None:
    message = story.adt("A01").replace(b"|EPIC|MERCY|", b"|CERNER|VALLEY|", 1)
    assert story.send(message) == ["AA"]
    [row] = story.settled(1)
    assert (row["state"], row["source"]) == ("unregistered", "?CERNER/VALLEY")
    listed = as_json(story.service.cli("adt", "inbox", "--state", "unregistered", "--json"))
    assert [line["id"] for line in listed] == [row["id"]]
    add = ["source", "add", "valley", "--application", "CERNER", "--facility", "VALLEY"]
    story.service.cli("adt", *add, "--organization", "Organization/mercy", "--display", "Valley Made-up")
    assert "1 queued" in story.service.cli("adt", "replay", "--state", "unregistered")
    [alert] = wait_for(lambda: story.alerts("ada"))
    assert "Valley Made-up" in texts([alert])
    [row] = story.inbox()
    assert (row["state"], row["source"]) == ("applied", "valley")
    # Replaying what had its effect has none.
    story.service.cli("adt", "replay", str(row["id"]))
    story.service.drained()
    assert len(story.alerts("ada")) == 1


def test_enhanced_mode_and_several_messages_in_one_frame(story: Story) -> None:
    assert story.send(story.adt("A01", MSH_15="AL", MSH_16="NE")) == ["CA"]
    batch = story.adt("A01", story.cast.luis.said, visit="V2", ago=50) + story.adt(
        "A03", story.cast.luis.said, visit="V2", ago=10, disposition="01"
    )
    with story.service.mllp() as connection:
        assert ack_code(connection.exchange(batch)) == "AA"
    story.settled(3)
    wait_for(lambda: len(story.alerts("ben")) == 2)


def test_the_adt_verbs(story: Story, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.hl7", tmp_path / "bad.hl7"
    good.write_bytes(story.adt("A01"))
    bad.write_bytes(b"no message")
    assert as_json(story.service.cli("adt", "send", str(good), "--json")) == [
        {"file": "good.hl7", "ack": "AA", "text": ""}
    ]
    assert "AR" in story.service.cli("adt", "send", str(good), str(bad), code=1)
    assert "Nothing was sent" in story.service.cli("adt", "send", str(good), "--port", "1", code=1)
    assert "cannot be read" in story.service.cli("adt", "send", str(tmp_path / "absent.hl7"), code=1)
    rows = story.settled(2)
    listed = as_json(story.service.cli("adt", "inbox", "--limit", "2", "--json"))
    assert [line["id"] for line in listed] == [r["id"] for r in reversed(rows)]
    shown = story.service.cli("adt", "show", str(rows[0]["id"]))
    assert "applied" in shown
    assert story.cast.rosa.family not in shown, "personal data is printed with --raw only"
    assert story.cast.rosa.family in story.service.cli("adt", "show", str(rows[0]["id"]), "--raw")
    assert "There is no message 1" in story.service.cli("adt", "show", "1", code=1)
    story.service.cli("adt", "inbox", "--state", "nonsense", code=2)
    story.service.cli("adt", "replay", code=2)
    source = next(s for s in as_json(story.service.cli("adt", "source", "list", "--json")) if s["name"] == "mercy")
    assert (source["name"], source["application"], source["facility"]) == ("mercy", "EPIC", "MERCY")
    wrong = ["source", "add", "x", "--application", "A", "--facility", "F", "--organization", "Organization/mercy"]
    story.service.cli("adt", *wrong, "--zone", "Nowhere/Land", code=2)
    story.service.cli("adt", *wrong, "--ack-mode", "loud", code=2)
    story.service.cli("adt", "source", "add", "two words", *wrong[3:], code=2)
    story.service.cli("adt", "source", "edit", "x", *wrong[3:], code=1)
    story.service.cli("adt", *wrong)
    story.service.cli("adt", "source", "edit", "x", "--zone", "America/Denver")


def test_zz_sigterm_is_clean(story: Story) -> None:
    """The last of this file: it stops the shared service for a moment."""
    service, rosa = story.service, story.cast.rosa
    try:
        story.send(story.adt("A01"))
        codes = service.terminate()
        assert set(codes.values()) == {0}, (codes, service.output()[-2000:])
        for word in ("Traceback", rosa.family, rosa.cin):
            assert word not in service.output()
    finally:
        service.start()
