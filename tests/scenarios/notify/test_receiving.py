"""What the delivery scenario trusts: the receiver answers as told and writes it down, the reader sees each fault."""

from pathlib import Path

import httpx
import orjson
import pytest

from tests.scenarios.harness import wait_for
from tests.scenarios.notify.receiving import Arrival, heard, receiver


def notification(*events: tuple[int, str]) -> bytes:
    parts = [
        {"name": "notification-event", "part": [
            {"name": "event-number", "valueString": str(number)},
            *([{"name": "focus", "valueReference": {"reference": focus}}] if focus else [])]}
        for number, focus in events
    ]  # fmt: skip
    status = [{"name": "subscription", "valueReference": {"reference": "http://x.example/fhir/Subscription/s"}},
              {"name": "type", "valueCode": "event-notification"}, *parts]  # fmt: skip
    return orjson.dumps({"entry": [{"resource": {"resourceType": "Parameters", "parameter": status}}]})


def test_it_answers_as_told_and_writes_down_what_it_got(tmp_path: Path) -> None:
    with receiver(tmp_path, 1) as hooks:
        url = hooks.endpoint(0, "/hook/1")
        assert httpx.post(url, content=notification((1, "Task/a"), (2, ""))).status_code == 200
        hooks.behave({"5xx": 1.0})
        assert httpx.post(url, content=notification((3, "Task/b"))).status_code in (500, 502, 503)
        hooks.behave({"reset": 1.0})
        with pytest.raises(httpx.TransportError):
            httpx.post(url, content=notification((3, "Task/b")))
        hooks.behave({"timeout": 1.0})
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, content=notification((3, "Task/b")), timeout=0.1)
        hooks.behave(dead=["/hook/1"])
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, content=b"{}", timeout=0.1)
        wait_for(lambda: len(hooks.everything()) == 6)
        found = hooks.everything()
    assert [one.said for one in found] == ["ok", "5xx", "reset", "timeout", "dead", "gone"]
    assert found[0].events == ((1, "Task/a"), (2, ""))
    assert found[4].kind == "garbage"


def came(at: float, said: str, *events: tuple[int, str]) -> Arrival:
    return Arrival(at, "/", said, "s", "event-notification", events)


@pytest.mark.parametrize(
    ("arrivals", "kills", "problem"),
    [
        ([came(1, "ok", (1, "a"), (2, "b")), came(2, "ok", (3, "c"))], [], ""),
        ([came(1, "5xx", (1, "a")), came(2, "ok", (1, "a"))], [], ""),
        ([came(1, "5xx", (1, "a")), came(2, "ok", (1, ""))], [], ""),
        ([came(1, "5xx", (1, "a")), came(2, "ok", (1, "b"))], [], "told of a, then of b"),
        ([came(1, "5xx", (1, "")), came(2, "ok", (1, "b"))], [], "was empty, then told"),
        ([came(1, "ok", (1, "a")), came(3, "ok", (1, "a"))], [], "came again without a fault"),
        ([came(1, "ok", (1, "a")), came(3, "ok", (1, "a"))], [2.0], ""),
        ([came(1, "ok", (1, "a")), came(3, "ok", (3, "c"))], [], "3 came before 2"),
        ([came(1, "5xx", (1, "a")), came(3, "ok", (2, "b"))], [], "2 came before 1"),
        ([came(1, "ok", (1, "a"), (3, "c"))], [], "numbers of one notification"),
    ],
)
def test_the_reader_sees_what_may_not_be(arrivals: list[Arrival], kills: list[float], problem: str) -> None:
    problems = heard(arrivals, kills, {})["s"].problems
    assert any(problem in one for one in problems) if problem else problems == []
