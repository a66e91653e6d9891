"""The one outbound HTTP client and its guard: https to public addresses on port 443, nothing followed, little read.

Source: ../shared/facts/security.md A5, A6; decisions.md 24. httpx with the aiohttp transport (a third of the CPU);
both are imported on first use, for the start time.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

    import httpx

TIMEOUT_S = 5.0
MAX_BYTES = 64 * 1024
CONNECTIONS = 300
"""Open at a time; more than the deliveries of one process, so that none waits for a slow receiver of another's."""

# IPv4 that is not the public internet: https://www.iana.org/assignments/iana-ipv4-special-registry
_IPV4_REFUSED = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
        "192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 "
        "198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3"
    ).split()
)
# Of IPv6 only global unicast, without what is special in it or carries an IPv4 address inside (6to4, Teredo):
# https://www.iana.org/assignments/iana-ipv6-special-registry
_IPV6_PUBLIC = ipaddress.IPv6Network("2000::/3")
_IPV6_REFUSED = tuple(
    ipaddress.IPv6Network(block) for block in "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20".split()
)

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The last label begins with a letter: 127.1, 2130706433 and 0x7f.1 are addresses in disguise, and no name needs them.
_NAME = re.compile(rf"(?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\Z")
_URL = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+))(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?:[/?][!$-;=?-Z_a-z~%\[\]@&]*)?\Z"
)
# Names of one machine or one network only; the last is what clouds call their metadata service.
_LOCAL_NAMES = tuple("localhost local internal intranet lan home.arpa localdomain corp onion test invalid".split())

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""(name, port) -> all addresses of the name."""


class EgressRefused(Exception):
    """The guard's no; `reason` is a short code, fit for a log line and an OperationOutcome."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(f"outbound request refused: {reason}")


class EgressFailed(Exception):
    """The other side could not be reached, was too slow (5 s) or said too much (64 KB); `reason` is a short code."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(f"outbound request failed: {reason}")


@dataclass(frozen=True)
class Target:
    """A URL that passed the rules that need no look-up. `listed`: it is one of the exceptions."""

    scheme: str
    host: str
    port: int
    listed: bool


@dataclass(frozen=True)
class Answer:
    """What came back: status (redirects are not followed: a 3xx is an answer), headers in lower case, body <= 64 KB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_url(url: str, allow: Iterable[str] = ()) -> Target:
    """Apply the rules that need no look-up. allow: `host:port` exceptions. Raises EgressRefused.

    One strict pattern and no second parser, so that nobody else can read another host out of the same text.
    """
    match = _URL.match(url) if len(url) <= 2048 else None
    if match is None:
        raise EgressRefused("url-form")
    scheme, port_text = match["scheme"], match["port"]
    host = (match["six"] or match["host"]).lower()
    port = int(port_text) if port_text else 443 if scheme == "https" else 80
    shown = f"[{host}]" if match["six"] else host
    if f"{shown}:{port}" in {entry.lower() for entry in allow}:
        return Target(scheme, host, port, listed=True)
    if scheme != "https":
        raise EgressRefused("not-https")
    if port != 443:
        raise EgressRefused("port")
    _check_host(host, bool(match["six"]))
    return Target(scheme, host, port, listed=False)


def _check_host(host: str, six: bool) -> None:
    if six or re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", host):
        check_addresses([host])
    elif len(host) > 253 or not _NAME.match(host):
        raise EgressRefused("host-form")
    elif any(host == name or host.endswith("." + name) for name in _LOCAL_NAMES):
        raise EgressRefused("local-name")


def check_addresses(addresses: Iterable[str]) -> None:
    """Refuse unless each address is public: one private among many is a rebinding attempt. Raises EgressRefused."""
    found = False
    for text in addresses:
        found = True
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise EgressRefused("address-form") from None
        if not _is_public(address):
            raise EgressRefused("address-not-public")
    if not found:
        raise EgressRefused("no-address")


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _IPV4_REFUSED)
    return address in _IPV6_PUBLIC and not any(address in block for block in _IPV6_REFUSED)


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, by the system's resolver."""
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


class Egress:
    """The one outbound client of a process. Made once, closed at the end; connections are kept and reused."""

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        resolver: Resolve = resolve,
        timeout_s: float = TIMEOUT_S,
        tls: "ssl.SSLContext | None" = None,
    ):
        """tls: for a client certificate (mutual TLS); None: the system's authorities, and no certificate."""
        self._allow = frozenset(entry.lower() for entry in allow)
        self._resolve = resolver
        self._timeout_s = timeout_s
        self._tls = tls
        self._client: httpx.AsyncClient | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        keep_body: bool = True,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Send one request. Raises EgressRefused (the guard) or EgressFailed (network, time, size).

        timeout_s: for the whole of it, from the look-up to the last byte read. keep_body False: only the status and the
        headers count; up to 64 KB are read, so that the connection can be used again, and what is more is not waited
        for.
        """
        check_url(url, self._allow)
        client = self._client or await self._opened()
        whole_s = timeout_s or self._timeout_s
        # identity: 64 KB of gzip could be 64 MB of text.
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        try:
            request = client.build_request(method, url, content=content, headers=sent, timeout=whole_s)
            async with asyncio.timeout(whole_s):
                return await self._send(client, request, keep_body, max_bytes)
        except TimeoutError:
            raise EgressFailed("timeout") from None
        except ValueError:  # a header that HTTP cannot carry
            raise EgressFailed("request-form") from None

    async def _send(
        self, client: "httpx.AsyncClient", request: "httpx.Request", keep_body: bool, max_bytes: int
    ) -> Answer:
        import aiohttp
        import httpx

        try:
            async with _answering(client, request) as response:
                if not keep_body:
                    await _drop(response)
                    return Answer(response.status_code, dict(response.headers), b"")
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise EgressFailed("content-encoding")
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > max_bytes:
                        raise EgressFailed("too-large")
                return Answer(response.status_code, dict(response.headers), bytes(body))
        except httpx.TimeoutException as error:
            raise EgressFailed("connect" if isinstance(error, httpx.ConnectTimeout) else "timeout") from None
        # aiohttp's own: the transport does not translate what a peer that speaks no HTTP causes.
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            refused = _refusal_within(error)
            if refused:
                raise refused from None
            raise EgressFailed("connect" if isinstance(error, httpx.ConnectError) else "network") from None

    async def _opened(self) -> "httpx.AsyncClient":
        """The libraries may take seconds to load: in a thread, so that this process answers meanwhile."""
        await asyncio.to_thread(_load)
        return self._client or self._open()

    def _open(self) -> "httpx.AsyncClient":
        from http.cookiejar import DefaultCookiePolicy

        import aiohttp
        import httpx
        from httpx_aiohttp import AiohttpTransport

        # The connector asks _Guard for the addresses and connects to what it answers, without a second look-up; a
        # literal address was checked in check_url. No DNS cache: the answer is checked each time it is used.
        tls = True if self._tls is None else self._tls
        connector = aiohttp.TCPConnector(resolver=_guard(self._lookup), use_dns_cache=False, limit=CONNECTIONS, ssl=tls)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(client=session),
            follow_redirects=False,
            trust_env=False,
            timeout=self._timeout_s,
            headers={"User-Agent": "enlace"},
        )
        # A receiver's cookies are neither kept nor sent, also not to itself.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return self._client

    async def _lookup(self, host: str, port: int) -> list[str]:
        addresses = await self._resolve(host, port)
        if f"{host.lower()}:{port}" not in self._allow:
            check_addresses(addresses)
        return addresses

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _load() -> None:
    import httpx_aiohttp  # noqa: F401


@asynccontextmanager
async def _answering(client: "httpx.AsyncClient", request: "httpx.Request") -> AsyncIterator["httpx.Response"]:
    response = await client.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()


async def _drop(response: "httpx.Response") -> None:
    left = MAX_BYTES
    async for chunk in response.aiter_raw():
        left -= len(chunk)
        if left < 0:
            return


def _refusal_within(error: BaseException | None) -> EgressRefused | None:
    """The guard's refusal that the connector wrapped, if it was one."""
    while error is not None:
        if isinstance(error, EgressRefused):
            return error
        error = error.__cause__ or error.__context__
    return None


def _guard(lookup: Resolve) -> Any:
    """A resolver for aiohttp's connector that answers checked addresses only."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Guard(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
                for address in await lookup(host, port)
            ]

        async def close(self) -> None:
            return None

    return Guard()
