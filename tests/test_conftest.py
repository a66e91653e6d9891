"""The fixtures themselves: fresh databases on both engines, the frozen clock."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from service.clock import instant
from tests.conftest import missing
from tests.frozen_clock import FrozenClock


def test_clock_stands_near_midnight_in_los_angeles_and_moves_only_when_told(clock: FrozenClock) -> None:
    assert instant(clock.now_us()) == "2026-03-08T07:30:00.000000Z"
    clock.advance(1)
    assert instant(clock.now_us()) == "2026-03-08T07:30:00.000001Z"
    assert [clock.new_id(), clock.new_id()] == [f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2)]


def test_database_url_names_one_engine_each(database_url: str) -> None:
    assert database_url.startswith(("sqlite:///", "postgresql://"))


async def test_postgresql_is_fresh_utf8_ordered_by_code_point_and_no_superuser(postgresql_url: str) -> None:
    connection = await asyncpg.connect(postgresql_url)
    try:
        await connection.execute("CREATE TABLE only_here (a TEXT)")
        row = await connection.fetchrow(
            "SELECT pg_encoding_to_char(encoding), datcollate, rolsuper FROM pg_database, pg_roles"
            " WHERE datname = current_database() AND rolname = current_user"
        )
    finally:
        await connection.close()
    assert row is not None and tuple(row) == ("UTF8", "C", False)
    assert urlsplit(postgresql_url).path.startswith("/enlace_")


async def test_postgresql_has_nothing_of_the_former_test(postgresql_url: str) -> None:
    connection = await asyncpg.connect(postgresql_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('only_here')") is None
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("required", "expected"), [("", pytest.skip.Exception), ("browser, postgres", pytest.fail.Exception)]
)
def test_missing_skips_unless_required(
    required: str, expected: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENLACE_TEST_REQUIRE", required)
    with pytest.raises(expected, match="not here"):
        missing("postgres", "It is not here.")
