"""Mutual TLS of the listener: who shows no good certificate does not connect, and nobody speaks for another source."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from adt_listener.process import listener
from service.settings import Settings, SettingsError, load
from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from tests.adt_listener.authority import Authority, Issued
from tests.service.adt_world import Sender

POSTGRESQL_IN_DEEP = True
Send = Callable[[ssl.SSLContext | None, bytes], Awaitable[bytes]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def issued(authority: Authority) -> dict[str, Issued]:
    return {name: authority.issue(name) for name in ("localhost", "mercy.example", "hie.example", "other.example")}


def settings(authority: Authority, issued: dict[str, Issued]) -> Settings:
    ours = issued["localhost"]
    return load(
        {
            "ENLACE_MLLP_TLS_CERTIFICATE_FILE": str(ours.certificate),
            "ENLACE_MLLP_TLS_KEY_FILE": str(ours.key),
            "ENLACE_MLLP_TLS_CLIENT_CA_FILE": str(authority.file),
        }
    )


def source(name: str, facility: str, *certificates: str, **config: Any) -> RegisteredSource:
    return RegisteredSource(
        name, "EPIC", facility, f"Organization/{name}", {"certificates": certificates} | config, True
    )


@pytest.fixture
async def send(store: Store, authority: Authority, issued: dict[str, Issued]) -> AsyncIterator[Send]:
    known = (
        source("mercy", "MERCY", f"sha256:{issued['mercy.example'].fingerprint}"),
        source("hie", "HIE", "dns:HIE.example"),
        source("open", "OPEN"),
    )
    await store.commit(Change(statements=[sources.put(one) for one in known]))
    server = listener(store, settings(authority, issued))
    port = await server.start("127.0.0.1", 0)

    async def one(context: ssl.SSLContext | None, message: bytes) -> bytes:
        names = {"ssl": context, "server_hostname": "localhost"} if context else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **names)  # type: ignore[arg-type]
        try:
            writer.write(b"\x0b" + message + b"\x1c\r")
            return await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 5)
        finally:
            writer.close()

    yield one
    await server.stop()


async def rows(store: Store) -> list[tuple[str, str, str]]:
    return [tuple(r) for r in await store.fetch("SELECT source, state, reason FROM inbox ORDER BY id")]


@pytest.mark.parametrize(
    ("shown", "facility", "kept"),
    [
        pytest.param("mercy.example", "MERCY", ("mercy", "stored", ""), id="by its fingerprint"),
        pytest.param("hie.example", "HIE", ("hie", "stored", ""), id="by its name"),
        pytest.param("hie.example", "ANY-HOSPITAL", ("hie", "stored", ""), id="many facilities behind one certificate"),
        pytest.param("hie.example", "MERCY", ("hie", "stored", ""), id="the certificate weighs more than the header"),
        pytest.param("other.example", "MERCY", ("?!EPIC/MERCY", "unregistered", "sender-not-proven"), id="not its"),
        pytest.param("other.example", "OPEN", ("?!EPIC/OPEN", "unregistered", "sender-not-proven"), id="unlisted"),
        pytest.param("other.example", "NEW", ("?EPIC/NEW", "unregistered", ""), id="nobody knows it yet"),
    ],
)
async def test_the_certificate_says_who_sends(
    store: Store, send: Send, authority: Authority, issued: dict[str, Issued], shown: str, facility: str, kept: Any
) -> None:
    """The answer is positive each time: the message is safe, whoever sent it."""
    message = Sender(store).adt("A01", MSH_4=facility)
    assert b"MSA|AA|" in await send(authority.client(issued[shown]), message)
    assert await rows(store) == [kept]


async def test_who_shows_no_good_certificate_does_not_get_in(
    store: Store, send: Send, authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "another authority").issue("mercy.example")
    message = Sender(store).adt("A01")
    for context in (authority.client(None), authority.client(foreign), None):
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await send(context, message)
    assert await rows(store) == []


async def test_a_source_with_a_certificate_is_not_believed_on_a_plain_line(store: Store) -> None:
    await store.commit(Change(statements=[sources.put(source("mercy", "MERCY", "cn:mercy.example"))]))
    message = Sender(store).adt("A01")
    server = listener(store)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start("127.0.0.1", 0))
    writer.write(b"\x0b" + message + b"\x1c\r")
    assert b"MSA|AA|" in await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 5)
    writer.close()
    await server.stop()
    assert await rows(store) == [("?!EPIC/MERCY", "unregistered", "sender-not-proven")]


def test_the_settings_name_all_three_files_or_none(authority: Authority, issued: dict[str, Issued]) -> None:
    assert load({}).mllp_tls() is None
    good = settings(authority, issued)
    good.check()
    broken = (
        good.model_copy(update={"mllp_tls_client_ca_file": None}),
        good.model_copy(update={"mllp_tls_key_file": issued["mercy.example"].key}),
        good.model_copy(update={"mllp_tls_client_ca_file": issued["localhost"].key}),
    )
    for one in broken:
        for fails in (one.check, one.mllp_tls):
            with pytest.raises(SettingsError, match="ENLACE_MLLP_TLS_"):
                fails()
