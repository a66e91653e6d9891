"""Two API processes and two workers behind a proxy are restarted one after the other under load: no request fails."""

import os
from pathlib import Path

import pytest

from tests.scenarios.harness import FIVE, adt, running, wait_for, write_world
from tests.scenarios.operations.traffic import Traffic
from tests.scenarios.people import ROSA
from tests.scenarios.proxy import Proxy

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
ROUNDS = 10 if DEEP else 1
NAMES = ("serve", "worker", "serve-2", "worker-2") if DEEP else ("serve", "worker-2")


@pytest.mark.skipif(bool(Proxy.missing()), reason=Proxy.missing() or "-")
@pytest.mark.timeout(1800 if ROUNDS > 1 else 120)
def test_a_rolling_restart_fails_no_request(postgresql_url: str, tmp_path: Path) -> None:
    tokens = write_world(postgresql_url)
    sent = 0
    with running(postgresql_url, tmp_path, parts=FIVE, ENLACE_DRAIN_SECONDS="2") as service:
        with Traffic(
            service.base, tokens["ada"], ROSA.reference, threads=2 if DEEP else 1, patient=ROSA.reference
        ) as traffic:
            for _ in range(ROUNDS):
                for name in NAMES:
                    traffic.settle()
                    sent += 1
                    assert service.send(adt("A01", control_id=f"ROLL{sent}", visit=f"V{sent}")) == ["AA"]
                    assert service.terminate(name) == {name: 0}
                    traffic.settle()
                    service.start(name)
            traffic.settle()
        print(f"{ROUNDS} rounds, {traffic.total} requests: {dict(traffic.answers)}")
        assert set(traffic.answers) == {"200", "201"}, traffic.answers
        assert len(traffic.written) == traffic.answers["201"]
        traffic.check_written(service.base)
        service.drained()
        wait_for(lambda: {row["state"] for row in service.inbox()} == {"applied"})
        assert "Traceback" not in service.output()
