"""Whatever ends a token acts on the next request that starts after its commit, while others are on their way (G3)."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import httpx
from fastapi import FastAPI

from service.auth import registration, tokens
from service.auth.registration import insertion, new_client
from service.store import credentials
from service.store.change import Change
from service.store.engine import Store
from tests.service.world import ECM1

POSTGRESQL_IN_DEEP = True
RACES = 1_000 if os.environ.get("ENLACE_TEST_DEEP") else 30


async def _client(store: Store, number: int) -> tuple[credentials.RegisteredClient, str, bytes]:
    facts = {"organization": ECM1, "role": "ecm-provider", "scope": "system/*.cruds"}
    name = f"race-{number}"
    client = new_client(name, name=name, now_us=store.clock.now_us(), **facts)  # type: ignore[arg-type]
    token, digest = tokens.new_token()
    now = store.clock.now_us()
    change = insertion(client)
    change.statements.append(credentials.insert_token(digest, name, client.scopes, now, now + 300_000_000))
    await store.commit(change)
    return client, token, digest


async def test_a_right_that_ends_is_gone_with_the_next_request(world: Store, app: FastAPI) -> None:
    leaks, before = 0, set()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/fhir") as http:
        for number in range(RACES):
            client, token, digest = await _client(world, number)
            headers = {"Authorization": f"Bearer {token}"}
            revoked = Change(statements=[credentials.revoke_token(digest, world.clock.now_us())])
            ends: list[Callable[[], Awaitable[object]]] = [
                lambda revoked=revoked: world.commit(revoked),
                lambda client=client: registration.suspend(world, client),
                lambda client=client: registration.deactivate(world, client),
            ]
            running = [asyncio.create_task(http.get("/Patient/a", headers=headers)) for _ in range(4)]
            await asyncio.sleep(0)
            await ends[number % 3]()
            leaks += (await http.get("/Patient/a", headers=headers)).status_code != 401
            before |= {answer.status_code for answer in await asyncio.gather(*running)}
    assert leaks == 0
    assert before <= {200, 401}
