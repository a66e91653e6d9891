"""rest-hook against real receivers: good, faulty, hostile; signed, with the subscriber's headers, under mutual TLS."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.egress import Egress
from service.key_files import client_context
from service.notify.channels import rest_hook
from service.notify.channels.rest_hook import RestHook
from service.notify.model import Message, Outcome, Result
from service.settings import load
from tests.service.notify.channels.receivers import Answering, Authority, Request, http_receiver, saying

AT_US = 1_772_955_000_123_456
BODY = b'{"resourceType":"Bundle","type":"history"}'


def message(to: str, **changed: Any) -> Message:
    given: dict[str, Any] = {"body": BODY, "secrets": (b"new-secret", b"old-secret"), "timeout_s": 1.0}
    return Message("evt-s1-7", to, AT_US, **(given | changed))


async def posted(answering: Answering, **changed: Any) -> tuple[Result, list[Request]]:
    async with http_receiver(answering) as (port, seen):
        egress = Egress([f"127.0.0.1:{port}"])
        try:
            return await RestHook(egress).send(message(f"http://127.0.0.1:{port}/in?x=1", **changed)), seen
        finally:
            await egress.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(rest_hook, "SHORTEST_S", 0.1)
    return 0.2


async def test_what_a_receiver_gets() -> None:
    headers = ("Authorization: Bearer let-me-in", "X-Tenant:north")
    result, seen = await posted(saying("202 Accepted", b"", "X-Request-Id: abc-1"), headers=headers)
    assert result == Result(Outcome.OK, 202, receipt="abc-1")
    (request,) = seen
    assert request.head.startswith("POST /in?x=1 HTTP/1.1\r\n") and request.body == BODY
    wanted = {"content-type": "application/fhir+json", "authorization": "Bearer let-me-in", "x-tenant": "north"}
    assert {name: request.header(name) for name in wanted} == wanted
    assert request.header("webhook-id") == "evt-s1-7"
    assert request.header("webhook-timestamp") == str(AT_US // 1_000_000)
    signatures = request.header("webhook-signature").split(" ")
    content = b"evt-s1-7." + request.header("webhook-timestamp").encode() + b"." + request.body
    for secret, signature in zip((b"new-secret", b"old-secret"), signatures, strict=True):
        digest = hmac.new(secret, content, hashlib.sha256).digest()
        assert signature == "v1," + base64.b64encode(digest).decode()


async def test_content_type_is_the_payload_and_xml_is_xml() -> None:
    _result, seen = await posted(saying("200 OK"), mime="application/fhir+xml; charset=utf-8")
    assert seen[0].header("content-type") == "application/fhir+xml; charset=utf-8"
    assert seen[0].body.startswith(b"<?xml")
    content = b"evt-s1-7." + seen[0].header("webhook-timestamp").encode() + b"." + seen[0].body
    digest = hmac.new(b"new-secret", content, hashlib.sha256).digest()
    assert base64.b64encode(digest).decode() in seen[0].header("webhook-signature"), "what is sent is what is signed"


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        ("200 OK", Outcome.OK, ""),
        ("204 No Content", Outcome.OK, ""),
        ("301 Moved Permanently", Outcome.FAILED, "redirect"),
        ("400 Bad Request", Outcome.FAILED, "http-4xx"),
        ("404 Not Found", Outcome.FAILED, "http-4xx"),
        ("410 Gone", Outcome.REFUSED, "gone"),
        ("429 Too Many Requests", Outcome.FAILED, "http-4xx"),
        ("500 Oops", Outcome.FAILED, "http-5xx"),
        ("503 Later", Outcome.FAILED, "http-5xx"),
    ],
)
async def test_status_decides(status: str, outcome: Outcome, reason: str) -> None:
    result, _seen = await posted(saying(status))
    assert result == Result(outcome, int(status[:3]), reason)


async def test_a_redirect_is_not_followed() -> None:
    async with http_receiver(saying("200 OK")) as (canary, canary_seen):
        result, seen = await posted(saying("307 Temporary Redirect", b"", f"Location: http://127.0.0.1:{canary}/"))
    assert (result.outcome, result.reason, len(seen), canary_seen) == (Outcome.FAILED, "redirect", 1, [])


@pytest.mark.parametrize("body", [b"\x00\xff<<<garbage", b"{", b"x" * 400_000])
async def test_what_a_2xx_says_does_not_matter(body: bytes) -> None:
    result, _seen = await posted(saying("200 OK", body, "Content-Encoding: gzip", "Content-Type: \x01"[:14]))
    assert result == Result(Outcome.OK, 200)


async def test_an_endless_answer_is_read_to_its_limit() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20_000):
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()
            sent += 4096

    result, _seen = await posted(endless, timeout_s=5.0)
    assert result == Result(Outcome.OK, 200) and sent < 20_000 * 4096


async def dribbled_head(writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def dribbled_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"z")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(2)


async def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
    writer.close()


async def half(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("answering", "reasons"),
    [
        (dribbled_head, {"timeout"}),
        (dribbled_body, {"timeout"}),
        (silent, {"timeout"}),
        (reset, {"network", "connect"}),
        (garbage, {"network", "connect"}),
        (half, {"network"}),
    ],
)
async def test_a_faulty_receiver_is_a_failure_with_a_reason(
    answering: Callable[[asyncio.StreamWriter], Awaitable[None]], reasons: set[str], quick: float
) -> None:
    result, _seen = await posted(answering, timeout_s=quick)
    assert result.outcome is Outcome.FAILED and result.reason in reasons and result.status == 0


async def test_nobody_there(free_port: int) -> None:
    egress = Egress([f"127.0.0.1:{free_port}"])
    result = await RestHook(egress).send(message(f"http://127.0.0.1:{free_port}/"))
    await egress.close()
    assert result == Result(Outcome.FAILED, reason="connect")


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://169.254.169.254/", "http://example.org/", "nonsense"])
async def test_the_guard_refuses(url: str) -> None:
    result = await RestHook(Egress()).send(message(url))
    assert result.outcome is Outcome.REFUSED and result.reason and "/" not in result.reason


async def test_another_address_at_the_second_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look-up, at creation or before, said a public address; the one that is used says loopback."""
    turns = iter([["93.184.215.14"], ["127.0.0.1"]])
    connected: list[Any] = []

    async def resolver(_host: str, _port: int) -> list[str]:
        return next(turns)

    async def refuse(_loop: object, _sock: object, address: Any) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", refuse)
    egress = Egress(resolver=resolver)
    hook = RestHook(egress)
    assert await hook.send(message("https://hooks.example.org/")) == Result(Outcome.FAILED, reason="connect")
    again = await hook.send(message("https://hooks.example.org/"))
    await egress.close()
    assert again == Result(Outcome.REFUSED, reason="address-not-public") and connected == ["93.184.215.14"]


@pytest.mark.parametrize(
    "header",
    ["X-A: 1\r\nX-B: 2", "X-A: 1\nHost: evil", "X-A", "X A: 1", "Content-Length: 3", "webhook-signature: v1,x", "Ü: 1"],
)
async def test_a_header_that_cannot_be_sent_is_not_sent(header: str) -> None:
    result, seen = await posted(saying("200 OK"), headers=(header,))
    assert result == Result(Outcome.REFUSED, reason="message-form") and seen == []


@pytest.mark.parametrize(("asked", "given"), [(0.0, 1.0), (7.0, 7.0), (300.0, 30.0)])
async def test_the_subscription_says_how_long_within_bounds(asked: float, given: float) -> None:
    limits: list[Any] = []

    class Counting(Egress):
        async def request(self, *_place: Any, **named: Any) -> Any:
            limits.append(named["timeout_s"])
            return await super().request("POST", "nonsense")

    await RestHook(Counting()).send(message("https://example.org/", timeout_s=asked))
    assert limits == [given]


@asynccontextmanager
async def demanding(authority: Authority) -> AsyncIterator[tuple[str, str]]:
    async with http_receiver(saying("200 OK"), authority.serving(client=True)) as (port, _seen):
        yield f"localhost:{port}", f"https://localhost:{port}/"


async def test_mutual_tls(authority: Authority) -> None:
    certificate, key = authority.issued("client")
    context = client_context(certificate, key)
    context.load_verify_locations(authority.path)
    async with demanding(authority) as (place, url):
        for tls, outcome in ((context, Outcome.OK), (authority.believed(), Outcome.FAILED), (None, Outcome.FAILED)):
            egress = Egress([place], tls=tls)
            assert (await RestHook(egress).send(message(url))).outcome is outcome
            await egress.close()


async def test_an_unknown_authority_is_not_believed(authority: Authority) -> None:
    async with http_receiver(saying("200 OK"), authority.serving()) as (port, seen):
        egress = Egress([f"localhost:{port}"])
        result = await RestHook(egress).send(message(f"https://localhost:{port}/"))
        await egress.close()
    assert result == Result(Outcome.FAILED, reason="connect") and seen == []


def test_settings_give_the_client_certificate(authority: Authority) -> None:
    certificate, key = authority.issued("client")
    names = {"ENLACE_CLIENT_CERTIFICATE_FILE": str(certificate), "ENLACE_CLIENT_KEY_FILE": str(key)}
    assert load(names).client_tls() is not None and load({}).client_tls() is None


async def test_nothing_of_a_message_reaches_a_log(capfd: pytest.CaptureFixture[str]) -> None:
    canaries = {"headers": ("Authorization: Bearer canary-header",), "secrets": (b"canary-secret",)}
    for answering in (saying("500 canary-status", b"canary-answer"), garbage, saying("200 OK")):
        result, _seen = await posted(answering, body=json.dumps({"resourceType": "canary-body"}).encode(), **canaries)
        assert "canary" not in repr(result)
    printed = capfd.readouterr()
    assert "canary" not in printed.out + printed.err
