"""SIGTERM while work is in hand, and what the processes write down about work full of names: issue 2, point 12.

A request half sent, an open MLLP connection, an open event stream and readers that never pause; then every log line.
"""

import json
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from service.log_events import CATALOGUE, RESERVED
from tests.scenarios.harness import HOSPITAL, LUIS, ROSA, Service, ack_code, adt, running, wait_for, write_world
from tests.service.web.browsing import Forms

CANARY = "Zyxwvutsrq"
"""A name that exists nowhere else: in a body, a URL, a message."""


def test_sigterm_finishes_what_is_in_hand(database_url: str, tmp_path: Path) -> None:
    tokens = write_world(database_url)
    with running(database_url, tmp_path, ENLACE_LOG_LEVEL="debug") as service:
        _work_with_names(service, tokens)
        stream = _open_stream(service)
        half = _HalfSent(service, tokens["north"])
        reading = _Readers(service, tokens["ada"])
        with service.mllp() as idle:
            assert ack_code(idle.exchange(adt("A01", LUIS.said, visit="V3"))) == "AA"
            time.sleep(0.3)
            asked = time.monotonic()
            for process in service._running.values():
                process.terminate()
            time.sleep(0.3)
            assert half.finish().startswith(b"HTTP/1.1 201"), "a request in hand was cut off"
            codes = {name: process.wait(30) for name, process in service._running.items()}
            seconds = time.monotonic() - asked
            assert idle.answer() == b"", "the listener closes its connections"
        answers = reading.stop()
        ended = stream.read()
    assert set(codes.values()) == {0}, (codes, service.output()[-2000:])
    assert seconds < 12, f"{seconds:.1f} s until all processes were gone"
    assert ended.startswith(b"HTTP/1.1 200")
    assert answers["200"] > 0 and set(answers) <= {"200", "503", "not-connected"}, answers
    _check_log(service.output())


class _HalfSent:
    """A create whose body comes in two halves."""

    def __init__(self, service: Service, token: str):
        subject = {"reference": ROSA.reference, "display": CANARY}
        body = {"resourceType": "Observation", "status": "final", "code": {"text": CANARY}, "subject": subject}
        text = json.dumps(body).encode()
        head = (
            f"POST /fhir/Observation HTTP/1.1\r\nHost: enlace\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/fhir+json\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        self._socket = socket.create_connection(("127.0.0.1", service.http_port), 15)
        self._socket.sendall(head.encode() + text[:20])
        self._rest = text[20:]

    def finish(self) -> bytes:
        self._socket.sendall(self._rest)
        with self._socket:
            return self._socket.recv(65_536)


class _Readers:
    """Reads without a pause; counts the answers by status, and those that broke off in the middle."""

    def __init__(self, service: Service, token: str):
        self._counts: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(service, token))
        self._thread.start()

    def _read(self, service: Service, token: str) -> None:
        while not self._ended.is_set():
            try:
                with service.client(token) as client:
                    outcome = str(client.get(f"/{ROSA.reference}").status_code)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                outcome = "not-connected"
                time.sleep(0.05)
            except httpx.TransportError as error:
                # Connected after the last accept: the kernel's queue is dropped with the socket, nothing was begun.
                outcome = "not-connected" if "disconnected without" in str(error) or _reset(error) else repr(error)
            self._counts[outcome] = self._counts.get(outcome, 0) + 1

    def stop(self) -> dict[str, int]:
        self._ended.set()
        self._thread.join(20)
        return self._counts


def _reset(error: BaseException) -> bool:
    return "reset by peer" in str(error).lower()


class _Stream:
    """An open text/event-stream, read by a plain socket until the server ends it."""

    def __init__(self, service: Service, cookie: str):
        self._socket = socket.create_connection(("127.0.0.1", service.http_port), 15)
        request = f"GET /inbox/events HTTP/1.1\r\nHost: 127.0.0.1:{service.http_port}\r\nCookie: {cookie}\r\n\r\n"
        self._socket.sendall(request.encode())
        self._got = b""
        while b"event: seen" not in self._got:
            data = self._socket.recv(65_536)
            assert data, self._got
            self._got += data

    def read(self) -> bytes:
        """All that came, once the server has closed."""
        with self._socket, suppress(ConnectionResetError):
            while data := self._socket.recv(65_536):
                self._got += data
        return self._got


def _open_stream(service: Service) -> _Stream:
    with httpx.Client(base_url=service.base, timeout=15) as browser:
        page = browser.get("/")
        action, fields, _ = next(form for form in Forms(page.text).found if form[2].startswith("Sign in as"))
        assert browser.post(action, data=fields).status_code == 303
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return _Stream(service, cookie)


# --- what is written down ----------------------------------------------------------------------------------------


def _work_with_names(service: Service, tokens: dict[str, str]) -> None:
    """Reads, writes, refusals and messages that carry names, CINs, a secret token and free text."""
    with service.client(tokens["ada"]) as client:
        assert client.get(f"/Patient?family={ROSA.family}&given={CANARY}").status_code == 200
        assert client.get(f"/Patient/{CANARY}").status_code == 404
        assert client.get(f"/Patient?nonsense={CANARY}", headers={"Prefer": "handling=strict"}).status_code == 400
        assert client.post("/Observation", content=b'{"resourceType": "' + CANARY.encode()).status_code in (400, 415)
        wrong = {"resourceType": "Condition", "subject": {"reference": f"Patient/{CANARY}"}, CANARY: CANARY}
        assert client.post("/Condition", json=wrong).status_code in (400, 422)
    with service.client(CANARY) as stranger:
        assert stranger.get(f"/{ROSA.reference}").status_code == 401
    assert httpx.get(f"{service.base}/{CANARY}?name={ROSA.family}", timeout=15).status_code == 404
    nobody = {"mrn": CANARY, "family": CANARY, "given": CANARY, "birth_date": "1990-01-01", "sex": "F"}
    service.send(adt("A01"), adt("A01", nobody, visit="V2"), f"PID|1||{CANARY}\r".encode())
    with socket.create_connection(("127.0.0.1", service.mllp_port), 15) as loose:
        loose.sendall(f"GET /{CANARY} HTTP/1.1\r\n\r\n".encode())
    wait_for(lambda: [row["state"] for row in service.inbox()][:2] == ["applied", "unmatched"])


def _check_log(output: str) -> None:
    """Every line is JSON of the catalogue; no name, CIN, date of birth, token or free text stands in it."""
    lines = output.splitlines()
    seen = set()
    for line in lines:
        fields: dict[str, Any] = json.loads(line)
        event = CATALOGUE[fields["event"]]
        assert fields["message"] == event.sentence
        assert set(fields) <= event.fields | RESERVED, fields
        seen.add(event.code)
    assert seen >= {"service.ready", "service.stopping", "service.stopped", "request.done", "request.refused"}
    assert seen >= {"adt.stored", "adt.matched", "adt.unmatched", "adt.unreadable"}, seen
    secrets = (CANARY, ROSA.family, ROSA.given, ROSA.cin, ROSA.birth_date, LUIS.family, LUIS.cin, "19800517")
    for secret in secrets:
        assert secret.lower() not in output.lower(), [line for line in lines if secret.lower() in line.lower()]
    assert HOSPITAL["name"] not in output
