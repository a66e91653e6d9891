"""Mutated ADT frames over a real socket: the listener lives, each message ends in a state, nothing personal is logged.

100 frames, 500 with ENLACE_TEST_DEEP; ENLACE_TEST_SEED repeats a run.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.scenarios.adt_truth import check_jobs
from tests.scenarios.harness import ROSA, Service, ack_code, adt, look, rows, wait_for

COUNT = 500 if os.environ.get("ENLACE_TEST_DEEP") else 100
CANARY = "Zanzibarcanary"
GOLDEN = sorted((Path(__file__).parents[1] / "golden/hl7v2").glob("*.hl7"))
Mutation = Callable[[random.Random, bytes], bytes]


def _flip(rng: random.Random, raw: bytes) -> bytes:
    data = bytearray(raw)
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(1, len(raw))]


def _insert(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    junk = [b"\x00", b"\xff\xfe", b"|" * 500, b"^" * 500, b"~" * 300, b"\\", b"\\X0D0A\\", b"\\Z" * 40, b"\r\r\n",
            "é漢🙂".encode(), b"\xed\xa0\x80", b"9" * 400, b'""', b"&" * 200, b"\x1b$B", b"A" * 5000]  # fmt: skip
    return raw[:at] + rng.choice(junk) + raw[at:]


def _field(rng: random.Random, raw: bytes) -> bytes:
    """Replaces one field by something nasty."""
    segments = raw.split(b"\r")
    number = rng.randrange(len(segments))
    fields = segments[number].split(b"|")
    nasty = [b"", b'""', b"99999999999999", b"00000000", b"20240230", b"-1", b"\x00", b"20240310023000", b"^^^^^^^",
             b"1e999", b"99991231235959.9999+1400", b"' OR 1=1 --", b"\\.br\\", b"%s%n", b"\xc3\x28"]  # fmt: skip
    fields[rng.randrange(len(fields))] = rng.choice(nasty)
    segments[number] = b"|".join(fields)
    return b"\r".join(segments)


def _shuffle(rng: random.Random, raw: bytes) -> bytes:
    head, *rest = raw.split(b"\r")
    rng.shuffle(rest)
    return b"\r".join([head, *rest])


def _double(rng: random.Random, raw: bytes) -> bytes:
    segments = raw.split(b"\r")
    segments.insert(rng.randrange(1, len(segments)), rng.choice(segments[1:]))
    return b"\r".join(segments)


def _separators(rng: random.Random, raw: bytes) -> bytes:
    return raw.replace(b"|", bytes([rng.choice(b"#!|$;A\x01\x7f")])).replace(b"^", bytes([rng.choice(b"^:@")]))


def _charset(rng: random.Random, raw: bytes) -> bytes:
    text = raw.decode("utf-8", "replace")
    return text.encode(rng.choice(["utf-16", "utf-16-le", "utf-8-sig", "cp1252", "utf-32"]), "replace")


def _declared(rng: random.Random, raw: bytes) -> bytes:
    head, _, rest = raw.partition(b"\r")
    fields = (head.split(b"|") + [b""] * 20)[:20]
    fields[17] = rng.choice([b"UNICODE", b"UNICODE UTF-16", b"ISO IR87", b"8859/1", b"GB 18030-2000", b"what", b"~"])
    return b"|".join(fields) + b"\r" + rest


MUTATIONS: tuple[Mutation, ...] = (_flip, _cut, _insert, _field, _shuffle, _double, _separators, _charset, _declared)


def _base(rng: random.Random) -> bytes:
    """Of our registered sender, so that mutations reach the worker; people are called CANARY."""
    if rng.random() < 0.5:
        who = ROSA.said if rng.random() < 0.7 else {**ROSA.said, "cin": "", "given": CANARY}
        event = rng.choice(["A01", "A02", "A03", "A04", "A06", "A08", "A11", "A13", "A16", "A21", "A31", "A40"])
        more = {"reason": f"R07.9^{CANARY}", "location": f"4W^{CANARY}^A"}
        return adt(event, {**who, "address": f"1 {CANARY} Street"}, visit=f"F{rng.randrange(12)}", **more)
    segments = rng.choice(GOLDEN).read_bytes().replace(b"\n", b"\r").replace(b"\r\r", b"\r").split(b"\r")
    head = segments[0].split(b"|")
    head[2:4] = [b"EPIC", b"MERCY"]
    segments[0] = b"|".join(head)
    for number, segment in enumerate(segments):
        if segment.startswith(b"PID|"):
            fields = segment.split(b"|")
            fields[5:6] = [CANARY.encode() + b"^" + CANARY.encode()]
            segments[number] = b"|".join(fields)
    return b"\r".join(segments)


def test_mutated_messages(service: Service) -> None:
    seed = int(os.environ.get("ENLACE_TEST_SEED", 0)) or random.randrange(1, 1_000_000)
    print(f"seed {seed}: repeat with ENLACE_TEST_SEED={seed}")
    rng = random.Random(seed)
    answered = closed = 0
    for number in range(COUNT):
        raw = _base(rng)
        for _ in range(rng.randint(1, 3)):
            raw = rng.choice(MUTATIONS)(rng, raw) if raw.count(b"\r") > 1 else raw
        before = rows(service.url, "SELECT count(*) FROM inbox")[0][0] if number % 10 == 0 else None
        with service.mllp() as connection:
            if rng.random() < 0.05:  # a broken frame
                connection.socket.sendall(b"\x0b" + raw[: len(raw) // 2])
                continue
            answer = connection.exchange(raw)
            answered, closed = answered + bool(answer), closed + (not answer)
            if not answer:
                assert b"\x0b" in raw or b"\x1c" in raw or b"ACK" in raw or b"MCF" in raw, (number, raw)
                continue
        code = ack_code(answer) or answer.replace(b"\x00", b"")
        assert code in ("AA", "CA", "AR", "CR") or b"AA" in answer or b"AR" in answer or isinstance(code, bytes), number
        if before is not None:
            assert rows(service.url, "SELECT count(*) FROM inbox")[0][0] >= before
    assert service.alive()
    assert service.send(adt("A01", visit="after")) == ["AA"]
    print(f"{answered} answered, {closed} closed")
    wait_for(lambda: rows(service.url, "SELECT count(*) FROM inbox WHERE state = 'stored'")[0][0] == 0, 30, 0.3)
    failed = rows(service.url, "SELECT kind, state, attempts, last_error FROM job WHERE last_error <> ''")
    assert failed == [], "content must end as a state, not as an exception"
    service.drained()
    look(service.url, check_jobs)
    states = dict(rows(service.url, "SELECT state, count(*) FROM inbox GROUP BY state"))
    print(states)
    assert states.get("applied", 0) > 0
    time.sleep(0.2)
    output = service.output()
    assert "Traceback" not in output
    for word in (CANARY, CANARY.lower(), ROSA.cin, ROSA.family):
        assert word not in output
