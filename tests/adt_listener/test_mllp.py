"""MLLP framing: the sixteen transport cases of facts/adt.md section 6, and chunking never matters."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adt_listener.mllp import Discarded, Event, Frame, FrameReader, NotMllp, Oversize, wrap
from mappers.hl7v2.ack import acknowledge
from mappers.hl7v2.header import Header, Unreadable, peek

A = b"MSH|^~\\&|A|B|C|D|20260301||ADT^A01|1|P|2.5.1\rPID|1\r"
B = A.replace(b"|1|P", b"|2|P")
DEEP = 2000 if os.environ.get("ENLACE_TEST_DEEP") else 150


def read(*chunks: bytes, reader: FrameReader | None = None) -> list[Event]:
    reader = reader or FrameReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param([bytes([b]) for b in wrap(A)], [Frame(A)], id="1-one-byte-per-write"),
        pytest.param([wrap(A) + wrap(B) + wrap(A)], [Frame(A), Frame(B), Frame(A)], id="2-three-frames-in-one-segment"),
        pytest.param([wrap(A)[:-1], b"\r" + wrap(B)], [Frame(A), Frame(B)], id="3-split-between-fs-and-cr"),
        pytest.param([wrap(A)[:-1] + wrap(B)], [Frame(A), Frame(B)], id="4-fs-without-cr-then-vt"),
        pytest.param([wrap(A)[:-1], wrap(B)], [Frame(A), Frame(B)], id="4-fs-without-cr-then-vt-later"),
        pytest.param([wrap(A)[:-1] + b"\n" + wrap(B)], [Frame(A), Frame(B)], id="5-lf-instead-of-cr"),
        pytest.param([wrap(A) + b"\n" + wrap(B)], [Frame(A), Frame(B)], id="5-lf-after-cr"),
        pytest.param([b" \r\n\x00" + wrap(A), b"\x00", b" ", wrap(B)], [Frame(A), Frame(B)], id="6-keep-alives"),
        pytest.param([b"\x0b" + A[:20], wrap(B)], [Discarded("restarted", 20), Frame(B)], id="7-vt-restart"),
        pytest.param([b"\x0b" + wrap(A) + b"\x1c\r" + wrap(B)], [Frame(A), Frame(B)], id="8-double-wrapped"),
        pytest.param([wrap(b"") + wrap(A)], [Discarded("empty-frame", 0), Frame(A)], id="9-empty-frame"),
        pytest.param([b"\x0bA\x1cB\x1c\r"], [Frame(b"A\x1cB")], id="fs-inside-payload"),
        pytest.param([wrap(A) + b"junk" + wrap(B)], [Frame(A), Discarded("outside-frame", 4), Frame(B)], id="junk"),
        pytest.param([b"GET / HTTP/1.1\r\n"], [NotMllp()], id="12-http"),
        pytest.param([b"\x16\x03\x01\x02\x00\x01\x00"], [NotMllp()], id="12-tls"),
        pytest.param([A], [NotMllp()], id="12-bare-hl7"),
        pytest.param([b"GET / HTTP/1.1\r\n", wrap(A)], [NotMllp()], id="12-nothing-after-it"),
    ],
)
def test_reader(chunks: list[bytes], expected: list[Event]) -> None:
    assert read(*chunks) == expected


def test_10_close_mid_frame_gives_nothing_to_acknowledge() -> None:
    reader = FrameReader()
    assert reader.feed(b"\x0b" + A[:30]) == []
    assert reader.close() == [Discarded("closed-mid-frame", 30)]
    assert reader.close() == []


def test_a_sender_that_leaves_out_the_cr_is_answered_when_idle() -> None:
    reader = FrameReader()
    assert reader.feed(wrap(A)[:-1]) == []
    assert reader.idle() == [Frame(A)]
    assert reader.idle() == []
    assert reader.feed(b"\r" + wrap(B)) == [Frame(B)]


def test_idle_never_ends_an_unfinished_frame() -> None:
    reader = FrameReader()
    reader.feed(b"\x0b" + A)
    assert reader.idle() == []
    assert reader.feed(b"\x1c\r") == [Frame(A)]


def test_11_an_oversize_frame_keeps_its_head_for_the_refusal_and_not_its_body() -> None:
    reader, chunk = FrameReader(), b"x" * 65536
    assert reader.feed(b"\x0b" + A) == []
    for _ in range(320):  # 20 MB
        assert reader.feed(chunk) == []
        assert len(reader._buffer) <= 16 * 1024 * 1024 + len(chunk)
    (event, frame) = reader.feed(b"\x1c\r" + wrap(B))
    assert isinstance(event, Oversize) and frame == Frame(B)
    assert len(event.head) == 4096 and event.size == len(A) + 320 * 65536
    header = peek(event.head)
    assert isinstance(header, Header) and header.control_id == "1"


def test_an_oversize_frame_in_one_piece() -> None:
    (event,) = FrameReader(max_bytes=100).feed(wrap(b"MSH" + b"x" * 200))
    assert event == Oversize(b"MSH" + b"x" * 200, 203)


def test_7_the_remnant_after_a_stray_vt_is_never_acknowledged_positively() -> None:
    _, remnant = read(b"\x0b" + A[:40] + b"\x0b" + A[40:] + b"\x1c\r")
    assert isinstance(remnant, Frame)
    header = peek(remnant.payload)
    assert isinstance(header, Unreadable)
    answer = acknowledge(header, outcome="stored", now_us=0, control_id="X")
    assert answer is not None and b"MSA|AR" in answer


def test_14_five_hundred_pipelined_messages() -> None:
    assert read(wrap(A) * 500) == [Frame(A)] * 500


def test_the_writer_is_strict() -> None:
    assert wrap(b"x") == b"\x0bx\x1c\x0d"
    for bad in (b"a\x0bb", b"a\x1cb"):
        with pytest.raises(ValueError, match="framing"):
            wrap(bad)


PIECES = st.lists(st.sampled_from([wrap(A), wrap(B), b"\x0b", b"\x1c", b"\r", b"\n", b"\x00", A, b"x"]), max_size=12)


@settings(max_examples=DEEP, deadline=None)
@given(PIECES, st.lists(st.integers(0, 400), max_size=10))
def test_chunking_never_changes_the_frames(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"\x0b" + b"".join(pieces)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    whole = [e for e in read(data) if isinstance(e, Frame)]
    cut = [e for e in read(*(data[a:b] for a, b in pairwise(edges))) if isinstance(e, Frame)]
    assert whole == cut


@settings(max_examples=DEEP, deadline=None)
@given(st.lists(st.binary(max_size=200)))
def test_no_bytes_raise(chunks: list[bytes]) -> None:
    reader = FrameReader(max_bytes=300)
    for chunk in chunks:
        reader.feed(chunk)
        reader.idle()
        assert len(reader._buffer) <= 300 + 200
    reader.close()
