"""A warm `enlace` for the pages: one process has everything imported and forks for each command.

Started anew, a command costs half a second of imports, and the pages have fifty. Standard streams, folder, environment
and exit code are the caller's; the real start of the program is tested by tests/scenarios/test_readme.py.
"""

import contextlib
import json
import os
import signal
import socket
import sys

CLIENT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n"
    socket.send_fds(server, [call[:1]], [0, 1, 2])
    server.sendall(call[1:])
    sys.exit(int(server.recv(8) or 70))
"""
PRELOADED = (
    "service.store.engine", "service.store.sqlite", "service.workflow.member_files", "service.cli.doctor_checks",
    "service.cli.sandbox_steps", "service.cli.mllp_client", "service.cli.feed", "service.store.backup_restore",
    "service.api.metadata", "rich.table",
)  # fmt: skip


def serve(path: str) -> None:
    import importlib

    from service.cli import main

    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(8)
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                _run(connection, main)
            connection.close()


def _run(connection: socket.socket, main: object) -> None:
    """In the child: becomes the command that the client asks for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    first, streams, _, _ = socket.recv_fds(connection, 1, 3)
    text = first + connection.makefile("rb").readline()
    arguments, folder, environment = json.loads(text)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["enlace", *arguments]
    code: object = 0
    try:
        main()  # type: ignore[operator]
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    connection.sendall(str(code if isinstance(code, int) else 0 if code is None else 1).encode())
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
