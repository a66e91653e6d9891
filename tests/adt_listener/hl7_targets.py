"""What must hold for any bytes: the framing gives the same frames however they are cut, the parser never raises.

A program: `python tests/adt_listener/hl7_targets.py SECONDS RUNS [FOLDER...]`. With atheris (coverage leads it) where
it is installed, else by mutating the golden messages without coverage; the last line says which. A finding ends it
with a traceback and exit code 1 (atheris: 77) and leaves the bytes in the working folder.
"""

import random
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["adt_listener", "mappers"]) if atheris else nullcontext():
    from adt_listener.mllp import Event, Frame, FrameReader, wrap
    from mappers.hl7v2.ack import *  # noqa: F403  (its code is to be instrumented too)
    from mappers.hl7v2.message import Message, Unreadable, content_hash, parse, split_messages
    from mappers.hl7v2.source import SourceConfig
    from service.workflow.message_reading import read

GOLDEN = Path(__file__).parents[1] / "golden/hl7v2"
SOURCE = SourceConfig("fuzz", class_map={"PV1-2:X": "ED"})
CAP = 4096
RECEIVED = 1_772_568_000_000_000


def frames(data: bytes, cuts: list[int]) -> list[Event]:
    reader = FrameReader(CAP)
    found: list[Event] = []
    for low, high in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += reader.feed(data[low:high])
    return found + reader.close()


def framing(data: bytes) -> None:
    """Whole frames, and nothing else, whatever the writes were; a frame that was written whole is read."""
    if len(data) < 4:
        return
    rng = random.Random(data[:4])
    body = data[4:]
    cuts = sorted(rng.randrange(len(body) + 1) for _ in range(rng.randint(0, 6)))
    whole, cut = ([e for e in frames(body, c) if isinstance(e, Frame)] for c in ([], cuts))
    assert whole == cut, (whole, cut)
    payload = body.replace(b"\x0b", b"").replace(b"\x1c", b"")[:CAP].strip(b" \t\r\n\x00")
    if payload:
        assert frames(wrap(payload), []) == [Frame(payload)]


def parsing(data: bytes) -> None:
    """Content ends as an answer, never as an exception, and the same bytes always as the same one."""
    found = parse(data)
    assert isinstance(found, (Message, Unreadable))
    content_hash(data)
    told = read(data, SOURCE, RECEIVED)
    assert told == read(data, SOURCE, RECEIVED)
    for event in told.events:
        assert type(event).from_json(event.to_json()) == event
    for one in split_messages(data):
        parse(one)


TARGETS: tuple[Callable[[bytes], None], ...] = (framing, parsing)


def one_input(data: bytes) -> None:
    try:
        for target in TARGETS:
            target(data)
    except BaseException:
        Path("crash-input").write_bytes(data)
        raise


def without_coverage(seconds: float, runs: int) -> int:
    rng = random.Random(time.time_ns())
    seeds = [path.read_bytes().replace(b"\n", b"\r") for path in sorted(GOLDEN.glob("*.hl7"))]
    words = [
        b"\x0b",
        b"\x1c\r",
        b"\r",
        b"|",
        b"^",
        b"~",
        b"\\X",
        b"&",
        b'""',
        b"MSH|^~\\&|",
        b"\xff",
        b"\x00",
        b"PID|",
        b"9" * 30,
    ]
    until, done = time.monotonic() + seconds, 0
    while done < runs and time.monotonic() < until:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 12)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.choice((0, 0, 1, 1, 7, 60))] = rng.choice(
                (rng.choice(words), rng.randbytes(rng.randint(0, 5)))
            )
        one_input(bytes(data))
        done += 1
    return done


def main() -> None:
    seconds, runs = float(sys.argv[1]), int(sys.argv[2])
    if atheris is None:
        print(f"{without_coverage(seconds, runs)} runs without coverage: atheris is not installed.", flush=True)
        return
    corpus = Path("corpus")
    corpus.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.hl7"):
        data = path.read_bytes().replace(b"\n", b"\r")
        (corpus / path.stem).write_bytes(data)
        (corpus / f"{path.stem}-framed").write_bytes(b"0000\x0b" + data + b"\x1c\r")
    asked: list[Any] = [sys.argv[0], str(corpus), f"-max_total_time={int(seconds)}", f"-runs={runs}", "-max_len=8192",
                        "-timeout=20", "-verbosity=1", "-print_final_stats=1"]  # fmt: skip
    atheris.Setup(asked, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
