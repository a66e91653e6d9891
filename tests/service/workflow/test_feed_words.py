"""Every state and reason that the tree can give a message has words of its own: found in the code, not in a list."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mappers.hl7v2.adt_events import EVENTS, WITHOUT_VISIT
from mappers.hl7v2.header import Unreadable, peek
from service.store import inbox
from service.workflow import feed_words

ROOT = Path(__file__).parents[3]
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+|matched|newborn|ambiguous|repeated|nobody|decided")
OF_REFERRALS = ("referral_", "chain_")
"""Modules whose `ended` and `_refused` are of referrals, not of messages."""
TREES = [
    *(ROOT / "mappers").rglob("*.py"),
    *(path for path in (ROOT / "service/workflow").glob("*.py") if not path.name.startswith(OF_REFERRALS)),
    *(ROOT / "service/interactions").glob("*.py"),
    ROOT / "service/store/inbox.py",
    ROOT / "service/store/stays.py",
]
MAKERS = {"_ended", "ended", "handled", "Match", "Read", "_nobody", "_refused"}
"""Functions and records whose text arguments are reasons."""
REASONS = {"REASONS", "SPARSE", "NOBODY", "QUIET", "WAITING"}
"""Constants that hold reasons."""
DECIDING = {
    "inbox_keeping.py",
    "receive_hl7v2.py",
    "hospital_events.py",
    "person_events.py",
    "stay_settling.py",
    "matching.py",
}
"""Files whose variable `reason` is one of these."""


def codes() -> Iterator[tuple[str, str]]:
    """(code, file) of all that the tree says as a reason."""
    for path in TREES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            returned = strings(node.value) if isinstance(node, ast.Return) and node.value and decides(path) else []
            if isinstance(node, ast.Assign) and path.name in DECIDING:
                returned += strings(node.value) if getattr(node.targets[0], "id", "") == "reason" else []
            for text in (*said(node), *returned):
                if CODE.fullmatch(text):
                    yield text, path.name


def decides(path: Path) -> bool:
    """Whether its functions return reasons."""
    return path.name in ("member_match.py", "matching.py")


def said(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [t for a in node.args for t in strings(a)] + [t for k in node.keywords for t in strings(k.value)]
        if name in MAKERS:
            yield from texts
        elif name == "Finding" and "error" in texts:
            yield from texts[:1]
    elif isinstance(node, ast.Assign) and any(getattr(t, "id", "") in REASONS for t in node.targets):
        yield from strings(node.value)


def strings(node: ast.AST) -> list[str]:
    """Of an expression, without those of calls in it (they have their own turn)."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else list(ast.iter_child_nodes(node))
    return [] if isinstance(node, ast.JoinedStr) else [text for part in parts for text in strings(part)]


def test_every_reason_of_the_tree_has_words() -> None:
    found = set(codes())
    seen = {"no-candidate", "not-adt", "nobody-to-tell", "sender-not-proven", "repeated", "matched-later"}
    assert seen <= {code for code, _ in found}
    lacking = sorted((code, name) for code, name in found if not feed_words.known(code))
    assert not lacking, f"give them a row in service/workflow/feed_words.json: {lacking}"


@pytest.mark.parametrize("effect", sorted({EVENTS[code].effect for code in EVENTS} & WITHOUT_VISIT))
def test_every_event_without_a_visit_has_words(effect: str) -> None:
    assert feed_words.known(f"no-visit-{effect}")


@pytest.mark.parametrize("state", inbox.STATES)
def test_every_state_has_words(state: str) -> None:
    plain = feed_words.words(state, "")
    assert plain.sentence.endswith(".") and plain.remedy and plain != feed_words.words("?", "")
    assert feed_words.words(state, "what-nobody-wrote").sentence != plain.sentence


def test_an_error_of_the_software_is_told_as_one() -> None:
    assert "failed" in feed_words.words("failed", "KeyError").sentence
    assert feed_words.words("failed", "no-candidate").sentence.startswith("No member")


def test_an_unreadable_header_says_why_itself() -> None:
    why = peek(b"PID|1")
    assert isinstance(why, Unreadable)
    said = feed_words.words("unreadable", why.reason)
    assert said.sentence == why.reason and said.remedy == feed_words.words("unreadable", "").remedy


def test_sentences_are_sentences_and_name_commands_that_are_there() -> None:
    table = json.loads((ROOT / "service/workflow/feed_words.json").read_text(encoding="utf-8"))
    for name, (sentence, remedy) in {**table["states"], **table["reasons"]}.items():
        assert sentence.endswith(".") and sentence[0].isupper() and remedy.endswith("."), name
        assert 20 < len(sentence) < 140 and len(remedy) < 140, name
