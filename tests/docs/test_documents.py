"""Every printed command, resource, message and file of docs/ works: issue 3 point 1. Conventions: docs/README.md.

A page is played from its first block to its last; what cannot run here (docker, kubectl) says `norun` and why.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs import commands
from tests.docs.conftest import Sandbox
from tests.docs.pages import DOCS, Block, anchors, blocks, inline_code, links, pages, prose
from tests.docs.runner import Session
from tests.scenarios.harness import ROOT

NAMES = [page.name for page in pages()]
REQUIRED = {
    "README.md", "ehr-developer.md", "hospital-interface-analyst.md", "plan-data-staff.md", "cbo-developer.md",
    "cbo-staff.md", "care-manager.md", "operator.md", "limits.md", "settings.md",
}  # fmt: skip
_FILE = re.compile(r"(?<![\w/.~$-])((?:deploy|docs|tests|service|mappers|bench|openapi)/[\w./@-]*[\w/])")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_does_what_it_says(name: str, sandbox: Sandbox) -> None:
    before = _files(sandbox.checkout)
    _play(name, sandbox, again=False)
    assert _files(sandbox.checkout) == before, "what a page saves stays in var/"


@pytest.mark.skipif(not os.environ.get("ENLACE_TEST_DEEP"), reason="second reading of each page: ENLACE_TEST_DEEP=1")
@pytest.mark.parametrize("name", NAMES)
def test_the_page_can_be_read_again(name: str, sandbox: Sandbox) -> None:
    _play(name, sandbox, again=True)


def _files(checkout: Path) -> set[Path]:
    """What git would see, as .gitignore has it."""
    return {p for p in checkout.rglob("*") if p.is_file() and not {"var", "__pycache__"} & set(p.parts)}


def _play(name: str, sandbox: Sandbox, *, again: bool) -> None:
    listed = [block for block in blocks(DOCS / name) if not block.norun]
    if not listed:
        return
    session = Session(
        sandbox.checkout, sandbox.folder / f"{name}-{int(again)}", sandbox.env, sandbox.ports, again=again
    )
    try:
        for number, block in enumerate(listed):
            session.play(block, "".join(later.commands for later in listed[number + 1 :]))
    finally:
        session.close()


@pytest.mark.parametrize("name", NAMES)
def test_blocks_that_cannot_run_here_are_sound(name: str) -> None:
    for block in blocks(DOCS / name):
        assert block.language, f"{block.place}: a block without a language is not checked"
        if not block.norun:
            continue
        assert block.language == "sh" and len(block.norun) > 10, f"{block.place}: norun needs a reason"
        done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
        assert done.returncode == 0, (block.place, done.stderr)
        _names_exist(block.text, block.place)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_prose_names_exists(name: str) -> None:
    code = inline_code(DOCS / name)
    _names_exist("\n".join(code), name)


def _names_exist(text: str, place: str) -> None:
    problems = [found for line in commands.enlace_lines(text) if (found := commands.problem(line))]
    missing = [path for path in _FILE.findall(text) if not (ROOT / path).exists() and not _template(path)]
    assert not problems + missing, (place, problems, missing)


def _template(path: str) -> bool:
    """systemd's `unit@8000` is the file `unit@.service`."""
    stem = ROOT / re.sub(r"@\d*(\.service)?$", "@.service", path)
    return "@" in path and stem.exists()


@pytest.mark.parametrize("page", [*pages(), ROOT / "README.md"], ids=lambda page: f"{page.parent.name}-{page.name}")
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(found), f"{page.name}: {link}"


def test_no_page_is_missing_and_every_page_is_in_the_index() -> None:
    assert set(NAMES) >= REQUIRED
    index = {link.partition("#")[0] for link in links(DOCS / "README.md")}
    assert set(NAMES) - {"README.md"} <= index


def test_every_verb_is_told() -> None:
    told = "\n".join(page.read_text() for page in [*pages(), ROOT / "README.md"])
    named = {commands.named(line) for line in commands.enlace_lines(told)}
    assert sorted(set(commands.verbs()) - named) == []


def test_pages_speak_of_no_real_place() -> None:
    """Hosts are this machine or example names; people are those of the made-up county."""
    for page in pages():
        hosts = {h.strip(".") for h in re.findall(r"https?://([\w.-]+)", "".join(b.text for b in blocks(page)))}
        real = {h for h in hosts if h != "127.0.0.1" and not h.endswith(("example.org", "example.com", "hl7.org"))}
        assert real <= {"terminology.hl7.org", "loinc.org", "snomed.info"}, (page.name, real)


def test_pictures_are_small_and_used() -> None:
    used = {(page.parent / link).resolve() for page in pages() for link in links(page) if link.endswith(".png")}
    there = {picture.resolve() for picture in (DOCS / "screenshots").glob("*.png")}
    assert used == there
    assert all(1_000 < picture.stat().st_size < 200_000 for picture in there)


def test_readme_is_one_screen() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 50
    first_call = next(number for number, line in enumerate(lines) if line.startswith("curl "))
    assert first_call < 25


def test_the_checks_notice() -> None:
    """The comparison itself: what is not there is named."""
    from tests.docs.match import differs, lines_missing

    assert differs({"a": [{"b": 1}]}, {"a": [{"b": 2}, {"b": 1, "c": 3}], "d": 4}) == ""
    assert differs({"a": "..."}, {"a": 3}) == ""
    assert differs({"a": {"b": 1}}, {"a": {"b": 2}}) == "$.a.b: 2 is not 1"
    assert differs({"a": [1, 2]}, {"a": [2, 1]})
    assert differs({"b": 1}, {"a": 1}) == "$: has no b"
    assert lines_missing("AA  a...\nend", "start\nAA a.hl7\nend\n") == ""
    assert lines_missing("AA\nAE", "AE\nAA\n") == "AE"
    assert commands.problem("adt send --port 2575 FILE") == ""
    assert commands.problem("adt sned x") and commands.problem("serve --al")
    broken = Block("x.md", 1, "sh", "", "")
    assert broken.norun == "" and Block("x.md", 1, "sh", "norun: needs docker", "").norun == "needs docker"
    assert prose(DOCS / "README.md")
