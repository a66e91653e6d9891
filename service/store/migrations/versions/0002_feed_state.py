"""An index on the messages of each source: feed state per source in /metrics and `enlace doctor` without a scan."""

from alembic import op

revision = "0002"
down_revision = "0001"
serves_from = "0001"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # CONCURRENTLY that was interrupted leaves an index that is not valid: begin anew.
        op.drop_index("inbox_source", if_exists=True, postgresql_concurrently=True)
        op.create_index("inbox_source", "inbox", ["source", "received_us"], postgresql_concurrently=True)
