"""Columns as the tables use them: one definition of each kind for both databases."""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, SmallInteger, Text
from sqlmodel import Field


def int8(**options: Any) -> Any:
    return Field(sa_column=Column(BigInteger, nullable=options.pop("nullable", False), **options))


def bytewise() -> Any:
    """Text compared by its UTF-8 bytes on both databases, so that order and paging agree."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def rowid() -> Any:
    """A 64-bit primary key that is SQLite's own row number: no second index."""
    kind = BigInteger().with_variant(Integer(), "sqlite")
    return Field(sa_column=Column(kind, primary_key=True, autoincrement=False))


def text(**options: Any) -> Any:
    return Field(sa_column=Column(bytewise(), nullable=options.pop("nullable", False), **options))


def key() -> Any:
    return Field(sa_column=Column(bytewise(), primary_key=True))


def blob(**options: Any) -> Any:
    return Field(sa_column=Column(LargeBinary, nullable=options.pop("nullable", True), **options))


def small(**options: Any) -> Any:
    return Field(sa_column=Column(SmallInteger, nullable=False, **options))
