"""What is used twice or too often: checks T20, T24 and T25 of ../shared/facts/security.md 1.1."""

import asyncio
import json

import httpx

from service.auth.backend_services import AuthServer
from service.auth.limits import Buckets, Limits
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.api.smart.oauth import (
    BASE,
    SECOND,
    audit,
    check_refused,
    client_of,
    form,
    register,
)
from tests.service.auth.smart_client import CLIENT, claims, header, jwt, rsa_key

POSTGRESQL_IN_DEEP = True


async def test_t20_one_assertion_used_200_times_at_once_gives_one_token(http: httpx.AsyncClient, store: Store) -> None:
    data = form(store.clock.now_us())
    answers = await asyncio.gather(*(http.post("/auth/token", data=data) for _ in range(200)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 199
    assert len(await store.fetch("SELECT hash FROM token")) == 1
    outcomes = [(row[0], row[-1]) for row in await audit(store)]
    assert sorted(outcomes) == [(0, "")] + [(4, "replay")] * 199


async def test_t20_replay_is_refused_as_long_as_the_assertion_would_pass(
    http: httpx.AsyncClient, store: Store, clock: FrozenClock
) -> None:
    data = form(clock.now_us())
    assert (await http.post("/auth/token", data=data)).status_code == 200
    clock.advance(329 * SECOND)
    check_refused(await http.post("/auth/token", data=data), 401, "invalid_client")
    assert (await audit(store))[-1][-1] == "replay"
    clock.advance(SECOND)
    check_refused(await http.post("/auth/token", data=data), 401, "invalid_client")
    assert (await audit(store))[-1][-1] == "exp-past"
    clock.advance(600 * SECOND)  # long after: the jti itself may be used again
    assert (await http.post("/auth/token", data=form(clock.now_us()))).status_code == 200


async def test_t20_replay_survives_a_restart(
    http: httpx.AsyncClient, store: Store, server: AuthServer, database_url: str, clock: FrozenClock
) -> None:
    data = form(clock.now_us())
    assert (await http.post("/auth/token", data=data)).status_code == 200
    if database_url.startswith("sqlite"):
        await store.close()
    again = await open_store(database_url, clock)
    async with client_of(AuthServer(again, BASE)) as second:
        check_refused(await second.post("/auth/token", data=data), 401, "invalid_client")
    await again.close()
    if database_url.startswith("sqlite"):
        store.__dict__.update((await open_store(database_url, clock)).__dict__)  # for the fixture to close


async def test_t20_another_client_may_use_the_same_jti(http: httpx.AsyncClient, store: Store) -> None:
    await register(store, "client-2")
    now = store.clock.now_us()
    assert (await http.post("/auth/token", data=form(now))).status_code == 200
    other = jwt(header(), claims(now, iss="client-2", sub="client-2"))
    assert (await http.post("/auth/token", data=form(now, other))).status_code == 200


async def test_t20_a_forged_assertion_does_not_use_up_the_jti(http: httpx.AsyncClient, store: Store) -> None:
    now = store.clock.now_us()
    forged = jwt(header(), claims(now), rsa_key(2048, 1))
    check_refused(await http.post("/auth/token", data=form(now, forged)), 401, "invalid_client")
    assert (await http.post("/auth/token", data=form(now))).status_code == 200


async def test_t24_a_client_from_one_source_is_limited_and_others_are_not(store: Store, clock: FrozenClock) -> None:
    server = AuthServer(store, BASE, limits=Limits(Buckets(1000), Buckets(3)))
    await register(store, "client-2")
    async with client_of(server) as http:
        for number in range(3):
            text = jwt(header(), claims(clock.now_us(), jti=f"j{number}"))
            assert (await http.post("/auth/token", data=form(clock.now_us(), text))).status_code == 200
        for _ in range(5):
            answer = await http.post("/auth/token", data=form(clock.now_us()))
            check_refused(answer, 429, "slow_down")
            assert answer.headers["retry-after"] == "20"
        assert [row[-1] for row in await audit(store)].count("rate") == 1
        other = jwt(header(), claims(clock.now_us(), iss="client-2", sub="client-2"))
        assert (await http.post("/auth/token", data=form(clock.now_us(), other))).status_code == 200
        clock.advance(20 * SECOND)
        assert (await http.post("/auth/token", data=form(clock.now_us()))).status_code == 200


async def test_t24_a_source_is_limited_before_anything_is_read(store: Store, clock: FrozenClock) -> None:
    async with client_of(AuthServer(store, BASE, limits=Limits(Buckets(2), Buckets(100)))) as http:
        codes = [(await http.post("/auth/token", content=b"?")).status_code for _ in range(4)]
        assert codes == [415, 415, 429, 429]


async def test_t25_audit_of_success_and_failure(http: httpx.AsyncClient, store: Store) -> None:
    data = form(store.clock.now_us())
    token = (await http.post("/auth/token", data=data)).json()["access_token"]
    await http.post("/auth/token", data=data)
    await http.post("/auth/token", data={"client_id": "x\u0000y"})
    ((digest,),) = await store.fetch("SELECT hash FROM token")
    assert await audit(store) == [
        (0, "token", CLIENT, "Organization/ecm-1", "token/" + bytes(digest).hex()[-32:], ""),
        (4, "token", CLIENT, "", "", "replay"),
        (4, "token", "", "", "", "grant-type-missing"),
    ]
    everything = json.dumps([[str(cell) for cell in row] for row in await store.fetch("SELECT * FROM audit")])
    assert token not in everything and data["client_assertion"] not in everything
