"""HAProxy before several API processes, as deploy/haproxy/haproxy.cfg has it: /readyz decides who gets requests."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.postgres_server import free_port

HAPROXY = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")

_CONFIG = """
global
    maxconn 4096
    stats socket {folder}/haproxy.sock mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout queue 10s
    retries 3
    option redispatch
    retry-on conn-failure
    option http-keep-alive
frontend api
    bind 127.0.0.1:{port}
    default_backend api
backend api
    balance leastconn
    option httpchk
    http-check send meth GET uri /readyz
    http-check expect status 200
    # On a busy machine an answer may take longer than the pause between two checks: no reason to leave a process.
    timeout check 5s
    default-server inter 300ms fall 2 rise 1 fastinter 100ms downinter 100ms
{servers}
"""


class Proxy:
    """Runs until closed; `port` is where clients go."""

    def __init__(self, folder: Path, ports: Sequence[int]):
        assert HAPROXY, "ask `Proxy.missing()` first"
        self.port = free_port()
        servers = "\n".join(f"    server api{n} 127.0.0.1:{port} check" for n, port in enumerate(ports))
        path = folder / "haproxy.cfg"
        path.write_text(_CONFIG.format(port=self.port, servers=servers, folder=folder))
        self._log = (folder / "haproxy.log").open("wb")
        self._process = subprocess.Popen([HAPROXY, "-db", "-f", str(path)], stdout=self._log, stderr=self._log)

    @staticmethod
    def missing() -> str:
        """Why there is none here; "" where there is."""
        return "" if HAPROXY else "There is no haproxy here: install it to run behind a proxy."

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
