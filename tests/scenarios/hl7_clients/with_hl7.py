"""PyPI `hl7`: its blocking MLLP client, and its own parser of the answers. Run by test_foreign_senders.py."""

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import hl7
from hl7.client import MLLPClient

FACTS: dict[str, Any] = json.load(sys.stdin)


def step(name: str, work: Callable[[], None]) -> None:
    line: dict[str, Any] = {"step": name}
    try:
        work()
    except Exception as error:
        line["error"] = "".join(traceback.format_exception(error)[-2:])
    print(json.dumps(line), flush=True)


def answered(client: MLLPClient, text: str, code: str = "AA") -> str:
    """Sends it; the answer says `code` and names the message."""
    raw = client.send_message(text).decode().strip("\x0b\x1c\r")
    answer, sent = hl7.parse(raw), hl7.parse(text)
    assert [str(answer.segment("MSA")[n]) for n in (1, 2)] == [code, str(sent.segment("MSH")[10])], raw
    assert str(answer.segment("MSH")[9]).startswith("ACK"), raw
    return raw


def once() -> None:
    with MLLPClient("127.0.0.1", FACTS["port"]) as client:
        answered(client, FACTS["admit"])


def stay() -> None:
    with MLLPClient("127.0.0.1", FACTS["port"]) as client:
        for text in FACTS["stay"]:
            answered(client, text)


def again() -> None:
    with MLLPClient("127.0.0.1", FACTS["port"]) as client:
        first, second = (answered(client, FACTS["admit"]) for _ in range(2))
    assert first == second, (first, second)


def accents() -> None:
    with MLLPClient("127.0.0.1", FACTS["port"], encoding="utf-8") as client:
        answered(client, FACTS["accents"])


def enhanced() -> None:
    with MLLPClient("127.0.0.1", FACTS["port"]) as client:
        answered(client, FACTS["enhanced"], "CA")


def many() -> None:
    clients = [MLLPClient("127.0.0.1", FACTS["port"]) for _ in range(3)]
    for number, text in enumerate(FACTS["many"]):
        answered(clients[number % 3], text)
    for client in clients:
        client.close()


for work in (once, stay, again, accents, enhanced, many):
    step(work.__name__, work)
