"""SMS by the gateway: what it gets, what its answers mean, and that the token stays where it belongs."""

import json
from typing import Any

import pytest

from service.egress import Egress
from service.notify.channels.sms import MOST_CHARACTERS, Sms, telephone
from service.notify.model import Message, Outcome, Result
from tests.service.notify.channels.receivers import Answering, Authority, Request, http_receiver, saying

TOKEN = "canary-token"


async def sent(authority: Authority, answering: Answering, **changed: Any) -> tuple[Result, list[Request]]:
    async with http_receiver(answering, authority.serving()) as (port, seen):
        egress = Egress([f"localhost:{port}"], tls=authority.believed())
        try:
            given = {"text": "Enlace: una alerta nueva para usted.", "language": "es"} | changed
            message = Message("ntc-12", given.pop("to", "tel:+1-555-010-0199"), 1, **given)
            return await Sms(egress, f"https://localhost:{port}/sms", TOKEN).send(message), seen
        finally:
            await egress.close()


async def test_what_the_gateway_gets(authority: Authority) -> None:
    result, seen = await sent(authority, saying("201 Created", b'{"id": "SM-77", "other": 1}'))
    assert result == Result(Outcome.OK, 201, receipt="SM-77")
    (request,) = seen
    assert request.head.startswith("POST /sms HTTP/1.1") and "+1555" not in request.head
    assert json.loads(request.body) == {
        "to": "+15550100199",
        "text": "Enlace: una alerta nueva para usted.",
        "reference": "ntc-12",
        "language": "es",
    }
    assert request.header("authorization") == f"Bearer {TOKEN}" and request.header("idempotency-key") == "ntc-12"


@pytest.mark.parametrize(
    ("answering", "result"),
    [
        (saying("200 OK"), Result(Outcome.OK, 200)),
        (saying("200 OK", b"garbage"), Result(Outcome.OK, 200)),
        (saying("200 OK", b'{"id": "canary phone +1555"}'), Result(Outcome.OK, 200)),
        (saying("400 Bad Request", b"canary"), Result(Outcome.REFUSED, 400, "not-taken")),
        (saying("422 Unprocessable", b"canary"), Result(Outcome.REFUSED, 422, "not-taken")),
        (saying("401 Unauthorized", b"canary"), Result(Outcome.FAILED, 401, "credentials")),
        (saying("302 Found", b"", "Location: https://evil.example/"), Result(Outcome.FAILED, 302, "redirect")),
        (saying("429 Slow down"), Result(Outcome.FAILED, 429, "http-4xx")),
        (saying("503 Later"), Result(Outcome.FAILED, 503, "http-5xx")),
    ],
)
async def test_what_its_answers_mean(
    answering: Answering, result: Result, authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (await sent(authority, answering))[0] == result
    printed = capfd.readouterr()
    assert "canary" not in printed.out + printed.err


async def test_what_is_not_sent_at_all(authority: Authority) -> None:
    wrong: list[dict[str, str]] = [{"to": "tel:911"}, {"text": ""}, {"text": "x" * (MOST_CHARACTERS + 1)}]
    for given in wrong:
        result, seen = await sent(authority, saying("200 OK"), **given)
        assert result.outcome is Outcome.REFUSED and seen == []


async def test_a_gateway_that_is_not_there_or_refused_is_ours_to_mend() -> None:
    adapter = Sms(Egress(), "https://10.0.0.1/sms", TOKEN)
    result = await adapter.send(Message("ntc-12", "+15550100199", 1, text="x"))
    assert result == Result(Outcome.FAILED, reason="address-not-public") and TOKEN not in repr(adapter)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("tel:+1-555-010-0199", "+15550100199"),
        ("+1 (555) 010.0199", "+15550100199"),
        ("5550100199", ""),
        ("tel:+1555;ext=9", ""),
        ("tel:+1555010019912345678", ""),
        ("tel:+٥٥٥٠١٠٠١٩٩", ""),
        ("+15550100199\n", ""),
    ],
)
def test_telephone_numbers(given: str, number: str) -> None:
    assert telephone(given) == number
