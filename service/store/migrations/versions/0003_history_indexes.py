"""Indexes for histories: the versions of a type in order of time, and the resources that an organization wrote.

A version is inserted once and never updated, so the first costs one more index entry per write; the second changes only
when a resource is created. Both are built beside running writes.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
serves_from = "0001"

INDEXES = (("version_rtype", "version", ["rtype", "vid"]), ("resource_source", "resource", ["source_org"]))


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, table, columns in INDEXES:
            # CONCURRENTLY that was interrupted leaves an index that is not valid: begin anew.
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, columns, postgresql_concurrently=True)
