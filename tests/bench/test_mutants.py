"""What decides about access is told from every mutant of it: `make test-long`; the tool itself on a small module."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.mutants.equivalent import EQUIVALENT
from bench.mutants.mutators import mutants
from bench.mutants.sql_texts import is_sql, other_sql
from bench.mutants.subjects import SUBJECTS

ROOT = Path(__file__).parents[2]
SMALL = '''
"""A docstring is left alone."""
LIMIT = 3


def allowed(age: int, member: bool) -> bool:
    """So is this."""
    return age >= LIMIT and not member
'''


@pytest.mark.long
@pytest.mark.parametrize("path", [subject.path for subject in SUBJECTS])
def test_every_mutant_is_killed_or_explained(path: str) -> None:
    done = subprocess.run([sys.executable, "-m", "bench.mutants", path], cwd=ROOT, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]


def test_each_place_becomes_something_else() -> None:
    assert {one.place for one in mutants(SMALL)} == {
        "module: 3 -> 4",
        "module: 3 -> 2",
        "allowed: age >= LIMIT and (not member) -> age >= LIMIT or not member",
        "allowed: age >= LIMIT and (not member) without age >= LIMIT",
        "allowed: age >= LIMIT and (not member) without not member",
        "allowed: age >= LIMIT -> age > LIMIT",
        "allowed: age >= LIMIT -> age < LIMIT",
        "allowed: not member -> member",
    }
    assert [one.in_function for one in mutants(SMALL)].count(False) == 2


def test_words_of_sql_are_exchanged_and_sentences_left() -> None:
    assert set(other_sql("x.a <= ? AND NOT EXISTS (SELECT 1")) == {
        "x.a < ? AND NOT EXISTS (SELECT 1",
        "x.a > ? AND NOT EXISTS (SELECT 1",
        "x.a <= ? OR NOT EXISTS (SELECT 1",
        "x.a <= ? AND EXISTS (SELECT 1",
    }
    assert not is_sql("The letters of a scope are a subset of c r u d s.")


@pytest.mark.long  # every mutant of every subject is made: half a minute
def test_what_is_explained_is_a_mutant_of_a_subject() -> None:
    paths = {subject.path for subject in SUBJECTS}
    for path, explained in EQUIVALENT.items():
        assert path in paths
        places = {one.place for one in mutants((ROOT / path).read_text())}
        assert set(explained) <= places, set(explained) - places
        assert all(reason.endswith(".") for reason in explained.values())


def test_the_tests_of_each_subject_exist() -> None:
    for subject in SUBJECTS:
        for one in subject.tests:
            assert (ROOT / one.partition("::")[0]).exists(), one
