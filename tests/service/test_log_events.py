"""The log: only catalogued events, only their fields, only numbers and identifiers; one line each, quick."""

import io
import json
import logging
import time
from typing import Any

import pytest

from service import log_events
from service.log_events import CATALOGUE, REQUEST_ID, LogRefused, configure, log, route_libraries, where

NASTY = [
    "Maria Gonzalez",
    "a\r\nb",
    "a\nFAKE",
    "a\n",
    "\x1b[31mred",
    'a"b',
    "a\\b",
    "",
    "x" * 65,
    "\u2028",
    "\u202eabc",
    "\x00",
    "91234567A",
    "91234567A2",
    "123-45-6789",
    "name=Maria&birthdate=1970-01-01",
    "{}",
    "José",
    "(415)555-0101",
]


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_what_the_event_names() -> None:
    configure("json", "info", strict=True, stream=(stream := io.StringIO()))
    log(log_events.REQUEST_REFUSED, method="PUT", type="Task", status=412, reason="stale", ms=3, client=None)
    (line,) = lines(stream)
    assert line.pop("at_utc").endswith("Z")
    assert line == {
        "level": "info",
        "event": "request.refused",
        "message": "A request was refused.",
        "method": "PUT",
        "type": "Task",
        "status": 412,
        "reason": "stale",
        "ms": 3,
    }


def test_console_line() -> None:
    configure("console", "info", strict=True, stream=(stream := io.StringIO()))
    log(log_events.READY, process="api", port=8000)
    assert stream.getvalue().endswith("info    service.ready        The process takes work. process=api port=8000\n")


@pytest.mark.parametrize("value", [*NASTY, 1.5, b"x", ["x"], {"a": 1}, ...], ids=ascii)
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_value_that_is_no_identifier_is_refused_and_never_written(value: Any, form: str) -> None:
    configure(form, "info", strict=True, stream=(stream := io.StringIO()))
    with pytest.raises(LogRefused):
        log(log_events.ADT_STORED, control_id=value)
    configure(form, "info", stream=stream)
    log(log_events.ADT_STORED, control_id=value, source=7)
    assert stream.getvalue().count("\n") == 1 and stream.getvalue().isprintable() is False
    assert stream.getvalue()[:-1].isprintable() and stream.getvalue().isascii()
    assert ('"control_id":"?","source":7' if form == "json" else "control_id=? source=7") in stream.getvalue()


def test_a_field_that_the_event_does_not_name_is_refused() -> None:
    configure(stream=(stream := io.StringIO()), strict=True)
    with pytest.raises(LogRefused, match=r"adt\.stored: patient"):
        log(log_events.ADT_STORED, patient="p1")
    configure(stream=stream)
    log(log_events.ADT_STORED, patient="p1")
    assert lines(stream)[0]["patient"] == "?"


def test_refusal_names_no_value() -> None:
    configure(strict=True)
    with pytest.raises(LogRefused) as caught:
        log(log_events.ADT_STORED, control_id="Maria Gonzalez")
    assert "Maria" not in str(caught.value)


@pytest.mark.parametrize(("given", "written"), [("r-1", "r-1"), ("a\r\nb", "?"), ('"', "?")])
def test_request_id_stands_on_each_line(given: str, written: str) -> None:
    configure(stream=(stream := io.StringIO()), strict=True)
    token = REQUEST_ID.set(given)
    try:
        log(log_events.READY, process="api")
    finally:
        REQUEST_ID.reset(token)
    log(log_events.READY, process="api")
    assert [line.get("request_id") for line in lines(stream)] == [written, None]


def test_level() -> None:
    configure(level="warning", stream=(stream := io.StringIO()), strict=True)
    log(log_events.READY, process="api")
    log(log_events.JOB_DEAD, job=1)
    assert [line["event"] for line in lines(stream)] == ["job.dead"]


def test_where_tells_type_and_line_and_never_the_text() -> None:
    try:
        json.loads('{"name": "Maria" ')
    except ValueError as error:
        found = where(error)
    assert found["error"] == "JSONDecodeError" and found["at"].startswith("json/decoder.py:")
    configure(stream=(stream := io.StringIO()), strict=True)
    log(log_events.JOB_FAILED, job=1, **found)
    assert "Maria" not in stream.getvalue()


def test_libraries_are_routed_without_their_text() -> None:
    configure(stream=(stream := io.StringIO()), strict=True)
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        route_libraries()
        try:
            raise ValueError("Maria Gonzalez")
        except ValueError:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application for %s", "Maria")
        logging.getLogger("uvicorn.access").warning("GET /fhir/Patient?name=Maria")
        logging.getLogger("odd name\n").warning("Maria")
    finally:
        root.handlers, root.level = before
        logging.captureWarnings(False)
        logging.getLogger("uvicorn.access").disabled = False
    first, second = lines(stream)
    assert (first["logger"], first["severity"], first["error"]) == ("uvicorn.error", "error", "ValueError")
    assert first["error_at"].startswith("service/test_log_events.py:")
    assert second["logger"] == "other"
    assert "Maria" not in stream.getvalue()


def test_a_closed_stream_does_not_stop_the_work() -> None:
    stream = io.StringIO()
    stream.close()
    configure(stream=stream, strict=True)
    log(log_events.READY, process="api")


def test_a_line_is_cheap() -> None:
    # 5 us when measured; the bound of 15 us is taken ten times wide, since the machine is shared.
    configure("json", "info", stream=io.StringIO(), strict=True)
    best = float("inf")
    for _round in range(5):
        start = time.perf_counter()
        for number in range(1000):
            log(
                log_events.REQUEST_REFUSED,
                method="GET",
                type="Task",
                status=403,
                ms=number,
                reason="scope",
                client="c1",
            )
        best = min(best, (time.perf_counter() - start) / 1000)
    assert best < 150e-6


def test_every_row_is_a_sentence() -> None:
    for event in CATALOGUE.values():
        assert event.sentence.endswith(".") and event.sentence.isascii() and '"' not in event.sentence
        assert event.level in log_events.LEVELS
        assert not event.fields & log_events.RESERVED and all(name.isidentifier() for name in event.fields)
