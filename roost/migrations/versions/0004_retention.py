"""How long telemetry is kept.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-22
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Policies of retention."""
    op.create_table(
        "retention_policies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("organization_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("device_type", sa.String(length=40), nullable=True),
        sa.Column("key_pattern", sa.String(length=200), nullable=True),
        sa.Column("keep_days", sa.Integer(), nullable=True),
        sa.Column("place", sa.String(length=2048), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_retention_policies_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_policies")),
        sa.UniqueConstraint("place", name=op.f("uq_retention_policies_place")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_retention_policies_organization_id", "retention_policies", ["organization_id"])


def downgrade() -> None:
    """Everything is kept again."""
    op.drop_table("retention_policies")
