"""Starts of `enlace` that end by themselves, each a process of its own, without importing everything for each.

`python -m tests.scenarios.forked_starts` imports the service once, then forks for each line of standard input. What a
start costs is mostly its imports; what a start from nothing does is seen by the scenarios that run the service.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Starter:
    """One process that forks. Several threads may use it; it does one thing after the other."""

    def __init__(self) -> None:
        from service.cli.processes import die_with_parent

        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.scenarios.forked_starts"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
        )  # fmt: skip

    def run(self, env: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `enlace ...` to its end, 60 s at most."""
        assert self._process.stdin and self._process.stdout
        out, errors = (
            folder / f"{id(env)}-{threading.get_ident()}.out",
            folder / f"{id(env)}-{threading.get_ident()}.err",
        )
        order = {"env": env, "arguments": arguments, "out": str(out), "errors": str(errors)}
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, out.read_text(), errors.read_text())

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


def _forked(order: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    import signal

    signal.alarm(60)  # a start that should be refused and is not
    for name, number in (("out", 1), ("errors", 2)):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["enlace", *order["arguments"]]
    code = 1
    try:
        from service.cli import main

        main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve() -> None:
    import adt_listener.process  # noqa: F401
    import service.cli.run
    import service.main
    import service.store.migrate
    import service.worker  # noqa: F401

    for line in sys.stdin:
        print(_forked(json.loads(line)), flush=True)


if __name__ == "__main__":
    _serve()
