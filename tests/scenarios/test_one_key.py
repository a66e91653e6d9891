"""Two real API processes over one database: one key is created once, whichever process each request meets."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios.harness import running, write_world

SYSTEM = "http://example.org/mrn"
WAYS = ("If-None-Exist", "POST", "PUT")


@pytest.mark.timeout(180)
def test_twenty_creators_over_two_processes_make_one(database_url: str, tmp_path: Path) -> None:
    tokens = write_world(database_url)
    token = tokens["admin"]
    with running(database_url, tmp_path, parts=(("serve",), ("serve",))) as service:
        bases = [f"http://127.0.0.1:{port}/fhir" for port in service.ports.values()]
        assert len(bases) == 2
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            for way in WAYS:
                query = f"identifier={SYSTEM}|{way}"
                body = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": way}]}

                def send(
                    number: int, way: str = way, query: str = query, body: dict[str, Any] = body
                ) -> httpx.Response:
                    base = bases[number % 2]
                    if way == "If-None-Exist":
                        return client.post(f"{base}/Patient", json=body, headers={way: query})
                    return client.request(way, f"{base}/Patient?{query}", json=body)

                with ThreadPoolExecutor(20) as threads:
                    answers = list(threads.map(send, range(20)))
                assert sorted(a.status_code for a in answers) == [200] * 19 + [201], [a.text for a in answers]
                assert len({a.json()["id"] for a in answers}) == 1
                found = client.get(f"{bases[0]}/Patient?{query}&_total=accurate")
                assert found.json()["total"] == 1
