"""An installation to be examined by `enlace doctor`: its environment, its clock, what is found."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.cli.doctor import examine
from service.cli.doctor_site import Finding
from service.clock import SystemClock
from service.store.engine import Store, open_store
from tests.postgres_server import free_port


@dataclass
class Patient:
    """An installation to be examined: its environment and its clock."""

    url: str
    home: Path
    clock: Any = field(default_factory=SystemClock)
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ports = {"ENLACE_HTTP_PORT": str(free_port()), "ENLACE_MLLP_PORT": str(free_port())}
        keys = {f"ENLACE_{name}_KEY_FILE": str(self.home / f"{name}.key") for name in ("SECRET", "AUDIT")}
        self.env = {"ENLACE_DATABASE_URL": self.url, **ports, **keys, **self.env}

    def findings(self, *, deep: bool = False, **env: str) -> list[Finding]:
        return asyncio.run(examine(self.env | env, self.clock, deep=deep))

    def ill(self, name: str, *, deep: bool = False, **env: str) -> Finding:
        """The one finding of a check that is not ok; it must say what to do."""
        found = [one for one in self.findings(deep=deep, **env) if one.name == name and one.level != "ok"]
        assert len(found) == 1, found
        assert found[0].next and found[0].sentence.endswith((".", "?")), found
        return found[0]

    def well(self, name: str, *, deep: bool = False, **env: str) -> bool:
        return all(one.level == "ok" for one in self.findings(deep=deep, **env) if one.name == name)

    def do(self, work: Callable[[Store], Awaitable[Any]]) -> None:
        async def run() -> None:
            store = await open_store(self.url, self.clock)
            try:
                await work(store)
            finally:
                await store.close()

        asyncio.run(run())


@contextlib.contextmanager
def listening(greet: Callable[[socket.socket], object]) -> Iterator[int]:
    """Another program at a port: takes connections, greets, keeps them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peers: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peers.append(server.accept()[0])
                    greet(peers[-1])

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for peer in peers:
            peer.close()
