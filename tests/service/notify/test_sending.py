"""One notification: how much it holds, which secrets sign it, and that no text tells of anybody."""

from dataclasses import replace

import pytest

from service.notify import secrets, sending
from service.notify.model import Content, Kind, Spec, State, Told

KEY = b"k" * 32
SPEC = Spec("t", "rest-hook", "https://a.example.org/", "application/fhir+json", Content.FULL)
BASE = "https://enlace.example.org/fhir"


def state(**more: object) -> State:
    facts = {name: 0 for name in State.__dataclass_fields__} | {"fhir_id": "s1", "status": "active", "error": ""}
    facts |= {"secret": secrets.sealed(KEY, b"new"), "secret_before": None}
    return State(**(facts | more))  # type: ignore[arg-type]


def test_at_most_a_megabyte() -> None:
    told = [Told(number, 1, "Task/a", body=b"x" * 400_000) for number in range(1, 5)]
    assert [one.number for one in sending.fitting(told, SPEC)] == [1, 2]
    assert len(sending.fitting(told, replace(SPEC, content=Content.ID_ONLY))) == 4
    (large,) = sending.fitting([Told(1, 1, "Task/a", body=b"x" * 2_000_000, context=("Patient/a",))], SPEC)
    assert (large.reference, large.body, large.context) == ("Task/a", None, ("Patient/a",))


def test_the_secret_before_counts_until_its_time() -> None:
    now = state(secret_before=secrets.sealed(KEY, b"old"), secret_before_until_us=100)
    assert sending.opened(now, KEY, 99) == (b"new", b"old") and sending.opened(now, KEY, 100) == (b"new",)
    with pytest.raises(sending.NoSecret):
        sending.opened(now, b"x" * 32, 1)


def test_what_people_read_is_in_the_language_of_the_subscription() -> None:
    asked = {"ident": "m", "base_url": BASE, "key": KEY, "now_us": 5}
    spec = replace(SPEC, channel="sms", endpoint="tel:+19165550100", mime="text/plain", language="es-MX")
    sms = sending.message(state(), spec, Kind.EVENT, [Told(7, 1)], **asked)  # type: ignore[arg-type]
    assert sms.language == "es" and "hasta el número 7" in sms.text
    sms = sending.message(state(), replace(spec, language="hmn"), Kind.EVENT, [Told(7, 1)], **asked)  # type: ignore[arg-type]
    assert sms.language == "en" and "up to number 7" in sms.text


def test_what_people_read_names_numbers_only() -> None:
    spec = replace(SPEC, channel="email", endpoint="mailto:a@b.org", mime="text/plain;attach=application/fhir+json")
    told = [Told(7, 1, "Task/secret", body=b'{"resourceType":"Task"}')]
    asked = {"ident": "m", "base_url": BASE, "key": KEY, "now_us": 5}
    mail = sending.message(state(), spec, Kind.EVENT, told, numbers=[8], **asked)  # type: ignore[arg-type]
    assert (
        "2. The last one has number 8" in mail.text
        and "secret" not in mail.text + mail.subject
        and mail.attach
        and mail.body
    )
    text = sending.message(state(), replace(spec, channel="sms"), Kind.EVENT, told, **asked)  # type: ignore[arg-type]
    assert text.body is None and "7" in text.text


def test_batches_and_time_limits_are_bounded() -> None:
    assert [sending.batch(replace(SPEC, max_count=n)) for n in (0, 3, 10_000)] == [20, 3, 100]
    assert [sending.timeout_s(replace(SPEC, timeout_s=n)) for n in (0, 7, 600)] == [5, 7, 30]
