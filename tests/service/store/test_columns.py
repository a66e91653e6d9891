"""The columns of statements are those of the SQLModel tables, and the migrations make just these tables."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import BigInteger, LargeBinary, SmallInteger, Text, create_engine
from sqlalchemy.types import Double

from service.store.columns import COLUMNS
from service.store.tables import metadata

KINDS = {BigInteger: "int8", SmallInteger: "int2", Text: "text", LargeBinary: "bytea", Double: "float8"}


def test_the_columns_are_those_of_the_tables() -> None:
    defined = {
        name: {
            column.name: next(kind for cls, kind in KINDS.items() if isinstance(column.type, cls))
            for column in table.columns
        }
        for name, table in metadata.tables.items()
    }
    assert {name: list(columns.items()) for name, columns in COLUMNS.items()} == {
        name: list(columns.items()) for name, columns in defined.items()
    }


def test_the_migrations_make_the_tables(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
