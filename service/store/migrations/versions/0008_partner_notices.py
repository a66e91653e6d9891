"""Partners' servers tell us of changes: our Subscription there, and when it asked for a look. Timers by their kind.

The new columns have defaults, so a former version goes on beside it; `key_id` of a partner, which nothing reads any
more, stays for the same reason.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
serves_from = "0001"

INT8: Any = sa.BigInteger()
TEXT: Any = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("referral_partner", sa.Column("notices", TEXT, nullable=False, server_default="auto"))
    op.add_column("referral_partner", sa.Column("told_us", INT8, nullable=False, server_default="0"))
    op.add_column("referral_partner", sa.Column("hinted_us", INT8, nullable=False, server_default="0"))
    op.create_table(
        "partner_notice",
        sa.Column("partner", TEXT, primary_key=True),
        sa.Column("token", TEXT, nullable=False),
        sa.Column("remote", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("since_us", INT8, nullable=False),
        sa.Column("error", TEXT, nullable=False),
        sa.Column("tries", INT8, nullable=False),
        sa.Column("due_us", INT8, nullable=False),
    )
    op.create_index("partner_notice_token", "partner_notice", ["token"])
    # What `enlace timers measure` is taken of: referrals have four clocks each.
    op.create_index("timer_kind", "timer", ["kind", "start_us"])
