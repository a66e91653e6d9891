"""`enlace demo --story`: a story against a running service, what it prints, and how one fails."""

import asyncio
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.auth.sandbox import issue_sandbox_token
from service.cli import app
from service.cli.processes import die_with_parent
from service.cli.seed import seed
from service.cli.seed.directory import CBOS, PLANS
from service.cli.stories import albert, sonja, stage
from service.cli.stories.acts import hidden, hospital, plan_file, seen
from service.cli.stories.player import play, story
from service.cli.stories.stage import Stage
from service.cli.stories.story import Stopped, Story, StoryFailed, cbo, plan, step
from service.settings import Settings, load
from tests.scenarios.harness import ROOT, Service, look, now_us, wait_for

Process = subprocess.Popen[bytes]


@dataclass
class Theatre:
    service: Service
    settings: Settings
    admin: str
    process: Process

    def play(self, told: Story) -> tuple[Stage, str]:
        """The stage as it is at the end, and what was printed."""
        out = io.StringIO()
        return asyncio.run(play(self.settings, told, pace=0, out=out)), out.getvalue()

    def read(self, reference: str) -> dict[str, Any]:
        with self.service.client(self.admin) as client:
            answer = client.get(f"/{reference}")
        assert answer.status_code == 200, (reference, answer.text)
        return dict(answer.json())


def settings_of(service: Service) -> Settings:
    return load({name: value for name, value in service._env.items() if name.startswith("ENLACE_")})


@pytest.fixture(scope="module")
def county_db(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The county's directory, clients and sending systems with one member, as a file to copy."""
    path = tmp_path_factory.mktemp("county") / "county.db"
    for part in sqlite_template.parent.glob("template.db*"):
        shutil.copy(part, str(path) + part.name.removeprefix("template.db"))
    look(f"sqlite:///{path}", lambda store: seed(store, members=1, seed=1, now_us=now_us()))
    return path


def copied(county_db: Path, folder: Path) -> str:
    for part in county_db.parent.glob("county.db*"):
        shutil.copy(part, folder / part.name.replace("county", "enlace"))
    return f"sqlite:///{folder / 'enlace.db'}"


def demo(service: Service, *arguments: str, program: tuple[str, ...] = ("-m", "service.cli")) -> Process:
    """`enlace demo`, printing to the files out and errors of the service's folder."""
    with (service._home / "out").open("wb") as out, (service._home / "errors").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-u", *program, "demo", "--story", "albert", *arguments],
            env=service._env, cwd=ROOT, stdout=out, stderr=errors, preexec_fn=die_with_parent,
        )  # fmt: skip


def ended(process: Process, folder: Path) -> tuple[int, str, str]:
    try:
        code = process.wait(90)
    finally:
        process.kill()
    return code, (folder / "out").read_text(), (folder / "errors").read_text()


@pytest.fixture(scope="module")
def theatre(county_db: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """`enlace demo --story albert`, when its own story is over: it goes on serving."""
    folder = tmp_path_factory.mktemp("theatre")
    service = Service(copied(county_db, folder), folder, ())
    process = demo(service, "--pace", "0")
    try:
        wait_for(lambda: "The service goes on." in (folder / "out").read_text() or process.poll() is not None, 90, 0.1)
        assert process.poll() is None, ended(process, folder)
        admin = look(service.url, lambda store: issue_sandbox_token(store, "sandbox", "admin", "enlace-admin", 3600))
        yield Theatre(service, settings_of(service), admin, process)
    finally:
        process.kill()
        process.wait()


def test_a_story_ends_well_and_can_be_played_again(theatre: Theatre) -> None:
    """A second time after the demo's own. What stands at the end of each story: test_referral_stories.py."""
    told = story("albert")
    played, text = theatre.play(told)
    assert "\x1b" not in text, "no colours where nobody looks at a terminal"
    for made in ("task-fridge", "request-fridge"):
        assert theatre.read(played.made[made])["status"] == "completed", made
    member = theatre.read(played.made["patient"])
    assert member["name"][0]["family"] == played.row.last_name
    assert played.row.cin in {i["value"] for i in member["identifier"]}
    asked, task = theatre.read(played.made["request-fridge"]), theatre.read(played.made["task-fridge"])
    assert "insurance" not in asked and "coding" not in asked["code"]
    results = [one["valueReference"]["reference"] for one in task["output"]]
    assert played.made["done-fridge"] in results and played.made["handed-fridge"] in results
    assert re.search(r"PUT /fhir/Task/\S+ -> 422\n", text)


def test_what_should_have_been_seen_and_is_not_fails_the_story(theatre: Theatre) -> None:
    snoop = step("Nobody", "Sees it.", seen(cbo(CBOS[0]), "patient", "the record"))
    broken = replace(albert.STORY, steps=(albert.STORY.steps[0], snoop))
    with pytest.raises(StoryFailed, match=r"^Step 2 of .* GET /fhir/Patient/\S+ should .* answered 200, not 404"):
        theatre.play(broken)


def test_what_should_have_been_hidden_and_is_seen_fails_the_story(theatre: Theatre) -> None:
    payer = step("The plan", "Does not see it.", hidden(plan(PLANS[1]), "patient", "the record"))
    with pytest.raises(StoryFailed, match="should have been answered 404, not 200"):
        theatre.play(replace(albert.STORY, steps=(albert.STORY.steps[0], payer)))


def test_an_alert_that_does_not_come_fails_the_story(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "WAIT_S", 0.5)
    update = step("The hospital", "Sends news that alert nobody.", hospital("A08", "none", "was", ago=3, **sonja.BED))
    first = step("The plan", "Sends its file.", plan_file())
    with pytest.raises(StoryFailed, match=r"Maria Lopez should see an alert"):
        theatre.play(replace(sonja.STORY, hospital=albert.STORY.hospital, steps=(first, update)))


def test_a_service_that_is_gone_is_said_so(theatre: Theatre, free_port: int) -> None:
    settings = theatre.settings.model_copy(update={"http_port": free_port})
    with pytest.raises(Stopped, match=r"The story could not begin: .* is it still running"):
        asyncio.run(play(settings, albert.STORY, pace=0, out=io.StringIO()))


# ---- `enlace demo` as a process

BROKEN = """
import sys
from dataclasses import replace
from service.cli import main
from service.cli.seed.directory import CBOS
from service.cli.stories import albert
from service.cli.stories.acts import seen
from service.cli.stories.story import cbo, step
wrong = step("Nobody", "Sees it.", seen(cbo(CBOS[0]), "patient", "the record"))
albert.STORY = replace(albert.STORY, steps=(albert.STORY.steps[0], wrong))
main()
"""


def test_the_demo_says_where_to_look_and_stops_well(theatre: Theatre) -> None:
    """The last use of the theatre: it ends here."""
    before = (theatre.service._home / "out").read_text()
    [reference] = re.findall(r"curl .*/fhir/(Patient/\S+)\n", before)
    assert theatre.read(reference)["name"][0]["given"] == ["Albert"]
    assert f"{theatre.service.base}/ (sign in as Devon Ashby)" in before
    theatre.process.send_signal(signal.SIGINT)
    code, _, errors = ended(theatre.process, theatre.service._home)
    assert (code, errors) == (0, "")


def test_a_story_that_fails_ends_the_demo_with_a_sentence_and_exit_code_1(county_db: Path, tmp_path: Path) -> None:
    service = Service(copied(county_db, tmp_path), tmp_path, ())
    code, out, errors = ended(demo(service, "--pace", "0", program=("-c", BROKEN)), tmp_path)
    assert code == 1, (out, errors)
    assert "Step 2 of the story failed: GET /fhir/Patient/" in errors and "Traceback" not in errors


@pytest.mark.skipif(not os.environ.get("ENLACE_TEST_DEEP"), reason="One more process: make test-deep does it.")
def test_once_stops_after_the_story(county_db: Path, tmp_path: Path) -> None:
    service = Service(copied(county_db, tmp_path), tmp_path, ())
    code, out, errors = ended(demo(service, "--pace", "0", "--once"), tmp_path)
    assert (code, errors) == (0, ""), (out, errors)
    assert "Ctrl-C" not in out and "It stops after the story; the data stays." in out
    assert re.search(
        r"`make run` starts it again, and then:\n  Pages: .*\n.*\n +curl .*/fhir/Patient/\S+$", out.rstrip()
    )


@pytest.mark.skipif(not os.environ.get("ENLACE_TEST_DEEP"), reason="One more process: make test-deep does it.")
def test_ctrl_c_in_the_middle_of_a_story_is_no_failure(county_db: Path, tmp_path: Path) -> None:
    service = Service(copied(county_db, tmp_path), tmp_path, ())
    process = demo(service, "--pace", "30")
    wait_for(lambda: "member of another provider" in (tmp_path / "out").read_text(), 90, 0.2)
    process.send_signal(signal.SIGINT)
    code, out, errors = ended(process, tmp_path)
    assert (code, errors) == (0, ""), (out, errors)
    assert "2/11" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--story", "nobody"), "use sonja, felix"), (("--once",), "--story")],
)
def test_wrong_use_is_said(arguments: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(app, ["demo", *arguments])
    assert done.exit_code == 2 and words in " ".join(done.output.replace("│", " ").split())


def test_production_plays_no_stories() -> None:
    done = CliRunner().invoke(app, ["demo", "--story", "sonja"], env={"ENLACE_ENV": "production"})
    assert done.exit_code == 1 and "ENLACE_ENV=sandbox" in done.output
