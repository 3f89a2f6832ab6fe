"""Buckets that stay when readings go, where a device's history begins in the log, and who writes the archive.

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-22
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Policies that are there delete without a trace, as they did."""
    op.add_column("retention_policies", sa.Column("coarse_bucket_s", sa.Integer(), nullable=True))
    op.add_column("retention_policies", sa.Column("coarse_days", sa.Integer(), nullable=True))
    op.create_table(
        "retention_horizons",
        sa.Column(
            "device_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_retention_horizons_device_id_devices"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_retention_horizons")),
    )
    op.create_table(
        "archive_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("through_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("complete_before_ms", sa.BigInteger(), nullable=False),
        sa.Column("writer", sa.String(length=32), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archive_state")),
    )


def downgrade() -> None:
    """The log's own table of buckets stays; nobody reads it any more."""
    op.drop_table("archive_state")
    op.drop_table("retention_horizons")
    op.drop_column("retention_policies", "coarse_days")
    op.drop_column("retention_policies", "coarse_bucket_s")
