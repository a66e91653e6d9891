"""python -m bench.mutants [path or group ...] [only=text] [quick]: mutants, killed, survivors.

quick: mutants of function bodies alone, and survivors are not tried again with everything imported anew.
Ends with 1 where a survivor is not explained (equivalent.py), or what is explained does not survive.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.mutants.equivalent import EQUIVALENT
from bench.mutants.forked import survivors, template_in
from bench.mutants.mutators import mutants
from bench.mutants.subjects import SUBJECTS, Subject

ROOT = Path(__file__).parents[2]


def run(subject: Subject, scratch: Path, template: Path, only: list[str], quick: bool) -> list[str]:
    """The unexplained survivors, and explanations of what does not survive; says what it finds."""
    path = ROOT / subject.path
    explained = EQUIVALENT.get(subject.path, {})
    found = [one for one in mutants(path.read_text()) if one.in_function or not quick]
    found = [one for one in found if not only or any(text in one.place for text in only)]
    started = time.monotonic()
    left, slowest = survivors(subject.module, path, found, subject.tests, scratch, template, quick=quick)
    for mutant in left:
        mark = "explained" if mutant.place in explained else "SURVIVES "
        print(f"  {mark} line {mutant.line}: {mutant.place}", flush=True)
    alive = [mutant.place for mutant in left]
    idle = [] if only or quick else [place for place in explained if place not in alive]
    for place in idle:
        print(f"  KILLED, though explained: {place}", flush=True)
    unexplained = [place for place in alive if place not in explained]
    print(
        f"{subject.group} | {subject.path} | {len(found)} mutants | {len(found) - len(alive)} killed | "
        f"{len(alive) - len(unexplained)} explained | {len(unexplained)} survive | "
        f"{time.monotonic() - started:.0f} s (slowest {slowest:.1f})",
        flush=True,
    )
    return unexplained + idle


def main(arguments: list[str]) -> int:
    for name in ("ENLACE_TEST_DEEP", "ENLACE_TEST_LONG"):
        os.environ.pop(name, None)  # the tests at the counts of `make test`: each mutant runs them
    only = [one.removeprefix("only=") for one in arguments if one.startswith("only=")]
    quick = "quick" in arguments
    paths = [one for one in arguments if not one.startswith("only=") and one != "quick"]
    chosen = [one for one in SUBJECTS if not paths or one.path in paths or one.group in paths]
    os.chdir(ROOT)
    scratch = Path(tempfile.mkdtemp(prefix="enlace-mutants-"))
    sys.dont_write_bytecode = True
    try:
        template = template_in(scratch)
        bad = [place for subject in chosen for place in run(subject, scratch, template, only, quick)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
