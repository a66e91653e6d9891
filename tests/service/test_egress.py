"""The outbound guard: URL vectors, addresses, rebinding, redirects, size and time (security.md A5, A6, G15)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.egress import Answer, Egress, EgressFailed, EgressRefused, check_addresses, check_url

PUBLIC = "93.184.215.14"

REFUSED_URLS = """
http://example.org/hook
ftp://example.org/
file:///etc/passwd
gopher://example.org/
//example.org/
HTTPS://example.org/
javascript:alert(1)
https:/example.org/
https:example.org
https://
https:///path
https://example.org:80/
https://example.org:8443/
https://example.org:0443/
https://example.org:/
https://example.org:65979/
https://user@example.org/
https://user:pw@example.org/
https://example.org@127.0.0.1/
https://127.0.0.1#@example.org/
https://127.0.0.1%23@example.org/
https://example.org\\@127.0.0.1/
https:\\\\example.org/
https://example.org\\.evil.example/
https://example.org#fragment
https://example.org./
https://example..org/
https://-example.org/
https://exam_ple.org/
https://ex%61mple.org/
https://exämple.org/
https://example。org/
https://①②⑦.⓪.⓪.①/
https://localhost/
https://LOCALHOST/
https://db.localhost/
https://printer.local/
https://metadata.google.internal/computeMetadata/v1/
https://intranet/
https://router.home.arpa/
https://127.0.0.1/
https://127.1/
https://127.0.1/
https://2130706433/
https://0x7f000001/
https://0x7f.0.0.1/
https://0177.0.0.1/
https://017700000001/
https://127.0.0.1.:443/
https://0.0.0.0/
https://0/
https://10.0.0.1/
https://100.64.0.1/
https://169.254.169.254/latest/meta-data/
https://172.16.0.1/
https://172.31.255.255/
https://192.168.1.1/
https://192.0.0.192/
https://198.18.0.1/
https://224.0.0.1/
https://255.255.255.255/
https://256.1.1.1/
https://[::1]/
https://[::]/
https://[::ffff:127.0.0.1]/
https://[::ffff:93.184.215.14]/
https://[::127.0.0.1]/
https://[64:ff9b::7f00:1]/
https://[2002:7f00:1::]/
https://[2001:0:7f00:1::]/
https://[2001:db8::1]/
https://[fc00::1]/
https://[fd00:ec2::254]/
https://[fe80::1]/
https://[fe80::1%25eth0]/
https://[ff02::1]/
https://[::1/
https://[v1.x]/
https://example.org/a b
https://example.org/<script>
 https://example.org/
""".strip("\n").splitlines()
REFUSED_URLS += [
    "https://example.org/a\tb",
    "https://example.org/a\r\nHost: evil",
    "https://example.org\n",
    "https://example.org\x00.evil.example/",
    "https://example.org/" + "a" * 2048,
    "https://" + "a." * 130 + "org/",
    "",
]


@pytest.mark.parametrize("url", REFUSED_URLS, ids=ascii)
def test_url_is_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        check_url(url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.org", "example.org"),
        ("https://Example.org:443/a/b?x=1&y=%20#", None),
        ("https://hooks.example.org/a/b?x=1&y=%20", "hooks.example.org"),
        ("https://example.org?x", "example.org"),
        ("https://xn--exmple-cua.org/$match/[x]", "xn--exmple-cua.org"),
        (f"https://{PUBLIC}/", PUBLIC),
        ("https://[2606:4700::1111]/", "2606:4700::1111"),
    ],
)
def test_public_https_url_passes(url: str, host: str | None) -> None:
    if host is None:
        with pytest.raises(EgressRefused):
            check_url(url)
    else:
        target = check_url(url)
        assert (target.host, target.port, target.listed) == (host, 443, False)


def test_the_list_matches_host_and_port_whole() -> None:
    allow = ["127.0.0.1:9000", "[::1]:9000", "receiver:9000"]
    for url in ("http://127.0.0.1:9000/x", "https://[::1]:9000/", "http://RECEIVER:9000/"):
        assert check_url(url, allow).listed
    for url in (
        "http://127.0.0.1:9001/",
        "http://127.0.0.11:9000/",
        "http://receiver.evil.example:9000/",
        "http://receiver/",
    ):
        with pytest.raises(EgressRefused):
            check_url(url, allow)


@pytest.mark.parametrize(
    "addresses",
    [
        [],
        [PUBLIC, "127.0.0.1"],
        ["10.0.0.1", PUBLIC],
        ["::1"],
        ["::ffff:10.0.0.1"],
        ["fe80::1%eth0"],
        ["nonsense"],
        ["2001::1"],
    ],
)
def test_one_private_address_refuses_the_name(addresses: list[str]) -> None:
    with pytest.raises(EgressRefused):
        check_addresses(addresses)


@asynccontextmanager
async def receiver(reply: bytes, hold_s: float = 0) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A loopback HTTP server that gives one answer; yields its port and the requests that reached it."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(hold_s)
            writer.write(reply)
            await writer.drain()
        except OSError:
            pass  # the client hung up, as some tests want it to
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


def http(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body


async def send(port: int, *, host: str = "127.0.0.1", timeout_s: float = 5.0) -> Answer:
    egress = Egress([f"{host}:{port}"], timeout_s=timeout_s)
    try:
        return await egress.request("POST", f"http://{host}:{port}/hook", content=b"{}", headers={"X-A": "1"})
    finally:
        await egress.close()


async def test_a_listed_loopback_receiver_works() -> None:
    async with receiver(http(b'{"ok":true}', "201 Created", "X-B: 2")) as (port, seen):
        answer = await send(port)
    assert (answer.status, answer.body, answer.headers["x-b"]) == (201, b'{"ok":true}', "2")
    assert seen[0].startswith(b"POST /hook HTTP/1.1\r\n") and b"x-a: 1" in seen[0].lower()


async def test_a_listed_name_is_resolved_without_the_address_rule() -> None:
    async with receiver(http()) as (port, seen):
        assert (await send(port, host="localhost")).status == 200
    assert len(seen) == 1


async def test_redirects_are_answers() -> None:
    async with receiver(http()) as (canary, canary_seen):
        redirect = http(b"", "307 Temporary Redirect", f"Location: http://127.0.0.1:{canary}/")
        async with receiver(redirect) as (port, seen):
            assert (await send(port)).status == 307
    assert len(seen) == 1 and canary_seen == []


@pytest.mark.parametrize(("size", "fits"), [(65536, True), (65537, False)])
async def test_size_limit_and_one_more(size: int, fits: bool) -> None:
    async with receiver(http(b"x" * size)) as (port, _seen):
        if fits:
            assert len((await send(port)).body) == size
        else:
            with pytest.raises(EgressFailed, match="too-large"):
                await send(port)


async def test_packed_content_is_not_unpacked() -> None:
    async with receiver(http(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip")) as (port, seen):
        with pytest.raises(EgressFailed, match="content-encoding"):
            await send(port)
    assert b"accept-encoding: identity" in seen[0].lower()


async def test_slow_receiver_times_out() -> None:
    async with receiver(http(), hold_s=0.5) as (port, _seen):
        with pytest.raises(EgressFailed, match="timeout"):
            await send(port, timeout_s=0.2)


async def test_a_request_may_bring_its_own_time() -> None:
    async with receiver(http(), hold_s=0.5) as (port, _seen):
        egress = Egress([f"127.0.0.1:{port}"], timeout_s=0.1)
        assert (await egress.request("GET", f"http://127.0.0.1:{port}/", timeout_s=5)).status == 200
        with pytest.raises(EgressFailed, match="timeout"):
            await egress.request("GET", f"http://127.0.0.1:{port}/")
        await egress.close()


async def test_without_its_body_an_answer_may_be_long_and_packed() -> None:
    async with receiver(http(b"\x1f" * 500_000, "202 Accepted", "Content-Encoding: gzip")) as (port, _seen):
        egress = Egress([f"127.0.0.1:{port}"])
        answer = await egress.request("POST", f"http://127.0.0.1:{port}/", keep_body=False)
        await egress.close()
    assert (answer.status, answer.body) == (202, b"")


@pytest.mark.parametrize(
    "reply", [b"\x16\x03\x01 no HTTP\r\n\r\n", b"HTTP/1.1 99999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\x00: 1\r\n\r\n"]
)
async def test_who_speaks_no_http_is_a_failure(reply: bytes) -> None:
    async with receiver(reply) as (port, _seen):
        with pytest.raises(EgressFailed, match=r"network|connect"):
            await send(port)


async def test_a_header_that_http_cannot_carry_is_a_failure() -> None:
    egress = Egress(["127.0.0.1:9"])
    with pytest.raises(EgressFailed, match="request-form"):
        await egress.request("GET", "http://127.0.0.1:9/", headers={"X-A": "\ud800"})
    await egress.close()


async def test_nobody_there(free_port: int) -> None:
    with pytest.raises(EgressFailed, match="connect"):
        await send(free_port)


async def test_cookies_are_not_kept() -> None:
    async with receiver(http(b"", "200 OK", "Set-Cookie: a=b")) as (port, seen):
        egress = Egress([f"127.0.0.1:{port}"])
        for _ in range(2):
            await egress.request("GET", f"http://127.0.0.1:{port}/")
        await egress.close()
    assert len(seen) == 2 and b"cookie" not in seen[1].lower()


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(http()) as (proxy, proxy_seen), receiver(http()) as (port, seen):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        await send(port)
    assert len(seen) == 1 and proxy_seen == []


@pytest.mark.parametrize("answers", [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["::1"], []])
async def test_a_name_with_a_private_address_is_refused_before_a_connection(
    answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = forbid_connections(monkeypatch)

    async def resolver(_host: str, _port: int) -> list[str]:
        return answers

    egress = Egress(resolver=resolver)
    with pytest.raises(EgressRefused):
        await egress.request("GET", "https://hooks.example.org/")
    await egress.close()
    assert connected == []


async def test_rebinding_meets_the_check_at_each_connection_and_the_checked_address_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected = forbid_connections(monkeypatch)
    turns = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])

    async def resolver(_host: str, _port: int) -> list[str]:
        return next(turns)

    egress = Egress(resolver=resolver)
    with pytest.raises(EgressFailed):
        await egress.request("GET", "https://hooks.example.org/")
    with pytest.raises(EgressRefused):
        await egress.request("GET", "https://hooks.example.org/")
    await egress.close()
    assert connected == [(PUBLIC, 443)]
    assert next(turns) == ["127.0.0.1"], "one look-up for each connection: none between check and use"


def forbid_connections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Let no socket connect; returns the addresses that were tried."""
    tried: list[tuple[str, int]] = []

    async def refuse(_loop: object, _sock: object, address: tuple[str, int]) -> None:
        tried.append((address[0], address[1]))
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", refuse)
    return tried
