"""Indexes for histories and orders: the versions of a type by time, the resources of an organization, of a type by id.

A version is inserted once and never updated, so the first costs one more index entry per write; the others change only
when a resource is created. All are built beside running writes.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
serves_from = "0001"

INDEXES = (
    ("version_rtype", "version", ["rtype", "vid"]),
    ("resource_source", "resource", ["source_org"]),
    ("resource_id", "resource", ["rtype", "fhir_id"]),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, table, columns in INDEXES:
            # CONCURRENTLY that was interrupted leaves an index that is not valid: begin anew.
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, columns, postgresql_concurrently=True)
