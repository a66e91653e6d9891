"""Every command that README.md and `enlace demo` print is executed as printed, against a real demo: issue 2, point 1.

Only the place changes: ports that are free, a database of the test. The demo is embedded (SQLite) by definition.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import httpx
import pytest

from tests.postgres_server import free_port
from tests.scenarios.harness import ROOT, wait_for

README = (ROOT / "README.md").read_text()
MAKE = "make run"


def sh_blocks(text: str) -> list[list[str]]:
    """The command lines of each ```sh block."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
    return [[line for line in block.splitlines() if line and not line.startswith("#")] for block in blocks]


@dataclass
class Demo:
    """A running `enlace demo`: what it printed, and a shell in which the printed lines work."""

    folder: Path
    http_port: int
    mllp_port: int
    env: dict[str, str]
    starts: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> float:
        """Starts it; seconds until it says that it is ready."""
        self.starts += 1
        self.log = self.folder / f"demo-{self.starts}.log"
        begun = time.monotonic()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "demo"], env=self.env, cwd=self.folder,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: self._ready(), 90)
        return time.monotonic() - begun

    def _ready(self) -> bool:
        assert self.process and self.process.poll() is None, self.text
        return "Ready after" in self.text

    @property
    def text(self) -> str:
        return self.log.read_text()

    def interrupt(self) -> int:
        """Ctrl-C: the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)  # nobody of its session is left
        return code

    def run(self, *lines: str) -> "subprocess.CompletedProcess[str]":
        """The lines in one bash, which stops at the first failure."""
        script = "set -euo pipefail\n" + "\n".join(self.moved(line) for line in lines)
        return subprocess.run(
            ["bash", "-c", script], env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=90
        )

    def moved(self, line: str) -> str:
        """The line at this demo's place; curl also says the status, on a line of its own."""
        line = re.sub(r"http://127\.0\.0\.1:\d+", f"http://127.0.0.1:{self.http_port}", line)
        line = line.replace(".venv/bin/enlace", f"{shlex.quote(sys.executable)} -m service.cli")
        return re.sub(r"^curl ", r"curl -w '\\n%{http_code}\\n' ", line)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    http, mllp = free_port(), free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("ENLACE_")} | {
        "ENLACE_DATABASE_URL": f"sqlite:///{folder / 'enlace.db'}",
        "ENLACE_SECRET_KEY_FILE": str(folder / "secret.key"),
        "ENLACE_HTTP_PORT": str(http),
        "ENLACE_MLLP_PORT": str(mllp),
        "PYTHONPATH": str(ROOT),
    }
    made = Demo(folder, http, mllp, env)
    try:
        print(f"first start: {made.start():.1f} s")
        yield made
    finally:
        if made.process and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def works(demo: Demo, *lines: str) -> str:
    done = demo.run(*lines)
    assert done.returncode == 0, (lines, done.returncode, done.stdout[-1000:], done.stderr[-2000:])
    assert "Traceback" not in done.stderr
    return done.stdout


def answered_with_entries(output: str) -> None:
    """Each curl printed one JSON document, then 200: a resource, or a Bundle that holds some."""
    bodies = re.findall(r"^(\{.*\})\n(\d{3})$", output, re.M)
    assert bodies, output[:500]
    for body, status in bodies:
        bundle = json.loads(body)
        assert status == "200", body[:500]
        if bundle["resourceType"] == "Patient":
            assert bundle["name"] and bundle["identifier"]
            continue
        assert bundle["resourceType"] == "Bundle", body[:500]
        assert [e for e in bundle.get("entry", ()) if e["resource"]["resourceType"] != "OperationOutcome"], body[:500]


def test_make_run_is_the_demo() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [recipe] = re.findall(r"^run: setup-run .*\n((?:\t.*\n)+)", makefile, re.M)
    assert recipe == "\t@exec $(BIN)/enlace demo $(ARGS)\n"
    assert re.search(r"^BIN := \.venv/bin$", makefile, re.M)
    first, *others = sh_blocks(README)
    assert first == [MAKE]
    assert others, "README shows how to make a first FHIR call"


def test_the_commands_of_the_readme(demo: Demo) -> None:
    _, *blocks = sh_blocks(README)
    lines = [line for block in blocks for line in block]
    assert [line for line in lines if line.startswith("curl ")] and [line for line in lines if "adt simulate" in line]
    output = works(demo, *lines)
    answered_with_entries(output)
    assert len(re.findall(r"^200$", output, re.M)) == len([line for line in lines if line.startswith("curl ")])
    assert re.search(r"^(\d+) sent, \1 accepted\.$", output, re.M)


def test_every_verb_that_the_readme_names_exists() -> None:
    verbs = {line for line in re.findall(r"`enlace ([a-z][^`]*)`", README)}
    assert len(verbs) > 5
    words = {
        tuple(word for word in verb.split() if re.fullmatch(r"[a-z-]+", word) and word[0] != "-") for verb in verbs
    }
    words = {tuple(w[:2]) if w[0] in ("adt", "client", "files") else w[:1] for w in words}

    def known(verb: tuple[str, ...]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *verb, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (verb, done.stderr)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(known, sorted(words)))


def test_what_the_demo_prints(demo: Demo) -> None:
    """Every printed command is executed: tokens, calls, the feed, and the sandbox's events in their order."""
    lines = [line.strip() for line in demo.text.splitlines()]
    commands = [line for line in lines if line.startswith((".venv/bin/enlace ", "curl "))]
    tokens = [line for line in commands if " token --role" in line and not line.startswith("curl ")]
    curls = [line for line in commands if line.startswith("curl ")]
    events = [line for line in commands if line.startswith(".venv/bin/enlace sandbox ")]
    rest = [line for line in commands if line not in (*tokens, *curls, *events)]
    roles = {line.split()[3] for line in tokens}
    assert roles == {"admin", "ecm-provider", "lcm", "mcp", "cbo", "hospital", "referrer"}
    assert len(curls) == 3 and all(f"http://127.0.0.1:{demo.http_port}/fhir/" in line for line in curls)
    assert [line.split()[2] for line in events] == ["admit", "discharge", "refer", "accept", "complete"]
    assert [line for line in rest if " adt simulate " in line] == rest
    with ThreadPoolExecutor(1) as pool:
        simulated = pool.submit(works, demo, *rest)  # ten seconds: the tokens and calls go on beside it
        printed = works(demo, *tokens)
        assert len(set(re.findall(r"^[A-Za-z0-9_-]{43}$", printed, re.M))) == len(tokens)
        answered_with_entries(works(demo, *curls))
        happened(works(demo, *events))
    assert re.search(r"^(\d+) sent, \1 accepted\.$", simulated.result(), re.M)


def happened(output: str) -> None:
    """Both messages were acknowledged and told to Maria; the referral went through its loop."""
    assert re.findall(r"^(?:AA|CA)  (A0[13]): ", output, re.M) == ["A01", "A03"]
    assert len(re.findall(r"^    Alert: .* was (?:admitted to|discharged (?:home )?from) ", output, re.M)) == 2
    assert re.findall(r"^(requested|accepted|completed)  ", output, re.M) == ["requested", "accepted", "completed"]


def test_the_first_page_of_the_demo(demo: Demo) -> None:
    """Four roles, one click each; the three curl lines are those that the terminal shows, and so are executed."""
    base = f"http://127.0.0.1:{demo.http_port}"
    page = httpx.get(f"{base}/", timeout=15).text
    before_the_fold = page.partition("<details>")[0]
    assert before_the_fold.count("Sign in as ") == 4
    shown = [unescape(line) for line in re.findall(r"<code>(curl .*?)</code>", page)]
    assert shown == [line.strip() for line in demo.text.splitlines() if line.strip().startswith("curl ")]
    for client in re.findall(r'name="client" value="([^"]+)"', page):
        signed_in(base, client)


def signed_in(base: str, client_id: str) -> None:
    """One click leads to the role's own page."""
    with httpx.Client(base_url=base, timeout=15, follow_redirects=True) as browser:
        csrf = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/").text)[0]
        page = browser.post("/login", data={"csrf": csrf, "client": client_id})
    heading = "Inbox" if client_id.endswith("-lcm") else "What this organization sees"
    assert page.status_code == 200 and f"<h1>{heading}</h1>" in page.text, client_id


def test_the_printed_addresses_answer(demo: Demo) -> None:
    text = "\n".join(line for line in demo.text.splitlines() if "curl " not in line)
    plain = set(re.findall(r"http://127\.0\.0\.1:\d+[^\s'\"]*", text))
    assert len(plain) >= 3
    for address in plain:
        answer = httpx.get(address, timeout=15)
        assert answer.status_code == 200, address
    assert f"127.0.0.1:{demo.mllp_port}" in demo.text
    page = httpx.get(f"http://127.0.0.1:{demo.http_port}/", timeout=15).text
    assert "Sign in as" in page


def test_ctrl_c_and_a_second_start(demo: Demo) -> None:
    """Runs last: it stops the demo and starts it anew over the same data."""
    counted = 'curl -s -H "Authorization: Bearer $(.venv/bin/enlace token --role admin)" '
    query = f"'http://127.0.0.1:{demo.http_port}/fhir/Patient?_count=200'"

    def members() -> set[str]:
        body = works(demo, counted + query).splitlines()[0]
        return {entry["resource"]["id"] for entry in json.loads(body)["entry"]}

    before = members()
    assert len(before) == 200
    assert "Writing the synthetic county" in demo.text
    assert demo.interrupt() == 0, demo.text[-2000:]
    assert "Traceback" not in demo.text
    seconds = demo.start()
    print(f"second start: {seconds:.1f} s")
    assert seconds < 15
    assert "Writing the synthetic county" not in demo.text
    assert members() == before
    assert demo.interrupt() == 0, demo.text[-2000:]
    assert "Traceback" not in demo.text
