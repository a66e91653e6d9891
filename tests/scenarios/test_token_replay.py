"""T20 over two real API processes: one assertion is good for one token, at once and after kill -9."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.auth.backend_services import ASSERTION_TYPE
from service.auth.registration import insertion, new_client
from service.store.engine import Store
from tests.scenarios.harness import look, now_us, rows, running, write_world
from tests.service.auth.smart_client import CLIENT, claims, header, jwks_text, jwt

USES = 200


@pytest.mark.timeout(300)
@pytest.mark.skipif(not os.environ.get("ENLACE_TEST_DEEP"), reason="two processes: in process it is tested always")
def test_t20_parallel_replays_over_two_processes_make_one_token(postgresql_url: str, tmp_path: Path) -> None:
    write_world(postgresql_url)

    async def register(store: Store) -> None:
        facts = {"name": CLIENT, "organization": "Organization/ecm-1", "role": "ecm-provider"}
        client = new_client(CLIENT, **facts, scope="system/*.rs", jwks=jwks_text(), now_us=store.clock.now_us())
        await store.commit(insertion(client))

    look(postgresql_url, register)
    with running(postgresql_url, tmp_path, parts=(("serve",), ("serve",))) as service:
        places = [f"http://127.0.0.1:{port}/auth/token" for port in service.ports.values()]
        assert len(places) == 2
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt(header(), claims(now_us(), aud=f"{service.base}/auth/token")),
            "scope": "system/Task.rs",
        }

        def use(number: int) -> int:
            """The answer; 503 is none: the process was full, and nothing was decided."""
            while (answer := httpx.post(places[number % 2], data=form, timeout=60)).status_code == 503:
                time.sleep(1)
            return answer.status_code

        with ThreadPoolExecutor(50) as threads:
            assert sorted(threads.map(use, range(USES))) == [200] + [401] * (USES - 1)
        service.kill()
        service.start()
        with ThreadPoolExecutor(50) as threads:
            assert set(threads.map(use, range(USES))) == {401}
        assert rows(postgresql_url, "SELECT count(*) FROM token WHERE client_id = ?", CLIENT)[0][0] == 1
