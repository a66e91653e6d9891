"""The runner itself: a page that lies is found, whatever it lies about."""

import pytest

from tests.docs.conftest import Sandbox
from tests.docs.pages import Block
from tests.docs.runner import PageBroken, Session

READY = "curl -s http://127.0.0.1:8000/readyz"
WRONG = """cat > task.json <<EOF
{"resourceType": "Task", "status": "asked"}
EOF
"""
LIES = {
    "status": [("sh", "", f"{READY}   # 201\n")],
    "no status": [("sh", "", f"{READY}\n")],
    "exit": [("sh", "", "false\n")],
    "exit of a part": [("sh", "", "false | cat\n")],
    "fails not": [("sh", "", "true # exit 1\n")],
    "answer": [("sh", "", f"{READY}   # 200\n"), ("json", "", '{"status": "unready"}\n')],
    "output": [("sh", "", "echo one\n"), ("text", "", "two\n")],
    "invalid resource": [("sh", "", WRONG)],
    "valid resource said to be wrong": [
        ("sh", "", """echo '{"resourceType": "Basic", "code": {"text": "x"}}' > wrong.json\n""")
    ],
    "unused file": [("csv", "unused.csv", "a,b\n")],
    "no language": [("", "", "x\n")],
    "unknown language": [("ruby", "", "x\n")],
}


@pytest.fixture
def session(sandbox: Sandbox, request: pytest.FixtureRequest) -> Session:
    made = Session(sandbox.checkout, sandbox.folder / request.node.name, sandbox.env, sandbox.ports)
    request.addfinalizer(made.close)
    return made


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found(lie: str, session: Session) -> None:
    *before, last = [Block("x.md", number, *block) for number, block in enumerate(LIES[lie])]
    for block in before:
        session.play(block, "")
    with pytest.raises(PageBroken, match=r"x\.md"):
        session.play(last, "")


def test_the_truth_passes(session: Session) -> None:
    for number, block in enumerate(
        [
            ("sh", "", f"A=1\n{READY}   # 200\nfalse # exit 1\n"),
            ("json", "", '{"status": "re..."}\n'),
            ("sh", "", "echo $A and more\n"),
            ("text", "", "1 ... more\n"),
        ]
    ):
        session.play(Block("x.md", number, *block), "")
