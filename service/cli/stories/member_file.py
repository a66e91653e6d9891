"""The member of a story, new at every playing, and the file in which the plan tells of them, in the plan's own layout.

facts/california.md B.4.1: each plan has its own columns, dates and words; mappers/plan_files/layouts holds them.
"""

import csv
import io
import random
from datetime import date, timedelta

from mappers.plan_files.delimited import guarded
from mappers.plan_files.layout import Column, Layout
from mappers.plan_files.member_row import MemberRow
from service.cli.seed.directory import TOWNS
from service.cli.seed.parts import made_up_npi
from service.cli.stories.story import Story

FAMILIES = (
    "Aldermoor Birchwhistle Cobblestone Dunnaway Evermill Fennimore Goldfinch Hollowell Ivywright Juniperson "
    "Kestrelby Lanternby Meadowell Nettleford Orchardson Pepperill Quarryman Rushbrook Silverthorn Thistledown"
).split()
CIN_LETTERS = "PRTVWY"
"""The seeded county uses others: a member of a story is never one of its members."""
_DATES = {"YYYY": "%Y", "MON": "%b", "MM": "%m", "DD": "%d"}


def new_member(story: Story, today: date, rng: random.Random, status: str) -> MemberRow:
    """today: the date in California. status: code of ecm-engagement-status."""
    who, lead = story.person, story.manager
    born = date(today.year - who.age, 1, 1) - timedelta(days=rng.randrange(300))
    town, code = TOWNS[story.ecm.town]
    number = rng.randrange(10**7)
    return MemberRow(
        cin=f"9{number:07d}{rng.choice(CIN_LETTERS)}",
        first_name=who.given,
        last_name=rng.choice(FAMILIES),
        birth_date=born,
        gender=who.gender,
        language_spoken=who.language,
        homeless=who.homeless,
        residential_line=who.street or None,
        residential_city=town,
        residential_state="CA",
        residential_zip=code,
        phone=f"209-555-01{rng.randrange(100):02d}",
        plan_member_id=f"ST{number:07d}",
        coverage_start=today.replace(day=1) - timedelta(days=400),
        ecm_status=status,
        ecm_start=today - timedelta(days=1),
        authorization_number=f"AUTH-{number:07d}",
        authorization_start=today - timedelta(days=1),
        authorization_end=today + timedelta(days=363),
        pofs=who.pofs,
        provider_npi=made_up_npi(story.ecm.number),
        provider_name=story.ecm.name,
        lcm_name=lead.name,
        lcm_npi=made_up_npi(lead.number),
    )


def as_file(row: MemberRow, layout: Layout) -> bytes:
    """A file of this one member as the layout writes it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=layout.delimiter)
    writer.writerow(column.headers[0] for column in layout.columns)
    writer.writerow(guarded(_cell(row, column, layout)) for column in layout.columns)
    return out.getvalue().encode()


def _cell(row: MemberRow, column: Column, layout: Layout) -> str:
    if column.name.startswith("pof_"):
        return "Y" if column.name.removeprefix("pof_") in row.pofs else "N"
    value = getattr(row, column.name)
    match value:
        case None | ():
            return ""
        case bool():
            return "Y" if value else "N"
        case date():
            return _written(value, layout.date_formats[0])
        case tuple():
            return ";".join(column.words.get(one, one) for one in value)
        case _:
            return column.words.get(value, str(value))


def _written(day: date, shape: str) -> str:
    for word, directive in _DATES.items():
        shape = shape.replace(word, directive)
    return day.strftime(shape).upper()
