"""Which stay a message belongs to; and real messages through mapper, identity and reducer (facts/adt.md 1.6)."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from mappers.hl7v2.adt import to_event
from mappers.hl7v2.event import AdtEvent, StayKey
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.source import SourceConfig
from service.workflow.stay_identity import is_provisional, stay_key
from tests.service.workflow.made_up import MINUTE, adt, play, us


def key(**parts: object) -> str:
    return stay_key(adt("A01", 0, "I", stay=StayKey(**parts)), "mercy")  # type: ignore[arg-type]


def test_stay_key_takes_the_best_identity() -> None:
    visit = key(facility="M", visit_number="1", visit_authority="A", account="9", mrn="5", admit=us(0))
    assert visit == key(facility="other", visit_number="1", visit_authority="A", mrn="6")
    assert visit != key(facility="M", visit_number="1", visit_authority="B")
    assert key(facility="M", visit_number="1") != key(facility="N", visit_number="1")
    assert key(facility="M", account="1") != key(facility="M", visit_number="1")
    same_minute = key(facility="M", mrn="5", admit=us(0) + 30_000_000)
    assert key(facility="M", mrn="5", admit=us(0)) == same_minute
    assert key(facility="M", mrn="5", admit=us(0) + MINUTE) != same_minute
    assert not is_provisional(visit)
    assert is_provisional(key(facility="M", mrn="5"))
    assert stay_key(adt("A01", 0), "mercy") != stay_key(adt("A01", 0), "other feed")


@given(st.text(), st.text())
def test_stay_key_is_a_fhir_id(authority: str, number: str) -> None:
    made = key(visit_authority=authority, visit_number=number)
    assert len(made) <= 64
    assert all(c in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in made)


def er7(code: str, time: str, control: str, pv1: str, occurred: str = "") -> AdtEvent:
    """A real message through the real mapper."""
    text = (
        f"MSH|^~\\&|EPIC|MERCY|ENLACE|ECM|{time}||ADT^{code}|{control}|P|2.5.1\r"
        f"EVN|{code}|{time}|||RN1|{occurred}\r"
        "PID|1||M100^^^MERCY^MR||Lopez^Maria||19800509|F\r"
        f"PV1|1|{pv1}\r"
    )
    message = parse(text.encode())
    assert isinstance(message, Message)
    event, _ = to_event(message, SourceConfig(name="mercy", facility="Organization/mercy"))
    assert event is not None
    return event


def visit_fields(klass: str, disposition: str = "", admit: str = "", out: str = "", bed: str = "5W^1^A") -> str:
    fields = [klass, bed, *[""] * 15, "V77^^^MERCY^VN", *[""] * 16, disposition, *[""] * 7, admit, out]
    return "|".join(fields)


def test_real_messages_in_every_order() -> None:
    admit, out = "20240307154000", "20240308100000"
    events = [
        er7("A04", "20240307154100", "1", visit_fields("E", admit=admit)),
        er7("A06", "20240307200000", "2", visit_fields("I", admit=admit)),
        er7("A03", "20240308100500", "3", visit_fields("I", "01", admit, out), occurred=out),
        # EVN-6 of a cancel is the time of what it takes back; EVN-2 is when it was taken back.
        er7("A13", "20240308103000", "4", visit_fields("I", admit=admit), occurred=out),
        er7("A03", "20240309110500", "5", visit_fields("I", "03", admit, "20240309110000")),
    ]
    assert len({stay_key(e, "mercy") for e in events}) == 1
    for order in permutations(events):
        state, standing, _ = play(list(order))
        assert standing == {"ed-arrival.0", "admission.0", "discharge.1.SNF"}
        assert (state.status, state.klass, state.facility) == ("finished", "INPATIENT", "Organization/mercy")
        assert [event.to_json() for event in order] == [AdtEvent.from_json(e.to_json()).to_json() for e in order]
