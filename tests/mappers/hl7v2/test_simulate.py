"""The synthetic feed: reproducible, in order, and every message is one that we understand."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice, pairwise

from mappers.hl7v2.adt import SourceConfig, to_event
from mappers.hl7v2.message import Message, content_hash, parse
from mappers.hl7v2.simulate import MINUTE, message
from mappers.hl7v2.simulate_feed import OpenStay, feed

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


def test_no_time_in_a_message_is_later_than_its_turn() -> None:
    """Message n is sent n gaps after the start, so nothing in it may be later than that."""
    source = SourceConfig("sim")
    for gap in (200_000, 5_000_000, 4 * MINUTE):
        for turn, (at, raw) in enumerate(islice(feed(3, MEMBERS, HOSPITALS, START, gap_us=gap), 800)):
            found = parse(raw)
            assert isinstance(found, Message)
            event, _ = to_event(found, source)
            assert event is not None and event.occurred is not None
            assert event.occurred <= at <= START + turn * gap


def test_a_member_is_in_one_place_at_a_time() -> None:
    """Ten members and thousands of messages: a new stay begins only when the one before has ended."""
    where, ended, stays = dict[str, str](), dict[str, bool](), set[str]()
    for _, raw in islice(feed(4, MEMBERS, HOSPITALS, START, duplicate_share=0), 4000):
        cin, visit = re.search(rb"(9000000..?)\r", raw), re.search(rb"\|(V4-\d+)\^", raw)
        if not cin or b"MEDI-CAL" not in raw:
            continue
        assert visit
        who, stay = cin[1].decode(), visit[1].decode()
        assert where.get(who) == stay or (stay not in stays and ended.get(who, True)), (who, stay)
        where[who], ended[who] = stay, bool(re.search(rb"ADT\^(A03|A11)", raw))
        stays.add(stay)
    assert len(stays) > 100


def test_who_is_away_is_left_in_peace_and_may_come_back() -> None:
    away = {str(one["cin"]) for one in MEMBERS[1:]}
    stream = feed(2, MEMBERS, HOSPITALS, START, gap_us=1_000_000, away=away, stranger_share=0)
    first = [raw for _, raw in islice(stream, 60)]
    assert not [raw for raw in first if any(cin.encode() in raw for cin in away)]
    assert [raw for raw in first if b"90000000A" in raw]
    away.clear()
    assert len({raw.split(b"|IN1")[0] for _, raw in islice(stream, 9) if b"MEDI-CAL" in raw}) >= 7


def test_what_an_earlier_feed_left_open_is_ended() -> None:
    left = [OpenStay(one, HOSPITALS[0], f"V7-{n}", "E", START - 60 * MINUTE) for n, one in enumerate(MEMBERS[:3])]
    sent = list(islice(feed(2, MEMBERS, HOSPITALS, START, gap_us=5_000_000, unended=left), 20))
    ended = [number for number, (_, raw) in enumerate(sent) if b"ADT^A03" in raw and b"|V7-" in raw]
    assert {raw.partition(b"|V7-")[2][:1] for _, raw in sent} >= {b"0", b"1", b"2"}
    assert len(ended) >= 3 and ended[2] > 3, "others come between"
    assert not [raw for _, raw in sent if b"ADT^A03" not in raw and re.search(rb"9000000[012]A", raw)]
    assert all(a[0] <= b[0] for a, b in pairwise(sent))


def test_without_members_everyone_is_a_stranger() -> None:
    assert not [raw for _, raw in islice(feed(1, [], HOSPITALS, START), 50) if b"MEDI-CAL" in raw]


def test_a_field_by_its_place_wins_and_none_leaves_it_out() -> None:
    raw = message("A01", MEMBERS[0], HOSPITALS[0], PV1_2="OBS", PID_8=None, ZPD_1="x").decode()
    assert "PV1|1|OBS|" in raw and raw.endswith("ZPD|x\r") and "||19800517||" in raw
