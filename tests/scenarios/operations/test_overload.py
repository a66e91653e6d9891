"""More requests than the service can serve: it serves what it can, tells the rest when to come back, loses nothing.

How much goodput is kept is measured by `make bench ARGS="--only overload"`, not here: times are no verdicts.
"""

import json
import os
from collections import Counter
from pathlib import Path

import httpx

from bench.http_rounds import request
from bench.processes import begin, end
from tests.scenarios.harness import adt, rows, running, wait_for, write_world
from tests.scenarios.people import ROSA

SECONDS = 60 if os.environ.get("ENLACE_TEST_DEEP") else 3


def _requests(token: str) -> list[str]:
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "flood"},
        "subject": {"reference": ROSA.reference},
    }
    create = request("POST", "/fhir/Observation", token, json.dumps(body).encode())
    return [create, *[request("GET", f"/fhir/{ROSA.reference}", token)] * 4]


def test_a_flood_is_answered_and_nothing_acknowledged_is_lost(database_url: str, tmp_path: Path) -> None:
    tokens = write_world(database_url)
    env = {"ENLACE_CLIENT_RATE": "0", "ENLACE_MAX_IN_FLIGHT": "16"}
    with running(database_url, tmp_path, **env) as service:
        order = {"kind": "open", "host": "127.0.0.1", "port": service.http_port, "requests": _requests(tokens["ada"])}
        # So many that the last to come waits longer than the second that admission gives, however quick the machine.
        flood = begin(order | {"rate": 6000, "seconds": SECONDS, "connections": 3000})
        beside: Counter[str] = Counter()
        for number in range(5):
            beside[str(httpx.get(f"{service.base}/healthz", timeout=20).status_code)] += 1
            beside[str(httpx.get(f"{service.base}/readyz", timeout=20).status_code)] += 1
            beside.update(service.send(adt("A01", visit=f"F{number}")))
        found = end(flood)
        print(f"{found['sent']} sent, {found['unsent']} unsent: {found['statuses']}, beside {dict(beside)}")
        assert set(found["statuses"]) <= {"200", "201", "503"}, "every 503 says when to come back, none is lost"
        assert found["statuses"]["503"] > 0, "it was a flood"
        assert beside == {"200": 10, "AA": 5}, "health checks and hospitals are answered in a flood"
        with service.client(tokens["ada"]) as client:
            assert client.get(f"/{ROSA.reference}").status_code == 200, "afterwards all is as before"
        [(made,)] = rows(database_url, "SELECT count(*) FROM resource WHERE rtype = 'Observation'")
        assert made == found["statuses"]["201"], "acknowledged is written, turned away is not"
        service.drained()
        wait_for(lambda: {row["state"] for row in service.inbox()} == {"applied"})
        assert "Traceback" not in service.output()


def test_one_client_that_floods_is_held_back_and_nobody_else(sqlite_url: str, tmp_path: Path) -> None:
    tokens = write_world(sqlite_url)
    with running(sqlite_url, tmp_path, ENLACE_CLIENT_RATE="10") as service:
        with service.client(tokens["ada"]) as ada, service.client(tokens["ben"]) as other:
            answers = [ada.get(f"/{ROSA.reference}") for _ in range(60)]
            refused = [answer for answer in answers if answer.status_code == 429]
            assert refused and answers[0].status_code == 200
            assert {answer.headers["retry-after"] for answer in refused} == {"1"}
            assert refused[0].json()["issue"][0]["code"] == "throttled"
            assert other.get("/Organization?_count=1").status_code == 200
        audited = rows(sqlite_url, "SELECT count(*) FROM audit WHERE reason = 'client-rate'")[0][0]
        assert 1 <= audited < len(refused), "a flood of refusals is audited once a second"
