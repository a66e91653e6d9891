"""Executes the blocks of one page in order, in one bash, against a sandbox: a reader who pastes everything.

Only places change: the ports of the sandbox. The page works in a copy of the checkout, so that what it writes stays
out of it. `curl` is wrapped to keep status and body of each call; the `# 201` behind a call is compared with it.
"""

import json
import os
import re
import shlex
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from fhir_profiles.models import explain
from fhir_profiles.validate import validate
from tests.docs.match import differs, lines_missing
from tests.docs.pages import Block

SAVED = ("hl7", "csv", "python", "json")
CURL = """#!/bin/bash
n=$(printf %04d "$(ls "$CALLS" | grep -c status)")
/usr/bin/curl "$@" -w '%{stderr}%{http_code}' 2>"$CALLS/$n.status" >"$CALLS/$n.body"
code=$?
cat "$CALLS/$n.body"
exit $code
"""


class PageBroken(AssertionError):
    """A block does not do what the page says; the message begins with its place."""


@dataclass
class Session:
    """The shell of one page. checkout: the copy it works in; ports: printed port -> real one.

    again: the page was played here before. Then a command that fails stops nothing, as in a person's terminal, and only
    what no second reading may change is compared: each HTTP status, and no traceback.
    """

    checkout: Path
    state: Path
    env: dict[str, str]
    ports: dict[str, str]
    again: bool = False
    output: str = ""
    answer: str = ""

    def __post_init__(self) -> None:
        self.calls = self.state / "calls"
        self.calls.mkdir(parents=True)
        tools = self.state / "tools"
        tools.mkdir()
        (tools / "curl").write_text(CURL)
        (tools / "curl").chmod(0o755)
        path = f"{tools}:{self.env['PATH']}"
        self.env = self.env | {"PATH": path, "CALLS": str(self.calls)}
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=self.checkout, env=self.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._known = self._json_files()

    @property
    def folder(self) -> Path:
        """Where the page has gone: `. docs/try.sh` enters a scratch folder."""
        return Path(f"/proc/{self.bash.pid}/cwd").resolve()

    def close(self) -> None:
        assert self.bash.stdin and self.bash.stdout
        self.bash.stdin.close()
        self.bash.stdout.close()
        os.killpg(self.bash.pid, signal.SIGKILL)  # with what it left in the background
        self.bash.wait()

    def play(self, block: Block, later: str) -> None:
        """later: the commands of the page after this block, in one of which a saved file must be used."""
        if block.language == "sh":
            self._execute(block)
        elif block.language == "text":
            self._none_missing(block, "" if self.again else lines_missing(block.text, self.output))
        elif block.language == "json" and not block.info:
            self._none_missing(block, "" if self.again else differs(json.loads(block.text), self._json(block)))
        elif block.language == "yaml" and not block.info:
            yaml.safe_load(block.text)
        elif block.language in SAVED and re.fullmatch(r"[\w./-]+", block.info):
            self._save(block, later)
        else:
            raise PageBroken(f"{block.place}: a block of this kind is not checked: {block.language} {block.info}")

    def _execute(self, block: Block) -> None:
        before = len(list(self.calls.glob("*.status")))
        script = self.state / f"block-{block.line}.sh"
        script.write_text(self._moved(block.text))
        output = script.with_suffix(".out")
        assert self.bash.stdin and self.bash.stdout
        places = shlex.quote(str(script)), shlex.quote(str(output))
        strict = "set -u" if self.again else "set -euo pipefail"
        print(f"{strict}; . {places[0]} </dev/null >{places[1]} 2>&1; set +e; echo @@done", file=self.bash.stdin)
        self.bash.stdin.flush()
        done = self.bash.stdout.readline()
        self.output = output.read_text(errors="replace") if output.exists() else "no output at all"
        if not output.exists() or done.strip() != "@@done":
            raise PageBroken(f"{block.place}: a command failed\n{self.output[-3000:]}")
        if "Traceback" in self.output:
            raise PageBroken(f"{block.place}: a traceback\n{self.output[-3000:]}")
        self._check_calls(block, before)
        self._check_written(block)

    def _check_calls(self, block: Block, before: int) -> None:
        told = re.findall(r"# (\d{3})(?:, again (\d{3}))?$", block.text, re.M)
        stated = [later or first if self.again else first for first, later in told]
        calls = sorted(self.calls.glob("*.status"))[before:]
        came = [call.read_text().strip()[-3:] for call in calls]
        bodies = [call.with_suffix(".body").read_text(errors="replace") for call in calls]
        if stated != came:
            raise PageBroken(f"{block.place}: the page states {stated}, came {came}\n" + "\n".join(bodies)[-3000:])
        self.answer = bodies[-1] if bodies else self.output

    def _check_written(self, block: Block) -> None:
        """Resources that the block wrote into files are valid R4; those in files named wrong* are not."""
        for path, modified in self._json_files().items():
            if self._known.get(path) != modified:
                self._check_resource(block, path)
        self._known = self._json_files()

    def _check_resource(self, block: Block, path: Path) -> None:
        found = json.loads(path.read_text())
        if not isinstance(found, dict) or "resourceType" not in found:
            return
        rtype = found["resourceType"]
        problems = [p.expression for p in (*validate(found, rtype), *explain(found, rtype))]
        if bool(problems) != path.name.startswith("wrong"):
            raise PageBroken(f"{block.place}: {path.name} is {'invalid' if problems else 'valid'}: {problems}")

    def _json_files(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.folder.glob("*.json")}

    def _json(self, block: Block) -> object:
        start = re.search(r"^[\[{]", self.answer, re.M)
        if not start:
            raise PageBroken(f"{block.place}: the last command answered no JSON: {self.answer[:300]}")
        return json.JSONDecoder().raw_decode(self.answer, start.start())[0]

    def _save(self, block: Block, later: str) -> None:
        if block.info not in later:
            raise PageBroken(f"{block.place}: no command of the page uses {block.info}")
        path = self.folder / block.info
        path.write_text(self._moved(block.text))
        if block.language == "json":
            self._check_resource(block, path)
        self._known = self._json_files()

    def _none_missing(self, block: Block, problem: str) -> None:
        if problem:
            raise PageBroken(f"{block.place}: did not come: {problem}\n{(self.answer or self.output)[-3000:]}")

    def _moved(self, text: str) -> str:
        """At this sandbox's ports; a line that ends in `# exit 1` must fail with 1."""
        for printed, real in self.ports.items():
            text = re.sub(rf"(127\.0\.0\.1|localhost)(:| ){printed}\b", rf"\g<1>\g<2>{real}", text)
        fails = r"if \1; then echo 'exit 0 came'; exit 97; else [ $? -eq \2 ]; fi"
        return re.sub(r"^(.+?) +# exit (\d+)$", fails, text, flags=re.M)
