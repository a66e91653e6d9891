"""The file that a story's plan sends is read back as the member it tells of, in each plan's layout."""

import random
from dataclasses import replace
from datetime import date

import pytest

from mappers.plan_files.layout import load
from mappers.plan_files.member_information import members
from mappers.plan_files.table import read_rows
from service.cli.seed.people import cin
from service.cli.stories import NAMES
from service.cli.stories.member_file import CIN_LETTERS, as_file, new_member
from service.cli.stories.player import story

TODAY = date(2026, 3, 7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan", ["golden-poppy", "sierra-valley"])
def test_what_is_written_is_what_is_read(name: str, plan: str) -> None:
    layout, told = load("member-information", plan), story(name)
    row = new_member(told, TODAY, random.Random(name), told.status)
    file = as_file(row, layout)
    [outcome] = members(read_rows(file, "story.csv", layout), layout, TODAY)
    assert outcome.member is not None and not outcome.issues, outcome.issues
    assert replace(outcome.member, row=0) == row


@pytest.mark.parametrize("name", NAMES)
def test_a_member_of_a_story_is_never_one_of_the_county(name: str) -> None:
    assert {cin(1, number)[-1] for number in range(200)}.isdisjoint(CIN_LETTERS)
    people = [new_member(story(name), TODAY, random.Random(number), "engaged-enrolled") for number in range(50)]
    assert len({person.cin for person in people}) == 50


@pytest.mark.parametrize("name", NAMES)
def test_a_story_has_eight_to_sixteen_steps_that_say_something(name: str) -> None:
    steps = story(name).steps
    assert 8 <= len(steps) <= 16
    for step in steps:
        assert step.who and step.acts and step.says[0].isupper() and step.says[-1] in ".?", step.says
