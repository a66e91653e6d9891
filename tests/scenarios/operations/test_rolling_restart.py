"""Two API processes and two workers behind a proxy are restarted one after the other under load: no request fails."""

import os
from pathlib import Path

import pytest

from tests.scenarios.harness import FIVE, running, write_world
from tests.scenarios.operations.store_load import Load, check_kept
from tests.scenarios.proxy import Proxy

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
ROUNDS = 10
NAMES = ("serve", "worker", "serve-2", "worker-2")


@pytest.mark.skipif(not DEEP, reason="More than a minute: make test-deep AREA=operations.")
@pytest.mark.skipif(bool(Proxy.missing()), reason=Proxy.missing() or "-")
@pytest.mark.timeout(1800)
def test_a_rolling_restart_fails_no_request(postgresql_url: str, tmp_path: Path) -> None:
    tokens = write_world(postgresql_url)
    with running(postgresql_url, tmp_path, parts=FIVE, ENLACE_DRAIN_SECONDS="2") as service:
        with Load(service, tokens) as load:
            for _ in range(ROUNDS):
                for name in NAMES:
                    load.settle()
                    assert service.terminate(name) == {name: 0}
                    load.settle()
                    service.start(name)
            load.settle()
        assert {answer for _, answer in load.told} == {"200", "201", "AA"}, load.counts()
        check_kept(load)
