"""The synthetic feed: reproducible, in order, and every message is one that we understand."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

from mappers.hl7v2.adt import SourceConfig, to_event
from mappers.hl7v2.message import Message, content_hash, parse
from mappers.hl7v2.simulate import feed, message

START = 1_772_568_000_000_000
MEMBERS = [
    {"cin": f"9000000{n}A", "mrn": f"M{n}", "family": "Roe", "given": f"Ann{n}", "birth_date": "1980-05-17", "sex": "F"}
    for n in range(10)
]
HOSPITALS = [{"name": "East", "enhanced": True, "npi": "1234567893"}, {"name": "West | & Sons", "oid": "1.2.3"}]


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, two = (list(islice(feed(5, MEMBERS, HOSPITALS, START), 300)) for _ in range(2))
    assert one == two != list(islice(feed(6, MEMBERS, HOSPITALS, START), 300))


def test_the_feed_is_ordered_and_understood() -> None:
    sent = list(islice(feed(1, MEMBERS, HOSPITALS, START), 1500))
    assert all(a[0] <= b[0] for a, b in pairwise(sent)) and sent[0][0] >= START
    source, events, members = SourceConfig("sim"), Counter[str](), 0
    for at, raw in sent:
        found = parse(raw)
        assert isinstance(found, Message)
        event, findings = to_event(found, source)
        assert event is not None and not [f for f in findings if f.severity != "information"], findings
        assert event.occurred is not None and event.occurred <= at
        events[event.code] += 1
        members += bool(event.patient.cins)
    assert {"A01", "A02", "A03", "A04", "A06", "A08", "A11", "A13", "A16"} <= set(events)
    assert 0.4 < members / len(sent) < 0.8  # the others are strangers
    hashes = Counter(content_hash(raw) for _, raw in sent)
    assert 0 < sum(n - 1 for n in hashes.values()) < 100  # resent unchanged


def test_without_members_everyone_is_a_stranger() -> None:
    assert not [raw for _, raw in islice(feed(1, [], HOSPITALS, START), 50) if b"MEDI-CAL" in raw]


def test_a_field_by_its_place_wins_and_none_leaves_it_out() -> None:
    raw = message("A01", MEMBERS[0], HOSPITALS[0], PV1_2="OBS", PID_8=None, ZPD_1="x").decode()
    assert "PV1|1|OBS|" in raw and raw.endswith("ZPD|x\r") and "||19800517||" in raw
